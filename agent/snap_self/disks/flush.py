"""List what ``syncfs`` must be called on, and through which path."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from snap_self.model.disks import Coverage, Filesystem
from snap_self.model.plan import FlushTarget


def sync_path(filesystem: Filesystem) -> str | None:
    """Return a path that leads to the filesystem, or None if none is known.

    One mounted only in another mount namespace is reached through a process that lives there.
    """
    for mount in filesystem.mounts:
        if mount.hidden:
            continue
        if mount.namespace is None:
            return mount.path
        if mount.pid is not None:
            return f"/proc/{mount.pid}/root{mount.path}"
    return None


def flush_plan(coverage: Coverage) -> tuple[tuple[FlushTarget, ...], str]:
    """Return what to sync, innermost first, and why something cannot be synced (or "").

    Filesystems that are mounted read-only everywhere have nothing to write.
    """
    filesystems = {
        filesystem.key: filesystem
        for target in coverage.targets
        for filesystem in target.filesystems
        if not all(mount.read_only for mount in filesystem.mounts)
    }
    flushes, unreachable = [], []
    for filesystem, depth in innermost_first(filesystems):
        path = sync_path(filesystem)
        if path is None:
            unreachable.append(filesystem.mounts[0].path)
        else:
            flushes.append(FlushTarget(path=path, fstype=filesystem.fstype, depth=depth))
    why = ""
    if unreachable:
        why = (
            f"no path leads to {', '.join(unreachable)}: something else is mounted over it, so it "
            "cannot be flushed"
        )
    return tuple(flushes), why


def innermost_first(filesystems: Mapping[str, Filesystem]) -> list[tuple[Filesystem, int]]:
    """Return filesystems with how many of the others carry each, the deepest first.

    Images come before what they lie on; among equals nested mounts before what is above them.
    """
    depth: dict[str, int] = {}
    for key in filesystems:
        _measure(key, filesystems, depth)
    keys = sorted(filesystems, key=lambda key: (-depth[key], *_below_first(filesystems[key])))
    return [(filesystems[key], depth[key]) for key in keys]


def _below_first(filesystem: Filesystem) -> tuple[int, str]:
    path = filesystem.mounts[0].path
    return (0 if path == "/" else -path.count("/")), path


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
