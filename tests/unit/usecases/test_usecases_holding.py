"""A hold around the create call: what is done in which order, and what it is worth."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

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
from fakes.rpc import KEYS, FakeRpc, no_answer, refusal
from snap_self.cloud.answers import snapshots
from snap_self.cloud.client import EcsClient
from snap_self.errors import CloudThrottled, DiskNotReady, PreconditionRefused, QuiesceFailed
from snap_self.model.disks import Coverage, Target
from snap_self.model.freezing import FreezeFacts, OwnPlace
from snap_self.model.ids import DiskId, InstanceId, RegionId, RunId
from snap_self.model.progress import Event, EventKind
from snap_self.model.run import OrderRecord
from snap_self.model.snapshots import Consistency, SnapshotOrder
from snap_self.ports import OpenedMount
from snap_self.quiesce.freeze import FreezeLimits, FreezePorts
from snap_self.quiesce.wire import Cause, Kind, Message, Readiness
from snap_self.usecases.cutting import Cut, HeldCalls
from snap_self.usecases.gate import Gate
from snap_self.usecases.holding import Hold, HoldTools, Outcome
from snap_self.usecases.making import Made
from snap_self.usecases.waiting import Settled

NS = 10**9
NOW_NS = 1000 * NS  # the fake clock's
READY = Message(Kind.READY, number=Readiness.MEMORY_LOCKED | Readiness.OOM_EXEMPT, first=502)
HELD = (
    Message(Kind.SYNCED, first=NOW_NS, second=NOW_NS),
    Message(Kind.FROZEN, index=0, first=NOW_NS, second=NOW_NS + 500),
    Message(Kind.HELD),
)
THAWED = Message(Kind.THAWED, index=0, number=0, first=NOW_NS + NS, second=NOW_NS + NS + 700)
DATA = filesystem("/data", key="8:1")
MADE = {"RequestId": "R", "SnapshotId": "s-1"}
INSTANCES = {"Instances": {"Instance": []}}
CUT = {
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


@dataclass
class App:
    """Notes what is done to it."""

    log: list[str]
    fails: bool = False
    release: str = ""
    name: str = "app"

    def start(self, *, deadline: float) -> None:
        self.log.append("rest")
        if self.fails:
            raise QuiesceFailed("app: will not")

    def check(self) -> str:
        return ""

    def stop(self) -> str:
        self.log.append("release")
        return self.release


@dataclass
class Apps:
    """Everything to be brought to rest."""

    log: list[str]
    quiescers: Sequence[App]
    notes: Sequence[str] = ()
    doubts: Sequence[str] = ()

    def say_cut(self) -> None:
        self.log.append("say cut")

    def outputs(self) -> Sequence[str]:
        return ()

    def kept(self) -> Mapping[str, str]:
        return {}

    def close(self) -> None:
        self.log.append("close")


class NotingLink(FakeLink):
    """Notes freeze and thaw among the rest."""

    def __init__(self, log: list[str], thaw: Sequence[Message | bytes]) -> None:
        super().__init__({Kind.FREEZE: HELD, Kind.THAW: thaw})
        self._log = log

    def send(self, data: bytes) -> bool:
        done = super().send(data)
        self._log.append(self.sent[-1].kind.name.lower())
        return done


@dataclass
class Stage:
    """A hold and everything around it; ``create`` gives the create calls' outcomes."""

    create: list[Any] = field(default_factory=lambda: [MADE])
    describe: Any = field(default_factory=lambda: CUT)
    warm: Any = field(default_factory=lambda: INSTANCES)
    app: Callable[[list[str]], App] | None = App
    cause: Cause = Cause.ASKED
    facts: FreezeFacts = field(default_factory=lambda: FreezeFacts(release="6.12.0"))
    strict: bool = False
    doubts: Sequence[str] = ()
    asked: Consistency = Consistency.APPLICATION
    log: list[str] = field(default_factory=list)
    told: list[str] = field(default_factory=list)

    def run(self) -> Outcome:
        """Hold, and return the outcome."""
        clock = FakeClock()
        gate = Gate(lambda event: self.log.append(f"told {event.text}"))
        client = EcsClient(
            FakeRpc(answering=self._answer),
            region=RegionId("cn-hangzhou"),
            credentials=lambda _force: KEYS,
            clock=clock,
            random=lambda: 0.5,
            on_retry=lambda text: gate(Event(kind=EventKind.RETRY, text=text)),
        )
        calls = HeldCalls(
            client,
            clock,
            lambda _event: None,
            instance_id=InstanceId("i-1"),
            orders=(ORDER,),
            send_again=self._send_again,
        )
        hold = Hold(self._tools(clock), clock, gate, asked=self.asked, strict=self.strict)
        return hold.run(RunId("run-1"), coverage(), calls)

    def _tools(self, clock: FakeClock) -> HoldTools:
        opened = OpenedMount(
            fd=101,
            mount_id=DATA.mounts[0].mount_id,
            device=50,
            listed_device=DATA.key,
            listed_path="/data",
        )
        done = Message(Kind.DONE, cause=self.cause)
        link = NotingLink(self.log, (THAWED, done, b""))
        return HoldTools(
            ports=FreezePorts(
                opener=FakeOpener({"/data": opened}),
                starter=FakeStarter(link, ready=READY),
                markers=FakeMarkers(),
                calls=FakeFreezeCalls(frozen=(101,)),
                boot=FakeBoot(living={501: 11, 502: 12}),
                clock=clock,
            ),
            limits=FreezeLimits(hold_s=10, sync_s=30),
            facts=lambda _order: (self.facts, ()),
            applications=lambda _run, _coverage, _one: Apps(
                self.log, (self.app(self.log),) if self.app else (), doubts=self.doubts
            ),
            renew=lambda _life: self.log.append("renew"),
            applications_limit_s=60,
        )

    def _answer(self, action: str, _params: Mapping[str, str]) -> Any:
        if action == "DescribeInstances":
            return self.warm
        if action == "DescribeSnapshots":
            return self.describe
        self.log.append("create")
        return self.create.pop(0)

    def _send_again(self, orders: Sequence[OrderRecord]) -> Made:
        self.log.append("again")
        return Made(records=tuple(orders), errors=())


