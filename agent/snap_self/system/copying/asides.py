"""Keep what is replaced, in the same folders below one directory of the same filesystem."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from snap_self.system.copying import kernel, walking
from snap_self.system.copying.attributes import free, hold_again
from snap_self.system.copying.walking import open_child

_PRIVATE = 0o700
# The place is taken, by an earlier restore or by something that was no directory then.
_TAKEN = (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR, errno.ELOOP, errno.EXDEV)
_MOST_TRIES = 100
# It cannot have a second name: its flags forbid that, it has too many, or the filesystem cannot.
_NO_SECOND_NAME = (errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP, errno.ENOSYS)
_NO_SUCH_CALL = (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP)
_PROJECT_INHERITED = 0x20000000


class Kept:
    """One thing that was put aside, and how to take that back."""

    def __init__(self, path: str, folder: int, name: str) -> None:
        self.path = path
        self.folder = folder
        self.name = name
        self.moved = False

    def put_back(self, directory: int, name: str) -> None:
        """Take it back to where it was, as the new one could not take its place.

        Raises:
            OSError: it could not be.
        """
        if self.moved:
            rename_to_free(self.folder, self.name, directory, name)
        else:
            os.unlink(self.name, dir_fd=self.folder)


class Aside:
    """The directory for what is replaced; made with the folders above it where they are missing.

    Raises:
        Refused: a link or no directory is in its path.
        OSError: it cannot be made.
    """

    def __init__(self, path: str) -> None:
        self.path = "/" + "/".join(walking.parts_of(path))
        self._fd = make_directory(self.path)
        self.device = os.fstat(self._fd).st_dev
        self._at = ("", self._fd)

    def close(self) -> None:
        """Close its descriptors."""
        self._leave()
        os.close(self._fd)

    def _leave(self) -> None:
        if self._at[1] != self._fd:
            os.close(self._at[1])
        self._at = ("", self._fd)

    def keep(self, directory: int, name: str, path: str) -> Kept:
        """Give what is in a directory a second name here; move a directory.

        Nobody sees a moment without a file of that name.

        Raises:
            OSError: it could not be kept; it is where it was.
        """
        mode = os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode
        if not stat.S_ISDIR(mode):
            try:
                return self._keep(directory, name, path, moved=False)
            except OSError as error:
                if error.errno not in _NO_SECOND_NAME:
                    raise
        return self.move(directory, name, path)

    def move(self, directory: int, name: str, path: str) -> Kept:
        """Move something here.

        Raises:
            OSError: it could not be moved; it is where it was.
        """
        return self._keep(directory, name, path, moved=True)

    def add(self, fd: int, path: str) -> str:
        """Give an unnamed file the place of what is at a path; return that place.

        Raises:
            OSError: it could not be kept.
        """

        def link(folder: int, name: str) -> None:
            os.link(f"/proc/self/fd/{fd}", name, dst_dir_fd=folder, follow_symlinks=True)

        return self._put(path, link).path

    def _keep(self, directory: int, name: str, path: str, *, moved: bool) -> Kept:
        def put(folder: int, kept: str) -> None:
            if moved:
                rename_to_free(directory, name, folder, kept)
            else:
                os.link(name, kept, src_dir_fd=directory, dst_dir_fd=folder, follow_symlinks=False)

        found = self._put(path, put)
        found.moved = moved
        return found

    def _put(self, path: str, put: Callable[[int, str], None]) -> Kept:
        """Put something at the first place that is not taken."""
        above, _, name = path.rpartition("/")
        for number in range(_MOST_TRIES):
            try:
                folder = self.folder(above, number)
                put(folder, name)
            except OSError as error:
                last = error
                if error.errno in _TAKEN and self._is_taken(above, number, name):
                    continue
                raise
            return Kept(f"{self.place(above, number)}/{name}", folder, name)
        raise last

    def _is_taken(self, folder: str, number: int, name: str) -> bool:
        """Tell whether the place, rather than what was to be kept, is why it failed."""
        try:
            os.stat(name, dir_fd=self.folder(folder, number), follow_symlinks=False)
        except FileNotFoundError:
            return False
        except OSError:
            return True
        return True

    def free_folder(self, path: str) -> str:
        """Make a folder for what was in a directory, or take the one that is there.

        Returns:
            Its path.

        Raises:
            OSError: it cannot be made.
        """
        for number in range(_MOST_TRIES):
            try:
                self.folder(path, number)
            except OSError as error:
                last = error
                if error.errno in _TAKEN:
                    continue
                raise
            return self.place(path, number)
        raise last

    def place(self, path: str, number: int = 0) -> str:
        """Return where what was at a path is kept; the number counts places that are taken."""
        top = f"{self.path}/again-{number}" if number else self.path
        return f"{top}{path}"

    def folder(self, path: str, number: int = 0) -> int:
        """Return a descriptor of the folder for what was in a directory, until the next call.

        Raises:
            OSError: it cannot be made.
        """
        wanted = self.place(path, number)
        if self._at[0] != wanted:
            self._leave()
            names = walking.parts_of(wanted.removeprefix(self.path))
            self._at = (wanted, make_below(self._fd, names))
        return self._at[1]


def remove_empty(path: str) -> None:
    """Remove a directory for what is replaced that has nothing but empty ones; also the one above.

    Call it only where nothing was moved there: what was may be an empty directory.
    """
    with suppress(OSError, walking.Refused):
        above, _, name = path.rstrip("/").rpartition("/")
        with walking.closing(walking.open_directory(above or "/")) as folder:
            _remove_empty(folder, name)
        top, _, name = above.rpartition("/")
        with walking.closing(walking.open_directory(top or "/")) as folder:
            os.rmdir(name, dir_fd=folder)


def _remove_empty(directory: int, name: str) -> None:
    with walking.closing(open_child(directory, name)) as inside:
        for child in os.listdir(inside):  # noqa: PTH208
            _remove_empty(inside, child)
    os.rmdir(name, dir_fd=directory)


def make_directory(path: str) -> int:
    """Return a descriptor of a directory, made private with those above it if it is missing.

    Raises:
        Refused: a link or no directory is in its path.
        OSError: it cannot be made.
    """
    here, missing = walking.deepest(path)
    with walking.closing(here):
        return make_below(here, missing)


def make_below(directory: int, names: list[str]) -> int:
    """Return a descriptor of a directory below another one, made private if it is missing.

    Raises:
        OSError: it cannot be made.
    """
    with suppress(FileNotFoundError):
        return walking.open_below(directory, names)
    here = os.dup(directory)
    for name in names:
        with walking.closing(here):
            with suppress(FileExistsError):
                os.mkdir(name, _PRIVATE, dir_fd=here)
            here = open_child(here, name)
        flags = kernel.file_flags(here)
        if flags & _PROJECT_INHERITED:  # what is of another project could not be moved there
            with suppress(OSError):
                kernel.set_file_flags(here, flags & ~_PROJECT_INHERITED)
    return here


def rename_to_free(source: int, old: str, target: int, new: str) -> None:
    """Rename to a name that must be free.

    Raises:
        OSError: EEXIST if it is not; else from the kernel.
    """
    try:
        kernel.rename_with(kernel.NOREPLACE, source, old, target, new)
    except OSError as error:
        if error.errno not in _NO_SUCH_CALL:
            raise
        with suppress(FileNotFoundError):
            os.stat(new, dir_fd=target, follow_symlinks=False)
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), new) from None
        os.rename(old, new, src_dir_fd=source, dst_dir_fd=target)


@contextmanager
def freed(directory: int, name: str) -> Iterator[list[str]]:
    """Clear the flags that forbid to replace a file or directory, and set them on it again.

    They are set wherever it is by then: kept aside, or where it was.

    Returns:
        What went wrong at the end, each a part of a sentence.

    Raises:
        OSError: EPERM if they could not be cleared.
    """
    refused: list[str] = []
    fd = _open_to_free(directory, name)
    if fd is None:
        yield refused
        return
    with walking.closing(fd):
        held = free(fd)
        try:
            yield refused
        finally:
            try:
                if held and os.fstat(fd).st_nlink:
                    hold_again(fd, held)
            except OSError as error:
                what = "the flags (lsattr) of what was there could not be set again"
                refused.append(f"{what}: {error.strerror}")


def _open_to_free(directory: int, name: str) -> int | None:
    """Return a descriptor of what can have such flags; None for all else."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        mode = os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode
        if stat.S_ISREG(mode) or stat.S_ISDIR(mode):
            return os.open(name, flags, dir_fd=directory)
    except FileNotFoundError:
        pass
    return None
