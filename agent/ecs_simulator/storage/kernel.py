"""The kernel's calls for loop devices, btrfs subvolumes, clones and mounts.

Source: ``linux/loop.h``, ``linux/btrfs.h``, ``linux/fs.h``; ``loop(4)``, ``ioctl_ficlone(2)``.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import shutil
import struct
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_LOOP_CTL_GET_FREE = 0x4C82
_LOOP_CONFIGURE = 0x4C0A
_LOOP_CLR_FD = 0x4C01
_LO_FLAGS_DIRECT_IO = 16
_BLKFLSBUF = 0x1261
_FICLONE = 0x40049409
_FITHAW = 0xC0045878
_BTRFS_SUBVOL_CREATE_V2 = 0x50009418
_BTRFS_SNAP_CREATE_V2 = 0x50009417
_BTRFS_SNAP_DESTROY = 0x5000940F
_BTRFS_SUBVOL_RDONLY = 2

# struct loop_config: fd, block_size, struct loop_info64, 8 reserved words.
_LOOP_CONFIG = struct.Struct("=II QQQQQ IIII 64s 64s 32s 2Q 8Q")
_VOL_ARGS_V2 = struct.Struct("=qQQ 4Q 4040s")
_VOL_ARGS = struct.Struct("=q 4088s")
_SECTOR = 512


class StorageError(OSError):
    """The machine refused what a simulated disk needs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mounted:
    """One line of mountinfo."""

    target: str
    source: str
    fstype: str


def run(*argv: str) -> str:
    """Run a program and return what it wrote.

    Raises:
        StorageError: it failed, or is not there.
    """
    try:
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=120)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise StorageError(f"{argv[0]}: {error}") from error
    if done.returncode != 0:
        raise StorageError(f"{' '.join(argv)}: {done.stderr.strip() or done.returncode}")
    return done.stdout


def program(name: str) -> str | None:
    """Return where a program of the system is, also when PATH leaves ``/sbin`` out."""
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")


def attach_loop(image: Path, *, direct: bool) -> str:
    """Put an image file on a free loop device and return the device's path.

    Args:
        direct: the device writes past the page cache, so a write that it acknowledged is in the
            file and writes reach the file in the order in which they were acknowledged.
    """
    flags = _LO_FLAGS_DIRECT_IO if direct else 0
    with _opened(image, os.O_RDWR) as backing, _opened("/dev/loop-control", os.O_RDWR) as control:
        packed = _LOOP_CONFIG.pack(
            *(backing, _SECTOR, 0, 0, 0, 0, 0, 0, 0, 0, flags),
            *(os.fsencode(image)[:63], b"", b"", *(0,) * 10),
        )
        for _ in range(64):
            device = f"/dev/loop{fcntl.ioctl(control, _LOOP_CTL_GET_FREE)}"
            with _opened(device, os.O_RDWR) as loop:
                try:
                    fcntl.ioctl(loop, _LOOP_CONFIGURE, packed)
                except OSError as error:
                    if error.errno == errno.EBUSY:  # somebody else was faster
                        continue
                    raise StorageError(f"{device} for {image}: {error}") from error
                return device
    raise StorageError(f"no free loop device for {image}")


def detach_loop(device: str) -> None:
    """Take a loop device off its file: at once, or when its last user lets go."""
    with contextlib.suppress(OSError), _opened(device, os.O_RDWR) as loop:
        fcntl.ioctl(loop, _LOOP_CLR_FD)


def loops_of(image: Path) -> list[str]:
    """Return the loop devices whose backing file is exactly this one."""
    found = []
    for entry in Path("/sys/block").glob("loop*/loop/backing_file"):
        with contextlib.suppress(OSError):
            text = entry.read_text(encoding="utf-8", errors="surrogateescape").rstrip("\n")
            if text.removesuffix(" (deleted)") == str(image):
                found.append(f"/dev/{entry.parent.parent.name}")
    return found


def drop_buffers(device: str) -> None:
    """Write out and forget what the kernel buffers of a block device."""
    with _opened(device, os.O_RDONLY) as block:
        fcntl.ioctl(block, _BLKFLSBUF)


def clone(source: Path, target: Path) -> bool:
    """Make the target share the source's content; False where the filesystem cannot."""
    with _opened(source, os.O_RDONLY) as of, _opened(target, os.O_RDWR | os.O_CREAT) as to:
        try:
            fcntl.ioctl(to, _FICLONE, of)
        except OSError as error:
            if error.errno in (errno.EOPNOTSUPP, errno.EXDEV, errno.EINVAL, errno.ENOTTY):
                return False
            raise StorageError(f"clone of {source}: {error}") from error
        return True


def make_subvolume(path: Path) -> None:
    """Make an empty btrfs subvolume."""
    with _opened(path.parent, os.O_RDONLY | os.O_DIRECTORY) as parent:
        args = _VOL_ARGS_V2.pack(0, 0, 0, 0, 0, 0, 0, os.fsencode(path.name))
        fcntl.ioctl(parent, _BTRFS_SUBVOL_CREATE_V2, bytearray(args))


def snapshot_subvolume(source: Path, target: Path) -> None:
    """Fix a subvolume's content under a second name, read-only."""
    with (
        _opened(source, os.O_RDONLY | os.O_DIRECTORY) as of,
        _opened(target.parent, os.O_RDONLY | os.O_DIRECTORY) as parent,
    ):
        name = os.fsencode(target.name)
        args = _VOL_ARGS_V2.pack(of, 0, _BTRFS_SUBVOL_RDONLY, 0, 0, 0, 0, name)
        fcntl.ioctl(parent, _BTRFS_SNAP_CREATE_V2, bytearray(args))


def delete_subvolume(path: Path) -> None:
    """Delete a subvolume with all in it."""
    with _opened(path.parent, os.O_RDONLY | os.O_DIRECTORY) as parent:
        fcntl.ioctl(parent, _BTRFS_SNAP_DESTROY, bytearray(_VOL_ARGS.pack(0, path.name.encode())))


def mounts() -> list[Mounted]:
    """Return what is mounted in this process's mount namespace."""
    found = []
    for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines():
        left, _, right = line.partition(" - ")
        fstype, source = right.split(" ")[:2]
        target = _plain(left.split(" ")[4])
        found.append(Mounted(target=target, source=_plain(source), fstype=fstype))
    return found


def unmount(target: Path) -> None:
    """Unmount, from under its users where it must be; a frozen filesystem is thawed first.

    The state of a freeze belongs to the superblock: unmounted frozen, it would live on for ever
    and hold its loop device.
    """
    with contextlib.suppress(OSError), _opened(target, os.O_RDONLY | os.O_DIRECTORY) as folder:
        fcntl.ioctl(folder, _FITHAW, 0)
    try:
        run("umount", str(target))
    except StorageError:
        run("umount", "--lazy", str(target))


def _plain(text: str) -> str:
    """Undo mountinfo's octal escapes."""
    return re.sub(r"\\([0-7]{3})", lambda m: chr(int(m[1], 8)), text)


@contextlib.contextmanager
def _opened(path: Path | str, flags: int) -> Iterator[int]:
    descriptor = os.open(path, flags | os.O_CLOEXEC, 0o600)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
