"""The main job with filesystems frozen: a cloud on loop disks, probing writers, hooks, an agent.

The agent runs in a mount namespace in which ``/run/snap-self`` is a directory of the test's own:
another agent on this machine, which ends every stale freeze it finds a marker of, cannot interfere.
Mounts and unmounts outside still reach it.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from freeze_rig import Disk, Rig, guard, rig
from hook_rig import HookRig
from main_job_rig import Cloud, records, wait_until

from agent_runner import AgentResult, AgentRunner, RunningAgent
from fixtures_simulator import simulator_running

LIMIT_S = 3
IN_TIME_S = LIMIT_S + 1.0
TIMER_S = 25
RUN = Path("/run/snap-self")
OWN_RUN = 'mkdir -p -m 700 /run/snap-self && mount --bind "$0" /run/snap-self && exec "$@"'


@dataclass
class Probe:
    """Makes a file in a folder again and again, and knows how long that was ever blocked."""

    folder: Path
    longest_s: float = 0.0
    since: float = 0.0
    _end: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """Write until told to end."""
        path = self.folder / "probe"
        while not self._end.wait(0.005):
            self.since = time.monotonic()
            with contextlib.suppress(OSError):  # a full disk answers, and does not block
                path.write_bytes(b"x")
            self.longest_s = max(self.longest_s, time.monotonic() - self.since)
            self.since = 0.0

    def blocked(self) -> bool:
        """Tell whether it is blocked at this moment."""
        since = self.since
        return bool(since) and time.monotonic() - since > 0.15

    def end(self) -> None:
        """Have it end."""
        self._end.set()


@dataclass
class Machine:
    """A cloud, its disks, and what keeps them safe."""

    cloud: Cloud
    loops: Rig
    mounts: Mapping[str, Path]

    def arm(self) -> None:
        """Arm the outside timer anew."""
        self.loops.arm(TIMER_S)


@contextlib.contextmanager
def machine(
    folder: Path, *fstypes: str, category: str = "cloud_essd", size_gib: int = 1
) -> Iterator[Machine]:
    """Run a cloud with a mounted loop disk of each type."""
    base = folder / "rig"
    base.mkdir()
    RUN.mkdir(mode=0o700, exist_ok=True)
    names = [f"{number}-{fs}" for number, fs in enumerate(fstypes)]
    disks: list[str] = []
    for name, fs in zip(names, fstypes, strict=True):
        mount = folder / "mounts" / name
        disks += ["--disk", f"size={size_gib},category={category},fs={fs},mount={mount}"]
    with (
        simulator_running("--storage", "loop", "--no-https", *disks) as process,
        rig(base) as loops,
    ):
        mounts = {name: Path(disk.mount) for name, disk in zip(names, process.disks, strict=True)}
        for disk in process.disks:
            guard(disk.mount)
            loops.disks.append(Disk(Path(disk.mount), disk.device, Path(disk.image)))
        try:
            first, last = next(iter(mounts.values())), list(mounts.values())[-1]
            yield Machine(Cloud(process, first, last), loops, mounts)
        finally:
            loops.thaw_all()
            loops.disks.clear()  # the simulator's to unmount


@dataclass
class Scene:
    """One agent on one machine, with probes on its disks and a hook."""

    agent: AgentRunner
    machine: Machine
    hooks: HookRig
    before: str
    probes: list[Probe]

    @property
    def cloud(self) -> Cloud:
        """Return the cloud."""
        return self.machine.cloud

    @property
    def marker(self) -> Path:
        """Return where the marker of a freeze is."""
        return self.machine.loops.marker

    def job(self, *options: str, level: str = "application") -> tuple[str, ...]:
        """Return the main job's arguments."""
        return ("--before", self.before, "--consistency", level, "--json", *options)

    def start(self, *options: str, level: str = "application") -> RunningAgent:
        """Start the main job."""
        return self.agent.start(*self.job(*options, level=level))

    def run(self, *options: str, level: str = "application") -> AgentResult:
        """Do the main job."""
        return self.agent.run(*self.job(*options, level=level))

    def hang(self, action: str, **more: object) -> None:
        """Have a call hang, the first one that comes while frozen."""
        self.cloud.fault("hang", action, **more)

    def wait_frozen(self, running: RunningAgent) -> None:
        """Return when a probe is blocked and the marker is there."""
        wait_until(
            lambda: (
                running.process.poll() is not None
                or (self.marker.exists() and any(probe.blocked() for probe in self.probes))
            ),
            "a frozen filesystem",
            lambda: running.err,
        )
        assert running.process.poll() is None, running.err + running.out

    def wait_asked(self, running: RunningAgent) -> None:
        """Return when the create call has been sent while everything is frozen."""
        self.wait_frozen(running)
        wait_until(
            lambda: "CreateSnapshotGroup" in self.cloud.calls(),
            "the create call",
            lambda: running.err,
        )

    def wait_thawed(self) -> None:
        """Return when everything is writable and the marker gone; the test judges the time."""
        wait_until(
            lambda: not self.marker.exists() and not any(p.blocked() for p in self.probes), "thaw"
        )

    def wait_guardians_ended(self, marker: str) -> None:
        """Return when the processes that a marker names have ended; until then they may tidy up."""
        pids = [each["pid"] for each in json.loads(marker)["processes"]]
        wait_until(lambda: all(_ended(pid) for pid in pids), "the guardians' end")

    def guardians(self) -> list[int]:
        """Return the processes that the marker names: guardian and understudy."""
        marker = json.loads(self.marker.read_text(encoding="utf-8"))
        return [each["pid"] for each in marker["processes"]]

    def writable_in_time(self) -> None:
        """Hold the run to it: nothing was blocked longer than the limit and a second."""
        assert not self.marker.exists()
        for probe in self.probes:
            assert not probe.blocked()
            assert probe.longest_s <= IN_TIME_S, probe

    def was_frozen(self) -> bool:
        """Tell whether every probe was blocked for a while."""
        return all(probe.longest_s > 0.15 for probe in self.probes)

    def noted(self) -> list[str]:
        """Return what the hook noted: phases and results."""
        return [line.partition(" ")[2] for line in self.hooks.noted()]

    def tags(self, result: AgentResult) -> set[str]:
        """Return the level that the tags of the run's snapshots show, or those of their group."""
        state = self.cloud.state()
        shots = [state["snapshots"][each["snapshot_id"]] for each in result.json["snapshots"]]
        groups = {shot["group_id"]: state["groups"].get(shot["group_id"], {}) for shot in shots}
        return {
            (groups[shot["group_id"]].get("tags", {}) | shot["tags"])["snap-self-consistency"]
            for shot in shots
        }

    def last_record(self) -> dict[str, Any]:
        """Return the newest record of the journal."""
        return max(records(self.agent), key=lambda record: record["started"])


