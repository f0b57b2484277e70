"""The main job: what the journal holds before each call, and what a run claims after it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from errno import EIO
from typing import Any

import pytest

from fakes.clock import FakeClock
from fakes.filesystems import FakeFilesystems
from fakes.journal import FakeJournal
from fakes.lock import FakeLock
from fakes.rpc import Outcome, no_answer, refusal
from fakes.taken import ME, Taken, snapshot_of, tags
from snap_self.errors import ExitStatus, StateUnusable
from snap_self.model.asked import CutUnseen
from snap_self.model.ids import RunId
from snap_self.model.report import Report, UploadWatch
from snap_self.model.request import OnQuiesceFailure, Request
from snap_self.model.result import Result
from snap_self.model.run import RunRecord, Stage
from snap_self.model.snapshots import Consistency, WaitFor
from snap_self.usecases.snapshot import take_snapshot

REQUEST = Request(before="os upgrade", timeout_s=60.0)
CRASH = replace(REQUEST, consistency=Consistency.CRASH)
FROZEN = replace(REQUEST, consistency=Consistency.FILESYSTEM)
BUSY, DENIED = refusal("IncorrectDiskStatus.CreatingSnapshot"), refusal("Forbidden.RAM")
NO_GROUP = refusal("InvalidRegion.NotSupport")
LOST = no_answer(lasting=True)
PROGRESSING = {"Status": "progressing", "Progress": "10%"}
UNCUT = {**PROGRESSING, "CreationTime": "", "Available": False}
ONE, TWO = "one-virtio-disk", "swap"


class Signalled(BaseException):
    """What a signal's handler raises."""


class FullJournal(FakeJournal):
    """A journal that takes so many saves and no more."""

    def __init__(self, saves: int) -> None:
        super().__init__()
        self._saves = saves

    def save(self, record: RunRecord) -> None:
        """Keep the record while there is room."""
        if len(self.history) >= self._saves:
            raise StateUnusable("no space left")
        super().save(record)


class SignalledJournal(FakeJournal):
    """A journal whose save of the first record of a stage a signal ends, once it is written."""

    def __init__(self, stage: Stage) -> None:
        super().__init__()
        self._stage = stage

    def save(self, record: RunRecord) -> None:
        """Keep the record."""
        first = record.stage is self._stage and all(r.stage is not self._stage for r in self.all())
        super().save(record)
        if first:
            raise Signalled


