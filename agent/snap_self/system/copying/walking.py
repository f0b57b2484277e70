"""Open directories by name, one below the other: no link is followed, no mount is crossed."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import TracebackType

from snap_self.model.copying import Leaving
from snap_self.system.copying.kernel import open_without_links
from snap_self.system.disks.calls import mount_id_of

DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
# Every directory above is held open, here, in the copy and aside.
MOST_LEVELS = 200
_MOST_LINKS = 40
_PATH_MAX = 4000


class Refused(Exception):
    """Something is left out for a reason that is no error of the kernel.

    Args:
        why: a part of a sentence, to stand behind the path.
    """

    def __init__(self, code: Leaving, why: str) -> None:
        super().__init__(why)
        self.code = code
        self.why = why


def parts_of(path: str) -> list[str]:
    """Return the names in a path.

    Raises:
        Refused: one of them is ``..``, or the path holds a null character.
    """
    names = [name for name in path.split("/") if name not in ("", ".")]
    if ".." in names or "\0" in path:
        raise Refused(Leaving.BAD_PATH, "is no plain path")
    return names


class closing:  # noqa: N801 - a word of a sentence, like contextlib's; a generator is far slower
    """Closes a descriptor at the end of a block."""

    __slots__ = ("_fd",)

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def __enter__(self) -> int:
        return self._fd

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        os.close(self._fd)


@contextmanager
def or_else(undo: Callable[[], object]) -> Iterator[None]:
    """Undo something if the block does not come to its end, for whatever reason."""
    with ExitStack() as stack:
        stack.callback(undo)
        yield
        stack.pop_all()


def open_child(directory: int, name: str, *, crossing: bool = False) -> int:
    """Return a descriptor of a directory in a directory.

    Args:
        crossing: it may be a mount point.

    Raises:
        OSError: EXDEV if something is mounted on it; ELOOP or ENOTDIR if it is no directory.
    """
    found = open_without_links(directory, name, DIRECTORY, one_mount=not crossing)
    if found is not None:
        return found
    return _open_child_as_ever(directory, name, crossing=crossing)


def _open_child_as_ever(directory: int, name: str, *, crossing: bool) -> int:
    """Open it on a kernel without openat2(2)."""
    fd = os.open(name, DIRECTORY, dir_fd=directory)
    if not crossing and mount_id_of(fd) != mount_id_of(directory):
        os.close(fd)
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), name)
    return fd


def open_below(directory: int, names: list[str], *, crossing: bool = False) -> int:
    """Return a descriptor of a directory some levels below.

    Raises:
        OSError: as ``open_child``.
    """
    path = "/".join(names)
    if names and len(path) < _PATH_MAX:
        found = open_without_links(directory, path, DIRECTORY, one_mount=not crossing)
        if found is not None:
            return found
    here = os.dup(directory)
    for name in names:
        with closing(here):
            here = open_child(here, name, crossing=crossing)
    return here


def open_directory(path: str) -> int:
    """Return a descriptor of a directory of the running system, whatever is mounted on the way.

    Raises:
        OSError: as ``open_child``; ELOOP or ENOTDIR also where a link is in the path.
    """
    with closing(os.open("/", DIRECTORY)) as root:
        return open_below(root, parts_of(path), crossing=True)


def deepest(path: str) -> tuple[int, list[str]]:
    """Return the deepest directory in a path that is there, and the names that are missing.

    Raises:
        Refused: a link is in the way, or what is no directory.
        OSError: it cannot be looked at.
    """
    names = parts_of(path)
    here = os.open("/", DIRECTORY)
    for level, name in enumerate(names):
        try:
            below = open_child(here, name, crossing=True)
        except FileNotFoundError:
            return here, names[level:]
        except OSError as error:
            with closing(here):
                raise _in_the_way(here, name, "/" + "/".join(names[: level + 1]), error) from error
        os.close(here)
        here = below
    return here, []


def _in_the_way(directory: int, name: str, path: str, error: OSError) -> Exception:
    try:
        mode = os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode
    except OSError:
        return error
    if stat.S_ISLNK(mode):
        why = f"lies behind the link {path} on the running system, and none is followed"
        return Refused(Leaving.LINK, why)
    if not stat.S_ISDIR(mode):
        return Refused(Leaving.NO_DIRECTORY, f"lies below {path}, which is no directory here")
    return error


def resolve(root: int, inside: str, mounted_at: str | None) -> str:
    """Return the real path of something in the copy, its last name not followed.

    Args:
        mounted_at: where the copy's root is on the running system, so that links with a whole
            path can be followed; None if that is not known.

    Raises:
        Refused: a link leads out of the copy, or there are too many.
        OSError: a directory in the path is not there.
    """
    rest, real, links = parts_of(inside), list[str](), 0
    while rest:
        name = rest.pop(0)
        if name == "..":
            if not real and mounted_at != "/":
                raise Refused(Leaving.LINK_OUTSIDE, "lies behind a link to another filesystem")
            del real[-1:]
            continue
        target = _link_in(root, [*real, name]) if rest else None
        if target is None:
            real.append(name)
            continue
        links += 1
        if links > _MOST_LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), inside)
        if target.startswith("/"):
            target, real = _from_root(target, mounted_at), []
        rest = [part for part in target.split("/") if part not in ("", ".")] + rest
    return "/".join(real)


def _link_in(root: int, names: list[str]) -> str | None:
    """Return where a link in the copy leads; None if it is no link."""
    with closing(open_below(root, names[:-1])) as above:
        try:
            return os.readlink(names[-1], dir_fd=above)
        except OSError as error:
            if error.errno == errno.EINVAL:
                return None
            raise


def _from_root(target: str, mounted_at: str | None) -> str:
    if mounted_at == "/":
        return target
    if mounted_at is None or not target.startswith(f"{mounted_at}/"):
        raise Refused(Leaving.LINK_OUTSIDE, "lies behind a link to another filesystem")
    return target.removeprefix(mounted_at)
