"""Implements ``ports_looking_back.Tree`` over a directory, without ever leaving it."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Sequence
from contextlib import suppress

from snap_self.model.looking import Entry

# As many as the kernel follows.
MOST_LINKS = 40
_WAY = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_GONE = (errno.ENOENT, errno.ENOTDIR)


class DirectoryTree:
    """What lies below a directory, by paths that begin at it.

    A link on the way, an absolute one too, is followed from that directory on, as in a chroot: what
    a copy of a disk names is looked for in the copy.

    Args:
        root: a descriptor of the directory; it stays the caller's.
        inside: where a path lies in it; the path itself for a whole machine.
    """

    def __init__(self, root: int, inside: str = "/") -> None:
        self._root = root
        self._inside = inside

    def look(self, path: str) -> Entry | None:
        """Return what a path is; None if it is not there."""
        try:
            parent, name = self._parent(path)
        except OSError as error:
            if error.errno in _GONE:
                return None
            raise
        try:
            found = os.stat(name, dir_fd=parent, follow_symlinks=False)
            is_link = stat.S_ISLNK(found.st_mode)
            target = os.readlink(name, dir_fd=parent) if is_link else ""
        except FileNotFoundError:
            return None
        finally:
            os.close(parent)
        return Entry(mode=found.st_mode, size=found.st_size, device=found.st_dev, target=target)

    def names(self, path: str) -> Sequence[str]:
        """Return the names in a folder, sorted."""
        folder = self._open(path, _FILE | os.O_DIRECTORY)
        try:
            return sorted(os.listdir(folder))  # noqa: PTH208  (pathlib takes no descriptor)
        finally:
            os.close(folder)

    def read(self, path: str, most: int) -> bytes:
        """Return what a regular file holds, at most so many bytes and one more."""
        descriptor = self._open(path, _FILE)
        with os.fdopen(descriptor, "rb", buffering=0) as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise OSError(errno.EINVAL, "it is no regular file", path)
            parts = []
            left = most + 1
            while left > 0 and (part := file.read(left)):
                parts.append(part)
                left -= len(part)
            return b"".join(parts)

    def _open(self, path: str, flags: int) -> int:
        parent, name = self._parent(path)
        try:
            return os.open(name, flags, dir_fd=parent)
        finally:
            os.close(parent)

    def _parent(self, path: str) -> tuple[int, str]:
        """Return a descriptor of the folder that a path lies in, and its name there."""
        left = _words(f"{self._inside}/{path}")
        trail = [os.dup(self._root)]
        links = 0
        try:
            while len(left) > 1 or left == [".."]:
                word = left.pop(0)
                if word == "..":
                    if len(trail) > 1:
                        os.close(trail.pop())
                    continue
                found = os.stat(word, dir_fd=trail[-1], follow_symlinks=False)
                if stat.S_ISLNK(found.st_mode):
                    links += 1
                    if links > MOST_LINKS:
                        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
                    target = os.readlink(word, dir_fd=trail[-1])
                    left[:0] = _words(target)
                    if target.startswith("/"):
                        _close(trail, keep=1)
                    continue
                trail.append(os.open(word, _WAY | os.O_DIRECTORY, dir_fd=trail[-1]))
            return os.dup(trail[-1]), left[0] if left else "."
        finally:
            _close(trail)


def _words(path: str) -> list[str]:
    return [word for word in path.split("/") if word not in ("", ".")]


def _close(trail: list[int], keep: int = 0) -> None:
    while len(trail) > keep:
        with suppress(OSError):
            os.close(trail.pop())
