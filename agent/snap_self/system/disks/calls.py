"""The system calls of a freeze; loaded into the guardian's locked memory, so it imports little."""

from __future__ import annotations

import ctypes
import fcntl
import os

from snap_self.system.disks.write_back import write_out_first

# linux/fs.h: _IOWR('X', 119, int) and 120. They are the same on x86_64 and aarch64, the only
# architectures of ECS instances; mips, powerpc, sparc and alpha number them differently.
FIFREEZE = 0xC0045877
FITHAW = 0xC0045878

_LIBC = ctypes.CDLL(None, use_errno=True)


def _ioctl(fd: int, request: int) -> int:
    try:
        fcntl.ioctl(fd, request, 0)
    except OSError as error:
        return error.errno or -1
    return 0


def read_whole(path: str) -> bytes:
    """Return a procfs file's content."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        pieces = []
        while piece := os.read(fd, 65536):
            pieces.append(piece)
        return b"".join(pieces)
    finally:
        os.close(fd)


def mount_id_of(fd: int) -> int:
    """Return ``mnt_id`` of a descriptor's fdinfo (proc(5)).

    Raises:
        OSError: the descriptor is not open.
    """
    for line in read_whole(f"/proc/self/fdinfo/{fd}").split(b"\n"):
        if line.startswith(b"mnt_id:"):
            return int(line[7:])
    return -1


def listed_mounts() -> list[tuple[int, str, str]]:
    """Return mount id, ``major:minor`` and mount point of every mount in this namespace."""
    mounts = []
    for line in read_whole("/proc/self/mountinfo").removesuffix(b"\n").split(b"\n"):
        fields = line.split(b" ", 5)
        path = fields[4]
        for code, char in (
            (b"\\040", b" "),
            (b"\\011", b"\t"),
            (b"\\012", b"\n"),
            (b"\\134", b"\\"),
        ):
            path = path.replace(code, char)
        mounts.append((int(fields[0]), fields[2].decode(), os.fsdecode(path)))
    return mounts


class KernelFreezeCalls:
    """The real ``FreezeCalls``."""

    def sync(self, fd: int) -> int:
        """Call syncfs(2); since Linux 5.8 it also reports failed writes."""
        write_out_first(fd)
        return 0 if _LIBC.syncfs(fd) == 0 else ctypes.get_errno()

    def freeze(self, fd: int) -> int:
        """Call ``FIFREEZE``; EBUSY if it is frozen already, since freezes do not nest."""
        return _ioctl(fd, FIFREEZE)

    def thaw(self, fd: int) -> int:
        return _ioctl(fd, FITHAW)

    def in_place(self, fd: int, *, mount_id: int, device: int) -> bool:
        """Compare the descriptor itself, not its path, which may lead to the parent by now."""
        try:
            return os.fstat(fd).st_dev == device and mount_id_of(fd) == mount_id
        except OSError:
            return False

    def listed(self, *, mount_id: int, listed_device: str) -> bool:
        """Look for the mount in mountinfo; a lazily unmounted mount is no longer there."""
        return any(found[:2] == (mount_id, listed_device) for found in listed_mounts())
