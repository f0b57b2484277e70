"""How long a steady writer waits while dirty data is written out, by the way it is written.

On btrfs, `syncfs` holds the writer up: it sends the writer's own page to the disk behind all that
is dirty, and btrfs lets no page be changed while it is written. What helps is to write the rest
before, in pieces so small that the writer's page never waits long. For that files must be known:

* ``syncfs``: alone;
* ``IOC_SYNC``: btrfs's own call; ``START_SYNC``: its transaction alone, which writes no data;
* ``the file, then syncfs``: ``sync_file_range`` by 4 MiB over the one big file, by its name;
* ``inodes of late, then syncfs``: the same over the regular files whose inodes the running
  transaction and the two before changed, as ``snap_self.system.disks.write_back`` does.

Needs root, loop devices and mkfs.btrfs; freezes nothing. The disk is as slow as a cloud disk.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import statistics
import struct
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "agent"), str(ROOT / "tests" / "system")]

from bench_freeze_stall import as_slow_as_a_cloud_disk, writing  # noqa: E402
from freeze_rig import Rig, guard, rig, run, skip_reason  # noqa: E402
from measuring import rounds  # noqa: E402

from snap_self.system.disks.write_back import PIECE, write_out_first  # noqa: E402

DIRTY_MIB = 200
# linux/btrfs.h
SYNC, START_SYNC, WAIT_SYNC = 0x9408, 0x80089418, 0x40089416
WAIT_BEFORE_WRITE_WAIT = 7  # SYNC_FILE_RANGE_WAIT_BEFORE, _WRITE and _WAIT_AFTER
LIBC = ctypes.CDLL(None, use_errno=True)


def syncfs(fd: int) -> None:
    """Write everything out."""
    assert LIBC.syncfs(fd) == 0


def transaction(fd: int) -> int:
    """Commit the running transaction without data, and return its number."""
    number = bytearray(8)
    fcntl.ioctl(fd, START_SYNC, number)
    fcntl.ioctl(fd, WAIT_SYNC, bytes(number))
    return int(struct.unpack("Q", number)[0])


def file_then_syncfs(fd: int) -> None:
    """Write the big file out by its name, then the rest."""
    write_out("dirty", fd)
    syncfs(fd)


def late_inodes_then_syncfs(fd: int) -> None:
    """Write the files out that were changed of late, as the product does, then the rest."""
    write_out_first(fd)
    syncfs(fd)


WAYS: dict[str, Callable[[int], object]] = {
    "syncfs": syncfs,
    "IOC_SYNC": lambda fd: fcntl.ioctl(fd, SYNC),
    "START_SYNC": transaction,
    "the file, then syncfs": file_then_syncfs,
    "inodes of late, then syncfs": late_inodes_then_syncfs,
}


def write_out(name: str, folder: int) -> None:
    """Write a file's dirty data out, a piece at a time."""
    fd = os.open(name, os.O_RDONLY, dir_fd=folder)
    try:
        for start in range(0, os.fstat(fd).st_size, PIECE):
            LIBC.sync_file_range(
                fd, ctypes.c_int64(start), ctypes.c_int64(PIECE), WAIT_BEFORE_WRITE_WAIT
            )
    finally:
        os.close(fd)


def measure(loops: Rig, write: Callable[[int], object]) -> tuple[float, float]:
    """Return the writer's longest stall and how long the writing took, in ms."""
    (disk,) = loops.disks
    guard(disk.path)
    fd = os.open(disk.path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        (disk.path / "dirty").unlink(missing_ok=True)
        syncfs(fd)
        with (disk.path / "dirty").open("wb") as file:
            for _ in range(DIRTY_MIB):
                file.write(bytes(1 << 20))
        with writing(loops) as stalls:
            start = time.monotonic()
            write(fd)
            took_s = time.monotonic() - start
    finally:
        os.close(fd)
    return stalls[0] * 1000, took_s * 1000


def main() -> int:
    """Print a line for each way; return 77 where it cannot run."""
    if reason := skip_reason(("btrfs",)):
        print(f"bench_write_back: skipped: {reason}")
        return 77
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in WAYS}
    with (
        tempfile.TemporaryDirectory() as base,
        tempfile.TemporaryDirectory(dir="/var/tmp") as store,
        rig(Path(base)) as loops,
    ):
        disk = loops.disk("btrfs", store=Path(store), size_mib=DIRTY_MIB * 5)
        run("losetup", "--direct-io=on", disk.device)
        with as_slow_as_a_cloud_disk(disk.device):
            for _ in range(rounds(5)):
                for name, write in WAYS.items():
                    taken[name].append(measure(loops, write))
    print(f"longest stall of a writer, btrfs, {DIRTY_MIB} MiB dirty; medians and most, in ms")
    for name, values in taken.items():
        stalls, spent = zip(*values, strict=True)
        print(
            f"{name:28}{statistics.median(stalls):7.0f}{max(stalls):7.0f}"
            f"   took {statistics.median(spent):6.0f}"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
