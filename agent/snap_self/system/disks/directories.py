"""Open a mount's directory once, check that it is what the mount table showed, and keep it open.

The owner of a directory above a mount point can rename it at any time, without any right on the
mount. So a path is walked once, without following links, to a descriptor that can do nothing
(``O_PATH``). The kernel is asked what the descriptor refers to, and only the expected object is
opened for reading. Sync and freeze use that descriptor, never the path again.

This module loads little: each flush starts a process with it (``aside_entry``). The guardian does
not load it into its locked memory; it gets descriptors.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import stat
import struct

from snap_self.system.disks.calls import mount_id_of
from snap_self.system.disks.write_back import write_out_first

TYPE_CHECKING = False
if TYPE_CHECKING:
    from snap_self.model.flushing import PlainWay

# linux/openat2.h: the call has the same number on all architectures; since Linux 5.6.
_OPENAT2 = 437
_RESOLVE_NO_SYMLINKS = 0x04
_OPEN_HOW = struct.Struct("=QQQ")
# Not there, or forbidden by a system call filter that is older than it.
_NO_OPENAT2 = (errno.ENOSYS, errno.EPERM)

# linux/btrfs.h: _IOR(0x94, 31, struct btrfs_ioctl_fs_info_args), 1024 bytes: two counts, the id.
_BTRFS_FS_INFO = 0x8400941F
_FS_INFO_BYTES = 1024
_FSID = slice(16, 32)

_PLACE = os.O_PATH | os.O_CLOEXEC
READ_MOUNT = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY

_LIBC = ctypes.CDLL(None, use_errno=True)
_SYSCALL = _LIBC.syscall
_SYSCALL.restype = ctypes.c_long
_SYSCALL.argtypes = (
    ctypes.c_long,
    ctypes.c_long,
    ctypes.c_char_p,
    ctypes.c_char_p,
    ctypes.c_size_t,
)


def open_mount(way: PlainWay) -> int:
    """Return a descriptor, open for reading, of exactly the mount that the mount table showed.

    Raises:
        OSError: ESTALE if the path leads elsewhere or has a symbolic link; else from the kernel.
    """
    place = open_place(way)
    try:
        _compare(place, way)
        fd = _reopen(place)
    finally:
        os.close(place)
    fsid = way[3]
    if fsid and fsid_of(fd) != fsid:
        os.close(fd)
        raise _exchanged()
    return fd


def open_place(way: PlainWay, *, walk: bool = False) -> int:
    """Return an ``O_PATH`` descriptor of what the path leads to, following no symbolic link.

    Args:
        walk: go name by name, as is done if the kernel lacks openat2(2).

    Raises:
        OSError: ESTALE if the path has a symbolic link; else from the kernel.
    """
    path, pid = way[0].strip("/"), way[4]
    root = os.open("/" if pid is None else f"/proc/{pid}/root", os.O_PATH | os.O_CLOEXEC)
    try:
        found = None if walk else _open_at_once(root, path)
        return _walk(root, path) if found is None else found
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR):
            raise _exchanged() from error
        raise
    finally:
        os.close(root)


def fsid_of(fd: int) -> str:
    """Return the id of a btrfs as sysfs shows it; empty for other filesystems.

    Source: btrfs-ioctl(2), BTRFS_IOC_FS_INFO.
    """
    answer = bytearray(_FS_INFO_BYTES)
    try:
        fcntl.ioctl(fd, _BTRFS_FS_INFO, answer)
    except OSError:
        return ""
    text = answer[_FSID].hex()
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))


def sync(fd: int) -> None:
    """Write all dirty data of the descriptor's filesystem to its disk.

    Raises:
        OSError: the kernel refused, or a write failed (EIO).

    Source: syncfs(2): write errors are reported since Linux 5.8.
    """
    write_out_first(fd)
    if _LIBC.syncfs(fd) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _exchanged() -> OSError:
    return OSError(errno.ESTALE, os.strerror(errno.ESTALE))


def _compare(place: int, way: PlainWay) -> None:
    _, mount_id, devno, fsid, _ = way
    # The mount id comes first: the kernel gives it without asking a filesystem, which could hang.
    if mount_id_of(place) != mount_id:
        raise _exchanged()
    # A btrfs gives each subvolume its own device number, so the btrfs id is compared instead.
    if not fsid and not devno.startswith("0:"):
        device = os.fstat(place).st_dev
        if f"{os.major(device)}:{os.minor(device)}" != devno:
            raise _exchanged()


def _reopen(place: int) -> int:
    """Return a descriptor, open for reading, of the object of an ``O_PATH`` descriptor."""
    mode = os.fstat(place).st_mode
    if stat.S_ISDIR(mode):
        return os.open(".", READ_MOUNT | os.O_DIRECTORY, dir_fd=place)
    if stat.S_ISREG(mode):  # a bind mount can be of a file
        return os.open(f"/proc/self/fd/{place}", READ_MOUNT)
    raise OSError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))


def _open_at_once(root: int, inside: str) -> int | None:
    """Return the descriptor; None if the kernel lacks this call."""
    how = _OPEN_HOW.pack(_PLACE, 0, _RESOLVE_NO_SYMLINKS)
    path = os.fsencode(inside) or b"."
    fd: int = _SYSCALL(_OPENAT2, root, path, how, len(how))
    if fd >= 0:
        return fd
    number = ctypes.get_errno()
    if number in _NO_OPENAT2:
        return None
    raise OSError(number, os.strerror(number))


def _walk(root: int, inside: str) -> int:
    """Open name by name; a name that is a symbolic link is an error."""
    here = os.dup(root)
    for name in inside.split("/") if inside else ():
        try:
            step = os.open(name, _PLACE | os.O_NOFOLLOW, dir_fd=here)
        finally:
            os.close(here)
        here = step
        if stat.S_ISLNK(os.fstat(here).st_mode):
            os.close(here)
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
    return here
