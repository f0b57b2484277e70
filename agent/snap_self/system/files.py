"""Files of the state directory: private, replaced in one step, never half written."""

from __future__ import annotations

import errno
import itertools
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from snap_self.errors import StateUnusable

PRIVATE_FOLDER = 0o700
PRIVATE_FILE = 0o600
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


@contextmanager
def state_faults(path: Path, *, doing: str) -> Iterator[None]:
    """Turn an operating system's fault inside the block into ``StateUnusable``.

    Args:
        doing: what is done to the path: ``read``, ``written``.
    """
    try:
        yield
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise StateUnusable(
            f"{path} cannot be {doing}: {reason}",
            hint=_HINTS.get(error.errno or 0, "see `snap-self doctor`"),
        ) from error


def make_private_folder(path: Path) -> None:
    """Make the folder, and those above it, if they are not there.

    Raises:
        OSError: it could not be made, or is no folder.
        StateUnusable: everybody may write to it, so that what lies in it cannot be trusted.
    """
    if not path.is_dir():
        path.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
        _sync_folder(path.parent)
    if path.stat().st_mode & stat.S_IWOTH:
        raise StateUnusable(
            f"{path} may be written by everybody, so what it holds cannot be trusted",
            hint=f"look at what it holds, then: chmod 0700 {path}",
        )


def replace_file(path: Path, text: str, *, mode: int = PRIVATE_FILE) -> None:
    """Give the file this content in one step: afterwards, and after a power cut, it has all of it.

    Args:
        mode: its permissions, whatever the caller's umask.

    Raises:
        OSError: it could not be; the file is as it was before.

    Source: rename(2) and fsync(2): the folder must be synced too, or the new name may be lost.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}-{next(_NUMBERS)}{TEMPORARY}")
    try:
        _write_through(beside, text.encode(), mode)
        beside.replace(path)
    finally:
        with suppress(OSError):
            beside.unlink()
    _sync_folder(path.parent)


def remove_leftovers(folder: Path) -> None:
    """Remove what processes that are gone have left half written in the folder.

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