class Job:
    """An instance whose cloud makes what it is asked for.

    Args:
        outcomes: what the first creates are answered instead, by disk or ``group``; an exception
            is raised.
        shown: how snapshots are shown.
        signal_on: the sleep, counted from 1, that a signal ends.
    """

    def __init__(
        self,
        machine: str = ONE,
        *,
        outcomes: Mapping[str, Sequence[Outcome | BaseException]] | None = None,
        shown: Mapping[str, Any] | None = None,
        signal_on: int = 0,
        journal: FakeJournal | None = None,
        category: str = "cloud_essd",
    ) -> None:
        self.taken = Taken(machine=machine, snapshots=[])
        self.taken.journal = journal or FakeJournal()
        self.outcomes = {name: list(given) for name, given in (outcomes or {}).items()}
        self.shown = dict(shown or {})
        self.filesystems = FakeFilesystems()
        self.followed: list[RunId] = []
        self.cut_short: list[Report] = []
        self.creates: list[tuple[str, str]] = []
        self.before_create: list[RunRecord | None] = []
        self.signal_on, self._slept, self._runs = signal_on, 0, 0
        self.taken.clock = FakeClock(on_sleep=self._sleep)
        self.taken.lock = FakeLock(self.taken.clock)
        for disk in self.taken.disks:
            disk["Category"] = category
        self.taken.answers |= {
            "CreateSnapshot": self._create,
            "CreateSnapshotGroup": self._create_group,
            "DescribeSnapshotGroups": self._groups,
            "ModifySnapshotAttribute": {"RequestId": "R"},
            "TagResources": {"RequestId": "R"},
        }

    @property
    def disks(self) -> list[str]:
        """Return the disks that are attached."""
        return [disk["DiskId"] for disk in self.taken.disks]

    @property
    def record(self) -> RunRecord:
        """Return what the journal holds in the end."""
        return self.taken.journal.history[-1]

    @property
    def calls(self) -> list[str]:
        """Return what the cloud was asked."""
        return [call.action for call in self.taken.rpc.calls]

    def run(self, request: Request = REQUEST, **changed: Any) -> Report:
        """Do the main job once."""
        tools = replace(
            self.taken.tools,
            filesystems=self.filesystems,
            start_follower=self._follow,
            cut_short=self.cut_short.append,
            new_run_id=self._new_run_id,
        )
        return take_snapshot(request, replace(tools, **changed))

    def interrupt(self, request: Request = REQUEST) -> None:
        """Do it once and have a signal end it."""
        with pytest.raises(Signalled):
            self.run(request)

    def _new_run_id(self) -> RunId:
        self._runs += 1
        return RunId(f"run-{self._runs}")

    def _follow(self, run_id: RunId) -> UploadWatch:
        self.followed.append(run_id)
        return UploadWatch(held=True, until=None, why="")

    def _sleep(self, _seconds: float) -> None:
        self._slept += 1
        if self._slept == self.signal_on:
            raise Signalled

    def _noted(self, key: str, params: Mapping[str, str]) -> Outcome | None:
        self.creates.append((key, params["ClientToken"]))
        history = self.taken.journal.history
        self.before_create.append(history[-1] if history else None)
        given = self.outcomes.get(key)
        outcome = given.pop(0) if given else None
        if isinstance(outcome, BaseException) and not hasattr(outcome, "http_status"):
            raise outcome
        return outcome  # type: ignore[return-value]

    def _make(self, disk: str, group: str = "") -> dict[str, Any]:
        word = {"Description": f"Created_from_{group}"} if group else {}
        own = {"snap-self-owner": ME, "snap-self-run": f"run-{self._runs}"}
        shot = snapshot_of(disk, Tags=tags(**own), **{**word, **self.shown})
        self.taken.snapshots.append(shot)
        return shot

    def _create(self, params: Mapping[str, str]) -> Outcome:
        disk = params["DiskId"]
        refused = self._noted(disk, params)
        if refused is not None:
            return refused
        return {"RequestId": "R", "SnapshotId": self._make(disk)["SnapshotId"]}

    def _create_group(self, params: Mapping[str, str]) -> Outcome:
        refused = self._noted("group", params)
        if refused is not None:
            return refused
        for disk in (value for key, value in params.items() if key.startswith("DiskId.")):
            self._make(disk, "ssg-1")
        return {"RequestId": "R", "SnapshotGroupId": "ssg-1"}

    def _groups(self, _params: Mapping[str, str]) -> Outcome:
        members = [s for s in self.taken.snapshots if s.get("Description")]
        group = {
            "SnapshotGroupId": "ssg-1",
            "InstanceId": ME,
            "Status": "progressing",
            "Snapshots": {"Snapshot": members},
            "Tags": {"Tag": []},
        }
        return {"SnapshotGroups": {"SnapshotGroup": [group] if members else []}}


def test_journal_knows_of_an_order_before_the_cloud_does() -> None:
    job = Job()
    report = job.run()
    (before,) = job.before_create
    assert before is not None
    assert (before.stage, before.orders[0].sent, before.upload) == (Stage.CREATING, True, None)
    assert before.orders[0].order.tags["snap-self-consistency"] == "flush"
    stages = [record.stage for record in job.taken.journal.history]
    assert stages[0] is Stage.PLANNED
    assert not job.taken.journal.history[0].orders[0].sent
    assert sorted(set(stages), key=stages.index) == [
        Stage.PLANNED,
        Stage.CREATING,
        Stage.CREATED,
        Stage.FINISHED,
    ]
    assert (job.record.result, job.record.exit_status) == (Result.DONE, 0)
    assert (report.result, report.consistency.reached) == (Result.DONE, Consistency.FLUSH)


