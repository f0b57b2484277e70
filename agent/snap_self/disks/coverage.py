"""Choose the disks a request means, and say what they carry and what they do not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from snap_self.disks.categories import why_left_out
from snap_self.disks.gaps import Gaps, carried_by_disk
from snap_self.disks.mapping import DiskMap
from snap_self.disks.selection import Chooser
from snap_self.errors import DiskUnmapped, NothingToSnapshot, PermissionRefused
from snap_self.model.disks import (
    CloudDisk,
    Coverage,
    DiskKind,
    Filesystem,
    Layout,
    LocalDisk,
    MappedDisk,
    Selection,
    Skipped,
    Target,
)
from snap_self.model.ids import DiskId
from snap_self.model.machine import PathFact

NOT_ASKED = "not asked for: no --path or --disk given leads to it"


def choose(
    layout: Layout, disk_map: DiskMap, selection: Selection, paths: Sequence[PathFact]
) -> Coverage:
    """Return the disks to snapshot with what they carry, and everything that is left out.

    Args:
        paths: where each of the selection's paths lies, in the same order.

    Raises:
        UsageError: the selection names something that does not exist.
        DiskUnmapped: a disk it means cannot be matched to a local disk with certainty.
        NothingToSnapshot: no disk is left, or no disk below a path can be snapshotted.
        PermissionRefused: the cloud shows no disk at all.
    """
    if not disk_map.disks:
        raise _nothing_shown()
    chooser = Chooser(layout, disk_map)
    excluded = chooser.excluded(selection)
    wanted = chooser.wanted(selection, paths)
    chosen: list[MappedDisk] = []
    skipped: list[Skipped] = []
    for entry in disk_map.disks:
        disk_id = entry.cloud.disk_id
        if disk_id in excluded.disks:
            always = disk_id in excluded.always
            why = excluded.disks[disk_id]
            skipped.append(Skipped(disk_id=disk_id, why=why, asked=True, always=always))
        elif disk_id not in wanted:
            skipped.append(Skipped(disk_id=disk_id, why=NOT_ASKED, asked=True))
        elif why := why_left_out(entry.cloud):
            skipped.append(Skipped(disk_id=disk_id, why=why, asked=False))
        else:
            _refuse_doubtful(entry, disk_map)
            chosen.append(entry)
    if not chosen:
        raise _nothing_left(skipped)
    coverage = _coverage(layout, disk_map, chosen, wanted)
    gaps = Gaps(layout, disk_map, skipped, excluded)
    not_covered, left_out = gaps.found(all_meant=selection.is_of_all)
    return replace(
        coverage,
        skipped=tuple(skipped),
        not_covered=not_covered,
        excluded=left_out,
        vain=tuple(excluded.vain),
    )


def _coverage(
    layout: Layout,
    disk_map: DiskMap,
    chosen: Sequence[MappedDisk],
    wanted: Mapping[DiskId, str],
) -> Coverage:
    carried = carried_by_disk(layout)
    names = frozenset(entry.local.name for entry in chosen if entry.local)
    touched = [span for span in layout.spans if span.disks & names]
    return Coverage(
        targets=tuple(
            Target(
                cloud=entry.cloud,
                local=entry.local,
                how=entry.how,
                filesystems=_filesystems_on(entry.local, carried),
                why=wanted[entry.cloud.disk_id],
            )
            for entry in sorted(chosen, key=lambda entry: _order(entry.cloud))
        ),
        skipped=(),
        spans=tuple(span for span in touched if span.is_within(names)),
        torn=tuple(span for span in touched if not span.is_within(names)),
        not_covered=(),
        unseen=tuple(each for each in layout.unseen if each.disks & names),
        local_only=disk_map.local_only,
        doubts=tuple(each for each in layout.doubts if each.disks & names),
    )


def seen_again(coverage: Coverage, layout: Layout) -> Coverage:
    """Return the same disks with what is on them now.

    Raises:
        DiskUnmapped: the local disk of one of them is gone, or is a different disk now.
    """
    carried = carried_by_disk(layout)
    locals_ = {target.local.name: target.local for target in coverage.targets if target.local}
    for name, local in locals_.items():
        if name not in layout.disks or layout.disks[name].devno != local.devno:
            raise DiskUnmapped(
                f"/dev/{name} is no longer the disk that it was a moment ago",
                hint="it was detached or replaced in the meantime; run the command again",
            )
    names = frozenset(locals_)
    touched = [span for span in layout.spans if span.disks & names]
    return replace(
        coverage,
        targets=tuple(
            replace(target, filesystems=_filesystems_on(target.local, carried))
            for target in coverage.targets
        ),
        spans=tuple(span for span in touched if span.is_within(names)),
        torn=tuple(span for span in touched if not span.is_within(names)),
        unseen=tuple(each for each in layout.unseen if each.disks & names),
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


def _nothing_shown() -> PermissionRefused:
    """Return the error for an empty list: there is a disk, and who may not look sees none."""
    error = PermissionRefused(
        "the cloud shows no disk attached to this instance",
        hint="the credentials lack ecs:DescribeDisks: the API then answers with an empty list; "
        "`snap-self policy` prints what the role needs",
    )
    error.action = "ecs:DescribeDisks"
    return error


def _nothing_left(skipped: Sequence[Skipped]) -> NothingToSnapshot:
    told = "; ".join(f"{entry.disk_id}: {entry.why}" for entry in skipped)
    return NothingToSnapshot(
        f"no disk is left to snapshot ({told})",
        hint="choose other disks with --path, --disk or --exclude",
    )


def _order(disk: CloudDisk) -> tuple[bool, str]:
    return disk.kind is not DiskKind.SYSTEM, disk.disk_id


def _filesystems_on(
    local: LocalDisk | None, carried: Mapping[str, Sequence[Filesystem]]
) -> tuple[Filesystem, ...]:
    return tuple(carried.get(local.name, ())) if local else ()
