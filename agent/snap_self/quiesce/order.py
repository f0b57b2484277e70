"""In which order filesystems are frozen, and which are not: pure, from the model's values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from snap_self.model.disks import Filesystem, Mount

# Those with a freeze operation; fsfreeze(8) and the kernel's s_op->freeze_fs.
FREEZABLE = frozenset({"ext2", "ext3", "ext4", "xfs", "btrfs", "f2fs", "jfs", "nilfs2", "reiserfs"})
_SPECIAL = {
    "bcachefs": "while frozen it fails writes (EROFS) instead of holding them back",
    "gfs2": "freezing it would stop every node of its cluster",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class FreezeTarget:
    """One superblock to freeze.

    Args:
        key: of the model's ``Filesystem``.
        mounts: where it can be opened, best first: a bind mount may be a file, which cannot be
            opened as a directory, and a mount point may have been covered since.
        rank: those of one rank depend on none of each other and are frozen side by side.
    """

    key: str
    fstype: str
    mounts: tuple[Mount, ...]
    rank: int = 0

    @property
    def path(self) -> str:
        """Return its name for people: the best mount point."""
        return self.mounts[0].path


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """A filesystem that is not frozen.

    Args:
        weakens: it can be written to, so the snapshot is worth less for it.
    """

    path: str
    fstype: str
    why: str
    weakens: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class FreezeOrder:
    """Targets in the order to freeze them; they are thawed in exactly the reverse."""

    targets: tuple[FreezeTarget, ...]
    left_out: tuple[LeftOut, ...]


def freeze_order(filesystems: Iterable[Filesystem]) -> FreezeOrder:
    """Return what to freeze, innermost first.

    A filesystem in an image comes before the one that holds the image, however they are mounted:
    the other way round the freeze hangs, for it must write to its image. Else what is mounted
    below another comes before it and ``/`` last; what is neither shares a rank. Each superblock
    occurs once, whatever number of mounts it has: a second freeze of it would be refused (EBUSY),
    not counted.
    """
    by_key = {filesystem.key: filesystem for filesystem in filesystems}
    layers: dict[str, int] = {}
    targets: list[FreezeTarget] = []
    left_out = []
    for filesystem in by_key.values():
        mounts = _openable(filesystem)
        why, weakens = _obstacle(filesystem, mounts)
        if why:
            left_out.append(
                LeftOut(
                    path=filesystem.mounts[0].path if filesystem.mounts else filesystem.source,
                    fstype=filesystem.fstype,
                    why=why,
                    weakens=weakens,
                )
            )
            continue
        targets.append(FreezeTarget(key=filesystem.key, fstype=filesystem.fstype, mounts=mounts))
        layers[filesystem.key] = _layers(filesystem, by_key, frozenset())
    return FreezeOrder(targets=_ranked(targets, layers), left_out=tuple(left_out))


def _ranked(targets: Sequence[FreezeTarget], layers: Mapping[str, int]) -> tuple[FreezeTarget, ...]:
    """Return the targets in order, each with its rank."""
    heights: dict[str, int] = {}
    for target in sorted(targets, key=lambda t: -_depth(t.path)):
        below = [
            heights[other.key]
            for other in targets
            if other.key in heights and _is_below(other.path, target.path)
        ]
        heights[target.key] = max(below, default=-1) + 1
    places = {target.key: (-layers[target.key], heights[target.key]) for target in targets}
    ranks = {place: rank for rank, place in enumerate(sorted(set(places.values())))}
    ranked = [replace(target, rank=ranks[places[target.key]]) for target in targets]
    return tuple(sorted(ranked, key=lambda target: (target.rank, target.path)))


def _is_below(path: str, other: str) -> bool:
    return path != other and path.startswith(other.rstrip("/") + "/")


def _obstacle(filesystem: Filesystem, mounts: tuple[Mount, ...]) -> tuple[str, bool]:
    """Return why it cannot be frozen, empty if it can, and whether that weakens the snapshot."""
    writable = not all(mount.read_only for mount in filesystem.mounts)
    if not writable:
        return "mounted read-only, so there is nothing to hold back", False
    if filesystem.fstype in _SPECIAL:
        return _SPECIAL[filesystem.fstype], True
    if filesystem.fstype not in FREEZABLE:
        return f"{filesystem.fstype} cannot be frozen", True
    if not mounts:
        return "mounted only where the agent cannot open it", True
    return "", False


def _openable(filesystem: Filesystem) -> tuple[Mount, ...]:
    """Return mounts the agent can reach: whole ones before parts, writable ones, shortest."""
    own = [mount for mount in filesystem.mounts if mount.namespace is None and not mount.hidden]
    own.sort(key=lambda m: (m.root != "/", m.read_only, _depth(m.path), m.path))
    return tuple(own)


def _depth(path: str) -> int:
    return sum(1 for part in path.split("/") if part)


def _layers(filesystem: Filesystem, by_key: Mapping[str, Filesystem], seen: frozenset[str]) -> int:
    """Return how many filesystems lie below it, one in another's image."""
    if filesystem.key in seen:
        return 0
    seen |= {filesystem.key}
    below = [by_key[key] for key in filesystem.parents if key in by_key]
    return max((1 + _layers(parent, by_key, seen) for parent in below), default=0)
