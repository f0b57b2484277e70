"""A small fleet as real processes, beside the simulation of the same.

The machine of each is a recording, its cloud the simulated ECS over HTTP with the same throttle,
its metadata service one of its own. It is ended as a hook ends it, at the same limit.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import IO

import measuring

from ecs_simulator import Simulator, SimulatorConfig, Throttle
from ecs_simulator.neighbours import metadata_services
from fakes.fleet import (
    BEFORE,
    EARLY_S,
    LIFE,
    REUSE_S,
    TOLD_MADE,
    Fate,
    FleetAgent,
    Scene,
    Tally,
    machine,
    sets_of,
    simulate,
)
from fakes.virtual_time import VirtualTime
from snap_self.changes.policy import outcome_of
from snap_self.disks import recording
from snap_self.model.job_end import Ending, JobEnd
from snap_self.system.disks.recorded import write_recorded
from snap_self.system.managers.job import GRACE_S, KILL_WAIT_S

MINUTE_S = 60.0
# Not for want of a quota: a bug, and a metadata service that does not answer.
SURPRISING = (1, 4)
# As root all agents of a machine share the lock in /run/snap-self: each gets a /run of its own.
OWN_RUN = ("unshare", "-m", "sh", "-c", 'mount -t tmpfs none /run && exec "$@"', "sh")


def compare(agents: int) -> int:
    """Run both, at the quota and at half of it, and print a row for each."""
    print("made / sets / doubles, calls per agent (refused), longest of those made, ends")
    full = Scene(agents=agents, spread_s=MINUTE_S, quota=agents)
    for scene in (full, replace(full, quota=agents // 2, limit_s=5 * MINUTE_S)):
        print(
            f"{agents} agents in {MINUTE_S:g} s, {scene.quota} calls per minute and action, "
            f"limit {scene.limit_s:g} s"
        )
        tell("processes", run_processes(scene))
        for seed in (1, 2, 3):
            tell(f"simulation, seed {seed}", simulate(replace(scene, seed=seed)))
    return 0


def tell(name: str, tally: Tally) -> None:
    """Print one row."""
    ends = ", ".join(f"{how}: {times}" for how, times in sorted(tally.ends.items()))
    print(
        f"{name:20} {tally.made:4} / {tally.sets:4} / {tally.doubles}, "
        f"{tally.calls:5.1f} ({tally.refused:.1f}), {tally.longest_s:5.1f} s, {ends}",
        flush=True,
    )


def run_processes(scene: Scene) -> Tally:
    """Start the fleet's hooks at the turn of a minute, and return what came of it."""
    agents = [FleetAgent(number, scene, VirtualTime()) for number in range(scene.agents)]
    instances = tuple(agent.instance for agent in agents)
    config = SimulatorConfig(instances=instances, life=LIFE, profile="realistic")
    chance = random.Random(scene.seed)
    starts = [chance.uniform(0.0, scene.spread_s) for _ in agents]
    ids = [instance.instance_id for instance in instances]
    with (
        measuring.scratch() as folder,
        Simulator(config) as cloud,
        metadata_services(cloud, ids) as urls,
    ):
        cloud.set_throttles(Throttle(limit=scene.quota or 0, code="Throttling.User"))
        processes = [
            HookProcess(scene, *command(scene, agent, url, cloud.ecs_url, folder))
            for agent, url in zip(agents, urls.values(), strict=True)
        ]
        # The windows of the throttle begin with the minutes.
        time.sleep(MINUTE_S - time.time() % MINUTE_S)
        timers = [
            threading.Timer(start_s, process.run)
            for start_s, process in zip(starts, processes, strict=True)
        ]
        for timer in timers:
            timer.start()
        for timer in timers:
            timer.join()
        for text in {each.said for each in processes if each.end.status in SURPRISING}:
            print(f"  {text}")
        return Tally(
            fates=tuple(
                fate(cloud, agent, process)
                for agent, process in zip(agents, processes, strict=True)
            )
        )


def command(
    scene: Scene, agent: FleetAgent, metadata_url: str, ecs_url: str, folder: Path
) -> tuple[Sequence[str], dict[str, str]]:
    """Return an agent's command, which is that of a hook, and its variables."""
    own = folder / agent.instance.instance_id
    write_recorded(own / "machine", recording.dump(machine(agent.serials)), {})
    env = measuring.child_env(
        SNAP_SELF_METADATA_URL=metadata_url,
        SNAP_SELF_ECS_ENDPOINT=ecs_url,
        SNAP_SELF_STATE_DIR=str(own / "state"),
    )
    job = measuring.snap_self(
        *("--before", BEFORE, "--wait", "cut", "--timeout", f"{scene.wait_s}s"),
        *("--reuse", f"{REUSE_S:.0f}s", "--waited-for", "--json", "--quiet"),
        *("--recorded", str(own / "machine")),
    )
    return (*(() if os.geteuid() else OWN_RUN), *job), env


class HookProcess:
    """One main job that is ended at its hook's limit."""

    def __init__(self, scene: Scene, argv: Sequence[str], env: dict[str, str]) -> None:
        self._soft_s = scene.limit_s - KILL_WAIT_S - GRACE_S
        self._argv = argv
        self._env = env
        self.took_s = 0.0
        self.said = ""
        self.end = JobEnd(Ending.NOT_STARTED)

    def run(self) -> None:
        """Run it to its end."""
        begun = time.monotonic()
        with tempfile.TemporaryFile() as said:
            status = self._attend(said)
            said.seek(0)
            self.said = said.read().decode("utf-8", "replace").strip()
        self.took_s = time.monotonic() - begun
        late = self.took_s >= self._soft_s and status not in (0, 20, 100, 101)
        self.end = JobEnd(Ending.TIMED_OUT) if late else JobEnd(Ending.EXITED, status=status)

    def _attend(self, said: IO[bytes]) -> int:
        """Start it, end it if its time is up, and return its status."""
        process = subprocess.Popen(
            self._argv,
            env=self._env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=said,
            cwd="/",
        )
        asked = threading.Timer(self._soft_s, process.send_signal, (signal.SIGTERM,))
        forced = threading.Timer(self._soft_s + GRACE_S, process.kill)
        for timer in (asked, forced):
            timer.start()
        status = process.wait()
        for timer in (asked, forced):
            timer.cancel()
        return status


def fate(cloud: Simulator, agent: FleetAgent, process: HookProcess) -> Fate:
    """Return what came of a process, as the simulated cloud has it."""
    own = [call for call in cloud.calls if agent.instance.instance_id in call.principal]
    begun = min((call.time for call in cloud.calls), default=0.0)
    return Fate(
        made=outcome_of(process.end) in TOLD_MADE,
        sets=sets_of(cloud.state, agent.disks),
        calls=len(own),
        refused=sum(call.status != 200 for call in own),
        early=sum(call.time < begun + EARLY_S for call in own),
        took_s=process.took_s,
        how=process.end.ending.name.lower()
        if process.end.status is None
        else str(process.end.status),
    )
