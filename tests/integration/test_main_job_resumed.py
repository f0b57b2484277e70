"""The same command given again after a run that did not end: one set, whoever explained it."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from ecs_simulator.config import LifeTimes
from ecs_simulator.faults import Fault
from fakes.filesystems import FakeFilesystems
from fakes.main_job import MainJob, config, main_job
from snap_self.errors import ExitStatus
from snap_self.model.request import Request
from snap_self.model.result import Result
from snap_self.model.run import RunRecord, Stage
from snap_self.model.snapshots import Consistency
from snap_self.usecases.inventory.keep import PrunePolicy
from snap_self.usecases.listing import list_snapshots
from snap_self.usecases.prune import prune
from snap_self.usecases.tools import Process

REQUEST = Request(before="os upgrade")
LIFE = LifeTimes(cut_s=0.01, available_s=0.02, accomplished_s=0.1)


class Killed(BaseException):
    """Stands for the end of the process."""


@pytest.fixture(params=["cloud_essd", "cloud_efficiency"])
def job(request: pytest.FixtureRequest) -> Iterator[MainJob]:
    with main_job(config(category=request.param, life=LIFE)) as one:
        yield one


def _die_at(job: MainJob, stage: Stage) -> None:
    """Run the main job and have it end without a word when it saves that stage."""
    save = job.journal.save

    def dying(record: RunRecord) -> None:
        save(record)
        if record.stage is stage:
            raise Killed

    job.journal.save = dying  # type: ignore[method-assign]
    try:
        with pytest.raises(Killed):
            job.run(REQUEST)
    finally:
        job.journal.save = save  # type: ignore[method-assign]


def _let_it_upload(job: MainJob) -> None:
    """The cloud makes one snapshot of a disk at a time."""
    while any(s["progress"] < 100 for s in job.simulator.dump()["snapshots"].values()):
        job.clock.sleep(0.01)


def _want(job: MainJob) -> int:
    return 1 if job.simulator.dump()["groups"] else 2


@pytest.mark.parametrize("explained", [False, True], ids=["unseen", "explained"])
def test_run_killed_after_the_answer_is_finished_by_the_same_command(
    job: MainJob, explained: bool
) -> None:
    _die_at(job, Stage.CREATED)
    if explained:
        assert "interrupted" in " ".join(list_snapshots(job.tools).notes)
        assert job.journal.unfinished() == ()
    report = job.run(REQUEST)
    assert report.exit_status is ExitStatus.DONE, report.error
    assert report.result is Result.RESUMED
    assert job.sets() == _want(job)
    assert job.journal.unfinished() == ()


@pytest.mark.parametrize("explained", [False, True], ids=["unseen", "explained"])
def test_run_killed_before_the_request_asks_with_the_same_token(
    job: MainJob, explained: bool
) -> None:
    _die_at(job, Stage.CREATING)
    if explained:
        assert "no snapshot of it can be seen" in " ".join(list_snapshots(job.tools).notes)
    assert job.run(REQUEST).exit_status is ExitStatus.DONE
    assert job.sets() == _want(job)
    assert len(job.journal.all()) == 1


@pytest.mark.parametrize("may_tag", [True, False])
def test_second_flush_that_fails_leaves_no_snapshot_that_claims_the_first(
    job: MainJob, *, may_tag: bool
) -> None:
    _die_at(job, Stage.CREATING)
    if not may_tag:
        job.simulator.inject(Fault(kind="error:Forbidden.RAM:403", action="TagResources", count=9))
    report = job.run(REQUEST, filesystems=FakeFilesystems(failing={"/srv": errno.EIO}))
    assert (report.result, report.consistency.reached) == (Result.RESUMED, Consistency.CRASH)
    assert {shot.level for shot in list_snapshots(job.tools).snapshots} == {Consistency.CRASH}
    if may_tag:
        told = [s["tags"] for s in job.simulator.dump()["snapshots"].values()]
        assert {tags["snap-self-consistency"] for tags in told} == {"crash"}


def test_run_killed_while_planned_is_begun_anew(job: MainJob) -> None:
    _die_at(job, Stage.PLANNED)
    assert job.run(REQUEST).result is Result.DONE
    assert job.journal.unfinished() == ()
    assert [record.result for record in job.journal.all()] == [Result.DONE, Result.INTERRUPTED]


def test_third_command_makes_a_set_of_its_own(job: MainJob) -> None:
    _die_at(job, Stage.CREATED)
    job.run(REQUEST)
    _let_it_upload(job)
    assert job.run(REQUEST).result is Result.DONE
    assert job.sets() == 2 * _want(job)


def test_explained_run_is_not_taken_up_when_its_snapshots_are_gone(job: MainJob) -> None:
    _die_at(job, Stage.CREATED)
    list_snapshots(job.tools)
    cloud = job.tools.connect(job.tools.identify())
    for shot in cloud.describe_snapshots():
        cloud.delete_snapshot(shot.snapshot_id)
    report = job.run(REQUEST)
    assert report.result is Result.DONE
    assert report.exit_status is ExitStatus.DONE


@pytest.mark.parametrize(
    "changed",
    [
        {"request": replace(REQUEST, before="something else")},
        {"resume_s": 0.0},
        {"process": Process(pid=2, boot_id="the next boot")},
    ],
    ids=["other request", "never resume", "after a reboot"],
)
def test_run_that_cannot_be_taken_up_is_explained_and_a_new_set_made(
    job: MainJob, changed: dict[str, Any]
) -> None:
    _die_at(job, Stage.CREATED)
    _let_it_upload(job)
    changed = dict(changed)
    report = job.run(changed.pop("request", REQUEST), **changed)
    assert report.result is Result.DONE
    assert job.sets() == 2 * _want(job)
    assert job.journal.unfinished() == ()
    assert job.journal.all()[-1].explained


def test_run_for_other_disks_than_now_is_explained_not_left_open(job: MainJob) -> None:
    _die_at(job, Stage.CREATED)
    (left,) = job.journal.unfinished()
    order = left.orders[0]
    fewer = replace(order, order=replace(order.order, disk_ids=order.order.disk_ids[:1]))
    job.journal.save(replace(left, orders=(fewer,)))
    _let_it_upload(job)
    assert job.run(REQUEST).result is Result.DONE
    assert job.journal.unfinished() == ()


def test_run_whose_wait_ran_out_is_waited_for_by_the_same_command(job: MainJob) -> None:
    job.simulator.set_life(cut_s=0.01, available_s=0.8, accomplished_s=0.8)
    first = job.run(replace(REQUEST, timeout_s=1.0))
    assert first.exit_status is ExitStatus.WAIT_RAN_OUT
    _let_it_upload(job)
    second = job.run(replace(REQUEST, timeout_s=3600.0))
    assert second.result is Result.RESUMED, second.error
    assert job.sets() == _want(job)


def test_create_whose_answers_are_all_lost_is_found_by_the_same_command(job: MainJob) -> None:
    for action in ("CreateSnapshot", "CreateSnapshotGroup"):
        job.simulator.inject(Fault(kind="lost_reply", action=action, count=50))
    report = job.run(REQUEST)
    assert report.exit_status is ExitStatus.UNREACHABLE
    assert report.error
    assert "no second one is made" in report.error.hint
    job.simulator.api.faults.clear()
    again = job.run(REQUEST)
    assert again.result is Result.RESUMED
    assert again.exit_status is ExitStatus.DONE, again.error
    assert job.sets() == _want(job)


def test_refused_create_leaves_nothing_to_take_up(job: MainJob) -> None:
    for action in ("CreateSnapshot", "CreateSnapshotGroup"):
        job.simulator.inject(Fault(kind="error:Forbidden.RAM:403", action=action, count=2))
    assert job.run(REQUEST).exit_status is ExitStatus.CREDENTIALS
    assert job.journal.unfinished() == ()
    job.simulator.api.faults.clear()
    assert job.run(REQUEST).result is Result.DONE


def test_explained_group_gets_its_retention_once_it_is_uploaded() -> None:
    with main_job(config(life=replace(LIFE, accomplished_s=0.5))) as job:
        _die_at(job, Stage.CREATED)
        list_snapshots(job.tools)
        (record,) = job.journal.all()
        assert len(record.orders[0].retention_pending) == 2
        _let_it_upload(job)
        prune(job.tools, PrunePolicy(), dry_run=False)
        kept = [shot["retention_days"] for shot in job.simulator.dump()["snapshots"].values()]
        assert kept == [14, 14]


def test_job_that_waits_too_long_for_another_asks_the_cloud_nothing() -> None:
    with main_job() as job, job.tools.lock.hold(timeout_s=1.0, purpose="another"):
        report = job.run(REQUEST, lock_wait_s=0.0)
        assert report.exit_status is ExitStatus.LOCKED
        assert job.simulator.calls == []
