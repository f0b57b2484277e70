"""A fleet in virtual time: many agents, each the real main job, before one account's cloud.

Real are the main job, the client with its retries and waits, the follower, and the simulated ECS
with its throttle. Twins stand in for the kernel, the journal, the locks, the wire and the threads.
"""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ecs_simulator.api import Api
from ecs_simulator.authenticate import ApiRequest, Authenticator
from ecs_simulator.cloud import Cloud
from ecs_simulator.config import (
    ALLOW_ALL,
    DiskConfig,
    InstanceConfig,
    LifeTimes,
    SimulatorConfig,
)
from ecs_simulator.faults import REALISTIC_S, Throttle
from ecs_simulator.keys import Principal
from ecs_simulator.ports import NoStorage
from ecs_simulator.state import State
from fakes.filesystems import FakeFilesystems
from fakes.inhibitor import FakeInhibitor
from fakes.journal import FakeJournal
from fakes.lock import FakeLock
from fakes.machine_builder import MachineBuilder
from fakes.rpc import KEYS
from fakes.virtual_time import START, VirtualClock, VirtualProcess, VirtualTime, virtual_pools
from snap_self.changes.policy import Outcome, outcome_of
from snap_self.cli.boundary import Interrupted
from snap_self.cloud.client import EcsClient
from snap_self.cloud.rpc import judge
from snap_self.model.ids import DiskId, InstanceId, RegionId, RunId
from snap_self.model.job_end import Ending, JobEnd
from snap_self.model.machine import MachineText
from snap_self.model.report import UploadWatch
from snap_self.model.request import Request
from snap_self.model.snapshots import Credentials, Identity, WaitFor
from snap_self.system.disks.recorded import RecordedMachine
from snap_self.system.managers.job import GRACE_S, KILL_WAIT_S
from snap_self.system.net.sdk import RawAnswer
from snap_self.usecases.before_change import WAIT_SPARE_S
from snap_self.usecases.follow import Watching, follow
from snap_self.usecases.gate import Gate
from snap_self.usecases.snapshot import take_snapshot
from snap_self.usecases.tools import Process, Tools

HOST = "ecs.cn-hangzhou.aliyuncs.com"
REGION = RegionId("cn-hangzhou")
# A cut takes about a second, an upload from a quarter of an hour to an hour and a half.
LIFE = LifeTimes(visible_lag_s=0.2, cut_s=1.5, available_s=1.5, member_lag_s=0.15)
UPLOAD_S = (900.0, 5400.0)
# An interpreter's start with the agent's imports, on a busy machine; a read of the metadata.
START_UP_S = (0.6, 1.4)
FOLLOWER_START_S = 0.8
METADATA_S = 0.03
# How much longer or shorter a call takes than usual.
JITTER = (0.8, 1.4)
# How long a follower watches a run, and a package manager's hook is content with an earlier set.
FOLLOW_LIMIT_S = 21600.0
REUSE_S = 1800.0
BEFORE = "apt: upgrade libc6"
EARLY_S = 600.0
TOLD_MADE = frozenset({Outcome.MADE, Outcome.MADE_LESS})


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What a fleet does, and on what terms.

    Args:
        spread_s: the hooks are called at random instants of so long.
        quota: calls per minute and action in the whole account; None for no limit.
        limit_s: how long a package manager waits for its hook.
        followers: uploads are watched to their end.
    """

    agents: int
    spread_s: float
    quota: int | None
    limit_s: float = 60.0
    followers: bool = False
    disks: int = 1
    seed: int = 1

    @property
    def wait_s(self) -> int:
        """Return how long the main job waits for the cut: it ends by itself before the limit."""
        return max(1, int(self.limit_s) - WAIT_SPARE_S)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fate:
    """What came of one agent's hook.

    Args:
        made: the package manager was told of a snapshot within the limit.
        sets: how many snapshot sets the cloud made for it.
        calls, refused: of the hook and its follower, until the simulation's end.
        early: calls in the ten minutes from the fleet's begin.
        how: its process's exit status, or how it ended.
    """

    made: bool
    sets: int
    calls: int
    refused: int
    early: int
    took_s: float
    how: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """What came of a fleet."""

    fates: tuple[Fate, ...]

    @property
    def made(self) -> int:
        """Return how many were told of a snapshot within their limit."""
        return sum(fate.made for fate in self.fates)

    @property
    def sets(self) -> int:
        """Return for how many a set exists."""
        return sum(bool(fate.sets) for fate in self.fates)

    @property
    def hidden(self) -> int:
        """Return how many were told of no snapshot although there is a set."""
        return sum(bool(fate.sets) and not fate.made for fate in self.fates)

    @property
    def doubles(self) -> int:
        """Return for how many there is more than one set."""
        return sum(fate.sets > 1 for fate in self.fates)

    @property
    def calls(self) -> float:
        """Return the calls per agent."""
        return sum(fate.calls for fate in self.fates) / len(self.fates)

    @property
    def refused(self) -> float:
        """Return the refused calls per agent."""
        return sum(fate.refused for fate in self.fates) / len(self.fates)

    @property
    def early(self) -> float:
        """Return the calls per agent in the first ten minutes."""
        return sum(fate.early for fate in self.fates) / len(self.fates)

    @property
    def longest_s(self) -> float:
        """Return how long the slowest of those took that were told of a snapshot."""
        return max((fate.took_s for fate in self.fates if fate.made), default=0.0)

    @property
    def ends(self) -> Counter[str]:
        """Return how often the hooks' processes ended in which way."""
        return Counter(fate.how for fate in self.fates)


