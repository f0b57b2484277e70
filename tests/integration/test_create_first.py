"""What a main job asks before its create, and what becomes of all that is only of use."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from call_rig import CREATES, account

from ecs_simulator.faults import Fault, Throttle
from fakes.main_job import MainJob, main_job
from run_directory import RunDirectory
from snap_self.errors import ExitStatus
from snap_self.model.disks import Selection
from snap_self.model.ids import InstanceId
from snap_self.model.request import Request
from snap_self.model.result import Result
from snap_self.model.run import Stage
from snap_self.model.snapshots import WaitFor

REQUEST = Request(before="os upgrade")
HOOK = replace(REQUEST, before="packages", wait=WaitFor.CUT, timeout_s=55.0, waited_for=True)
ONE_DISK = Selection(paths=("/srv",))
BOTH = pytest.mark.parametrize("asked", [REQUEST, HOOK], ids=["person", "hook"])
READS = ("DescribeSnapshots", "DescribeSnapshotGroups", "DescribeInstances")


@pytest.fixture
def job() -> Iterator[MainJob]:
    with main_job() as one:
        yield one


def _actions(job: MainJob, since: int = 0) -> list[str]:
    return [call.action for call in job.simulator.calls[since:]]


def _before_create(job: MainJob, since: int = 0) -> list[str]:
    actions = _actions(job, since)
    return actions[: next(place for place, name in enumerate(actions) if name in CREATES)]


def _end_uploads(job: MainJob) -> None:
    """An upload can end only once the cut is made."""
    while any(s["status"] != "accomplished" for s in job.simulator.dump()["snapshots"].values()):
        job.simulator.finish_snapshots()
        job.clock.sleep(0.01)


@BOTH
@pytest.mark.parametrize("selection", [ONE_DISK, Selection()], ids=["one-disk", "two-disks"])
def test_run_when_nothing_is_left_to_do_then_asks_only_for_the_disks_before_the_create(
    job: MainJob, asked: Request, selection: Selection
) -> None:
    report = job.run(replace(asked, selection=selection))
    assert report.exit_status is ExitStatus.DONE, report.error
    assert _before_create(job) == ["DescribeDisks"]


@BOTH
def test_run_when_an_earlier_group_lacks_its_retention_then_makes_its_own_first(
    job: MainJob, asked: Request
) -> None:
    job.simulator.set_life(accomplished_s=1e6)
    job.run(replace(REQUEST, before="earlier"))
    _end_uploads(job)
    since = len(job.simulator.calls)
    job.run(asked)
    assert _before_create(job, since) == ["DescribeDisks"]
    # While its own snapshots are being made, the cloud takes none.
    assert "ModifySnapshotAttribute" not in _actions(job, since)


def test_run_when_it_is_waited_for_by_a_package_manager_then_asks_nothing_that_is_only_of_use(
    job: MainJob,
) -> None:
    job.simulator.set_life(accomplished_s=1e6)
    job.run(replace(REQUEST, before="earlier"))
    _end_uploads(job)
    since = len(job.simulator.calls)
    report = job.run(HOOK)
    assert report.exit_status is ExitStatus.DONE
    calls = job.simulator.calls[since:]
    assert {call.action for call in calls} == {
        "DescribeDisks",
        "CreateSnapshotGroup",
        "DescribeSnapshotGroups",
        "DescribeSnapshots",
    }
    own = {str(shot.snapshot_id) for shot in report.snapshots}
    looks = [call.params for call in calls if call.action == "DescribeSnapshots"]
    assert all(set(_ids(params["SnapshotIds"])) == own for params in looks)


def _ids(text: str) -> list[str]:
    return text.strip("[]").replace('"', "").replace(" ", "").split(",")


class Killed(BaseException):
    """Stands for the end of the process."""


def _die_created(job: MainJob, request: Request) -> None:
    save = job.journal.save

    def dying(record: object) -> None:
        save(record)  # type: ignore[arg-type]
        if record.stage is Stage.CREATED:  # type: ignore[attr-defined]
            raise Killed

    job.journal.save = dying  # type: ignore[method-assign]
    try:
        with pytest.raises(Killed):
            # Nothing is asked beside it, which a process that has ended would not ask either.
            job.run(replace(request, waited_for=True))
    finally:
        job.journal.save = save  # type: ignore[method-assign]


@BOTH
def test_run_when_another_one_was_interrupted_then_that_is_explained_after_the_create(
    job: MainJob, asked: Request
) -> None:
    _die_created(job, replace(REQUEST, before="interrupted"))
    _end_uploads(job)
    since = len(job.simulator.calls)
    job.run(asked)
    assert _before_create(job, since) == ["DescribeDisks"]
    left = [record.before for record in job.journal.unfinished()]
    assert left == (["interrupted"] if asked.waited_for else [])


def test_interrupted_run_when_its_group_is_known_then_is_taken_up_without_a_question(
    job: MainJob,
) -> None:
    _die_created(job, REQUEST)
    since = len(job.simulator.calls)
    assert job.run(REQUEST).result is Result.RESUMED
    assert job.sets() == 1
    # One question beside that for the disks would be "what is there of this run".
    asked = [c for c in job.simulator.calls[since:] if "Tag.1.Key" in c.params]
    assert asked == []


@BOTH
def test_reuse_when_the_journal_knows_no_run_then_nothing_is_asked(
    job: MainJob, asked: Request
) -> None:
    job.run(replace(asked, reuse_s=1800.0))
    assert _before_create(job) == ["DescribeDisks"]


@BOTH
def test_reuse_when_the_journal_knows_a_run_then_it_alone_is_asked_for_by_id(
    job: MainJob, asked: Request
) -> None:
    first = job.run(replace(REQUEST, selection=ONE_DISK))
    since = len(job.simulator.calls)
    report = job.run(
        replace(asked, before="again", wait=WaitFor.CUT, selection=ONE_DISK, reuse_s=1800.0)
    )
    assert (report.result, report.run_id) == (Result.REUSED, first.run_id)
    assert _actions(job, since) == ["DescribeDisks", "DescribeSnapshots"]
    (shot,) = first.snapshots
    assert _ids(job.simulator.calls[-1].params["SnapshotIds"]) == [shot.snapshot_id]


def test_reuse_when_the_run_is_too_old_then_nothing_is_asked(job: MainJob) -> None:
    job.simulator.set_life(accomplished_s=1e6)
    job.run(REQUEST)
    _end_uploads(job)
    job.clock.sleep(3600.0)
    since = len(job.simulator.calls)
    assert job.run(replace(HOOK, reuse_s=1800.0)).result is Result.DONE
    assert _before_create(job, since) == ["DescribeDisks"]


def test_reuse_when_the_snapshot_was_deleted_then_a_new_one_is_made(job: MainJob) -> None:
    first = job.run(replace(REQUEST, wait=WaitFor.ACCOMPLISHED, selection=ONE_DISK))
    cloud = job.tools.connect(job.tools.identify())
    cloud.delete_snapshot(first.snapshots[0].snapshot_id)  # type: ignore[arg-type]
    report = job.run(replace(HOOK, selection=ONE_DISK, reuse_s=1800.0))
    assert report.result is Result.DONE
    assert report.run_id != first.run_id


@pytest.mark.parametrize("fault", ["Throttling.User:400", "Forbidden.RAM:403"])
def test_reuse_when_it_cannot_be_told_then_costs_one_question_and_one_more_snapshot(
    job: MainJob, fault: str
) -> None:
    job.run(replace(REQUEST, wait=WaitFor.ACCOMPLISHED, selection=ONE_DISK))
    job.simulator.inject(Fault(kind=f"error:{fault}", action="DescribeSnapshots"))
    since = len(job.simulator.calls)
    report = job.run(replace(HOOK, selection=ONE_DISK, reuse_s=1800.0))
    assert job.sets() == 2
    assert _before_create(job, since) == ["DescribeDisks", "DescribeSnapshots"]
    assert any("cannot be told" in note for note in report.notes)


def test_reuse_when_the_journal_was_copied_from_another_instance_then_counts_for_nothing(
    job: MainJob,
) -> None:
    job.run(replace(REQUEST, wait=WaitFor.ACCOMPLISHED, selection=ONE_DISK))
    (record,) = job.journal.all()
    job.journal.save(replace(record, instance_id=InstanceId("i-bp1theoriginal000000")))
    since = len(job.simulator.calls)
    report = job.run(replace(HOOK, selection=ONE_DISK, reuse_s=1800.0))
    assert report.result is Result.DONE
    assert _before_create(job, since) == ["DescribeDisks"]


def test_reuse_when_the_journal_is_lost_then_costs_one_more_snapshot(job: MainJob) -> None:
    job.run(replace(REQUEST, wait=WaitFor.ACCOMPLISHED, selection=ONE_DISK))
    job.forget()
    assert job.run(replace(HOOK, selection=ONE_DISK, reuse_s=1800.0)).result is Result.DONE
    assert job.sets() == 2


def test_reuse_when_the_snapshot_is_not_tagged_as_ours_any_more_then_a_new_one_is_made(
    job: MainJob,
) -> None:
    job.run(replace(REQUEST, wait=WaitFor.ACCOMPLISHED, selection=ONE_DISK))
    for shot in job.simulator.state.snapshots.values():
        shot.tags.clear()
    assert job.run(replace(HOOK, selection=ONE_DISK, reuse_s=1800.0)).result is Result.DONE


def test_person_when_it_is_the_first_snapshot_then_is_still_told_that_it_is_slow(
    job: MainJob,
) -> None:
    job.simulator.set_life(accomplished_s=1e6)
    first = job.run(REQUEST)
    assert any(note.startswith("first snapshot of") for note in first.notes)
    _end_uploads(job)
    second = job.run(replace(REQUEST, before="another"))
    assert not any(note.startswith("first snapshot of") for note in second.notes)
    # Its own is not an earlier one that is still being made.
    assert not any("still being made" in note for note in second.notes)


def test_person_when_the_instance_is_in_no_state_for_it_then_the_refusal_is_told_with_its_state(
    job: MainJob,
) -> None:
    own = job.simulator.cloud.own_instance.instance_id
    job.simulator.set_instance(own, status="Starting")
    report = job.run(REQUEST)
    assert report.error is not None
    assert (report.exit_status, report.error.code) == (
        ExitStatus.PRECONDITION,
        "instance-not-ready",
    )
    assert any(f"{own} is Starting" in note for note in report.notes)


def test_person_when_what_is_only_of_use_gets_no_answer_then_the_end_comes_within_its_limit(
    job: MainJob,
) -> None:
    job.simulator.set_latencies({"DescribeSnapshots": 30.0})
    began = time.monotonic()
    report = job.run(replace(REQUEST, wait=WaitFor.NONE, selection=ONE_DISK))
    assert report.snapshots
    # Its own look for `--wait none` and the advice beside it: 3 s each, at the same time.
    assert time.monotonic() - began < 8.0


@BOTH
def test_run_when_lists_of_snapshots_are_throttled_then_no_question_is_repeated_before_the_create(
    job: MainJob, asked: Request
) -> None:
    job.run(replace(REQUEST, wait=WaitFor.ACCOMPLISHED))
    job.simulator.set_throttles(
        *(Throttle(action=action, limit=0, code="Throttling.User", status=400) for action in READS)
    )
    since = len(job.simulator.calls)
    job.run(replace(asked, wait=WaitFor.NONE, reuse_s=1800.0))
    assert _before_create(job, since) == ["DescribeDisks", "DescribeSnapshots"]


@pytest.mark.parametrize("hook", [False, True], ids=["person", "hook"])
@pytest.mark.parametrize("disks", [1, 4])
def test_agent_when_lists_are_refused_for_a_minute_then_sends_its_create_within_six_seconds(
    run_directory: RunDirectory, tmp_path: Path, disks: int, *, hook: bool
) -> None:
    with account(disks, run_directory, tmp_path) as one:
        one.hook("earlier")
        one.end_uploads()
        one.simulator.set_throttles(
            Throttle(action="DescribeSnapshots", limit=0, code="Throttling.User", status=400)
        )
        ask = one.hook if hook else one.job
        began = time.time()
        asked = ask("now", "--reuse", "30m", "--wait", "cut", "--timeout", "6s")
        (create,) = [c for c in one.simulator.calls if c.action in CREATES and c.time >= began]
        assert create.code == ""
        assert create.time - began < 6.0
        # The one look for a set to be used again, which is not sent a second time.
        assert asked.before_create == ("DescribeDisks", "DescribeSnapshots")
