"""A hold and everything around it in memory; one log tells what was done in which order."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fakes.applications import SERVER
from fakes.builders import cloud_disk
from fakes.clock import FakeClock
from fakes.freezing import (
    FakeBoot,
    FakeFreezeCalls,
    FakeLink,
    FakeMarkers,
    FakeOpener,
    FakeStarter,
    filesystem,
)
from fakes.rpc import KEYS, FakeRpc
from snap_self.cloud.client import EcsClient
from snap_self.errors import QuiesceFailed
from snap_self.model.disks import Coverage, Filesystem, Target, Unseen
from snap_self.model.freezing import FreezeFacts
from snap_self.model.ids import DiskId, InstanceId, RegionId, RunId
from snap_self.model.progress import Event, EventKind
from snap_self.model.run import OrderRecord
from snap_self.model.servers import RestedServer
from snap_self.model.snapshots import Consistency, SnapshotOrder
from snap_self.ports import OpenedMount
from snap_self.quiesce.freeze.order import FreezeOrder
from snap_self.quiesce.freeze.session import FreezeLimits, FreezePorts
from snap_self.quiesce.freeze.wire import Cause, Kind, Message, Readiness
from snap_self.usecases.gate import Gate
from snap_self.usecases.hold_tools import HoldTools
from snap_self.usecases.job.create import Made
from snap_self.usecases.job.held_create import Cut, HeldCalls
from snap_self.usecases.job.hold import Hold, Outcome

NS = 10**9
NOW_NS = 1000 * NS  # the fake clock's
READY = Message(Kind.READY, number=Readiness.MEMORY_LOCKED | Readiness.OOM_EXEMPT, first=502)
SYNCED = Message(Kind.SYNCED, first=NOW_NS, second=NOW_NS)
HELD = (
    SYNCED,
    Message(Kind.FROZEN, index=0, first=NOW_NS, second=NOW_NS + 500),
    Message(Kind.HELD),
)
DATA = filesystem("/data", key="8:1")
MADE = {"RequestId": "R", "SnapshotId": "s-1"}
INSTANCES: Mapping[str, Any] = {"Instances": {"Instance": []}}
CUT: Mapping[str, Any] = {
    "Snapshots": {
        "Snapshot": [
            {
                "SnapshotId": "s-1",
                "SourceDiskId": "d-1",
                "Status": "progressing",
                "CreationTime": "2026-11-22T08:32:25Z",
            }
        ]
    }
}
ORDER = OrderRecord(
    order=SnapshotOrder(
        disk_ids=(DiskId("d-1"),),
        grouped=False,
        name="n",
        description="d",
        tags={},
        retention_days=None,
        client_token="token",
    ),
    sent=True,
)


def coverage(*filesystems: Filesystem, unseen: Sequence[Unseen] = ()) -> Coverage:
    """Return what one disk carries."""
    target = Target(cloud=cloud_disk(1), local=None, how="", filesystems=filesystems, why="")
    return Coverage(
        targets=(target,), skipped=(), spans=(), torn=(), not_covered=(), unseen=tuple(unseen)
    )


@dataclass
class App:
    """Notes what is done to it.

    Args:
        fails: it does not come to rest.
        moved: why it did not stay at rest; empty if it did.
        release: what goes wrong with its release.
        on_start, on_stop: called when it is brought to rest and released.
    """

    log: list[str]
    fails: bool = False
    release: str = ""
    name: str = "app"
    moved: str = ""
    is_server: bool = False
    on_start: Callable[[float], None] = lambda _deadline: None
    on_stop: Callable[[], None] = lambda: None

    def start(self, *, deadline: float) -> None:
        self.log.append("rest")
        self.on_start(deadline)
        if self.fails:
            raise QuiesceFailed(f"{self.name}: will not")

    def check(self) -> str:
        return self.moved

    def stop(self) -> str:
        self.log.append("release")
        self.on_stop()
        return self.release


@dataclass
class Apps:
    """Everything to be brought to rest."""

    log: list[str]
    quiescers: Sequence[App]
    notes: Sequence[str] = ()
    doubts: Sequence[str] = ()
    printed: Sequence[str] = ()
    given: Mapping[str, str] = field(default_factory=dict)

    @property
    def servers(self) -> Sequence[RestedServer | None]:
        return [SERVER if each.is_server else None for each in self.quiescers]

    def say_cut(self) -> None:
        self.log.append("say cut")

    def outputs(self) -> Sequence[str]:
        return self.printed

    def kept(self) -> Mapping[str, str]:
        return self.given if "release" in self.log else {}

    def close(self) -> None:
        self.log.append("close")


class NotingLink(FakeLink):
    """Notes freeze and thaw among the rest.

    Args:
        on_thaw: called when the thaw is asked for.
    """

    def __init__(
        self,
        log: list[str],
        script: Mapping[Kind, Sequence[Message | bytes]],
        on_thaw: Callable[[], None],
    ) -> None:
        super().__init__(script)
        self._log = log
        self._on_thaw = on_thaw

    def send(self, data: bytes) -> bool:
        done = super().send(data)
        kind = self.sent[-1].kind
        self._log.append(kind.name.lower())
        if kind is Kind.THAW:
            self._on_thaw()
        return done


class NotingCalls(HeldCalls):
    """Notes how long the cut may take, in seconds."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self.limits: list[float] = []

    def cut(self, limit_s: float) -> Cut:
        self.limits.append(limit_s)
        return super().cut(limit_s)


