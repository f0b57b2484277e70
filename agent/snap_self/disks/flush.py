"""List what ``syncfs`` must be called on, and through which mounts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from snap_self.model.disks import Coverage, Filesystem
from snap_self.model.flushing import FlushTarget, MountWay, Obstacle, way_through


def ways(filesystem: Filesystem) -> tuple[MountWay, ...]:
    """Return the mounts that lead to the filesystem, best first; empty if none is known.

    A filesystem mounted only in another mount namespace is reached through a process that lives
    there.
    """
    return tuple(
        way_through(mount, key=filesystem.key, devno=filesystem.devno)
        for mount in filesystem.mounts
        if not mount.hidden and (mount.namespace is None or mount.pid is not None)
    )


def flush_plan(coverage: Coverage) -> tuple[FlushTarget, ...]:
    """Return what to sync, innermost first, with the obstacle where no path leads to it.

    Filesystems whose superblock is read-only have nothing to write.
    """
    filesystems = {
        filesystem.key: filesystem
        for target in coverage.targets
        for filesystem in target.filesystems
        if not filesystem.read_only
    }
    unseen = (
        FlushTarget(path=each.what, fstype=each.fstype, key=each.what, obstacle=Obstacle.UNSEEN)
        for each in coverage.unseen
    )
    seen = (_flush_target(each, depth) for each, depth in innermost_first(filesystems))
    return (*seen, *unseen)


def _flush_target(filesystem: Filesystem, depth: int) -> FlushTarget:
    found = ways(filesystem)
    return FlushTarget(
        path=found[0].shown if found else filesystem.mounts[0].path,
        fstype=filesystem.fstype,
        key=filesystem.key,
        ways=found,
        depth=depth,
        obstacle=None if found else Obstacle.HIDDEN,
    )


def innermost_first(filesystems: Mapping[str, Filesystem]) -> list[tuple[Filesystem, int]]:
    """Return filesystems, the deepest first, each with how many of the others carry it.

    Images come before what they lie on; among equals, nested mounts come before those above them.
    """
    depth: dict[str, int] = {}
    for key in filesystems:
        _measure(key, filesystems, depth)
    keys = sorted(filesystems, key=lambda key: (-depth[key], *_below_first(filesystems[key])))
    return [(filesystems[key], depth[key]) for key in keys]


def _below_first(filesystem: Filesystem) -> tuple[int, str]:
    path = filesystem.mounts[0].path
    return -path.rstrip("/").count("/"), path


def _measure(key: str, filesystems: Mapping[str, Filesystem], depth: dict[str, int]) -> int:
    """Note how many filesystems carry one another below this one."""
    if key not in depth:
        depth[key] = 0  # ends a ring, which only a lazily unmounted image could show
        depth[key] = max(_parent_depths(key, filesystems, depth), default=0)
    return depth[key]


def _parent_depths(
    key: str, filesystems: Mapping[str, Filesystem], depth: dict[str, int]
) -> Iterable[int]:
    for parent in filesystems[key].parents:
        if parent in filesystems:
            yield 1 + _measure(parent, filesystems, depth)