def test_report_of_a_run_that_made_something_is_handed_over_before_it_is_told() -> None:
    job = Job()
    report = job.run()
    assert job.cut_short == [report]


def test_report_of_a_run_that_asked_for_nothing_is_not_what_a_signal_tells() -> None:
    job = Job()
    job.outcomes[job.disks[0]] = [refusal("Forbidden.RAM", 403)]
    job.run()
    assert job.cut_short == []


@pytest.mark.parametrize("saves", [0, 1, 2])
def test_nothing_is_asked_for_that_the_journal_cannot_remember(saves: int) -> None:
    job = Job(journal=FullJournal(saves))
    report = job.run()
    assert report.exit_status is ExitStatus.ENVIRONMENT
    assert (report.result, job.creates, report.snapshots) == (Result.FAILED, [], ())
    assert job.followed == []
    # The run itself is known before anything is done.
    assert bool(job.filesystems.synced) is (saves > 0)


def test_full_journal_hides_nothing_that_was_made() -> None:
    job = Job(journal=FullJournal(3))
    report = job.run()
    assert len(job.creates) == 1
    assert (report.exit_status, len(report.snapshots)) == (ExitStatus.DONE, 1)
    told = [note for note in report.notes if "no space left" in note]
    assert len(told) == 1


@pytest.mark.parametrize(("shown", "watched"), [({}, False), (PROGRESSING, True)])
def test_upload_is_followed_only_where_one_goes_on(shown: Mapping[str, str], watched: bool) -> None:
    job = Job(shown=shown)
    report = job.run(replace(REQUEST, wait=WaitFor.CUT))
    assert job.followed == (["run-1"] if watched else [])
    assert (report.watch is not None) is watched


def test_refused_order_is_closed_and_not_waited_for() -> None:
    job = Job()
    job.outcomes[job.disks[0]] = [BUSY]
    report = job.run()
    assert (report.result, report.exit_status) == (Result.FAILED, ExitStatus.PRECONDITION)
    assert (job.record.stage, job.record.result) == (Stage.FINISHED, Result.FAILED)
    assert (job.record.unseen, report.unseen, job.followed) == (None, None, [])
    assert job.taken.clock.sleeps == []


def test_order_without_an_answer_stays_asked_for() -> None:
    job = Job()
    job.outcomes[job.disks[0]] = [LOST]
    report = job.run()
    assert report.exit_status is ExitStatus.UNREACHABLE
    assert (report.result, report.unseen) == (Result.ASKED, CutUnseen.NO_ANSWER)
    assert (job.record.stage, job.record.result) == (Stage.CREATED, Result.ASKED)
    assert job.record.orders[0].sent


def test_one_refused_of_two_is_the_error_and_the_other_is_told() -> None:
    job = Job(TWO, category="cloud_efficiency")
    job.outcomes[job.disks[0]] = [BUSY]
    report = job.run()
    assert (report.result, report.exit_status) == (Result.PARTIAL, ExitStatus.PRECONDITION)
    assert [shot.disk_id for shot in report.snapshots] == [job.disks[1]]
    assert job.record.stage is Stage.FINISHED


def test_further_errors_are_told_once_each() -> None:
    job = Job(TWO, category="cloud_efficiency")
    job.outcomes |= {job.disks[0]: [BUSY], job.disks[1]: [DENIED]}
    report = job.run()
    assert report.exit_status is ExitStatus.PRECONDITION
    assert [note for note in report.notes if "CreateSnapshot" in note] == [
        job.record.orders[1].error
    ]
    assert job.record.orders[0].error not in report.notes
    assert job.record.result is Result.FAILED