def simulate(scene: Scene) -> Tally:
    """Have a fleet do what the scene says, until everybody has come to an end."""
    time = VirtualTime()
    fleet = [FleetAgent(number, scene, time) for number in range(scene.agents)]
    cloud = FleetCloud(scene, time, [agent.instance for agent in fleet])
    chance = random.Random(scene.seed)
    with virtual_pools(time):
        for agent in fleet:
            agent.begin(chance.uniform(0.0, scene.spread_s), cloud)
        time.run()
    return Tally(fates=tuple(agent.fate() for agent in fleet))


class _CloudClock:
    """The virtual time as the simulated cloud reads it."""

    def __init__(self, time: VirtualTime) -> None:
        self._time = time

    def now(self) -> float:
        """Return seconds since 1970."""
        return START.timestamp() + self._time.now_s

    def monotonic(self) -> float:
        """Return the virtual seconds."""
        return self._time.now_s


class _Trusting(Authenticator):
    """Takes every caller for the account's owner: signing costs more than the rest of a call."""

    def identify(self, request: ApiRequest) -> Principal:
        """Return the owner."""
        return Principal(account_id="1", kind="SubUser", name="owner", policies=(ALLOW_ALL,))


class FleetCloud:
    """One account's simulated ECS without sockets, whose snapshots are cut in virtual time."""

    def __init__(self, scene: Scene, time: VirtualTime, instances: list[InstanceConfig]) -> None:
        config = SimulatorConfig(instances=tuple(instances), life=LIFE, seed=scene.seed)
        clock = _CloudClock(time)
        self._time = time
        self._cloud = Cloud(config=config, clock=clock, storage=NoStorage())
        self._api = Api(self._cloud, stopping=threading.Event())
        self._api.authenticator = _Trusting(keys=self._cloud.keys, clock=clock, window_s=900.0)
        if scene.quota is not None:
            self._api.throttles.set([Throttle(limit=scene.quota, code="Throttling.User")])

    def answer(self, action: str, params: Mapping[str, str]) -> RawAnswer:
        """Answer a call at once."""
        asked = {**params, "Action": action, "Version": "2014-05-26", "Format": "JSON"}
        request = ApiRequest(
            method="GET", path="/", query=asked, params=asked, headers={"host": HOST}, body=b""
        )
        reply = self._api.answer(request)
        if action.startswith("Create"):
            self._time.at(self._time.now_s + LIFE.cut_s, self._cloud.agenda.run_due)
        return RawAnswer(status=reply.status, body=reply.body, headers=reply.headers)

    def sets(self, disk_ids: Sequence[DiskId]) -> int:
        """Return how many sets there are of these disks: groups, and snapshots outside of one."""
        return sets_of(self._cloud.state, disk_ids)


def sets_of(state: State, disk_ids: Sequence[str]) -> int:
    """Return how many sets a cloud has of these disks: groups, and snapshots outside of one."""
    shots = [shot for disk_id in disk_ids for shot in state.snapshots_of(disk_id)]
    return len({shot.group_id or shot.snapshot_id for shot in shots})


class FleetRpc:
    """One agent's way to the cloud: calls take their time, and are counted."""

    def __init__(self, cloud: FleetCloud, time: VirtualTime, chance: random.Random) -> None:
        self._cloud = cloud
        self._time = time
        self._chance = chance
        self.calls: list[tuple[float, str]] = []
        self.refused = 0

    def call(
        self, action: str, params: Mapping[str, str], *, timeout_s: float, credentials: Credentials
    ) -> Mapping[str, Any]:
        """Return the answer; half of the time goes by before it is made, and half after."""
        whole_s = REALISTIC_S.get(action, REALISTIC_S["*"]) * self._chance.uniform(*JITTER)
        self._time.sleep(whole_s / 2)
        self.calls.append((self._time.now_s, action))
        answer = self._cloud.answer(action, params)
        self.refused += answer.status != 200
        self._time.sleep(whole_s / 2)
        return judge(answer, host=HOST, credentials=credentials)


@dataclass(slots=True)
class _Hook:
    """One call of the hook."""

    began_s: float
    ended_s: float = 0.0
    end: JobEnd | None = None


