"""Walks the path to a file as the kernel does, so that it can be checked before it is trusted."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator, Mapping, Sequence

from snap_self.model.trust import (
    WRITABLE_BY_OTHERS,
    Distrust,
    Distrusted,
    PathHop,
    PathKind,
    faults_of_way,
    judge_way,
)

MAX_LINKS = 40
"""How many links the kernel follows (path_resolution(7))."""

_OWN_FOLDER_MODE = 0o700


def distrust(path: str, *, sticky: bool = True) -> Distrust | None:
    """Return why root must not trust what is at a path; None if it may.

    For other users nothing is checked: a user's process can do only what that user can.

    Args:
        sticky: as for ``judge_way``; False for programs.

    Raises:
        OSError: it does not exist, or its links form a loop.
    """
    if os.geteuid():
        return None
    return judge_way(walk(path), sticky=sticky)


def faults(path: str) -> Sequence[Distrust]:
    """Return everything that is wrong on the path, not only the first fault; see ``distrust``.

    Raises:
        OSError: as there.
    """
    return () if os.geteuid() else tuple(faults_of_way(walk(path), sticky=True))


def distrust_place(path: str, *, sticky: bool = True) -> Distrust | None:
    """Return why root must neither use a folder nor create it if it is missing; else None.

    Args:
        sticky: as for ``judge_way``; False if somebody else could create it first.

    Raises:
        OSError: its links form a loop, or a file is in the way.
    """
    if os.geteuid():
        return None
    hops: list[PathHop] = []
    try:
        hops.extend(_steps(path))
    except FileNotFoundError:
        end = PathHop(path=path, kind=PathKind.FOLDER, mode=_OWN_FOLDER_MODE, owner=0)
        hops.append(end)
    return judge_way(hops, sticky=sticky)


def distrust_open(path: str, descriptor: int) -> Distrust | None:
    """Return why root must not trust an open file, apart from its path; None if it may."""
    status = os.fstat(descriptor)
    if os.geteuid() or not (status.st_uid or status.st_mode & WRITABLE_BY_OTHERS):
        return None  # the usual case, for each of a thousand records
    return judge_way([_hop_of(path, status)])


def check_trusted(path: str, *, sticky: bool = True) -> None:
    """Refuse what root must not trust; see ``distrust``.

    Raises:
        Distrusted: it must not.
        OSError: it does not exist, or its links form a loop.
    """
    found = distrust(path, sticky=sticky)
    if found is not None:
        raise Distrusted(found)


def room_distrust(folder: str) -> Distrust | None:
    """Return why others could replace what root makes in a folder; None if they cannot.

    Raises:
        OSError: it does not exist, or its links form a loop.
    """
    if os.geteuid():
        return None
    made = PathHop(path=f"{folder}/", kind=PathKind.FILE, mode=0o600, owner=0)
    return judge_way([*walk(folder), made], sticky=True)


def walk(path: str, *, root: str = "") -> Sequence[PathHop]:
    """Return every directory, link and file on the path, resolved as the kernel does.

    Args:
        root: the root directory that the path belongs to, such as ``/proc/PID/root``.

    Raises:
        OSError: it does not exist, or its links form a loop.
    """
    return list(_steps(path, root))


def _steps(path: str, root: str = "") -> Iterator[PathHop]:
    if not path.startswith("/"):
        path = f"{os.getcwd()}/{path}"  # noqa: PTH109  (pathlib would drop a trailing slash)
    here, links = "/", 0
    users = _Users()

    def look(place: str) -> PathHop:
        status = os.lstat(f"{root}{place}")
        return _hop_of(place, status, owner=users.owner(status))

    last = look(here)
    yield last
    names = path.split("/")[::-1]
    while names:
        name = names.pop()
        if name in ("", ".", ".."):
            here = os.path.dirname(here) if name == ".." else here  # noqa: PTH120
            continue
        place = f"{here.rstrip('/')}/{name}"
        last = look(place)
        yield last
        if last.kind is not PathKind.LINK:
            here = place
            continue
        links += 1
        if links > MAX_LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
        target = os.readlink(f"{root}{place}")  # noqa: PTH115  (a trailing slash counts)
        here = "/" if target.startswith("/") else here
        names.extend(target.split("/")[::-1])
    if here != last.path:
        yield look(here)  # the path ended in `..` or a link to a directory above


class _Users:
    """Tells who owns files, also if a user's own program serves them (FUSE).

    Such a program may claim that they are root's.
    """

    def __init__(self) -> None:
        self._served: Mapping[int, int] | None = None

    def owner(self, status: os.stat_result) -> int:
        if os.major(status.st_dev):  # a real device's filesystem
            return status.st_uid
        if self._served is None:
            self._served = dict(_served())
        return self._served.get(status.st_dev) or status.st_uid


def _served() -> Iterator[tuple[int, int]]:
    """Yield the device number of each filesystem that a program serves, and who mounted it.

    Source: proc_pid_mountinfo(5); Linux, Documentation/filesystems/fuse.rst, ``user_id``.
    """
    try:
        with open("/proc/self/mountinfo", "rb") as file:  # noqa: PTH123
            lines = file.read().split(b"\n")
    except OSError:
        return
    for line in lines:
        head, _, tail = line.partition(b" - ")
        if tail.startswith(b"fuse"):
            major, _, minor = head.split(b" ")[2].partition(b":")
            for option in tail.split(b" ")[-1].split(b","):
                if option.startswith(b"user_id="):
                    yield os.makedev(int(major), int(minor)), int(option[8:])


def _hop_of(path: str, status: os.stat_result, *, owner: int | None = None) -> PathHop:
    return PathHop(
        path=path,
        kind=kind_of(status.st_mode),
        mode=stat.S_IMODE(status.st_mode),
        owner=status.st_uid if owner is None else owner,
        group=status.st_gid,
    )


def kind_of(mode: int) -> PathKind:
    """Return what a file is by its mode."""
    if stat.S_ISDIR(mode):
        return PathKind.FOLDER
    if stat.S_ISLNK(mode):
        return PathKind.LINK
    if stat.S_ISSOCK(mode):
        return PathKind.SOCKET
    return PathKind.FILE if stat.S_ISREG(mode) else PathKind.OTHER
