"""What is to be synced, and through which mounts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum

from snap_self.model.disks import BTRFS_KEY, Mount

PlainWay = tuple[str, int, str, str, "int | None"]
"""A ``MountWay`` as it goes to another process: path, mount id, devno, fsid, pid."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MountWay:
    """A mount through which a filesystem can be opened, as the mount table showed it.

    Args:
        path: the mount point, as seen from the root of its namespace.
        mount_id: field 1 of mountinfo; the kernel gives no two mounts of a machine the same.
        devno: ``major:minor`` of mountinfo field 3.
        fsid: of a btrfs, whose files have other device numbers than its mounts; else empty.
        pid: a process whose root the path begins at; None in the agent's own namespace.
    """

    path: str
    mount_id: int
    devno: str
    fsid: str = ""
    pid: int | None = None

    @property
    def shown(self) -> str:
        """Return a path that leads there from the agent's own namespace."""
        return self.path if self.pid is None else f"/proc/{self.pid}/root{self.path}"

    @property
    def plain(self) -> PlainWay:
        """Return it as values that any process can read."""
        return self.path, self.mount_id, self.devno, self.fsid, self.pid


def way_through(mount: Mount, *, key: str, devno: str) -> MountWay:
    """Return the way through one mount of a filesystem.

    Args:
        key: of the model's ``Filesystem``.
        devno: ``major:minor`` of its mounts.
    """
    return MountWay(
        path=mount.path,
        mount_id=mount.mount_id,
        devno=devno,
        fsid=key.removeprefix(BTRFS_KEY) if key.startswith(BTRFS_KEY) else "",
        pid=mount.pid if mount.namespace is not None else None,
    )


class Obstacle(Enum):
    """Why no path leads to a filesystem that is alive."""

    HIDDEN = "something else is mounted over it"
    UNSEEN = "it is mounted nowhere that can be seen"
    RECORDED = "the machine is a recording"


@dataclass(frozen=True, slots=True, kw_only=True)
class FlushTarget:
    """A filesystem to be synced.

    Args:
        path: its name for people: a mount point.
        ways: where it can be opened, best first; none where there is an obstacle.
        depth: how many filesystems carry it (loop images); deeper ones are synced first.
        key: of the model's ``Filesystem``, or what an unseen one is known by.
    """

    path: str
    fstype: str
    key: str = ""
    ways: tuple[MountWay, ...] = ()
    depth: int = 0
    obstacle: Obstacle | None = None


def unreachable(targets: Iterable[FlushTarget]) -> str:
    """Return which of the targets no path leads to, and why; empty if one leads to each."""
    told = []
    for obstacle in Obstacle:
        paths = [each.path for each in targets if each.obstacle is obstacle]
        if paths:
            told.append(_REASONS[obstacle].format(", ".join(paths)))
    return "; ".join(told)


def to_sync(targets: Sequence[FlushTarget]) -> tuple[FlushTarget, ...]:
    """Return those that can be tried."""
    return tuple(each for each in targets if each.obstacle is None)


_REASONS = {
    Obstacle.HIDDEN: "no path leads to {}: something else is mounted over it, so it cannot be "
    "flushed",
    Obstacle.UNSEEN: "{} is open but mounted nowhere that can be seen, so it cannot be flushed",
    Obstacle.RECORDED: "{} cannot be flushed: the machine is a recording",
}
