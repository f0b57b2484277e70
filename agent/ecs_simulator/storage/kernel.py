"""The kernel's calls for loop devices, btrfs subvolumes, clones and mounts.

Source: ``linux/loop.h``, ``linux/btrfs.h``, ``linux/fs.h``; ``loop(4)``, ``ioctl_ficlone(2)``.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import struct
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ecs_simulator import programs

_LOOP_CTL_GET_FREE = 0x4C82
_LOOP_CONFIGURE = 0x4C0A
_LOOP_CLR_FD = 0x4C01
_LO_FLAGS_DIRECT_IO = 16
_BLKFLSBUF = 0x1261
_BLKROSET = 0x125D
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
    """The machine refused something that a simulated disk needs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mounted:
    """One line of mountinfo."""

    target: str
    source: str
    fstype: str


def run(*argv: str) -> str:
    """Run a program of the system and return its output.

    Raises:
        StorageError: it failed, or is not there.
    """
    program = programs.find(argv[0])
    if program is None:
        raise StorageError(f"there is no program {argv[0]}")
    try:
        done = subprocess.run(
            (program, *argv[1:]),
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
            env=programs.ENVIRONMENT,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise StorageError(f"{argv[0]}: {error}") from error
    if done.returncode != 0:
        raise StorageError(f"{' '.join(argv)}: {done.stderr.strip() or done.returncode}")
    return done.stdout


def attach_loop(backing: int, image: Path, *, direct: bool) -> str:
    """Put an open image file on a free loop device and return the device's path.

    Args:
        image: its path, as the device shows it.
        direct: the device bypasses the page cache, so an acknowledged write is in the file, and
            writes reach the file in the order in which they were acknowledged.
    """
    flags = _LO_FLAGS_DIRECT_IO if direct else 0
    with _opened("/dev/loop-control", os.O_RDWR) as control:
        packed = _LOOP_CONFIG.pack(
            *(backing, _SECTOR, 0, 0, 0, 0, 0, 0, 0, 0, flags),
            *(os.fsencode(image)[:63], b"", b"", *(0,) * 10),
        )
        for _ in range(64):
            device = f"/dev/loop{fcntl.ioctl(control, _LOOP_CTL_GET_FREE)}"
            with _opened(device, os.O_RDWR) as loop:
                try:
                    fcntl.ioctl(loop, _LOOP_CONFIGURE, packed)
                    # As its last user left it, if that was none of ours.
                    fcntl.ioctl(loop, _BLKROSET, struct.pack("=i", 0))
                except OSError as error:
                    if error.errno == errno.EBUSY:  # somebody else was faster
                        continue
                    raise StorageError(f"{device} for {image}: {error}") from error
                return device
    raise StorageError(f"no free loop device for {image}")


def detach_loop(device: str) -> None:
    """Detach a loop device from its file: at once, or when its last user closes it.

    A user may have set the device read-only, which would outlast it: the next one must not find it
    so.
    """
    with contextlib.suppress(OSError), _opened(device, os.O_RDONLY) as loop:
        fcntl.ioctl(loop, _BLKROSET, struct.pack("=i", 0))
        fcntl.ioctl(loop, _LOOP_CLR_FD)


def held(device: str) -> bool:
    """Tell whether somebody holds a block device: mounted anywhere, used as swap, or below another.

    A process that merely has it open does not hold it.
    """
    try:
        with _opened(device, os.O_RDONLY | os.O_EXCL):
            pass
    except OSError as error:
        if error.errno == errno.EBUSY:
            return True
        raise StorageError(f"{device}: {error}") from error
    return bool(loops_of(Path(device)))


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
    """Write out and drop the kernel's buffers of a block device."""
    with _opened(device, os.O_RDONLY) as block:
        fcntl.ioctl(block, _BLKFLSBUF)


def clone(source: int, target: int) -> bool:
    """Make an open file share another's content; False where the filesystem cannot."""
    try:
        fcntl.ioctl(target, _FICLONE, source)
    except OSError as error:
        if error.errno in (errno.EOPNOTSUPP, errno.EXDEV, errno.EINVAL, errno.ENOTTY):
            return False
        raise StorageError(f"clone: {error}") from error
    return True


def make_subvolume(path: Path) -> None:
    """Make an empty btrfs subvolume that only this user can enter."""
    with _opened(path.parent, os.O_RDONLY | os.O_DIRECTORY) as parent:
        args = _VOL_ARGS_V2.pack(0, 0, 0, 0, 0, 0, 0, os.fsencode(path.name))
        fcntl.ioctl(parent, _BTRFS_SUBVOL_CREATE_V2, bytearray(args))
    path.chmod(0o700)


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
    for line in filter(None, Path("/proc/self/mountinfo").read_bytes().split(b"\n")):
        left, _, right = os.fsdecode(line).partition(" - ")
        fstype, source = right.split(" ")[:2]
        target = _plain(left.split(" ")[4])
        found.append(Mounted(target=target, source=_plain(source), fstype=fstype))
    return found


def unmount(target: Path) -> None:
    """Unmount, from under its users where it must be; a frozen filesystem is thawed first.

    A freeze belongs to the superblock: if it were unmounted while frozen, it would stay for ever
    and hold its loop device.
    """
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
    with contextlib.suppress(OSError), _opened(target, flags) as folder:
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