def coverage() -> Coverage:
    target = Target(cloud=cloud_disk(1), local=None, how="", filesystems=(DATA,), why="")
    return Coverage(targets=(target,), skipped=(), spans=(), torn=(), not_covered=())


def test_everything_goes_well_in_the_one_order_there_is() -> None:
    stage = Stage()
    outcome = stage.run()
    assert outcome.held.level is Consistency.APPLICATION
    assert outcome.held.why == ""
    order = ["rest", "renew", "freeze", "create", "thaw", "say cut", "release", "close"]
    assert stage.log == order
    assert outcome.made.records[0].snapshot_ids == {"d-1": "s-1"}


def test_filesystem_level_asks_for_no_application() -> None:
    stage = Stage(asked=Consistency.FILESYSTEM)
    assert stage.run().held.level is Consistency.FILESYSTEM
    assert stage.log == ["renew", "freeze", "create", "thaw"]


@pytest.mark.parametrize("code", ["Throttling", "OperationConflict"])
def test_refusal_that_may_pass_is_called_again_only_after_thaw_and_release(code: str) -> None:
    stage = Stage(create=[refusal(code)])
    outcome = stage.run()
    assert outcome.held.level is None
    assert "the freeze ended without a cut" in outcome.held.why
    assert stage.log[2:] == ["freeze", "create", "thaw", "release", "close", "again"]


def test_refusal_that_may_pass_is_given_up_when_the_policy_is_abort() -> None:
    stage = Stage(create=[refusal("Throttling")], strict=True)
    errors = stage.run().made.errors
    assert [type(error) for error in errors] == [QuiesceFailed, CloudThrottled]
    assert "again" not in stage.log


def test_refusal_that_stays_is_not_called_again() -> None:
    stage = Stage(create=[refusal("IncorrectDiskStatus.CreatingSnapshot")])
    outcome = stage.run()
    assert [type(error) for error in outcome.made.errors] == [DiskNotReady]
    assert stage.log.count("create") == 1
    assert "again" not in stage.log


def test_call_without_an_answer_is_repeated_while_frozen_and_told_after_the_release() -> None:
    stage = Stage(create=[no_answer(), MADE])
    assert stage.run().held.level is Consistency.APPLICATION
    assert stage.log.count("create") == 2
    assert stage.log[-1].startswith("told CreateSnapshot: ")
    assert stage.log.index("close") == len(stage.log) - 2


def test_same_call_still_at_work_is_waited_for_while_frozen() -> None:
    stage = Stage(create=[refusal("IdempotentProcessing"), MADE])
    assert stage.run().held.level is Consistency.APPLICATION


def test_cut_that_is_not_seen_makes_it_weaker_and_says_no_cut() -> None:
    stage = Stage(describe={"Snapshots": {"Snapshot": []}})
    outcome = stage.run()
    assert outcome.held.level is None
    assert "before the cut was seen" in outcome.held.why
    assert "say cut" not in stage.log
    assert outcome.made.records[0].snapshot_ids == {"d-1": "s-1"}


