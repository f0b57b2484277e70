"""The simulator's own folders and files: reached by descriptor, never through a link.

What root makes, writes or removes by a path is only as safe as each folder on the path. So the path
to a folder is checked once, when it is chosen. What is in the folder is named relative to its
descriptor, is made only where nothing is yet, and is opened only if it is a plain file of this user
with one name.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from ecs_simulator.storage.kernel import StorageError


def make_folder(path: Path) -> None:
    """Make a folder for this user alone.

    Raises:
        OSError: there is something of that name.
    """
    path.mkdir(mode=0o700)


@contextlib.contextmanager
def folder(path: Path) -> Iterator[int]:
    """Yield a descriptor of a folder that only this user can enter.

    Raises:
        StorageError: it is a link, or not such a folder.
    """
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
    with _opened(path, flags, "a folder of this user's own") as descriptor:
        seen = os.fstat(descriptor)
        if seen.st_uid != os.geteuid() or seen.st_mode & 0o077:
            raise StorageError(f"{path} is not a folder of this user's own")
        yield descriptor


@contextlib.contextmanager
def file(inside: int, name: str, flags: int) -> Iterator[int]:
    """Yield a descriptor of a plain file of this user in a folder.

    Args:
        flags: with ``O_CREAT`` it is made, and must not be there yet.

    Raises:
        StorageError: it is not a plain file, has a second name, or belongs to another user.
    """
    make = os.O_EXCL if flags & os.O_CREAT else 0
    # Without O_NONBLOCK, opening a FIFO would wait for its other end.
    flags |= os.O_NOFOLLOW | os.O_NONBLOCK | make
    with _opened(name, flags, "a plain file of this user's own", inside=inside) as descriptor:
        seen = os.fstat(descriptor)
        plain = stat.S_ISREG(seen.st_mode) and seen.st_nlink == 1
        if not plain or seen.st_uid != os.geteuid():
            raise StorageError(f"{name} is not a plain file of this user's own")
        yield descriptor


def check_way(path: Path) -> None:
    """Refuse a folder if users other than root and this one could replace what is made in it.

    A folder like ``/tmp`` is accepted: others cannot rename or remove what is not theirs there. A
    folder that a group may write to is refused only for root; many users have their own group.

    Raises:
        StorageError: it can be replaced, or is not a folder.
    """
    writable = stat.S_IWOTH if os.geteuid() else stat.S_IWGRP | stat.S_IWOTH
    way = path.resolve(strict=True)
    for place in (way, *way.parents):
        seen = place.lstat()
        sticky = seen.st_mode & stat.S_ISVTX
        if seen.st_uid not in (0, os.geteuid()):
            raise StorageError(f"{path}: {place} belongs to user id {seen.st_uid}")
        if seen.st_mode & writable and not sticky:
            raise StorageError(f"{path}: {place} can be changed by others")


@contextlib.contextmanager
def _opened(path: Path | str, flags: int, what: str, *, inside: int | None = None) -> Iterator[int]:
    try:
        descriptor = os.open(path, flags | os.O_CLOEXEC, 0o600, dir_fd=inside)
    except OSError as error:
        if error.errno not in (errno.ELOOP, errno.ENOTDIR):  # a link
            raise
        raise StorageError(f"{path} is not {what}") from error
    try:
        yield descriptor
    finally:
        os.close(descriptor)