def test_one_lost_of_two_that_are_not_made_keeps_the_run_open() -> None:
    job = Job(TWO, category="cloud_efficiency")
    job.outcomes |= {job.disks[0]: [DENIED], job.disks[1]: [LOST]}
    report = job.run()
    assert report.exit_status is ExitStatus.CREDENTIALS
    assert (report.result, job.record.stage) == (Result.ASKED, Stage.CREATED)


def test_singles_in_place_of_a_group_are_in_the_journal_before_they_are_sent() -> None:
    job = Job(TWO, outcomes={"group": [NO_GROUP]})
    report = job.run()
    assert [key for key, _ in job.creates] == ["group", *job.disks]
    assert len({token for _, token in job.creates}) == 3
    second = job.before_create[1]
    assert second is not None
    assert [order.sent for order in second.orders] == [True, True]
    assert [order.order.grouped for order in second.orders] == [False, False]
    assert {order.order.tags["snap-self-consistency"] for order in second.orders} == {"flush"}
    assert report.exit_status is ExitStatus.DONE
    assert any("single snapshots are made instead" in note for note in report.notes)


def test_singles_in_place_of_a_group_claim_no_more_than_the_flush_proved() -> None:
    job = Job(TWO, outcomes={"group": [NO_GROUP]})
    job.filesystems = FakeFilesystems(failing={"/": EIO})
    job.run()
    second = job.before_create[1]
    assert second is not None
    assert {order.order.tags["snap-self-consistency"] for order in second.orders} == {"crash"}


def test_volume_is_not_torn_into_singles() -> None:
    job = Job("lvm-two-disks", outcomes={"group": [NO_GROUP]})
    report = job.run()
    assert [key for key, _ in job.creates] == ["group"]
    assert report.exit_status is ExitStatus.REFUSED
    assert job.record.result is Result.FAILED


def test_group_refused_for_another_reason_is_not_sent_as_singles() -> None:
    job = Job(TWO, outcomes={"group": [BUSY]})
    job.run()
    assert len(job.creates) == 1


def test_flush_that_fails_ends_a_run_that_is_to_abort_before_it_asks() -> None:
    job = Job()
    job.filesystems = FakeFilesystems(failing={"/": EIO})
    report = job.run(replace(REQUEST, on_quiesce_failure=OnQuiesceFailure.ABORT))
    assert (report.exit_status, job.creates) == (ExitStatus.QUIESCE, [])
    assert (job.record.stage, job.record.orders[0].sent) == (Stage.FINISHED, False)
    assert job.record.exit_status == ExitStatus.QUIESCE


def test_flush_that_fails_is_claimed_nowhere() -> None:
    job = Job()
    job.filesystems = FakeFilesystems(failing={"/": EIO})
    report = job.run()
    assert report.exit_status is ExitStatus.WEAKER
    assert report.consistency.reached is Consistency.CRASH
    (before,) = job.before_create
    assert before is not None
    assert before.orders[0].order.tags["snap-self-consistency"] == "crash"


def test_hold_that_cannot_be_had_asks_for_nothing() -> None:
    job = Job()
    report = job.run(FROZEN)
    assert (report.exit_status, job.creates) == (ExitStatus.PRECONDITION, [])
    assert (job.record.stage, job.record.orders[0].sent) == (Stage.FINISHED, False)
    assert [(s.name, s.result) for s in report.steps][-1] == ("create", "failed: precondition")


@pytest.mark.parametrize("request_", [REQUEST, CRASH])
def test_same_command_finishes_what_was_made_and_asks_for_nothing(request_: Request) -> None:
    job = Job(shown=UNCUT, signal_on=1)
    job.interrupt(request_)
    job.filesystems.synced.clear()
    job.taken.snapshots[0] |= snapshot_of(job.disks[0])
    report = job.run(request_)
    assert (report.result, report.run_id, report.exit_status) == (
        Result.RESUMED,
        "run-1",
        ExitStatus.DONE,
    )
    assert len(job.creates) == 1
    assert job.filesystems.synced == []
    assert (job.record.stage, job.record.result, job.record.unseen) == (
        Stage.FINISHED,
        Result.RESUMED,
        None,
    )