def level_of(result: AgentResult) -> str:
    """Return the level that a run says it reached."""
    return str(result.json["consistency"]["reached"])


@contextlib.contextmanager
def scene(
    agent: AgentRunner,
    on: Machine,
    name: str,
    *,
    body: str = ":",
    phase: str = "pre",
    state: Path | None = None,
) -> Iterator[Scene]:
    """Give an agent on this machine; whatever happens, everything is thawed in the end."""
    on.cloud.calm()
    hooks = HookRig()
    hooks.hook("10-app", body, phase=phase)
    runner = agent.against(on.cloud).with_env(
        SNAP_SELF_FREEZE_LIMIT=f"{LIMIT_S}s",
        SNAP_SELF_HOOKS_DIR=str(hooks.folder),
        SNAP_SELF_HOOKS_TIMEOUT="2s",
        **({"SNAP_SELF_STATE_DIR": str(state)} if state else {}),
    )
    unshare = ("unshare", "--mount", "--propagation", "slave")
    runner = runner.with_wrapper(*unshare, "sh", "-c", OWN_RUN, str(on.loops.markers))
    probes = [Probe(mount) for mount in on.mounts.values()]
    threads = [threading.Thread(target=probe.run) for probe in probes]
    on.arm()
    for thread in threads:
        thread.start()
    try:
        yield Scene(runner, on, hooks, name[:100], probes)
    finally:
        on.loops.thaw_all()
        for probe in probes:
            probe.end()
        for thread in threads:
            thread.join(10)
        on.loops.thaw_all()
        on.loops.disarm()
        on.loops.marker.unlink(missing_ok=True)
        hooks.close()
        on.cloud.calm()


def _ended(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except (FileNotFoundError, ProcessLookupError):
        return True
    return stat.rpartition(")")[2].split()[0] == "Z"