def test_role_that_may_not_look_does_not_lose_what_was_made() -> None:
    stage = Stage(describe=refusal("Forbidden.RAM"))
    outcome = stage.run()
    assert outcome.held.level is None
    assert "may not do DescribeSnapshots" in outcome.held.why
    assert outcome.made.records[0].snapshot_ids == {"d-1": "s-1"}


def test_cloud_that_does_not_answer_the_warm_up_is_not_frozen_for() -> None:
    stage = Stage(warm=no_answer())
    outcome = stage.run()
    assert outcome.held.level is None
    assert "freeze" not in stage.log
    # The applications are at rest, so the call is made in the time that a freeze would have.
    done = [each for each in stage.log if not each.startswith("told ")]
    assert done == ["rest", "renew", "create", "say cut", "release", "close"]


def test_thaw_by_the_deadline_is_not_a_hold() -> None:
    stage = Stage(cause=Cause.DEADLINE)
    outcome = stage.run()
    assert outcome.held.level is None
    assert "time limit" in outcome.held.why
    assert "say cut" not in stage.log


def test_application_that_will_not_rest_leaves_the_freeze() -> None:
    stage = Stage(app=lambda log: App(log, fails=True))
    outcome = stage.run()
    assert outcome.held.level is Consistency.FILESYSTEM
    assert outcome.held.why == "app: will not"


def test_application_that_may_not_be_at_rest_leaves_the_freeze() -> None:
    stage = Stage(doubts=["redis: its data may lie there"])
    outcome = stage.run()
    assert outcome.held.level is Consistency.FILESYSTEM
    assert outcome.held.why == "redis: its data may lie there"


def test_application_that_may_not_be_at_rest_ends_a_run_that_is_to_abort() -> None:
    stage = Stage(doubts=["redis: its data may lie there"], strict=True)
    with pytest.raises(QuiesceFailed, match="may lie there"):
        stage.run()
    assert stage.log == ["close"]


def test_release_that_fails_leaves_the_freeze() -> None:
    stage = Stage(app=lambda log: App(log, release="was killed"))
    outcome = stage.run()
    assert outcome.held.level is Consistency.FILESYSTEM
    assert "was killed" in outcome.held.why


@pytest.mark.parametrize("without", ["application", "rest"])
def test_policy_abort_asks_for_nothing_when_the_level_cannot_be_reached(without: str) -> None:
    app = None if without == "application" else (lambda log: App(log, fails=True))
    stage = Stage(app=app, strict=True)
    with pytest.raises(QuiesceFailed):
        stage.run()
    assert {"freeze", "create", "again"}.isdisjoint(stage.log)


OWN = FreezeFacts(
    release="6.12.0",
    own_places=(OwnPlace(what="state directory", path="/data/state", key=DATA.key),),
)


def test_refused_freeze_with_policy_abort_is_a_precondition() -> None:
    stage = Stage(facts=OWN, strict=True)
    with pytest.raises(PreconditionRefused, match="state directory"):
        stage.run()
    assert stage.log == []


def test_refused_freeze_without_applications_is_sent_with_patience() -> None:
    stage = Stage(facts=OWN, asked=Consistency.FILESYSTEM)
    outcome = stage.run()
    assert outcome.held.level is None
    assert outcome.held.frozen_s is None
    assert "state directory" in outcome.held.why
    assert stage.log == ["again"]


def test_refused_freeze_releases_applications_before_patience() -> None:
    stage = Stage(facts=OWN, create=[refusal("Throttling")])
    assert stage.run().held.level is None
    assert stage.log == ["rest", "create", "release", "close", "again"]


def test_group_member_left_out_by_the_cloud_is_not_waited_for() -> None:
    order = replace(ORDER.order, disk_ids=(DiskId("d-1"), DiskId("d-2")), grouped=True)
    shown = {DiskId("d-1"): snapshot_of("d-1")}
    record = replace(ORDER, order=order)
    settled = Settled(
        records=(record,), snapshots=shown, missing=(DiskId("d-2"),), timed_out=False, unseen=""
    )
    made = Made(records=(record,), errors=())
    assert Cut(made=made, settled=settled).whole
    assert not Cut(made=made, settled=replace(settled, timed_out=True)).whole


def snapshot_of(disk: str) -> Any:
    entry = {**CUT["Snapshots"]["Snapshot"][0], "SourceDiskId": disk}
    return snapshots({"Snapshots": {"Snapshot": [entry]}})[0]