@pytest.mark.parametrize("request_", [REQUEST, CRASH])
def test_same_command_asks_again_with_the_same_token_after_another_flush(
    request_: Request,
) -> None:
    job = Job()
    job.outcomes[job.disks[0]] = [Signalled()]
    job.interrupt(request_)
    job.filesystems.synced.clear()
    report = job.run(request_)
    assert report.result is Result.RESUMED
    (first, again) = job.creates
    assert first == again
    assert bool(job.filesystems.synced) is (request_ is REQUEST)
    second = job.before_create[1]
    assert second is not None
    assert (second.stage, second.result, second.run_id) == (Stage.CREATING, Result.OPEN, "run-1")


def test_run_that_cannot_be_looked_for_stays_asked_for() -> None:
    job = Job()
    job.outcomes[job.disks[0]] = [Signalled()]
    job.interrupt()
    job.taken.answers["DescribeSnapshots"] = DENIED
    report = job.run()
    assert report.exit_status is ExitStatus.CREDENTIALS
    assert len(job.creates) == 1
    assert (report.result, report.unseen) == (Result.ASKED, CutUnseen.REFUSED)
    assert (job.record.run_id, job.record.unseen) == ("run-1", CutUnseen.REFUSED)
    assert job.record.stage is not Stage.FINISHED


@pytest.mark.parametrize("there", [True, False])
def test_run_that_saw_no_cut_is_taken_up_only_while_its_snapshot_is_there(there: bool) -> None:
    job = Job(shown=UNCUT)
    assert job.run().exit_status is ExitStatus.WAIT_RAN_OUT
    job.shown = {}
    if there:
        job.taken.snapshots[0] |= snapshot_of(job.disks[0])
    else:
        job.taken.snapshots.clear()
    report = job.run()
    assert (report.result, report.run_id, len(job.creates)) == (
        (Result.RESUMED, "run-1", 1) if there else (Result.DONE, "run-2", 2)
    )


def test_another_command_makes_a_set_of_its_own() -> None:
    job = Job()
    job.outcomes[job.disks[0]] = [Signalled()]
    job.interrupt()
    report = job.run(replace(REQUEST, before="kernel update"))
    assert (report.result, report.run_id) == (Result.DONE, "run-2")


def test_resumed_hold_that_cannot_be_had_leaves_what_was_asked_for_open() -> None:
    job = Job()
    job.outcomes[job.disks[0]] = [Signalled()]
    job.interrupt(REQUEST)
    opened = job.record
    assert opened.orders[0].sent
    # The same fingerprint, held: as where the freeze was possible for the run before.
    job.taken.journal.save(replace(opened, fingerprint=_fingerprint(FROZEN)))
    report = job.run(FROZEN)
    assert report.exit_status is ExitStatus.PRECONDITION
    assert (job.record.run_id, job.record.orders[0].sent) == ("run-1", True)
    assert job.record.stage is not Stage.FINISHED


def _fingerprint(request: Request) -> str:
    """Return how the journal knows a request again."""
    job = Job()
    job.run(request)
    return job.record.fingerprint


def test_signal_before_anything_was_asked_tells_nothing() -> None:
    job = Job(journal=FullJournal(9))

    def ended() -> str:
        raise Signalled

    with pytest.raises(Signalled):
        job.run(end_stale_freeze=ended)
    assert (job.cut_short, job.followed, job.taken.journal.history) == ([], [], [])


def test_signal_in_the_create_leaves_it_asked_for() -> None:
    job = Job()
    job.outcomes[job.disks[0]] = [Signalled()]
    job.interrupt()
    (report,) = job.cut_short
    assert (report.result, report.unseen) == (Result.ASKED, CutUnseen.ENDED)
    assert (job.record.result, job.record.unseen) == (Result.ASKED, CutUnseen.ENDED)
    assert job.record.orders[0].sent


