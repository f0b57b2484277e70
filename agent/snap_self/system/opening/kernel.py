"""The kernel's calls for opening a copy: mounts without a mount point, block and loop devices.

Source: ``linux/mount.h``, ``linux/fs.h``, ``linux/loop.h``, ``linux/sched.h``, ``linux/btrfs.h``;
``mount(2)``, ``umount2(2)``, ``loop(4)``. The numbers are those of x86_64 and aarch64.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import stat
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_LIBC = ctypes.CDLL(None, use_errno=True)
_SYSCALL = _LIBC.syscall
_SYSCALL.restype = ctypes.c_long

_OPEN_TREE, _MOVE_MOUNT, _FSOPEN, _FSCONFIG, _FSMOUNT = 428, 429, 430, 431, 432
_CLOEXEC = 1
_SET_FLAG, _SET_STRING, _CREATE, _CREATE_EXCL = 0, 1, 6, 8
_FROM_EMPTY, _TO_EMPTY = 0x04, 0x40
_TREE_CLONE = 1

# Of a mount by fsmount(2): read-only, no set-user-id, no devices, no programs, no links.
ATTR_CLOSED = 0x1 | 0x2 | 0x4 | 0x8
ATTR_NO_LINKS = 0x200000
# The same by mount(2).
MS_CLOSED = 0x1 | 0x2 | 0x4 | 0x8
MS_NO_LINKS = 0x100
_MS_SLAVE = 1 << 19
_MS_RECURSIVE = 1 << 14
_MNT_DETACH = 2
_UMOUNT_NOFOLLOW = 8
_NEW_NAMESPACE = 0x00020000

_BLKROSET, _BLKROGET, _BLKFLSBUF, _BLKSSZGET = 0x125D, 0x125E, 0x1261, 0x1268
_BLKGETSIZE64 = 0x80081272

# Of struct btrfs_ioctl_vol_args: a number and a path that ends with a zero.
_BTRFS_FORGET_DEV, _BTRFS_VOLUME = 0x50009405, struct.Struct("=q 4088s")

_LOOP_CTL_GET_FREE, _LOOP_CONFIGURE = 0x4C82, 0x4C0A
_LOOP_SET_FD, _LOOP_CLR_FD, _LOOP_SET_STATUS64, _LOOP_GET_STATUS64 = 0x4C00, 0x4C01, 0x4C04, 0x4C05
_LOOP_MAJOR = 7
_LO_AUTOCLEAR = 4
# struct loop_info64, and struct loop_config around it: fd, block size, 8 reserved words.
_INFO = "QQQQQ IIII 64s 64s 32s 2Q"
_LOOP_INFO = struct.Struct("=" + _INFO)
_LOOP_CONFIG = struct.Struct("=II " + _INFO + " 8Q")
_LOOP_TRIES = 64

MISSING_CALL = (errno.ENOSYS, errno.EPERM)
"""Not in this kernel, or forbidden by a filter of calls that is older than it."""


GONE = (errno.ENOENT, errno.ENXIO, errno.ENODEV)
"""What the kernel says of a device that is no longer there."""


class MountRefused(OSError):
    """The kernel does not mount it; ``told`` is what it says about that, for people."""

    def __init__(self, number: int, told: str) -> None:
        super().__init__(number, os.strerror(number))
        self.told = told


def _call(number: int, *arguments: int | bytes | None) -> int:
    converted = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
    result = int(_SYSCALL(ctypes.c_long(number), *converted))
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def mount_nowhere(device: str, fstype: str, options: tuple[str, ...]) -> tuple[int, bool]:
    """Mount read-only without a mount point; return the mount, and whether links are not followed.

    It is unmounted with the last descriptor of it or below it.

    Args:
        options: of the filesystem: ``name`` or ``name=value``.

    Raises:
        MountRefused: the kernel does not mount this.
        OSError: the call is not there (``MISSING_CALL``).
    """
    context = _call(_FSOPEN, fstype.encode(), _CLOEXEC)
    try:
        _configure(context, device, ("ro", *options))
        try:
            return _call(_FSMOUNT, context, _CLOEXEC, ATTR_CLOSED | ATTR_NO_LINKS), True
        except OSError as error:
            if error.errno != errno.EINVAL:  # before Linux 5.14
                raise
        return _call(_FSMOUNT, context, _CLOEXEC, ATTR_CLOSED), False
    finally:
        os.close(context)


def _configure(context: int, device: str, options: tuple[str, ...]) -> None:
    try:
        _call(_FSCONFIG, context, _SET_STRING, b"source", os.fsencode(device), 0)
        for option in options:
            name, has_value, value = option.partition("=")
            how = _SET_STRING if has_value else _SET_FLAG
            given = os.fsencode(value) if has_value else None
            _call(_FSCONFIG, context, how, name.encode(), given, 0)
        try:
            _call(_FSCONFIG, context, _CREATE_EXCL, None, None, 0)
        except OSError as error:
            if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL):  # before Linux 6.6
                raise
            _call(_FSCONFIG, context, _CREATE, None, None, 0)
    except OSError as error:
        raise MountRefused(error.errno or errno.EIO, _told(context)) from error


def _told(context: int) -> str:
    """Return what a filesystem said of a mount that it refuses; it may say nothing."""
    lines = []
    with suppress(OSError):
        for _ in range(20):
            lines.append(os.read(context, 4096).decode("utf-8", "replace").strip())
    return "; ".join(lines)


def place_mount(mount: int, folder: int) -> None:
    """Give a mount without a mount point one; ``folder`` is a descriptor of it."""
    _call(_MOVE_MOUNT, mount, b"", folder, b"", _FROM_EMPTY | _TO_EMPTY)


def clone_tree(folder: int) -> int:
    """Return a mount without a mount point that begins at a folder of a mounted filesystem."""
    return _call(_OPEN_TREE, folder, b".", _TREE_CLONE | os.O_CLOEXEC)


def mount_at(device: str, folder: str, fstype: str, options: tuple[str, ...]) -> bool:
    """Mount read-only with the old call; return whether links are not followed.

    Raises:
        MountRefused: the kernel does not mount this.
    """
    data = ",".join(options)
    number = _mount(device, folder, fstype, MS_CLOSED | MS_NO_LINKS, data)
    if number == 0:
        # Before Linux 5.10 the flag is ignored.
        return bool(os.statvfs(folder).f_flag & 0x2000)
    raise MountRefused(number, "")


def mount_plain(source: str, folder: str, fstype: str, data: str) -> None:
    """Mount a filesystem without a device.

    Raises:
        OSError: the kernel refuses.
    """
    number = _mount(source, folder, fstype, MS_CLOSED, data)
    if number:
        raise OSError(number, os.strerror(number))


def _mount(source: str, folder: str, fstype: str, flags: int, data: str) -> int:
    done = _LIBC.mount(
        os.fsencode(source),
        os.fsencode(folder),
        fstype.encode(),
        ctypes.c_ulong(flags),
        os.fsencode(data) or None,
    )
    return 0 if done == 0 else ctypes.get_errno()


def unmount(folder: str, *, lazily: bool = False) -> None:
    """Unmount what is on top at a folder.

    Raises:
        OSError: EBUSY, it is used; EINVAL, it is no mount point.
    """
    flags = _UMOUNT_NOFOLLOW | (_MNT_DETACH if lazily else 0)
    if _LIBC.umount2(os.fsencode(folder), flags) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), folder)


def enter_own_namespace() -> None:
    """Leave the others' mounts: what is mounted from here on ends with this process.

    What others unmount goes here too.
    """
    if _LIBC.unshare(_NEW_NAMESPACE) != 0 or _LIBC.mount(
        b"none", b"/", None, ctypes.c_ulong(_MS_SLAVE | _MS_RECURSIVE), None
    ):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


@contextmanager
def opened(path: str, flags: int = os.O_RDONLY) -> Iterator[int]:
    """Open a device for the block; it is closed at the end."""
    fd = os.open(path, flags | os.O_CLOEXEC)
    try:
        yield fd
    finally:
        os.close(fd)


def number_of(fd: int) -> str:
    """Return an open block device's ``major:minor``; empty of what is no block device."""
    found = os.fstat(fd)
    return _spelt(found.st_rdev) if stat.S_ISBLK(found.st_mode) else ""