@dataclass
class Stage:
    """A hold and everything around it.

    Args:
        create: the outcomes of the create calls; one that can be called gives the outcome.
        describe: what is seen of the snapshots.
        warm: what the look at the instance brings.
        freezing: what the guardian tells when it is asked to freeze.
        thawed: when the thaw began and ended, in nanoseconds.
        on_thaw: called when the thaw is asked for.
        data: what the disk carries, together with ``beside``.
        later: what it carries once applications are at rest; None for the same and ``late``.
        unseen: what is alive on it and mounted nowhere.
    """

    create: list[Any] = field(default_factory=lambda: [MADE])
    describe: Any = field(default_factory=lambda: CUT)
    warm: Any = field(default_factory=lambda: INSTANCES)
    app: Callable[[list[str]], App] | None = App
    second_app: Callable[[list[str]], App] | None = None
    notes: Sequence[str] = ()
    doubts: Sequence[str] = ()
    printed: Sequence[str] = ()
    given: Mapping[str, str] = field(default_factory=dict)
    ready: Message = READY
    freezing: Sequence[Message | bytes] = HELD
    cause: Cause = Cause.ASKED
    thaw_errno: int = 0
    thawed: tuple[int, int] = (NOW_NS + NS, NOW_NS + NS + 700)
    on_thaw: Callable[[], None] = lambda: None
    hold_s: float = 10
    facts: FreezeFacts = field(default_factory=lambda: FreezeFacts(release="6.12.0"))
    unread: Sequence[str] = ()
    strict: bool = False
    data: Sequence[Filesystem] = (DATA,)
    beside: Sequence[Filesystem] = ()
    unseen: Sequence[Unseen] = ()
    late: Sequence[Filesystem] = ()
    later: Sequence[Filesystem] | None = None
    orders: Sequence[OrderRecord] = (ORDER,)
    asked: Consistency = Consistency.APPLICATION
    log: list[str] = field(default_factory=list)
    renewed: list[float] = field(default_factory=list)
    found_for: list[tuple[RunId, Coverage, bool]] = field(default_factory=list)
    judged: list[FreezeOrder] = field(default_factory=list)
    sent_again: list[Sequence[OrderRecord]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.clock = FakeClock()
        self.gate = Gate(lambda event: self.log.append(f"told {event.text}"))
        self.markers = FakeMarkers()
        refuse = {101: self.thaw_errno} if self.thaw_errno else {}
        self.freeze_calls = FakeFreezeCalls(frozen=(101,), thaw_refuse=refuse)
        client = EcsClient(
            FakeRpc(answering=self._answer),
            region=RegionId("cn-hangzhou"),
            credentials=lambda _force: KEYS,
            clock=self.clock,
            random=lambda: 0.5,
            on_retry=lambda text: self.gate(Event(kind=EventKind.RETRY, text=text)),
        )
        self.calls = NotingCalls(
            client,
            self.clock,
            lambda _event: None,
            instance_id=InstanceId("i-1"),
            orders=self.orders,
            send_again=self._send_again,
        )

    def run(self) -> Outcome:
        """Hold, and return the outcome."""
        hold = Hold(
            self._tools(),
            self.clock,
            self.gate,
            asked=self.asked,
            strict=self.strict,
            look=self._look,
        )
        return hold.run(RunId("run-1"), self.coverage(), self.calls)

    def coverage(self) -> Coverage:
        """Return what is on the disk before anything comes to rest."""
        return coverage(*self.data, *self.beside, unseen=self.unseen)

    def _tools(self) -> HoldTools:
        return HoldTools(
            ports=self._ports(),
            limits=FreezeLimits(hold_s=self.hold_s, sync_s=30),
            facts=self._facts,
            applications=self._applications,
            renew=self._renew,
            applications_limit_s=60,
        )

    def _ports(self) -> FreezePorts:
        opened = OpenedMount(
            fd=101,
            mount_id=DATA.mounts[0].mount_id,
            device=50,
            listed_device=DATA.key,
            listed_path="/data",
        )
        done = Message(Kind.DONE, cause=self.cause)
        first, second = self.thawed
        thawed = Message(Kind.THAWED, number=self.thaw_errno, first=first, second=second)
        script = {
            Kind.FREEZE: self.freezing,
            Kind.THAW: (thawed, done, b""),
        }
        link = NotingLink(self.log, script, self.on_thaw)
        return FreezePorts(
            opener=FakeOpener({"/data": opened}),
            starter=FakeStarter(link, ready=self.ready),
            markers=self.markers,
            calls=self.freeze_calls,
            boot=FakeBoot(living={501: 11, 502: 12}),
            clock=self.clock,
        )

    def _facts(self, order: FreezeOrder) -> tuple[FreezeFacts, Sequence[str]]:
        self.judged.append(order)
        return self.facts, self.unread

    def _applications(self, run_id: RunId, found: Coverage, one_cut: bool) -> Apps:
        self.found_for.append((run_id, found, one_cut))
        return Apps(
            self.log,
            tuple(make(self.log) for make in (self.app, self.second_app) if make),
            notes=self.notes,
            doubts=self.doubts,
            printed=self.printed,
            given=self.given,
        )

    def _renew(self, life_s: float) -> None:
        self.log.append("renew")
        self.renewed.append(life_s)

    def _look(self, *, everything: bool) -> Coverage:
        if everything:
            self.log.append("flush all")
        now = (*self.data, *self.beside, *self.late) if self.later is None else self.later
        return coverage(*now, unseen=self.unseen)

    def _answer(self, action: str, _params: Mapping[str, str]) -> Any:
        if action == "DescribeInstances":
            return self.warm
        if action == "DescribeSnapshots":
            return self.describe
        self.log.append("create")
        outcome = self.create.pop(0)
        return outcome() if callable(outcome) else outcome

    def _send_again(self, orders: Sequence[OrderRecord]) -> Made:
        self.log.append("again")
        self.sent_again.append(orders)
        return Made(records=tuple(orders), errors=())
