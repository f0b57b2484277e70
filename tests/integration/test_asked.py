"""A snapshot that was asked for and not seen to be cut: the cloud refuses to be asked."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import replace

import pytest

from ecs_simulator.faults import Fault
from fakes.main_job import CREATES, DISKS, MainJob, main_job
from json_schemas import hold
from snap_self.errors import CloudThrottled, ExitStatus
from snap_self.model.asked import CutUnseen
from snap_self.model.disks import Selection
from snap_self.model.ids import RunId
from snap_self.model.report import Report
from snap_self.model.request import Request
from snap_self.model.result import Result
from snap_self.model.run import Stage
from snap_self.model.snapshots import WaitFor
from snap_self.output.report import report_json, write_report
from snap_self.output.shown import shown_json, write_shown
from snap_self.output.streams import Streams
from snap_self.usecases.before_change import COVER_S
from snap_self.usecases.cover import look_again
from snap_self.usecases.show import show

LOOKS = ("DescribeSnapshots", "DescribeSnapshotGroups")
THROTTLED = "error:Throttling.User:400"
DENIED = "error:Forbidden.RAM:403"
REQUEST = Request(
    before="os upgrade",
    selection=Selection(disks=DISKS[:1]),
    wait=WaitFor.CUT,
    timeout_s=30.0,
)


@pytest.fixture
def job() -> Iterator[MainJob]:
    with main_job() as one:
        yield one


def _refuse(job: MainJob, kind: str) -> None:
    """Refuse each look for a snapshot; those before the create are only advice."""
    for action in LOOKS:
        job.simulator.inject(Fault(kind=kind, action=action, count=1000))


def _said(report: Report) -> str:
    err = io.StringIO()
    streams = Streams(
        out=io.StringIO(), err=err, terminal=False, colour=False, verbosity=-1, json=False
    )
    write_report(streams, report)
    return err.getvalue()


@pytest.mark.parametrize(
    ("kind", "status", "code", "reason"),
    [
        (THROTTLED, ExitStatus.WAIT_RAN_OUT, "cut-not-seen", "throttled"),
        ("reset", ExitStatus.WAIT_RAN_OUT, "cut-not-seen", "unreachable"),
        ("error:InvalidParameter:400", ExitStatus.REFUSED, "cloud-refused", "refused"),
        (DENIED, ExitStatus.CREDENTIALS, "permission-refused", "refused"),
    ],
)
def test_cut_that_cannot_be_looked_for_is_told_as_asked_for(
    job: MainJob, kind: str, status: ExitStatus, code: str, reason: str
) -> None:
    _refuse(job, kind)
    report = job.run(REQUEST)
    said = report_json(report)
    assert (said["result"], said["exit_status"]) == ("asked", int(status))
    assert said["error"]["code"] == code
    assert said["unseen"] == {"reason": reason, "why": CutUnseen(reason).words}
    hold(said, "snapshot")
    (shot,) = said["snapshots"]
    assert (shot["snapshot_id"] or "").startswith("s-")
    text = _said(report)
    assert "Snapshot asked for, but its cut was not seen" in text
    assert str(shot["snapshot_id"]) in text
    assert f"Look at it before you rely on it: `snap-self show {report.run_id}`" in text
    (record,) = job.journal.all()
    assert (record.result, record.unseen) == (Result.ASKED, CutUnseen(reason))


def test_cut_that_takes_longer_than_the_wait_is_told_as_asked_for(job: MainJob) -> None:
    job.simulator.set_life(cut_s=5000.0)
    report = job.run(REQUEST)
    assert (report.result, report.unseen) == (Result.ASKED, CutUnseen.NOT_CUT)
    assert (report.exit_status, report.error and report.error.code) == (12, "cut-not-seen")


def test_wait_for_more_than_the_cut_that_runs_out_is_told_as_before(job: MainJob) -> None:
    job.simulator.set_life(cut_s=0.0, available_s=5000.0, accomplished_s=6000.0)
    report = job.run(replace(REQUEST, wait=WaitFor.AVAILABLE))
    assert (report.result, report.unseen) == (Result.PARTIAL, None)
    assert (report.exit_status, report.error and report.error.code) == (12, "wait-ran-out")


def test_create_that_is_refused_is_not_told_as_asked_for(job: MainJob) -> None:
    for action in CREATES:
        job.simulator.inject(Fault(kind=DENIED, action=action, count=1000))
    report = job.run(REQUEST)
    assert (report.result, report.unseen, report.snapshots) == (Result.FAILED, None, ())


def test_create_whose_answer_is_lost_for_good_is_told_as_asked_for(job: MainJob) -> None:
    job.simulator.inject(Fault(kind="lost_reply", action="CreateSnapshot", count=1000))
    report = job.run(REQUEST)
    assert (report.result, report.unseen) == (Result.ASKED, CutUnseen.NO_ANSWER)
    assert report.exit_status is ExitStatus.UNREACHABLE
    (record,) = job.journal.all()
    assert record.result is Result.ASKED
    job.simulator.api.faults.clear()
    assert look_again(job.tools, record.run_id).serves


@pytest.mark.parametrize(
    "kind",
    [THROTTLED, "error:OperationConflict:403", "error:LastTokenProcessing:400"],
)
def test_create_whose_answer_is_lost_and_that_is_then_put_off_is_told_as_asked_for(
    job: MainJob, kind: str
) -> None:
    job.simulator.inject(Fault(kind="lost_reply", action="CreateSnapshot", count=1))
    job.simulator.inject(Fault(kind=kind, action="CreateSnapshot", count=1000))
    report = job.run(REQUEST)
    assert job.sets() == 1
    assert (report.result, report.unseen) == (Result.ASKED, CutUnseen.NO_ANSWER)
    (record,) = job.journal.all()
    assert record.result is Result.ASKED
    job.simulator.api.faults.clear()
    assert job.run(REQUEST).result is Result.RESUMED
    assert job.sets() == 1


@pytest.mark.parametrize("kind", [THROTTLED, "reset", DENIED])
def test_same_command_that_cannot_look_either_tells_the_same_as_asked_for(
    job: MainJob, kind: str
) -> None:
    _refuse(job, kind)
    first = job.run(REQUEST)
    again = job.run(REQUEST)
    assert (again.result, again.unseen) == (Result.ASKED, first.unseen)
    assert again.run_id == first.run_id
    assert [shot.snapshot_id for shot in again.snapshots] == [
        shot.snapshot_id for shot in first.snapshots
    ]
    assert job.sets() == 1
    assert job.journal.all()[0].result is Result.ASKED


@pytest.mark.parametrize(
    ("kind", "reason"), [(THROTTLED, CutUnseen.THROTTLED), ("reset", CutUnseen.UNREACHABLE)]
)
def test_same_command_that_cannot_look_for_what_has_no_id_tells_it_as_asked_for(
    job: MainJob, kind: str, reason: CutUnseen
) -> None:
    job.simulator.inject(Fault(kind="lost_reply", action="CreateSnapshot", count=1000))
    first = job.run(REQUEST)
    _refuse(job, kind)
    again = job.run(REQUEST)
    assert (again.result, again.unseen, again.run_id) == (Result.ASKED, reason, first.run_id)
    job.simulator.api.faults.clear()
    assert job.run(REQUEST).result is Result.RESUMED
    assert job.sets() == 1


def test_create_that_was_only_throttled_is_sent_by_the_same_command_without_a_look(
    job: MainJob,
) -> None:
    job.simulator.inject(Fault(kind=THROTTLED, action="CreateSnapshot", count=1000))
    job.run(REQUEST)
    (record,) = job.journal.all()
    assert (record.stage, record.result) == (Stage.FINISHED, Result.FAILED)
    job.simulator.api.faults.clear()
    _refuse(job, THROTTLED)
    assert job.run(REQUEST).unseen is CutUnseen.THROTTLED
    assert job.sets() == 1


def test_look_at_what_has_no_id_yet_is_told_as_throttled_before_the_hook_ends_it(
    job: MainJob,
) -> None:
    job.simulator.inject(Fault(kind="lost_reply", action="CreateSnapshot", count=1000))
    run_id = job.run(REQUEST).run_id
    _refuse(job, THROTTLED)
    begun = job.clock.monotonic()
    with pytest.raises(CloudThrottled):
        look_again(job.tools, RunId(str(run_id)))
    assert job.clock.monotonic() - begun < COVER_S - 2


@pytest.mark.parametrize("kind", [THROTTLED, "error:OperationConflict:403"])
def test_create_that_is_only_put_off_is_not_told_as_asked_for(job: MainJob, kind: str) -> None:
    job.simulator.inject(Fault(kind=kind, action="CreateSnapshot", count=1000))
    report = job.run(REQUEST)
    assert (report.result, report.unseen, job.sets()) == (Result.FAILED, None, 0)


def test_show_tells_that_the_cut_was_not_seen_and_whether_it_is_by_now(job: MainJob) -> None:
    _refuse(job, THROTTLED)
    run_id = job.run(REQUEST).run_id
    job.simulator.api.faults.clear()
    shown = show(job.tools, str(run_id))
    out = io.StringIO()
    streams = Streams(
        out=out, err=io.StringIO(), terminal=False, colour=False, verbosity=0, json=False
    )
    write_shown(streams, shown, now=job.clock.now())
    assert "the run did not see its cut: too many calls in this account" in out.getvalue()
    assert shown_json(shown)["run"]["unseen"]["reason"] == "throttled"
    assert shown.snapshots[0].cut_time is not None


def test_look_at_what_was_asked_for_is_one_call_for_just_that_one(job: MainJob) -> None:
    _refuse(job, THROTTLED)
    report = job.run(REQUEST)
    job.simulator.api.faults.clear()
    before = len(job.simulator.calls)
    assert report.run_id is not None
    cover = look_again(job.tools, report.run_id)
    assert (cover.serves, cover.pending) == (True, False)
    (call,) = job.simulator.calls[before:]
    assert call.action == "DescribeSnapshots"
    assert str(report.snapshots[0].snapshot_id) in str(call.params)


def test_look_at_what_is_not_cut_yet_serves_nothing_and_gives_up_nothing(job: MainJob) -> None:
    job.simulator.set_life(cut_s=5000.0)
    report = job.run(REQUEST)
    assert report.run_id is not None
    cover = look_again(job.tools, report.run_id)
    assert (cover.serves, cover.pending, cover.uncut) == (
        False,
        True,
        (report.snapshots[0].snapshot_id,),
    )


def test_look_at_what_failed_serves_nothing_and_the_same_command_makes_a_new_one(
    job: MainJob,
) -> None:
    job.simulator.set_life(cut_s=0.02, available_s=0.5, fail_at="after_cut")
    _refuse(job, THROTTLED)
    report = job.run(REQUEST)
    job.simulator.api.faults.clear()
    job.simulator.set_life(cut_s=0.02, available_s=0.04, accomplished_s=0.1, fail_at="")
    assert report.run_id is not None
    cover = look_again(job.tools, report.run_id)
    assert (cover.serves, cover.pending, len(cover.failed)) == (False, False, 1)
    again = job.run(REQUEST)
    assert (again.result, job.sets()) == (Result.DONE, 2), again.error


def test_same_command_again_finishes_what_was_asked_for(job: MainJob) -> None:
    _refuse(job, THROTTLED)
    first = job.run(REQUEST)
    job.simulator.api.faults.clear()
    again = job.run(REQUEST)
    assert (again.result, again.run_id, job.sets()) == (Result.RESUMED, first.run_id, 1), (
        again.error
    )
    assert job.journal.all()[0].unseen is None


class Ended(BaseException):
    """A signal ends the run."""


def test_run_that_a_signal_ends_tells_and_notes_what_it_had_asked_for(job: MainJob) -> None:
    _refuse(job, THROTTLED)
    told: list[Report] = []

    def end(action: str, answer: object) -> object:
        if action == "CreateSnapshot":
            job.edit = refuse
        return answer

    def refuse(action: str, answer: object) -> object:
        raise Ended

    job.simulator.api.faults.clear()
    job.edit = end  # type: ignore[assignment]
    with pytest.raises(Ended):
        job.run(replace(REQUEST, waited_for=True), cut_short=told.append)
    (report,) = told
    assert (report.result, report.unseen) == (Result.ASKED, CutUnseen.ENDED)
    assert [str(shot.snapshot_id)[:2] for shot in report.snapshots] == ["s-"]
    assert job.journal.all()[0].result is Result.ASKED


def test_run_that_a_signal_ends_before_it_asked_tells_nothing(job: MainJob) -> None:
    told: list[Report] = []

    def end(action: str, answer: object) -> object:
        raise Ended

    job.edit = end  # type: ignore[assignment]
    with pytest.raises(Ended):
        job.run(REQUEST, cut_short=told.append)
    assert told == []


def test_run_that_takes_over_an_earlier_one_and_is_ended_tells_what_that_one_asked_for(
    job: MainJob,
) -> None:
    told: list[Report] = []
    request = replace(REQUEST, waited_for=True)

    def end_after(first: str, then: str) -> None:
        def end(action: str, answer: object) -> object:
            if action == first:
                job.edit = refuse
            return answer

        def refuse(action: str, answer: object) -> object:
            if action == then:
                raise Ended
            return answer

        job.edit = end  # type: ignore[assignment]

    end_after("CreateSnapshot", "DescribeSnapshots")
    with pytest.raises(Ended):
        job.run(request)
    end_after("DescribeSnapshots", "DescribeSnapshots")
    with pytest.raises(Ended):
        job.run(request, cut_short=told.append)
    (report,) = told
    assert [str(shot.snapshot_id)[:2] for shot in report.snapshots] == ["s-"]
    assert report.run_id == job.journal.all()[0].run_id
    job.edit = lambda _action, answer: answer
    assert job.run(REQUEST).result is Result.RESUMED
    assert job.sets() == 1


@pytest.mark.parametrize(
    ("kinds", "asked"), [((THROTTLED,), False), (("lost_reply", THROTTLED), True)]
)
def test_run_that_a_signal_ends_while_its_create_is_put_off_tells_whether_it_may_be_made(
    job: MainJob, kinds: Sequence[str], asked: bool
) -> None:
    for kind in kinds:
        job.simulator.inject(Fault(kind=kind, action="CreateSnapshot", count=1))
    told: list[Report] = []

    def end(seconds: float) -> None:
        if seconds > 1:
            raise Ended

    job.clock.on_sleep = end
    with pytest.raises(Ended):
        job.run(replace(REQUEST, timeout_s=600), cut_short=told.append)
    assert [report.result for report in told] == ([Result.ASKED] if asked else [])
    (record,) = job.journal.all()
    assert (record.result, record.orders[0].sent) == (Result.ASKED if asked else Result.OPEN, asked)
    job.clock.on_sleep = lambda _seconds: None
    assert job.run(REQUEST).result is (Result.RESUMED if asked else Result.DONE)
    assert job.sets() == 1
