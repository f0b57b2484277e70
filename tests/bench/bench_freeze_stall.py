"""Measure how long a steady writer is held up by a freeze, beside qemu-ga in the same run.

Needs root, loop devices and qemu-ga. Freezes only loop disks of its own, an outside timer armed
before, and qemu-ga is given exactly these (``qemu_agent``).

A process writes 4 KiB to each filesystem every ms and tells the longest write of all, from before
the first sync to after the last thaw: our warm-up, which freezes each filesystem for a moment, is
in it. The ratio is of these stalls, hold included; without the hold, it stands at the line's end.
Three ways take turns, all with the same hold: ``ours``; ``qemu-ga``, which neither syncs nor warms
up and freezes one after the other; ``bare``, the same calls as qemu-ga's after a sync.

Clean filesystems lie in memory. Those with dirty data lie in files on a disk, past the page cache
of the filesystem that holds them, and are slowed down to 350 MB/s where the kernel lets us, since
writing data out is what is measured there: the machine's own disk may be far faster than a cloud
disk, and the ratio shrinks with the disk's speed.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "agent"))
sys.path.insert(0, str(ROOT / "tests" / "system"))

from freeze_agent import real_ports  # noqa: E402
from freeze_rig import Rig, guard, rig, run, skip_reason, target  # noqa: E402
from measuring import is_brief, rounds, verdict  # noqa: E402
from qemu_agent import QemuAgent, missing, qemu_agent  # noqa: E402

from snap_self.quiesce.freeze.session import FreezeLimits, FreezeSession  # noqa: E402
from snap_self.system.disks.calls import KernelFreezeCalls  # noqa: E402

HOLD_S = 0.02
CLEAN_RATIO, DIRTY_RATIO = 1.0, 0.1
THROTTLE = Path("/sys/fs/cgroup/blkio/blkio.throttle.write_bps_device")
# The most that an ESSD of performance level 1 writes in a second; smaller ones write less.
CLOUD_DISK_BPS = 350_000_000
PAUSE_S = 0.3  # so that the kernel has forgotten the last freeze, as between real runs
WRITER = """
import os, sys, threading, time
longest, ending = [], []
def write(place, path):
    fd = os.open(path + "/steady", os.O_RDWR | os.O_CREAT)
    number = 0
    while not ending:
        start = time.monotonic()
        os.pwrite(fd, bytes(4096), number % 256 * 4096)
        longest[place] = max(longest[place], time.monotonic() - start)
        number += 1
        time.sleep(0.001)
threads = []
for place, path in enumerate(sys.argv[1:]):
    longest.append(0.0)
    threads.append(threading.Thread(target=write, args=(place, path)))
    threads[-1].start()
time.sleep(0.2)
longest[:] = [0.0] * len(longest)
print("ready", flush=True)
sys.stdin.readline()
ending.append(True)
for thread in threads:
    thread.join()