def test_signal_after_refusals_alone_leaves_nothing_asked_for() -> None:
    job = Job(signal_on=1)
    job.outcomes[job.disks[0]] = [refusal("Throttling.User", 400)]
    job.interrupt()
    assert len(job.creates) == 1
    assert (job.cut_short, job.followed) == ([], [])
    assert not job.record.orders[0].sent
    assert job.record.unseen is None


def test_signal_after_refusals_of_a_resumed_run_leaves_open_what_the_first_asked_for() -> None:
    job = Job(signal_on=1)
    job.outcomes[job.disks[0]] = [Signalled(), refusal("Throttling.User", 400)]
    job.interrupt()
    job.interrupt()
    assert job.cut_short[1].result is Result.ASKED
    assert (job.record.run_id, job.record.orders[0].sent) == ("run-1", True)


def test_signal_between_the_answer_and_the_first_look_has_the_upload_followed() -> None:
    job = Job(journal=SignalledJournal(Stage.CREATED))
    job.interrupt()
    assert job.followed == ["run-1"]
    assert (job.record.unseen, job.record.orders[0].is_made) == (CutUnseen.ENDED, True)


@pytest.mark.parametrize(
    ("shown", "result", "unseen"),
    [
        (UNCUT, Result.ASKED, CutUnseen.NOT_CUT),
        ({**PROGRESSING, "Available": False}, Result.PARTIAL, None),
    ],
)
def test_signal_in_the_wait_claims_what_was_seen(
    shown: Mapping[str, Any], result: Result, unseen: CutUnseen | None
) -> None:
    job = Job(shown=shown, signal_on=2)
    job.interrupt()
    (report,) = job.cut_short
    assert (report.result, report.unseen, len(report.snapshots)) == (result, unseen, 1)
    assert job.record.unseen is unseen
    assert job.record.stage is not Stage.FINISHED
    assert job.followed == ["run-1"]


def test_signal_before_the_first_look_says_no_more_than_that_it_ended() -> None:
    job = Job(signal_on=1)
    job.interrupt()
    assert job.record.unseen is CutUnseen.ENDED


@pytest.mark.parametrize(
    ("shown", "result", "unseen"),
    [
        (UNCUT, Result.ASKED, CutUnseen.NOT_CUT),
        ({**PROGRESSING, "Available": False}, Result.PARTIAL, None),
    ],
)
def test_wait_that_runs_out_claims_what_was_seen(
    shown: Mapping[str, Any], result: Result, unseen: CutUnseen | None
) -> None:
    job = Job(shown=shown)
    report = job.run()
    assert report.exit_status is ExitStatus.WAIT_RAN_OUT
    assert (report.result, report.unseen) == (result, unseen)
    assert job.record.exit_status == ExitStatus.WAIT_RAN_OUT
    assert job.record.unseen is unseen
    assert job.followed == ["run-1"]


def test_members_that_do_not_appear_are_looked_for_briefly_and_have_no_retention_yet() -> None:
    job = Job(TWO)
    job.taken.answers["DescribeSnapshotGroups"] = {"SnapshotGroups": {"SnapshotGroup": []}}
    report = job.run(replace(REQUEST, wait=WaitFor.NONE))
    assert report.exit_status is ExitStatus.DONE
    assert 0 < sum(job.taken.clock.sleeps) <= 3.0
    assert [s.result for s in report.steps if s.name == "retention"] == [
        "skipped: not uploaded yet"
    ]


@pytest.mark.parametrize("seen", [True, False])
def test_level_that_a_second_flush_lost_is_tagged_where_the_snapshot_was_seen(seen: bool) -> None:
    job = Job()
    job.outcomes[job.disks[0]] = [Signalled()]
    job.interrupt()
    job.filesystems = FakeFilesystems(failing={"/": EIO})
    job.taken.answers["DescribeSnapshots"] = lambda params: (
        DENIED
        if "SnapshotIds" in params and not seen
        else {"Snapshots": {"Snapshot": list(job.taken.snapshots)}}
    )
    report = job.run()
    assert (report.result, report.exit_status) == (
        (Result.RESUMED, ExitStatus.WEAKER) if seen else (Result.ASKED, ExitStatus.CREDENTIALS)
    )
    assert report.consistency.reached is Consistency.CRASH
    assert ("TagResources" in job.calls) is seen


