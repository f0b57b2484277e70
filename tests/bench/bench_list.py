"""``list`` with 10,000 snapshots of this instance, at 5 ms for each API call.

Budget: 100 API calls, 1 s. Beside it what one call costs the agent's processor time beyond what
starting and a list of none cost.
"""

from __future__ import annotations

import json
import sys

import measuring

from fixtures_simulator import SimulatorProcess, simulator_running

CALL_S = 0.005
ROUNDS = measuring.rounds(9)
SIZES = (0, 1_000, 10_000)
CALLS_BUDGET = 100
TIME_BUDGET_S = 1.0
DISKS = 40  # a disk holds at most 256 snapshots


def main() -> None:
    """Print a line for each number of snapshots."""
    print(f"list, {CALL_S * 1e3:.0f} ms per API call, medians of {ROUNDS}")
    print(
        f"{'snapshots':>10}{'listed':>8}{'calls':>7}{'time':>9}{'CPU':>9}{'per call':>10}"
        f"{'memory':>10}"
    )
    nothing: list[float] = []
    for count in SIZES:
        disks = [word for _ in range(DISKS) for word in ("--disk", "size=1")]
        with simulator_running("--storage", "none", "--no-https", *disks) as cloud:
            fill(cloud, count)
            cloud.control("PUT", "latencies", {"times_s": {"*": CALL_S}})
            measure(count, cloud, nothing)


def fill(cloud: SimulatorProcess, count: int) -> None:
    """Put in snapshots of ours, spread over the disks."""
    tags = {
        "snap-self-owner": cloud.instance_id,
        "snap-self-run": "20261122t083225z-0a1b2c",
        "snap-self-before": "os upgrade",
        "snap-self-consistency": "flush",
        "snap-self-expires": "2026-12-06T08:32:25Z",
    }
    for place, disk in enumerate(cloud.disks):
        own = count // DISKS + (place < count % DISKS)
        body = {"disk_id": disk.disk_id, "count": own, "tags": tags}
        cloud.control("POST", "snapshots", body)


def measure(count: int, cloud: SimulatorProcess, nothing: list[float]) -> None:
    """Print one line; the CPU time of the first, empty list is what a start costs."""
    with measuring.scratch() as folder:
        out = folder / "out"
        env = measuring.child_env(
            SNAP_SELF_METADATA_URL=cloud.metadata_url,
            SNAP_SELF_ECS_ENDPOINT=cloud.ecs_url,
            SNAP_SELF_STATE_DIR=str(folder / "state"),
        )
        samples: list[measuring.Sample] = []

        def wall_s() -> float:
            cloud.control("DELETE", "calls")
            samples.append(measuring.run(measuring.snap_self("list", "--json"), env=env, out=out))
            if samples[-1].status != 0:
                sys.exit(out.read_text("utf-8"))
            return samples[-1].wall_s

        wall = measuring.in_turns({"list": wall_s}, ROUNDS)["list"]
        listed = len(json.loads(out.read_text("utf-8"))["snapshots"])
    calls = len(cloud.control("GET", "calls")["calls"])
    cpu = sorted(sample.cpu_s for sample in samples)[len(samples) // 2]
    peak = max(sample.peak_kib for sample in samples) / 1024
    nothing.append(cpu)
    each = f"{(cpu - nothing[0]) / calls * 1e3:7.1f} ms" if len(nothing) > 1 else f"{'':10}"
    judged = (
        f"  calls {measuring.verdict(calls, CALLS_BUDGET)},"
        f" time {measuring.verdict(wall, TIME_BUDGET_S)}"
        if count == SIZES[-1]
        else ""
    )
    print(
        f"{count:10}{listed:8}{calls:7}{wall * 1e3:6.0f} ms{cpu * 1e3:6.0f} ms{each}"
        f"{peak:6.1f} MiB{judged}",
        flush=True,
    )


if __name__ == "__main__":
    main()