def _spelt(device: int) -> str:
    return f"{os.major(device)}:{os.minor(device)}"


def backing_of(fd: int) -> str:
    """Return ``major:minor`` of what an open loop device stands on; empty of other devices.

    A loop device that is open keeps what it stands on, and that its number.

    Raises:
        OSError: ENXIO, it stands on nothing.
    """
    if os.major(os.fstat(fd).st_rdev) != _LOOP_MAJOR:
        return ""
    answer = bytearray(_LOOP_INFO.size)
    fcntl.ioctl(fd, _LOOP_GET_STATUS64, answer)
    return _spelt(_LOOP_INFO.unpack(answer)[2])


def size_of(fd: int) -> int:
    """Return a block device's size in bytes."""
    answer = bytearray(8)
    fcntl.ioctl(fd, _BLKGETSIZE64, answer)
    return int.from_bytes(answer, "little")


def sector_size_of(fd: int) -> int:
    """Return a block device's logical sector size in bytes."""
    answer = bytearray(4)
    fcntl.ioctl(fd, _BLKSSZGET, answer)
    return int.from_bytes(answer, "little")


def set_read_only(fd: int, *, on: bool) -> None:
    """Let the kernel refuse all writes to a block device, or no longer."""
    fcntl.ioctl(fd, _BLKROSET, struct.pack("=i", on))


