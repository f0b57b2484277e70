"""The order in which filesystems are frozen, and which are left out; pure, from model values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from snap_self.model.disks import Filesystem, Mount, Unseen
from snap_self.model.flushing import MountWay, way_through

# Filesystems with a freeze operation; source: fsfreeze(8) and the kernel's s_op->freeze_fs.
FREEZABLE = frozenset({"ext2", "ext3", "ext4", "xfs", "btrfs", "f2fs", "jfs", "nilfs2", "reiserfs"})
_SPECIAL = {
    "bcachefs": "while frozen it fails writes (EROFS) instead of holding them back",
    "gfs2": "freezing it would stop every node of its cluster",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class FreezeTarget:
    """One superblock to freeze.

    Args:
        key: the key of the model's ``Filesystem``.
        mounts: where it can be opened, best first: a bind mount may be a file, which cannot be
            opened as a directory, and a mount point may have been covered since.
        devno: ``major:minor`` of mountinfo field 3.
        rank: targets with the same rank do not depend on each other and are frozen in parallel.
    """

    key: str
    fstype: str
    mounts: tuple[Mount, ...]
    devno: str
    rank: int = 0

    @property
    def path(self) -> str:
        """Return its best mount point, as its name for people."""
        return self.mounts[0].path

    @property
    def ways(self) -> tuple[MountWay, ...]:
        """Return for each mount what it must lead to when it is opened."""
        return tuple(way_through(mount, key=self.key, devno=self.devno) for mount in self.mounts)


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """A filesystem that is not frozen.

    Args:
        weakens: it can be written to, so it lowers the snapshot's level.
    """

    path: str
    fstype: str
    why: str
    weakens: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class FreezeOrder:
    """Targets in the order of freezing; they are thawed in exactly the reverse order."""

    targets: tuple[FreezeTarget, ...]
    left_out: tuple[LeftOut, ...]


def freeze_order(filesystems: Iterable[Filesystem], unseen: Iterable[Unseen] = ()) -> FreezeOrder:
    """Return what to freeze, innermost first.

    A filesystem in an image comes before the filesystem that holds the image, however they are
    mounted: in the other order the freeze hangs, because it must write to its image. Otherwise a
    mount below another one comes before it, and ``/`` is last. Filesystems without such a relation
    share a rank. Each superblock occurs once, no matter how many mounts it has: a second freeze of
    it would be refused (EBUSY), not counted.
    """
    by_key = {filesystem.key: filesystem for filesystem in filesystems}
    layers: dict[str, int] = {}
    targets: list[FreezeTarget] = []
    left_out = [
        LeftOut(
            path=each.what,
            fstype=each.fstype,
            why="it is open but mounted nowhere that can be seen",
            weakens=True,
        )
        for each in unseen
    ]
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
        targets.append(
            FreezeTarget(
                key=filesystem.key,
                fstype=filesystem.fstype,
                mounts=mounts,
                devno=filesystem.devno,
            )
        )
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
    """Return why it cannot be frozen (empty if it can), and whether that weakens the snapshot."""
    if filesystem.read_only:
        return "mounted read-only, so there is nothing to hold back", False
    if filesystem.fstype in _SPECIAL:
        return _SPECIAL[filesystem.fstype], True
    if filesystem.fstype not in FREEZABLE:
        return f"{filesystem.fstype} cannot be frozen", True
    if not mounts:
        return "mounted only where the agent cannot open it", True
    return "", False


def _openable(filesystem: Filesystem) -> tuple[Mount, ...]:
    """Return mounts the agent can reach: whole ones before parts, then writable, then shortest."""
    own = [mount for mount in filesystem.mounts if mount.namespace is None and not mount.hidden]
    own.sort(key=lambda m: (m.root != "/", m.read_only, _depth(m.path), m.path))
    return tuple(own)


def _depth(path: str) -> int:
    return sum(1 for part in path.split("/") if part)


def _layers(filesystem: Filesystem, by_key: Mapping[str, Filesystem], seen: frozenset[str]) -> int:
    """Return how many filesystems lie below it, each in an image on the next."""
    if filesystem.key in seen:
        return 0
    seen |= {filesystem.key}
    below = [by_key[key] for key in filesystem.parents if key in by_key]
    return max((1 + _layers(parent, by_key, seen) for parent in below), default=0)
