"""From process start to the create request, against a cloud that takes 50 ms for each call.

The budget is what the interpreter and the imports take, plus two round trips of the API: nothing
can be asked for before the cloud has told its disks. Measured in turns within one run:

* imports: a process that only imports what the main job had loaded when it sent the request;
* sent: from process start until the request came in, as the cloud's log of calls has it;
* memory: the most the process had resident, against 48 MiB.

Needs root: the cloud's disks are loop devices of this machine, without mounts, so nothing is
flushed.
"""

from __future__ import annotations

import json
import os
import sys
import time

import measuring

from fixtures_simulator import SimulatorProcess, simulator_running
from own_machine import own_mounts

CALL_S = 0.05
ROUNDS = measuring.rounds(9)
MEMORY_MIB = 48
DISKS = ("--disk", "size=1,serial=benchaaaa1", "--disk", "size=1,serial=benchaaaa2")
CREATES = ("CreateSnapshot", "CreateSnapshotGroup")


def main() -> int:
    """Print a table for a group and for a single snapshot, the metadata fast and slow."""
    if os.geteuid() != 0:
        print("bench_request needs root for loop devices")
        return 77
    print(f"main job, {CALL_S * 1e3:.0f} ms per API call, medians of {ROUNDS}, in ms")
    print(f"{'':26}{'imports':>9}{'+2 calls':>9}{'sent':>9}{'over':>9}{'CPU':>7}{'memory':>10}")
    for metadata_s in (0.0, CALL_S):
        for name, disks in (("group of 2", DISKS), ("single", DISKS[:2])):
            with simulator_running("--storage", "loop", "--no-https", *disks) as cloud:
                times_s = {"*": CALL_S, "metadata": metadata_s}
                cloud.control("PUT", "latencies", {"times_s": times_s})
                measure(f"{name}, metadata {metadata_s * 1e3:.0f} ms", cloud)
    with simulator_running("--storage", "loop", "--no-https", *DISKS) as cloud:
        cloud.control("PUT", "latencies", {"times_s": {"*": CALL_S, "metadata": 0.0}})
        # What an earlier group still lacks is set first, since the API takes it only while no
        # snapshot of the disk is being made: that costs calls, and is shown for itself.
        measure("group, earlier one pending", cloud, one_state=True)
    return 0


def measure(name: str, cloud: SimulatorProcess, *, one_state: bool = False) -> None:
    """Print one line.

    Args:
        one_state: every run finds the journal of those before it; else each has its own.
    """
    with measuring.scratch() as folder:
        env = measuring.child_env(
            SNAP_SELF_METADATA_URL=cloud.metadata_url,
            SNAP_SELF_ECS_ENDPOINT=cloud.ecs_url,
            SNAP_SELF_STATE_DIR=str(folder / "state"),
            SNAP_SELF_DISKS_EXCLUDE=json.dumps(own_mounts([disk.device for disk in cloud.disks])),
        )
        job = ("--before", "bench", "--wait", "none", "--json")
        modules = measuring.modules_at(job, "rpc-CreateSnapshot", env=env)
        samples: list[measuring.Sample] = []

        def sent() -> float:
            cloud.control("DELETE", "calls")
            state = folder / ("state" if one_state else f"state-{len(samples)}")
            own = {**env, "SNAP_SELF_STATE_DIR": str(state)}
            sample = measuring.run(measuring.snap_self(*job), env=own, out=folder / "out")
            if sample.status != 0:
                sys.exit(f"{sample.status}: {(folder / 'out').read_text('utf-8')}")
            samples.append(sample)
            settle(cloud)
            return created(cloud) - sample.begun

        medians = measuring.in_turns(
            {
                "imports": lambda: measuring.run(measuring.import_all(modules), env=env).wall_s,
                "sent": sent,
            },
            ROUNDS,
        )
    budget = medians["imports"] + 2 * CALL_S
    peak = max(sample.peak_kib for sample in samples) / 1024
    cpu = sorted(sample.cpu_s for sample in samples)[len(samples) // 2]
    print(
        f"{name:26}{medians['imports'] * 1e3:9.0f}{budget * 1e3:9.0f}{medians['sent'] * 1e3:9.0f}"
        f"{(medians['sent'] - budget) * 1e3:+9.0f}{cpu * 1e3:7.0f}{peak:6.1f} MiB"
        f"  time {measuring.verdict(medians['sent'] * 1e3, budget * 1e3)},"
        f" memory {measuring.verdict(peak, MEMORY_MIB)}",
        flush=True,
    )


def settle(cloud: SimulatorProcess) -> None:
    """Wait until each disk can be snapshotted again."""
    for _ in range(200):
        shots = cloud.control("GET", "state")["snapshots"].values()
        if all(shot["status"] != "progressing" for shot in shots):
            return
        time.sleep(0.05)
    sys.exit(f"the simulated cloud does not finish its snapshots: {list(shots)}")


def created(cloud: SimulatorProcess) -> float:
    """Return when the first create request came in."""
    calls = cloud.control("GET", "calls")["calls"]
    return min(float(call["time"]) for call in calls if call["action"] in CREATES)


if __name__ == "__main__":
    sys.exit(main())