def is_read_only(fd: int) -> bool:
    """Tell whether the kernel refuses writes to a block device."""
    answer = bytearray(4)
    fcntl.ioctl(fd, _BLKROGET, answer)
    return any(answer)


def drop_cache(fd: int) -> None:
    """Write out and forget what the kernel keeps of a block device and nobody uses."""
    fcntl.ioctl(fd, _BLKFLSBUF)


def forget_btrfs(device: str) -> None:
    """Have the kernel forget which btrfs over several disks a device was a part of.

    It remembers the numbers of the disks beyond unmount and detach. Where a copy's disk gets one
    of them, Linux 6.18 does not see that the copy is to be another filesystem than its mounted
    original, and refuses it (``EEXIST``).
    """
    with suppress(OSError), opened("/dev/btrfs-control") as control:  # Linux 5.0; busy if mounted
        volume = bytearray(_BTRFS_VOLUME.pack(0, os.fsencode(device)))
        fcntl.ioctl(control, _BTRFS_FORGET_DEV, volume)


def attach_loop(backing: int, offset: int, length: int) -> str:
    """Put a part of an open block device on a free loop device, writable; return its node.

    It goes by itself with its last user, so this process opens it first: see ``hold``.

    Raises:
        OSError: none is free, or the kernel has none.
    """
    with opened("/dev/loop-control", os.O_RDWR) as control:
        for _ in range(_LOOP_TRIES):
            node = f"/dev/loop{fcntl.ioctl(control, _LOOP_CTL_GET_FREE)}"
            loop = os.open(node, os.O_RDWR | os.O_CLOEXEC)
            try:
                _configure_loop(loop, backing, offset, length)
                # What its last user left; not before it is ours.
                if is_read_only(loop):
                    set_read_only(loop, on=False)
            except OSError as error:
                os.close(loop)
                if error.errno == errno.EBUSY:  # somebody else was faster
                    continue
                raise
            _HELD.append(loop)
            return node
    raise OSError(errno.EBUSY, "no free loop device")


_HELD: list[int] = []


def release_loops() -> None:
    """Close this process's own descriptors of the loop devices that it made."""
    while _HELD:
        os.close(_HELD.pop())


def _configure_loop(loop: int, backing: int, offset: int, length: int) -> None:
    info = (0, 0, 0, offset, length, 0, 0, 0, _LO_AUTOCLEAR, b"snap-self", b"", b"", 0, 0)
    try:
        fcntl.ioctl(loop, _LOOP_CONFIGURE, _LOOP_CONFIG.pack(backing, 0, *info, *(0,) * 8))
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTTY):  # before Linux 5.8
            raise
    else:
        return
    fcntl.ioctl(loop, _LOOP_SET_FD, backing)
    try:
        fcntl.ioctl(loop, _LOOP_SET_STATUS64, _LOOP_INFO.pack(*info))
    except OSError:
        fcntl.ioctl(loop, _LOOP_CLR_FD)
        raise


def detach_loop(loop: int) -> None:
    """Free an open loop device, with its last user.

    Raises:
        OSError: ENXIO, it is free.
    """
    set_read_only(loop, on=False)
    fcntl.ioctl(loop, _LOOP_CLR_FD)


def is_free(path: str) -> bool:
    """Tell whether nobody has mounted a block device or holds it for themselves, anywhere.

    One that is gone is free.
    """
    try:
        with opened(path, os.O_RDONLY | os.O_EXCL):
            return True
    except OSError as error:
        if error.errno in GONE:
            return True
        if error.errno == errno.EBUSY:
            return False
        raise
