"""What bringing back one file costs this machine, beside what the cloud takes.

The whole process is measured. The cloud's is what it takes whoever asks: from a call's arrival to
its answer, and from the acceptance of CreateDisk, AttachDisk and DetachDisk to their ends, as the
simulated cloud has noted them. All the rest is local, also the time from the end of an operation
until the agent has learned of it: loading modules, surveying, journal, opening the copy, copying,
writing to the disk, closing. Budget: 300 ms. The disks are loop devices, with ext4.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import measuring

from fixtures_simulator import SimulatorProcess, simulator_running
from own_machine import own_mounts

SKIPPED = 77
ROUNDS = measuring.rounds(9)
BUDGET_MS = 300
AT_ONCE = {"cut_s": 0.0, "available_s": 0.0, "accomplished_s": 0.0}
# Shorter than any that public logs of such runs show.
OPERATION_S = 0.5
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
            cloud.control("PUT", "operations", {"times_s": {"*": OPERATION_S}})
            measure(cloud, folder)
    return 0


def measure(cloud: SimulatorProcess, folder: Path) -> None:
    """Make a snapshot, and restore from it in turns with the shortest of all commands."""
    file = folder / "disk/app.conf"
    file.write_text(THEN, "utf-8")
    env = measuring.child_env(
        SNAP_SELF_METADATA_URL=cloud.metadata_url,
        SNAP_SELF_ECS_ENDPOINT=cloud.ecs_url,
        SNAP_SELF_STATE_DIR=str(folder / "state"),
        SNAP_SELF_DISKS_EXCLUDE=json.dumps(own_mounts([disk.device for disk in cloud.disks])),
    )
    run(env, folder, "--before", "bench", "--wait", "none")
    settle(cloud)
    samples: list[tuple[measuring.Sample, Restored]] = []

    def restored() -> float:
        file.write_text("broken by the upgrade\n", "utf-8")
        cloud.control("DELETE", "calls")
        sample = run(env, folder, "restore", "last", str(file), "--yes")
        if file.read_text("utf-8") != THEN:
            sys.exit("restore: the file did not come back")
        samples.append((sample, seen_by(cloud, sample.begun)))
        return sample.wall_s - samples[-1][1].cloud_s

    medians = measuring.in_turns(
        {"version": lambda: run(env, folder, "--version").wall_s, "local": restored}, ROUNDS
    )
    local_ms = medians["local"] * 1e3
    counted = samples[1:]
    shown = {
        "whole": statistics.median(sample.wall_s for sample, _ in counted),
        "cloud": statistics.median(seen.cloud_s for _, seen in counted),
        "start to CreateDisk": statistics.median(seen.create_s for _, seen in counted),
        "processor": statistics.median(sample.cpu_s for sample, _ in counted),
        "--version": medians["version"],
    }
    print(f"restore of one file, medians of {ROUNDS}; " + _listed(shown))
    print(
        f"local {local_ms:.0f} ms ({medians['local'] / medians['version']:.1f} times --version), "
        f"limit {BUDGET_MS}: {measuring.verdict(local_ms, BUDGET_MS)}"
    )


@dataclass(frozen=True, slots=True)
class Restored:
    """What the cloud saw of a restore.

    Args:
        cloud_s: how long it was at work, on whatever.
        create_s: from the process's start to the arrival of CreateDisk.
    """

    cloud_s: float
    create_s: float


def seen_by(cloud: SimulatorProcess, begun: float) -> Restored:
    """Return what the cloud saw of a restore that began at a time of the wall clock."""
    calls = cloud.control("GET", "calls")["calls"]
    metadata = cloud.control("GET", "metadata-calls")["calls"]
    operations = cloud.control("GET", "operations")["operations"]
    created = next(call["time"] for call in calls if call["action"] == "CreateDisk")
    return Restored(
        cloud_s=busy_s((*calls, *metadata, *operations)), create_s=float(created) - begun
    )


def _listed(shown: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {seconds * 1e3:.0f} ms" for name, seconds in shown.items())


def run(env: Mapping[str, str], folder: Path, *arguments: str) -> measuring.Sample:
    """Run the agent, which must succeed."""
    sample = measuring.run(measuring.snap_self(*arguments), env=env, out=folder / "out")
    if sample.status:
        sys.exit(f"{arguments}: {sample.status}: {(folder / 'out').read_text('utf-8')}")
    return sample


def busy_s(calls: Iterable[Mapping[str, Any]]) -> float:
    """Return how long at least one of these was going on."""
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