print(max(longest))
"""


def main() -> int:
    """Run the cases; return 77 where it cannot run, 1 with ``--strict`` and a ratio missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=rounds(5))
    parser.add_argument("--fstype", action="append", choices=("ext4", "xfs", "btrfs"))
    parser.add_argument("--dirty-mib", type=int, default=200)
    parser.add_argument("--only-dirty", action="store_true")
    parser.add_argument("--strict", action="store_true", help="fail when a ratio is missed")
    options = parser.parse_args()
    fstypes = options.fstype or ["ext4", "xfs", "btrfs"]
    if reason := skip_reason(fstypes) or missing():
        print(f"bench_freeze_stall: skipped: {reason}")
        return 77
    kept = True
    counts = (1, 4) if is_brief() else (1, 4, 16)
    dirty = (1,) if is_brief() else (1, 4)
    for fstype in fstypes:
        if not options.only_dirty:
            kept &= compare(fstype, counts, runs=options.runs, dirty_mib=0)
        kept &= compare(fstype, dirty, runs=(options.runs + 1) // 2, dirty_mib=options.dirty_mib)
    return int(options.strict and not kept)


def compare(fstype: str, counts: tuple[int, ...], *, runs: int, dirty_mib: int) -> bool:
    """Measure one type; print a line a count; return whether every ratio is kept."""
    kept = True
    with (
        tempfile.TemporaryDirectory() as base,
        tempfile.TemporaryDirectory(dir="/var/tmp") as on_disk,
        rig(Path(base)) as loops,
        contextlib.ExitStack() as limits,
    ):
        for count in counts:
            while len(loops.disks) < count:
                store = Path(on_disk) if dirty_mib else None
                made = loops.disk(fstype, store=store, size_mib=dirty_mib * 3)
                if dirty_mib:
                    run("losetup", "--direct-io=on", made.device)
                    limits.enter_context(as_slow_as_a_cloud_disk(made.device))
            paths = [disk.path for disk in loops.disks]
            with qemu_agent(paths, Path(base)) as other:
                ways = {"ours": ours, "qemu-ga": by(other), "bare": bare}
                taken: dict[str, list[float]] = {name: [] for name in ways}
                for _ in range(runs):
                    for name, freeze in ways.items():
                        taken[name].append(stall_ms(loops, freeze, dirty_mib=dirty_mib))
            stalls = {name: statistics.median(values) for name, values in taken.items()}
            ratio = stalls["ours"] / stalls["qemu-ga"]
            beyond = {name: max(0.0, value - HOLD_S * 1000) for name, value in stalls.items()}
            limit = DIRTY_RATIO if dirty_mib else CLEAN_RATIO
            kept &= ratio <= limit
            told = " ".join(f"{n} {v:.1f} (max {max(taken[n]):.1f})" for n, v in stalls.items())
            print(
                f"stall ms {fstype} x{count} {dirty_mib} MiB dirty, hold {HOLD_S * 1000:g}: {told} "
                f"ratio {ratio:.3f} limit {limit:g} {verdict(ratio, limit)}; "
                f"beyond the hold {beyond['ours'] / max(0.1, beyond['qemu-ga']):.3f}",
                flush=True,
            )
    return kept


@contextlib.contextmanager
def as_slow_as_a_cloud_disk(device: str) -> Iterator[None]:
    """Limit what is written to a loop device of ours; nothing else on the machine is limited."""
    if not THROTTLE.exists():
        print("  (disks are not slowed down: no blkio cgroup)")
        yield
        return
    number = Path(device).stat().st_rdev
    name = f"{os.major(number)}:{os.minor(number)}"
    THROTTLE.write_text(f"{name} {CLOUD_DISK_BPS}")
    try:
        yield
    finally:
        THROTTLE.write_text(f"{name} 0")


Freeze = Callable[[Rig], contextlib.AbstractContextManager[None]]


def stall_ms(loops: Rig, freeze: Freeze, *, dirty_mib: int) -> float:
    """Return the longest stall while all disks are frozen and held that way."""
    for disk in loops.disks:
        guard(disk.path)
        # A new file: one that was truncated is written out when it is closed (ext4, XFS).
        (disk.path / "dirty").unlink(missing_ok=True)
        with (disk.path / "dirty").open("wb") as file:
            for _ in range(dirty_mib):
                file.write(bytes(1 << 20))
    time.sleep(PAUSE_S)
    loops.arm(90)
    with writing(loops) as stalls:
        try:
            with freeze(loops):
                time.sleep(HOLD_S)
        finally:
            loops.thaw_all()  # nothing to do unless something went wrong
    loops.disarm()
    return stalls[0] * 1000


@contextlib.contextmanager
def writing(loops: Rig) -> Iterator[list[float]]:
    """Write in the background; the list holds the longest stall in seconds afterwards."""
    argv = [sys.executable, "-c", WRITER, *(str(disk.path) for disk in loops.disks)]
    stalls: list[float] = []
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
        try:
            yield stalls
        finally:
            stalls.append(float(writer.communicate("end\n", timeout=60)[0]))


@contextlib.contextmanager
def ours(loops: Rig) -> Iterator[None]:
    """Freeze as the product does."""
    targets = [target(disk.path) for disk in loops.disks]
    limits = FreezeLimits(hold_s=20, sync_s=60)
    with FreezeSession(targets, real_ports(loops.markers), limits) as session:
        session.prepare()
        session.freeze()
        yield
        result = session.thaw()
    assert result.held, result.why


def by(other: QemuAgent) -> Freeze:
    """Return how qemu-ga freezes."""

    @contextlib.contextmanager
    def freeze(loops: Rig) -> Iterator[None]:
        try:
            other.freeze()
            yield
        finally:
            other.thaw()

    return freeze


@contextlib.contextmanager
def bare(loops: Rig) -> Iterator[None]:
    """Sync twice, then freeze one after the other, cold."""
    calls = KernelFreezeCalls()
    frozen: list[int] = []
    fds = [os.open(disk.path, os.O_RDONLY | os.O_DIRECTORY) for disk in loops.disks]
    try:
        for fd in (*fds, *fds):
            calls.sync(fd)
        for fd in fds:
            assert calls.freeze(fd) == 0
            frozen.append(fd)
        yield
    finally:
        while frozen:
            calls.thaw(frozen.pop())
        for fd in fds:
            os.close(fd)


if __name__ == "__main__":
    sys.exit(main())
