"""System calls on files and directories that Python's ``os`` lacks."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import struct

# linux/openat2.h: the call has the same number on all architectures; since Linux 5.6.
_OPENAT2 = 437
_NO_XDEV, _NO_SYMLINKS, _BENEATH = 0x01, 0x04, 0x08
_OPEN_HOW = struct.Struct("=QQQ")
# Not there, or forbidden by a system call filter that is older than it.
_NO_OPENAT2 = (errno.ENOSYS, errno.EPERM)

# asm/unistd.h of the architectures of ECS instances; linux/fs.h.
_RENAMEAT2 = {"x86_64": 316, "aarch64": 276}.get(os.uname().machine)
NOREPLACE, EXCHANGE = 1, 2

# linux/fs.h: _IOR('f', 1, long), _IOW('f', 2, long); the kernel takes an int of it.
_GETFLAGS, _SETFLAGS = 0x80086601, 0x40086602
_FLAGS = struct.Struct("=Ixxxx")
_NO_FLAGS = bytes(_FLAGS.size)
# linux/fs.h: _IOR('X', 31, struct fsxattr), _IOW('X', 32, ...), the project is the fourth.
_FSGETXATTR, _FSSETXATTR = 0x801C581F, 0x401C5820
_FSXATTR = struct.Struct("=IIIII8s")
_NO_FSXATTR = bytes(_FSXATTR.size)
_PROJECT = 3

_LIBC = ctypes.CDLL(None, use_errno=True)
_CALL_OPENAT2 = _LIBC["syscall"]
_CALL_OPENAT2.restype = ctypes.c_long
_CALL_OPENAT2.argtypes = (
    *(ctypes.c_long, ctypes.c_long, ctypes.c_char_p),
    *(ctypes.c_char_p, ctypes.c_size_t),
)
_CALL_RENAMEAT2 = _LIBC["syscall"]
_CALL_RENAMEAT2.restype = ctypes.c_long
_CALL_RENAMEAT2.argtypes = (
    *(ctypes.c_long, ctypes.c_long, ctypes.c_char_p),
    *(ctypes.c_long, ctypes.c_char_p, ctypes.c_long),
)


def open_without_links(directory: int, path: str, flags: int, *, one_mount: bool) -> int | None:
    """Return a descriptor of what lies below a directory, following no symbolic link.

    Args:
        one_mount: fail with EXDEV where the way leads onto another mount.

    Returns:
        None if the kernel lacks openat2(2).

    Raises:
        OSError: ELOOP if there is a link in the path; else from the kernel.
    """
    resolve = _NO_SYMLINKS | _BENEATH | (_NO_XDEV if one_mount else 0)
    how = _OPEN_HOW.pack(flags | os.O_CLOEXEC, 0, resolve)
    fd: int = _CALL_OPENAT2(_OPENAT2, directory, os.fsencode(path), how, len(how))
    if fd >= 0:
        return fd
    number = ctypes.get_errno()
    if number in _NO_OPENAT2:
        return None
    raise OSError(number, os.strerror(number), path)


def rename_with(flag: int, source: int, old: str, target: int, new: str) -> None:
    """Rename by renameat2(2), with ``NOREPLACE`` or ``EXCHANGE``.

    Raises:
        OSError: ENOSYS where this machine lacks the call, EINVAL where the filesystem does.
    """
    if _RENAMEAT2 is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    if _CALL_RENAMEAT2(_RENAMEAT2, source, os.fsencode(old), target, os.fsencode(new), flag):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), new)


def file_flags(fd: int) -> int:
    """Return what ``lsattr`` shows, as bits of ``FS_*_FL``; 0 where the filesystem has none."""
    try:
        answer = fcntl.ioctl(fd, _GETFLAGS, _NO_FLAGS)
    except OSError:
        return 0
    found: int = _FLAGS.unpack(answer)[0]
    return found


def set_file_flags(fd: int, flags: int) -> None:
    """Set them all.

    Raises:
        OSError: the filesystem, or missing rights, refuse one of them.
    """
    fcntl.ioctl(fd, _SETFLAGS, _FLAGS.pack(flags))


def flags_and_project(fd: int) -> tuple[int, int]:
    """Return the flags and the project id that quotas go by; 0 where the filesystem has none."""
    try:
        answer = fcntl.ioctl(fd, _FSGETXATTR, _NO_FSXATTR)
    except OSError:
        return file_flags(fd), 0
    return file_flags(fd), _FSXATTR.unpack(answer)[_PROJECT]


def set_project(fd: int, project: int) -> None:
    """Set it, and nothing beside it.

    Raises:
        OSError: the filesystem refuses.
    """
    fields = list(_FSXATTR.unpack(fcntl.ioctl(fd, _FSGETXATTR, _NO_FSXATTR)))
    fields[_PROJECT] = project
    fcntl.ioctl(fd, _FSSETXATTR, _FSXATTR.pack(*fields))


def sync_filesystem(fd: int) -> None:
    """Write all of the descriptor's filesystem to its disk.

    Raises:
        OSError: a write failed.

    Source: syncfs(2): write errors are reported since Linux 5.8.
    """
    if _LIBC.syncfs(fd):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
