"""Choose the disks a request means, and say what they carry and what they do not."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from snap_self.disks.categories import why_left_out
from snap_self.disks.kinds import DISK
from snap_self.disks.mapping import DiskMap
from snap_self.disks.selection import Chooser
from snap_self.disks.superblocks import OVERLAY
from snap_self.errors import DiskUnmapped, NothingToSnapshot
from snap_self.model.disks import (
    CloudDisk,
    Coverage,
    DiskKind,
    Filesystem,
    Layout,
    MappedDisk,
    NotCovered,
    Selection,
    Skipped,
    Target,
)
from snap_self.model.ids import DiskId
from snap_self.model.machine import PathFact

_NOT_ASKED = "not asked for: no --path or --disk given leads to it"


def choose(
    layout: Layout, disk_map: DiskMap, selection: Selection, paths: Sequence[PathFact]
) -> Coverage:
    """Return the disks to snapshot with what they carry, and all that is left out.

    Args:
        paths: where each of the selection's paths lies, in the same order.

    Raises:
        UsageError: the selection names something that does not exist.
        DiskUnmapped: a disk it means cannot be tied to a local disk for certain.
        NothingToSnapshot: no disk is left, or a path lies on none that can be snapshotted.
    """
    chooser = Chooser(layout, disk_map)
    excluded = chooser.excluded(selection)
    wanted = chooser.wanted(selection, paths)
    chosen: list[MappedDisk] = []
    skipped: list[Skipped] = []
    for entry in disk_map.disks:
        disk_id = entry.cloud.disk_id
        if disk_id in excluded:
            skipped.append(Skipped(disk_id=disk_id, why=excluded[disk_id], asked=True))
        elif disk_id not in wanted:
            skipped.append(Skipped(disk_id=disk_id, why=_NOT_ASKED, asked=True))
        elif why := why_left_out(entry.cloud):
            skipped.append(Skipped(disk_id=disk_id, why=why, asked=False))
        else:
            _refuse_doubtful(entry, disk_map)
            chosen.append(entry)
    if not chosen:
        raise _nothing_left(skipped, disk_map)
    coverage = _coverage(layout, disk_map, chosen=chosen, skipped=skipped, wanted=wanted)
    return replace(coverage, vain=tuple(chooser.vain(selection)))


def _coverage(
    layout: Layout,
    disk_map: DiskMap,
    *,
    chosen: Sequence[MappedDisk],
    skipped: Sequence[Skipped],
    wanted: Mapping[DiskId, str],
) -> Coverage:
    carried = _carried(layout)
    names = frozenset(entry.local.name for entry in chosen if entry.local)
    touched = [span for span in layout.spans if span.disks & names]
    return Coverage(
        targets=tuple(
            Target(
                cloud=entry.cloud,
                local=entry.local,
                how=entry.how,
                filesystems=tuple(carried[entry.local.name] if entry.local else ()),
                why=wanted[entry.cloud.disk_id],
            )
            for entry in sorted(chosen, key=lambda entry: _order(entry.cloud))
        ),
        skipped=tuple(skipped),
        spans=tuple(span for span in touched if span.disks <= names),
        torn=tuple(span for span in touched if not span.disks <= names),
        not_covered=(
            *layout.not_covered,
            *_left_out(layout, disk_map, skipped, carried=carried),
        ),
    )


def _refuse_doubtful(entry: MappedDisk, disk_map: DiskMap) -> None:
    disk = entry.cloud
    if entry.local is None:
        raise DiskUnmapped(
            f"disk {disk.disk_id} ({disk.size_gib} GiB) is attached to this instance, but which "
            f"local disk it is cannot be told for certain: {disk_map.doubts[disk.disk_id]}",
            hint="name its device under [disks.map] in the configuration, or leave it out with "
            f"--exclude {disk.disk_id}",
        )


def _nothing_left(skipped: Sequence[Skipped], disk_map: DiskMap) -> NothingToSnapshot:
    if not disk_map.disks:
        return NothingToSnapshot(
            "the cloud shows no disk attached to this instance",
            hint="the credentials may lack ecs:DescribeDisks: the API answers with an empty list "
            "then; `snap-self doctor` checks it",
        )
    told = "; ".join(f"{entry.disk_id}: {entry.why}" for entry in skipped)
    return NothingToSnapshot(
        f"no disk is left to snapshot ({told})",
        hint="choose other disks with --path, --disk or --exclude",
    )


def _order(disk: CloudDisk) -> tuple[bool, str]:
    return disk.kind is not DiskKind.SYSTEM, disk.disk_id


def _carried(layout: Layout) -> Mapping[str, list[Filesystem]]:
    """Return for each local disk its filesystems by mount point.

    Overlays are left out: they show the files of filesystems that are listed.
    """
    carried: dict[str, list[Filesystem]] = defaultdict(list)
    for filesystem in layout.filesystems.values():
        if filesystem.fstype != OVERLAY:
            for name in filesystem.disks:
                carried[name].append(filesystem)
    for filesystems in carried.values():
        filesystems.sort(key=lambda filesystem: filesystem.mounts[0].path)
    return carried


def _left_out(
    layout: Layout,
    disk_map: DiskMap,
    skipped: Iterable[Skipped],
    *,
    carried: Mapping[str, Sequence[Filesystem]],
) -> Iterable[NotCovered]:
    """Yield what lies on local disks that get no snapshot although nobody asked for that."""
    reasons = dict(disk_map.local_only)
    by_id = {entry.cloud.disk_id: entry for entry in disk_map.disks}
    for entry in skipped:
        local = by_id[entry.disk_id].local
        if local and not entry.asked:
            reasons[local.name] = entry.why
    told: set[str] = set()
    for name in sorted(reasons):
        kind = layout.disks[name].kind
        for filesystem in carried.get(name, ()):
            if filesystem.key not in told:
                told.add(filesystem.key)
                yield NotCovered(
                    what=filesystem.mounts[0].path,
                    kind=filesystem.fstype,
                    why=f"it lies on {name}: {reasons[name]}",
                    data_at_risk=kind not in _VOLATILE,
                )
        if not carried.get(name) and kind == DISK:
            yield NotCovered(what=f"/dev/{name}", kind=kind, why=reasons[name], data_at_risk=False)


# What such devices hold is gone after a reboot anyway, or cannot be written (CD).
_VOLATILE = frozenset({"zram", "ram", "rom"})
