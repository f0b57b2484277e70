"""Files in the state directory: private, replaced in one step, never half written."""

from __future__ import annotations

import errno
import itertools
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from snap_self.errors import StateUnusable
from snap_self.model.shell import command
from snap_self.model.trust import Distrust, Distrusted
from snap_self.system.trust import check_trusted, distrust_open, distrust_place

PRIVATE_FOLDER = 0o700
PRIVATE_FILE = 0o600
_FOLDER_ABOVE = 0o755
TEMPORARY = ".tmp"

_FULL = "free some space on its filesystem, or move the state with SNAP_SELF_STATE_DIR"
_FORBIDDEN = "run it as root (sudo), or move the state with SNAP_SELF_STATE_DIR"
_HINTS = {
    errno.ENOSPC: _FULL,
    errno.EDQUOT: _FULL,
    errno.EACCES: _FORBIDDEN,
    errno.EPERM: _FORBIDDEN,
    errno.EROFS: "its filesystem is read-only; move the state with SNAP_SELF_STATE_DIR",
    errno.EIO: "the disk reports errors: see the kernel's log (dmesg)",
}
_NUMBERS = itertools.count()
# What names a file of the state directory, such as a run's id.
PLAIN_NAME = re.compile(r"[0-9A-Za-z][0-9A-Za-z_-]{0,99}")


@contextmanager
def state_faults(path: Path, *, doing: str) -> Iterator[None]:
    """Turn an OSError inside the block into ``StateUnusable``.

    Args:
        doing: what is done to the path: ``read``, ``written``.
    """
    try:
        yield
    except Distrusted as error:
        raise untrusted(path, error.found) from None
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise StateUnusable(
            f"{path} cannot be {doing}: {reason}",
            hint=_HINTS.get(error.errno or 0, "see `snap-self doctor`"),
        ) from error


def untrusted(path: Path, found: Distrust) -> StateUnusable:
    """Return the error for a file or folder that others could have changed."""
    held = "it" if found.hop.path == str(path) else path
    return StateUnusable(
        f"{found.why}, so what {held} holds cannot be trusted",
        hint=f"look at what it holds, then: {found.hint}",
    )


def check_state_folder(path: Path) -> None:
    """Refuse a state directory that others can change or replace.

    It may be missing.

    Raises:
        StateUnusable: its content cannot be trusted.
        OSError: it cannot be looked at.
    """
    found = distrust_place(str(path))
    if found is not None:
        raise untrusted(path, found)
    if os.geteuid() and path.is_dir() and path.stat().st_mode & stat.S_IWOTH:
        raise StateUnusable(
            f"{path} may be written by everybody, so what it holds cannot be trusted",
            hint=f"look at what it holds, then: {command('chmod', '0700', str(path))}",
        )


def make_private_folder(path: Path) -> None:
    """Make the state directory and those above it if they are missing.

    Raises:
        StateUnusable: as ``check_state_folder``.
        OSError: it could not be made, or is not a folder.
    """
    check_state_folder(path)
    if not path.is_dir():
        make_folders(path)
        check_state_folder(path)


def make_folders(path: Path) -> None:
    """Make a private folder and the missing ones above it, independent of the caller's umask.

    Raises:
        OSError: one could not be made.
    """
    missing = [above for above in path.parents if not above.exists()]
    for above in reversed(missing):
        above.mkdir(mode=_FOLDER_ABOVE, exist_ok=True)
    path.mkdir(mode=PRIVATE_FOLDER, exist_ok=True)
    _sync_folder(path.parent)


def make_run_folder(path: Path) -> None:
    """Make the private folder below ``/run`` if it is missing.

    Raises:
        Distrusted: others can change or replace it.
        OSError: it could not be made, or is not a folder.
    """
    path.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
    check_trusted(str(path))


def make_private_subfolder(path: Path) -> None:
    """Make a folder in the state directory, and that directory, if they are missing.

    Raises:
        StateUnusable: others can change one of them, or the folder is a link.
        OSError: one could not be made, or is not a folder.
    """
    make_private_folder(path.parent)
    with suppress(FileExistsError):
        path.mkdir(mode=PRIVATE_FOLDER)
        _sync_folder(path.parent)
    os.close(open_private_folder(path))


