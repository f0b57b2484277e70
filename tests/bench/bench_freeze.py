"""Measure what a freeze costs beyond the time it is held, and the guardian's memory.

Needs root and loop devices. Freezes only loop disks of its own, an outside timer armed before.

Prints a line a case, in ms:

* overhead: frozen time less the time it was held for on purpose, median and largest, against the
  budget of 5, 8 and 20 ms for 1, 4 and 16 filesystems;
* warm-up: the brief freezes before it, all side by side, which writers see as well;
* bare: the same calls made one after the other by this program, with nothing around them and no
  warm-up.

The first freeze of a filesystem for some time waits for RCU grace periods in the kernel (its
writer counts are per-CPU semaphores); one that comes right after a thaw does not, which is what the
warm-up is for. So the runs pause, as real ones do. A missed budget is printed as MISSED; it is the
exit status only with ``--strict``, for a busy machine can miss any.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "agent"))
sys.path.insert(0, str(ROOT / "tests" / "system"))

from freeze_agent import real_ports  # noqa: E402
from freeze_rig import Rig, guard, rig, skip_reason, target  # noqa: E402

from snap_self.quiesce.freeze.session import FreezeLimits, FreezeSession  # noqa: E402
from snap_self.system.disks.calls import KernelFreezeCalls  # noqa: E402

BUDGETS_MS = {1: 5, 4: 8, 16: 20}
MEMORY_BUDGET_KIB = 12 * 1024
HELD_S = 0.1
PAUSE_S = 0.3


@dataclass(frozen=True)
class Sample:
    """One freeze, in ms."""

    overhead: float
    warm_up: float
    memory_kib: tuple[int, ...]


def main() -> int:
    """Run the cases; return 1 when a budget is missed, 77 where it cannot run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=9)
    parser.add_argument("--fstype", default="ext4")
    parser.add_argument("--strict", action="store_true", help="fail when a time budget is missed")
    options = parser.parse_args()
    if reason := skip_reason((options.fstype,)):
        print(f"bench_freeze: skipped: {reason}")
        return 77
    missed = False
    with tempfile.TemporaryDirectory() as base, rig(Path(base)) as loops:
        for count, budget_ms in BUDGETS_MS.items():
            while len(loops.disks) < count:
                loops.disk(options.fstype)
            bare, samples = [], []
            for _ in range(options.runs):
                bare.append(bare_ms(loops))
                samples.append(measure(loops))
            overheads = [sample.overhead for sample in samples]
            median = statistics.median(overheads)
            missed |= median > budget_ms
            print(
                f"freeze {options.fstype} x{count:<3} overhead {median:.2f} max "
                f"{max(overheads):.2f} budget {budget_ms} "
                f"{'MISSED' if median > budget_ms else 'met'}; "
                f"warm-up {statistics.median(s.warm_up for s in samples):.2f}; "
                f"bare {statistics.median(bare):.2f}"
            )
        memory = samples[-1].memory_kib
    heavy = max(memory) > MEMORY_BUDGET_KIB
    print(f"guardian and understudy private KiB {memory[0]} + {memory[1]}, budget 12288 each")
    return int(heavy or (missed and options.strict))


def dirty(loops: Rig) -> None:
    """Let each filesystem have something to write, and rest as between real runs."""
    for disk in loops.disks:
        (disk.path / "dirty").write_bytes(bytes(100_000))
    time.sleep(PAUSE_S)


def bare_ms(loops: Rig) -> float:
    """Return the time of the calls alone: sync first, freeze in order, thaw in reverse."""
    dirty(loops)
    loops.arm(20)
    calls = KernelFreezeCalls()
    frozen: list[int] = []
    fds: list[int] = []
    start = time.monotonic()
    try:
        for disk in loops.disks:
            guard(disk.path)
            fds.append(os.open(disk.path, os.O_RDONLY | os.O_DIRECTORY))
            calls.sync(fds[-1])
        start = time.monotonic()
        for fd in fds:
            assert calls.freeze(fd) == 0
            frozen.append(fd)
    finally:
        while frozen:
            calls.thaw(frozen.pop())
        spent_s = time.monotonic() - start
        for fd in fds:
            os.close(fd)
    loops.disarm()
    return spent_s * 1000


def measure(loops: Rig) -> Sample:
    """Freeze all disks once, each with a little dirty data, hold, thaw."""
    dirty(loops)
    loops.arm(20)
    targets = [target(disk.path) for disk in loops.disks]
    limits = FreezeLimits(hold_s=5, sync_s=20)
    with FreezeSession(targets, real_ports(loops.markers), limits) as session:
        session.prepare()
        pids = (session._link.pid, session._story.ready.first)
        session.freeze()
        start = time.monotonic()
        time.sleep(HELD_S)
        held_s = time.monotonic() - start
        memory = tuple(private_kib(pid) for pid in pids)
        read_s = time.monotonic() - start - held_s
        result = session.thaw()
    loops.disarm()
    assert result.held, result.why
    overhead_s = result.frozen_s - held_s - read_s
    return Sample(overhead=overhead_s * 1000, warm_up=result.warm_up_s * 1000, memory_kib=memory)


def private_kib(pid: int) -> int:
    """Return a process's private memory (proc(5), smaps_rollup)."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_"))


if __name__ == "__main__":
    sys.exit(main())