class FleetAgent:
    """One instance with its agent."""

    def __init__(self, number: int, scene: Scene, time: VirtualTime) -> None:
        self._number = number
        self._scene = scene
        self._time = time
        self._clock = VirtualClock(time)
        self._chance = random.Random(f"{scene.seed}/{number}")
        self.serials = [f"bp1fleet{number:08d}{place:04d}" for place in range(scene.disks)]
        self.disks = [DiskId(f"d-{serial}") for serial in self.serials]
        upload = replace(LIFE, accomplished_s=self._chance.uniform(*UPLOAD_S))
        self.instance = InstanceConfig(
            instance_id=f"i-bp1fleet{number:012d}",
            disks=tuple(DiskConfig(disk_id=disk_id, life=upload) for disk_id in self.disks),
        )
        self._runs = 0
        self._following = False

    def begin(self, at_s: float, cloud: FleetCloud) -> None:
        """Have its hook be called then."""
        self._cloud = cloud
        self._rpc = FleetRpc(cloud, self._time, self._chance)
        self._tools = self._wired()
        self._hook = _Hook(began_s=at_s)
        process = VirtualProcess(self._time)
        self._time.at(at_s, lambda: process.run(self._main_job))
        soft_s = at_s + self._scene.limit_s - KILL_WAIT_S - GRACE_S
        self._time.at(soft_s, lambda: process.interrupt(Interrupted(15)))

    def fate(self) -> Fate:
        """Return what came of it."""
        end = self._hook.end or JobEnd(Ending.KILLED)
        return Fate(
            made=outcome_of(end) in TOLD_MADE,
            sets=self._cloud.sets(self.disks),
            calls=len(self._rpc.calls),
            refused=self._rpc.refused,
            early=sum(at_s < EARLY_S for at_s, _ in self._rpc.calls),
            took_s=self._hook.ended_s - self._hook.began_s,
            how=end.ending.name.lower() if end.status is None else str(end.status),
        )

    def _main_job(self) -> None:
        """Do what the process of a hook does, and note how it ended."""
        request = Request(
            before=BEFORE,
            wait=WaitFor.CUT,
            timeout_s=self._scene.wait_s,
            reuse_s=REUSE_S,
            waited_for=True,
        )
        try:
            self._time.sleep(self._chance.uniform(*START_UP_S))
            report = take_snapshot(request, self._tools)
            end = JobEnd(Ending.EXITED, status=int(report.exit_status))
        except Interrupted:
            end = JobEnd(Ending.TIMED_OUT)
        self._hook.end, self._hook.ended_s = end, self._time.now_s

    def _wired(self) -> Tools:
        return Tools(
            clock=self._clock,
            machine=RecordedMachine(machine(self.serials)),
            filesystems=FakeFilesystems(),
            store=FakeJournal(),
            lock=FakeLock(self._clock),
            process=Process(pid=1, boot_id="boot"),
            identify=self._identify,
            connect=self._connect,
            warm=lambda: None,
            new_run_id=self._new_run_id,
            busy=lambda: "",
            end_stale_freeze=lambda: "",
            gate=Gate(lambda _event: None),
            user_map={},
            start_follower=self._start_follower,
            random=self._chance.random,
        )

    def _identify(self) -> Identity:
        self._time.sleep(METADATA_S)
        return Identity(
            instance_id=InstanceId(self.instance.instance_id),
            region=REGION,
            zone="cn-hangzhou-i",
            account="1",
            instance_type="ecs.g7.large",
            serial_to_disk=dict(zip(self.serials, self.disks, strict=True)),
            source="metadata",
            mode="token",
        )

    def _connect(self, identity: Identity) -> EcsClient:
        return EcsClient(
            self._rpc,
            region=identity.region,
            credentials=lambda _force: KEYS,
            clock=self._clock,
            random=self._chance.random,
        )

    def _new_run_id(self) -> RunId:
        self._runs += 1
        return RunId(f"20261128t030000z-{self._number:05}{self._runs}")

    def _start_follower(self, run_id: RunId) -> UploadWatch:
        del run_id
        if self._scene.followers and not self._following:
            self._following = True
            process = VirtualProcess(self._time)
            self._time.at(self._time.now_s + FOLLOWER_START_S, lambda: process.run(self._follow))
        return UploadWatch(held=self._following, until=None, why="")

    def _follow(self) -> None:
        watching = Watching(
            inhibitor=FakeInhibitor(), lock=FakeLock(self._clock), limit_s=FOLLOW_LIMIT_S
        )
        follow(self._tools, watching)
        self._following = False


def machine(serials: Sequence[str]) -> MachineText:
    """Return a machine with a system disk (ext4) and maybe data disks (xfs)."""
    builder = MachineBuilder()
    builder.pseudo()
    names = [f"vd{chr(ord('a') + place)}" for place in range(len(serials))]
    for name, serial in zip(names, serials, strict=True):
        builder.virtio(name, 40, serial)
    root = builder.partition("vda", 1, 39)
    builder.mount("/", "ext4", f"/dev/{root}", device=root)
    for name in names[1:]:
        builder.mount(f"/srv/{name}", "xfs", f"/dev/{name}", device=name)
    return builder.text()
