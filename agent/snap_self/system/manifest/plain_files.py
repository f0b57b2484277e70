"""Files and trees as the reading process sees them: nothing is opened that could make it wait.

It loads little, since every run pays for it: see ``entry``.
"""

from __future__ import annotations

import errno
import os
import stat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# The longest file that a manifest's parts come from: dpkg's status of a large desktop has 10 MiB.
MOST_BYTES = 64 << 20
MOST_NAMES = 20_000
_DEEPEST = 40
# Without O_NONBLOCK a FIFO, or a file under somebody's lease, would be waited for.
READ = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
READ_NO_LINK = READ | os.O_NOFOLLOW
_FOLDER = READ_NO_LINK | os.O_DIRECTORY
_CHUNK = 1 << 20


def read_whole(descriptor: int, most: int, *, likely: int = _CHUNK) -> bytes:
    """Return what a file holds from here on, and one byte more than ``most`` if it is longer.

    Args:
        likely: about how long it is.
    """
    # The byte more shows the end of the file without another call.
    whole = os.read(descriptor, min(likely, most) + 1)
    if 0 < len(whole) <= min(likely, most):
        return whole
    parts, left = [whole], most + 1 - len(whole)
    while parts[-1] and left > 0:
        parts.append(os.read(descriptor, min(_CHUNK, left)))
        left -= len(parts[-1])
    return b"".join(parts)


def read_file(path: str, *, folder: int | None = None) -> str:
    """Return a regular file's text; bytes that are not UTF-8 as ``surrogateescape`` has them.

    Args:
        folder: an open one that the path begins at.

    Raises:
        OSError: it is not there, not readable, no regular file, or longer than 64 MiB.
    """
    descriptor = os.open(path, READ, dir_fd=folder)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "not a regular file", path)
        # The kernel's own files show no size, and give a page at a time.
        parts, left = [b"-"], MOST_BYTES
        while parts[-1] and left > 0:
            parts.append(os.read(descriptor, _CHUNK))
            left -= len(parts[-1])
    finally:
        os.close(descriptor)
    if left <= 0:
        raise OSError(errno.EFBIG, "longer than 64 MiB", path)
    return b"".join(parts[1:]).decode("utf-8", "surrogateescape")


def text_of(path: str, faults: Faults) -> str:
    """Return a file's text; an empty one where there is no such file or it cannot be read."""
    try:
        return read_file(path)
    except (FileNotFoundError, NotADirectoryError):
        return ""
    except OSError as error:
        faults.met(path, error)
        return ""


class Faults:
    """What of a part could not be read; only the first of a kind is named."""

    def __init__(self) -> None:
        self._firsts: dict[str, str] = {}
        self._counts: dict[str, int] = {}

    def met(self, path: str, error: OSError) -> None:
        """Note an error of the kernel's; that something has gone meanwhile is none."""
        if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            self.add(path, error.strerror or type(error).__name__)

    def add(self, path: str, why: str) -> None:
        """Note why a path was not read."""
        self._firsts.setdefault(why, path)
        self._counts[why] = self._counts.get(why, 0) + 1

    def take(self, other: Faults) -> None:
        """Note what another has, too."""
        for why, first in other._firsts.items():
            self._firsts.setdefault(why, first)
            self._counts[why] = self._counts.get(why, 0) + other._counts[why]

    @property
    def words(self) -> str:
        """All of it, for people; empty if there is nothing."""
        return "; ".join(
            f"{first}{f' and {count - 1} more' if count > 1 else ''}: {why}"
            for why, first in self._firsts.items()
            for count in (self._counts[why],)
        )


class Tree:
    """Everything below a folder, each name with its status.

    It goes by descriptors and follows no link, so that nothing of it can lead elsewhere. A mount
    point below it is looked at only where a disk of this machine answers for it: a server that
    does not answer would be waited for, and looking at an automatic one mounts it.

    Args:
        root: what stands before every path.
        fences: mount points, without ``root``, that must not be looked at, and why.
        crossed: those that may.
        left_out: paths whose content is left out, without a word.
    """

    def __init__(
        self,
        root: str,
        *,
        fences: Mapping[str, str],
        crossed: frozenset[str] = frozenset(),
        left_out: frozenset[str] = frozenset(),
        most: int = MOST_NAMES,
    ) -> None:
        self._root = root
        self._fences = fences
        self._crossed = crossed
        self._left_out = left_out
        self._left = most
        self._most = most

    def walk(self, top: str, faults: Faults) -> Iterator[tuple[int, str, str, os.stat_result]]:
        """Yield the open folder, a name in it, its path without ``root``, and its status.

        What is in a folder comes right after it, in the order of the names.
        """
        stack: list[tuple[int, Iterator[str], str, int]] = []
        try:
            self._enter(stack, f"{self._root}{top}", None, top, faults)
            while stack:
                folder, names, place, _ = stack[-1]
                name = next(names, None)
                if name is None:
                    stack.pop()
                    os.close(folder)
                    continue
                path = f"{place}/{name}"
                status = self._status(folder, name, path, faults)
                if status is None:
                    continue
                if self._left <= 0:
                    faults.add(path, f"more than {self._most} names")
                    return
                self._left -= 1
                yield folder, name, path, status
                if stat.S_ISDIR(status.st_mode) and path not in self._left_out:
                    self._enter(stack, name, folder, path, faults)
        finally:
            for each in stack:
                os.close(each[0])

    def _status(self, folder: int, name: str, path: str, faults: Faults) -> os.stat_result | None:
        if path in self._fences:
            faults.add(path, self._fences[path])
            return None
        try:
            return os.stat(name, dir_fd=folder, follow_symlinks=False)
        except OSError as error:
            faults.met(path, error)
            return None

    def _enter(
        self,
        stack: list[tuple[int, Iterator[str], str, int]],
        name: str,
        folder: int | None,
        path: str,
        faults: Faults,
    ) -> None:
        """Open a folder and put it on the stack."""
        if path in self._fences:
            faults.add(path, self._fences[path])
            return
        if len(stack) >= _DEEPEST:
            faults.add(path, f"more than {_DEEPEST} folders deep")
            return
        try:
            opened = os.open(name, _FOLDER, dir_fd=folder)
        except OSError as error:
            faults.met(path, error)
            return
        device = os.fstat(opened).st_dev
        if stack and device != stack[-1][3] and path not in self._crossed:
            os.close(opened)
            faults.add(path, "a filesystem of its own")
            return
        try:
            names = os.listdir(opened)  # noqa: PTH208
        except OSError as error:
            os.close(opened)
            faults.met(path, error)
            return
        stack.append((opened, iter(sorted(names)), path, device))