def open_private_folder(path: Path) -> int:
    """Return a descriptor of a folder in a checked state directory.

    Raises:
        StateUnusable: others can change it, or it is a link.
        OSError: it is not there, or cannot be opened.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        if not path.is_symlink():
            raise
        raise StateUnusable(
            f"{path} is a symbolic link, and none is followed in the state directory",
            hint=f"look where it leads, then: {command('rm', str(path))}",
        ) from None
    found = distrust_open(str(path), descriptor)
    if found is not None:
        os.close(descriptor)
        raise untrusted(path, found)
    return descriptor


def open_private_file(path: Path, flags: int) -> int:
    """Return a descriptor of a file in a checked state directory.

    Others may have put the file there before the folder was root's alone.

    Raises:
        Distrusted: others can change it.
        OSError: it is a link, a hard link that would be written to, or cannot be opened.
    """
    flags |= os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        descriptor = os.open(path, flags, PRIVATE_FILE)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise OSError(errno.ELOOP, "it is a symbolic link", str(path)) from None
        raise
    found = distrust_open(str(path), descriptor)
    linked = flags & (os.O_WRONLY | os.O_RDWR) and os.fstat(descriptor).st_nlink > 1
    if found is None and not linked:
        return descriptor
    os.close(descriptor)
    if found is not None:
        raise Distrusted(found)
    raise OSError(errno.EMLINK, "the file has a second name elsewhere", str(path))


def read_private_file(path: Path, most: int) -> bytes:
    """Return what such a file holds.

    Raises:
        OSError: it holds more than that many bytes; otherwise as ``open_private_file``.
    """
    descriptor = open_private_file(path, os.O_RDONLY)
    with os.fdopen(descriptor, "rb", buffering=0) as file:
        if os.fstat(descriptor).st_size > most:
            raise OSError(errno.EFBIG, f"longer than {most >> 20} MiB", str(path))
        return file.readall() or b""


def replace_file(path: Path, content: str | bytes, *, mode: int = PRIVATE_FILE) -> None:
    """Replace the file's content in one step, so that it is whole even after a power cut.

    Args:
        mode: its permissions, independent of the caller's umask.

    Raises:
        OSError: it could not be replaced; the file is as before.

    Source: rename(2) and fsync(2): the folder must also be synced, or the new name may be lost.
    """
    beside = _beside(path)
    try:
        _write_through(beside, _bytes(content), mode)
        beside.replace(path)
    finally:
        with suppress(OSError):
            beside.unlink()
    _sync_folder(path.parent)


def make_file_once(path: Path, content: str | bytes) -> None:
    """Make a private file in one step; another that is there by then stays as it is.

    Raises:
        OSError: it could not be made.
    """
    beside = _beside(path)
    try:
        _write_through(beside, _bytes(content), PRIVATE_FILE)
        with suppress(FileExistsError):
            os.link(beside, path)
    finally:
        with suppress(OSError):
            beside.unlink()
    _sync_folder(path.parent)


def _beside(path: Path) -> Path:
    return path.with_name(f".{path.name}.{os.getpid()}-{next(_NUMBERS)}{TEMPORARY}")


def _bytes(content: str | bytes) -> bytes:
    return content if isinstance(content, bytes) else content.encode()


def remove_leftovers(folder: Path) -> None:
    """Remove half-written files of ended processes from the folder.

    Raises:
        OSError: the folder cannot be read.
    """
    for path in folder.iterdir():
        if path.name.startswith(".") and path.name.endswith(TEMPORARY) and not _has_writer(path):
            with suppress(OSError):
                path.unlink()


def _has_writer(path: Path) -> bool:
    number = path.name.removesuffix(TEMPORARY).rpartition(".")[2].partition("-")[0]
    return number.isascii() and number.isdigit() and Path("/proc", number).exists()


def _write_through(path: Path, content: bytes, mode: int) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
    with os.fdopen(os.open(path, flags, PRIVATE_FILE), "wb") as file:
        file.write(content)
        file.flush()
        if mode != PRIVATE_FILE:
            os.fchmod(file.fileno(), mode)
        os.fsync(file.fileno())


def _sync_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
