"""Say what a set of snapshots lacks of this machine, and whether that makes it partial: pure.

Not every gap is a fault. What is kept in memory, what lies on another machine and what was excluded
is in no snapshot by its nature, or as asked. What can be written and lies on a block device here is
what somebody will look for after an upgrade that went wrong: without it a set is partial.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import cached_property

from snap_self.disks import fstypes
from snap_self.disks.kinds import DISK
from snap_self.disks.mapping import DiskMap
from snap_self.disks.selection import Exclusions
from snap_self.disks.superblocks import OVERLAY
from snap_self.model.disks import Filesystem, Layout, LocalDisk, Mount, NotCovered, Skipped

# Their content is gone after a reboot anyway, or cannot be written (CD).
_VOLATILE = frozenset({"zram", "ram", "rom"})


def carried_by_disk(layout: Layout) -> Mapping[str, list[Filesystem]]:
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


def carriers(layout: Layout, filesystem: Filesystem) -> tuple[Filesystem, ...]:
    """Return the filesystems in whose files another one lies wholly, as loop images do; or none."""
    found = [layout.filesystems.get(key) for key in sorted(filesystem.parents)]
    known = tuple(each for each in found if each is not None)
    disks = frozenset().union(*(each.disks for each in known))
    return known if len(known) == len(found) and filesystem.disks <= disks else ()


def names_beside(layout: Layout, devices: Collection[str]) -> tuple[str, ...]:
    """Return what to exclude so that nothing but some disks is meant, each by a name it takes.

    Args:
        devices: names of local disks.
    """
    names: dict[str, None] = {}
    for filesystem in layout.filesystems.values():
        lasts = any(_lasts(layout.disks[name]) for name in filesystem.disks)
        inside = carriers(layout, filesystem) or filesystem.fstype == OVERLAY
        if inside or not lasts or filesystem.disks <= set(devices):
            continue
        places = [mount.path for mount in filesystem.mounts if _is_reached(mount)]
        names.update(dict.fromkeys(places[:1] or sorted(filesystem.disks)))
    names.update((gap.paths[0], None) for gap in layout.not_covered if gap.left_out)
    return tuple(names)


FOREIGN = "the cloud lists no such disk of this instance"


class Gaps:
    """What is on a machine and in no snapshot of a set.

    Args:
        skipped: the cloud disks that get no snapshot.
    """

    def __init__(
        self,
        layout: Layout,
        disk_map: DiskMap,
        skipped: Iterable[Skipped],
        excluded: Exclusions,
    ) -> None:
        self._layout = layout
        self._excluded = excluded
        self._carried = carried_by_disk(layout)
        # Local disks without a snapshot, which nobody excluded, and those that somebody did.
        self._reasons = dict(disk_map.local_only)
        self._causes = dict.fromkeys(disk_map.foreign, FOREIGN)
        self._asked = dict(excluded.devices)
        by_id = {entry.cloud.disk_id: entry for entry in disk_map.disks}
        for entry in skipped:
            if local := by_id[entry.disk_id].local:
                if not entry.asked:
                    self._reasons[local.name] = entry.why
                elif entry.disk_id in excluded.disks:
                    self._asked[local.name] = entry.why

    def found(self, *, all_meant: bool) -> tuple[tuple[NotCovered, ...], tuple[NotCovered, ...]]:
        """Return what is not covered, and what of the rest is left out as asked.

        Args:
            all_meant: everything was asked for; or else nothing but what was named.
        """
        gaps: list[NotCovered] = []
        excluded = list(self._on_excluded_disks())
        for gap in (*self._layout.not_covered, *self._on_disks()):
            if why := self._why_asked(gap.paths) or self._why_carriers(gap):
                excluded.append(replace(gap, why=why, data_at_risk=False, left_out=False))
            else:
                gaps.append(gap if all_meant else replace(gap, left_out=False))
        return tuple(gaps), tuple(excluded)

    def _on_excluded_disks(self) -> Iterator[NotCovered]:
        told: set[str] = set()
        for name in self._carried:
            for filesystem in self._carried[name]:
                why = self._asked.get(name) or self._excluded.filesystems.get(filesystem.key)
                if why and filesystem.key not in told and not self._is_taken(name):
                    told.add(filesystem.key)
                    yield _gap(filesystem, why, data_at_risk=False)

    def _on_disks(self) -> Iterator[NotCovered]:
        """Yield what lies on local disks that get no snapshot although nobody excluded them."""
        told: set[str] = set()
        for name in sorted(self._reasons.keys() - self._asked.keys()):
            local = self._layout.disks[name]
            for filesystem in self._carried.get(name, ()):
                if filesystem.key in told or self._is_asked(filesystem):
                    continue
                told.add(filesystem.key)
                gap = _gap(
                    filesystem,
                    f"it lies on {name}: {self._reasons[name]}",
                    data_at_risk=not _is_volatile(local),
                )
                lasts = any(_lasts(self._layout.disks[disk]) for disk in filesystem.disks)
                # An image is as covered as what holds it, which is told by itself.
                own = lasts and not carriers(self._layout, filesystem)
                cause = self._causes.get(name, self._reasons[name])
                yield replace(gap, left_out=own and not filesystem.read_only, cause=cause)
            if not self._carried.get(name) and local.kind == DISK:
                yield NotCovered(
                    what=local.node, kind=DISK, why=self._reasons[name], data_at_risk=False
                )

    def _is_asked(self, filesystem: Filesystem) -> bool:
        by_name = filesystem.key in self._excluded.filesystems
        return by_name or bool(filesystem.disks & self._asked.keys())

    def _is_taken(self, name: str) -> bool:
        """Tell whether a local disk gets a snapshot."""
        return name not in self._asked and name not in self._reasons

    def _why_asked(self, paths: Iterable[str]) -> str:
        places = self._excluded.places
        return next((places[path] for path in paths if path in places), "")

    def _why_carriers(self, gap: NotCovered) -> str:
        """Return by what all that holds a filesystem's images is excluded; or nothing."""
        filesystem = self._by_place.get((gap.what, gap.kind))
        holding = carriers(self._layout, filesystem) if filesystem else ()
        whys = [self._why_excluded(each) for each in holding]
        return whys[0] if whys and all(whys) else ""

    @cached_property
    def _by_place(self) -> Mapping[tuple[str, str], Filesystem]:
        found = self._layout.filesystems.values()
        return {(each.mounts[0].path, each.fstype): each for each in found}

    def _why_excluded(self, filesystem: Filesystem) -> str:
        paths = _own_paths(filesystem)
        why = self._why_asked(paths) or self._excluded.filesystems.get(filesystem.key, "")
        return why or next((self._why_excluded(e) for e in carriers(self._layout, filesystem)), "")


def _is_reached(mount: Mount) -> bool:
    return mount.namespace is None and not mount.hidden


def _gap(filesystem: Filesystem, why: str, *, data_at_risk: bool) -> NotCovered:
    return NotCovered(
        what=filesystem.mounts[0].path,
        kind=filesystem.fstype,
        why=why,
        data_at_risk=data_at_risk,
        paths=_own_paths(filesystem),
    )


def _own_paths(filesystem: Filesystem) -> tuple[str, ...]:
    return tuple(mount.path for mount in filesystem.mounts if mount.namespace is None)


def _lasts(disk: LocalDisk) -> bool:
    """Tell whether what is written to a local disk is kept on it.

    Of a loop device whose image lies on no disk: not if that is in memory or on another machine, or
    on a filesystem that is judged by itself.
    """
    away = fstypes.is_away(disk.carried_by) or disk.carried_by in fstypes.ON_DEVICES
    return not _is_volatile(disk) and not away


def _is_volatile(disk: LocalDisk) -> bool:
    return disk.kind in _VOLATILE or disk.carried_by in fstypes.MEMORY
