"""Where the disks of a run are mounted, and what is mounted here that lies on none of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Set

from snap_self.disks.coverage import NOT_ASKED
from snap_self.disks.superblocks import OVERLAY
from snap_self.model.disks import Coverage, Filesystem, Layout, Target
from snap_self.model.ids import DiskId

# Machines with containers have hundreds; these are for people.
MOST_MOUNTS = 16


def carried_by(targets: Iterable[Target]) -> Mapping[DiskId, tuple[str, ...]]:
    """Return the mount points of each disk, the shortest first; some of many."""
    return {
        target.cloud.disk_id: _few(path for fs in target.filesystems for path in _paths(fs))
        for target in targets
    }


def lacking_in(layout: Layout, coverage: Coverage) -> Mapping[str, str]:
    """Return the mount points of what is not, or not wholly, on the disks of a run, each with why.

    What cannot be written, what lies in a file (that is on a disk of its own right), and what is
    never data does not count. The reason is the part of it that others share.
    """
    names = {target.local.name for target in coverage.targets if target.local}
    gaps = (*coverage.excluded, *coverage.not_covered)
    whys = {path: gap.cause or gap.why for gap in gaps for path in (gap.what, *gap.paths)}
    others = NOT_ASKED if any(each.asked for each in coverage.skipped) else ""
    found = {path: whys.get(path, others) for path, _ in mounted_beside(layout, names)}
    found |= {gap.what: whys[gap.what] for gap in coverage.not_covered if gap.data_at_risk}
    return {path: found[path] for path in _few(found)}


def mounted_beside(layout: Layout, names: Set[str]) -> Iterator[tuple[str, Set[str]]]:
    """Yield the mount points of filesystems that do not lie wholly on these local disks.

    Each comes with the other disks that it lies on.
    """
    for filesystem in layout.filesystems.values():
        beside = filesystem.disks - names
        if beside and not filesystem.read_only:
            yield from ((path, beside) for path in _paths(filesystem))


def _paths(filesystem: Filesystem) -> Iterator[str]:
    """Yield where it can be reached; a loop image or an overlay is found in what holds it."""
    if filesystem.parents or filesystem.fstype == OVERLAY:
        return
    for mount in filesystem.mounts:
        if mount.namespace is None and not mount.hidden:
            yield mount.path


def _few(paths: Iterable[str]) -> tuple[str, ...]:
    found = sorted(dict.fromkeys(paths), key=lambda path: (len(path), path))
    return tuple(found[:MOST_MOUNTS])
