"""What bringing back one file costs this machine, beside what the cloud takes.

The whole process is measured, against a cloud that answers at once and whose disks come and go at
once. What it takes all the same is the cloud's: its answers, and the pauses of the agent before it
looks at a disk again. The rest is local: loading modules, surveying, journal, opening the copy,
copying, writing to the disk, closing. Budget: 300 ms. The disks are loop devices, with ext4.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import measuring

from fixtures_simulator import SimulatorProcess, simulator_running
from own_machine import own_mounts

SKIPPED = 77
ROUNDS = measuring.rounds(9)
BUDGET_MS = 300
# The agent, which notes the pauses for the cloud. Shorter sleeps are for processes of its own.
PROGRAM = """\
import sys, threading, time
sleep = time.sleep
def noted(seconds):
    begun = time.perf_counter()
    sleep(seconds)
    if seconds >= 0.1 and threading.current_thread() is threading.main_thread():
        with open({slept!r}, "a") as file:
            file.write(f"{{time.perf_counter() - begun}}\\n")
time.sleep = noted
sys.argv[:] = ["snap-self", *sys.argv[1:]]
from snap_self.cli.entry import main
main()
"""
AT_ONCE = {"cut_s": 0.0, "available_s": 0.0, "accomplished_s": 0.0}
THEN = "as it was\n"


def main() -> int:
    """Print the parts of a restore; 77 where there can be no loop devices."""
    if os.geteuid():
        print("restore: only root may have loop devices and mount them")
        return SKIPPED
    if not Path("/dev/loop-control").exists():
        print("restore: this machine has no loop devices (modprobe loop)")
        return SKIPPED
    with measuring.scratch() as folder:
        disk = f"size=1,serial=benchaaaa1,fs=ext4,mount={folder}/disk"
        with simulator_running("--storage", "loop", "--no-https", "--disk", disk) as cloud:
            cloud.control("PUT", "life", AT_ONCE)
            cloud.control("PUT", "operations", {"times_s": {"*": 0.0}})
            measure(cloud, folder)
    return 0


def measure(cloud: SimulatorProcess, folder: Path) -> None:
    """Make a snapshot, and restore from it in turns with the shortest of all commands."""
    file, slept = folder / "disk/app.conf", folder / "slept"
    file.write_text(THEN, "utf-8")
    env = measuring.child_env(
        SNAP_SELF_METADATA_URL=cloud.metadata_url,
        SNAP_SELF_ECS_ENDPOINT=cloud.ecs_url,
        SNAP_SELF_STATE_DIR=str(folder / "state"),
        SNAP_SELF_DISKS_EXCLUDE=json.dumps(own_mounts([disk.device for disk in cloud.disks])),
    )
    run(env, folder, "--before", "bench", "--wait", "none")
    settle(cloud)
    samples: list[tuple[measuring.Sample, float]] = []

    def restored() -> float:
        file.write_text("broken by the upgrade\n", "utf-8")
        cloud.control("DELETE", "calls")
        slept.write_text("", "utf-8")
        sample = run(env, folder, "restore", "last", str(file), "--yes")
        if file.read_text("utf-8") != THEN:
            sys.exit("restore: the file did not come back")
        calls = cloud.control("GET", "calls")["calls"]
        metadata = cloud.control("GET", "metadata-calls")["calls"]
        paused_s = sum(map(float, slept.read_text("utf-8").split()))
        samples.append((sample, busy_s((*calls, *metadata)) + paused_s))
        return sample.wall_s - samples[-1][1]

    medians = measuring.in_turns(
        {"version": lambda: run(env, folder, "--version").wall_s, "local": restored}, ROUNDS
    )
    local_ms = medians["local"] * 1e3
    counted = samples[1:]
    shown = {
        "whole": statistics.median(sample.wall_s for sample, _ in counted),
        "cloud": statistics.median(of_cloud for _, of_cloud in counted),
        "processor": statistics.median(sample.cpu_s for sample, _ in counted),
        "--version": medians["version"],
    }
    print(f"restore of one file, medians of {ROUNDS}; " + _listed(shown))
    print(f"local {local_ms:.0f} ms, limit {BUDGET_MS}: {measuring.verdict(local_ms, BUDGET_MS)}")


def _listed(shown: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {seconds * 1e3:.0f} ms" for name, seconds in shown.items())


def run(env: Mapping[str, str], folder: Path, *arguments: str) -> measuring.Sample:
    """Run the agent, which must succeed."""
    program = measuring.python(PROGRAM.format(slept=str(folder / "slept")))
    sample = measuring.run([*program, *arguments], env=env, out=folder / "out")
    if sample.status:
        sys.exit(f"{arguments}: {sample.status}: {(folder / 'out').read_text('utf-8')}")
    return sample


def busy_s(calls: Iterable[Mapping[str, Any]]) -> float:
    """Return how long at least one call was being answered."""
    busy, until = 0.0, 0.0
    for begin, end in sorted((float(call["time"]), float(call["ended"])) for call in calls):
        busy += max(0.0, end - max(begin, until))
        until = max(until, end)
    return busy


def settle(cloud: SimulatorProcess) -> None:
    """Wait until the snapshot can be used."""
    for _ in range(200):
        shots = cloud.control("GET", "state")["snapshots"].values()
        if shots and all(shot["status"] == "accomplished" for shot in shots):
            return
        time.sleep(0.05)
    sys.exit(f"the simulated cloud does not finish its snapshot: {list(shots)}")


if __name__ == "__main__":
    sys.exit(main())