def test_snapshot_that_may_not_be_seen_is_named_and_the_run_stays_open() -> None:
    job = Job()
    job.taken.answers["DescribeSnapshots"] = DENIED
    report = job.run()
    assert report.exit_status is ExitStatus.CREDENTIALS
    assert [shot.snapshot_id for shot in report.snapshots] == [job.taken.snapshots[0]["SnapshotId"]]
    assert (report.result, report.unseen) == (Result.ASKED, CutUnseen.REFUSED)
    assert job.record.stage is Stage.CREATED
    assert "TagResources" not in job.calls


def test_failed_snapshot_is_not_called_a_success() -> None:
    job = Job(shown={"Status": "failed"})
    report = job.run()
    assert report.exit_status is ExitStatus.SNAPSHOT_FAILED
    assert (report.result, report.undo) == (Result.PARTIAL, ())
    assert (job.record.stage, job.record.result) == (Stage.FINISHED, Result.FAILED)
    assert job.followed == []


@pytest.mark.parametrize(
    ("shown", "answer", "result", "pending"),
    [
        ({}, {"RequestId": "R"}, "done", 0),
        (PROGRESSING, {"RequestId": "R"}, "skipped: not uploaded yet", 2),
        ({}, DENIED, "failed: refused", 2),
    ],
)
def test_retention_of_a_group_is_claimed_as_the_cloud_took_it(
    shown: Mapping[str, Any], answer: Outcome, result: str, pending: int
) -> None:
    job = Job(TWO, shown=shown)
    job.taken.answers["ModifySnapshotAttribute"] = answer
    report = job.run(replace(REQUEST, wait=WaitFor.CUT))
    assert report.exit_status is ExitStatus.DONE
    assert [s.result for s in report.steps if s.name == "retention"] == [result]
    assert len(job.record.orders[0].retention_pending) == pending
    assert (job.record.retention is not None) is (answer is DENIED)


def test_fresh_set_is_reused_and_nothing_is_asked_for() -> None:
    job = Job()
    job.run()
    saved = len(job.taken.journal.history)
    report = job.run(replace(REQUEST, reuse_s=600.0))
    assert (report.result, report.run_id, report.exit_status) == (
        Result.REUSED,
        "run-1",
        ExitStatus.DONE,
    )
    assert len(job.creates) == 1
    assert {record.run_id for record in job.taken.journal.history[saved:]} <= {"run-1"}


@pytest.mark.parametrize(
    ("reuse_s", "status"), [(None, ExitStatus.LOCKED), (600.0, ExitStatus.DONE)]
)
def test_lock_of_another_run_is_not_needed_for_a_set_that_serves(
    reuse_s: float | None, status: ExitStatus
) -> None:
    job = Job()
    job.run()
    job.taken.lock = FakeLock(job.taken.clock, free_after_s=3600.0)
    before = len(job.calls)
    report = job.run(replace(REQUEST, reuse_s=reuse_s))
    assert (len(job.calls) > before) is (reuse_s is not None)
    assert report.exit_status is status
    assert len(job.creates) == 1
    assert (report.result is Result.REUSED) is (reuse_s is not None)


@pytest.mark.parametrize("waited_for", [True, False])
def test_advice_is_not_asked_for_while_a_package_manager_waits(waited_for: bool) -> None:
    job = Job()
    job.run(replace(REQUEST, waited_for=waited_for))
    asked = [c for c in job.taken.rpc.calls if c.action == "DescribeSnapshots"]
    assert any("InstanceId" in call.params for call in asked) is not waited_for


def test_freeze_that_was_ended_is_told() -> None:
    report = Job().run(end_stale_freeze=lambda: "a freeze was ended")
    assert "a freeze was ended" in report.notes
