"""What an earlier run left in the journal, if the cloud does not tell, or it is not ours."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from ecs_simulator.faults import Fault
from fakes.inhibitor import FakeInhibitor
from fakes.lock import FakeLock
from fakes.main_job import DISKS, MainJob, main_job
from snap_self.errors import ExitStatus
from snap_self.model.disks import Selection
from snap_self.model.ids import InstanceId
from snap_self.model.request import Request
from snap_self.model.result import Result
from snap_self.model.run import RunRecord, Stage
from snap_self.model.snapshots import WaitFor
from snap_self.system.clock import SystemClock
from snap_self.usecases.follow import Watching, follow
from snap_self.usecases.listing import list_snapshots
from snap_self.usecases.show import show

REQUEST = Request(before="os upgrade", wait=WaitFor.AVAILABLE)
ORIGINAL = InstanceId("i-bp1theoriginal000000")


@pytest.fixture
def job() -> Iterator[MainJob]:
    with main_job() as one:
        yield one


def _interrupted(job: MainJob) -> RunRecord:
    """Return the record of a run that was ended when the cloud had answered."""
    job.run(REQUEST)
    record = replace(job.journal.all()[0], stage=Stage.CREATED, finished=None, result=Result.OPEN)
    job.journal.save(record)
    return record


def _refuse_groups(job: MainJob) -> None:
    fault = Fault(kind="error:Forbidden.RAM:403", action="DescribeSnapshotGroups", count=1000)
    job.simulator.inject(fault)


def test_list_is_there_when_an_interrupted_run_cannot_be_looked_up(job: MainJob) -> None:
    record = _interrupted(job)
    _refuse_groups(job)
    notes = list_snapshots(job.tools).notes
    assert any(record.run_id in note and "cannot be told now" in note for note in notes)
    assert [left.run_id for left in job.journal.unfinished()] == [record.run_id]
    job.simulator.api.faults.clear()
    assert any("interrupted" in note for note in list_snapshots(job.tools).notes)
    assert job.journal.unfinished() == ()


def test_main_job_goes_on_when_an_interrupted_run_cannot_be_looked_up(job: MainJob) -> None:
    record = _interrupted(job)
    job.simulator.finish_snapshots()
    _refuse_groups(job)
    disk = Selection(disks=DISKS[:1])
    report = job.run(replace(REQUEST, before="another change", selection=disk))
    assert report.exit_status is ExitStatus.DONE, report.error
    assert report.snapshots
    assert any(record.run_id in event.text for event in job.events)


@pytest.mark.parametrize("stage", [Stage.CREATING, Stage.CREATED, Stage.COMMAND, Stage.FINISHED])
def test_run_of_the_instance_this_disk_was_copied_from_is_left_alone(
    job: MainJob, stage: Stage
) -> None:
    job.simulator.set_life(accomplished_s=1e6)
    job.run(REQUEST)
    record = replace(job.journal.all()[0], instance_id=ORIGINAL, stage=stage)
    job.journal.save(record)
    job.simulator.finish_snapshots()
    before = len(job.simulator.calls)
    notes = list_snapshots(job.tools).notes
    asked = [str(call.params) for call in job.simulator.calls[before:]]
    assert not any(record.run_id in each for each in asked)
    assert "ModifySnapshotAttribute" not in [c.action for c in job.simulator.calls[before:]]
    assert [note for note in notes if record.run_id in note and f"is of {ORIGINAL}" in note]
    assert not any("restarted" in note for note in notes)
    assert f"a matter of {ORIGINAL}" in show(job.tools, record.run_id).upload
    assert not [note for note in list_snapshots(job.tools).notes if record.run_id in note]
    assert job.journal.unfinished() == ()


def test_upload_of_the_original_holds_no_reboot_of_its_copy_back(job: MainJob) -> None:
    job.simulator.set_life(accomplished_s=1e6)
    first, second = (replace(REQUEST, selection=Selection(disks=(disk,))) for disk in DISKS)
    job.run(first)
    job.journal.save(replace(job.journal.all()[0], instance_id=ORIGINAL))
    job.run(replace(second, before="another change"))
    lock = FakeLock(SystemClock())
    inhibitor = FakeInhibitor()
    follow(job.tools, Watching(inhibitor=inhibitor, lock=lock, limit_s=10.0))
    assert inhibitor.said
    assert not any("os upgrade" in words for words in inhibitor.said)


@pytest.mark.parametrize("stage", [Stage.CREATED, Stage.FINISHED])
def test_what_was_made_is_named_when_the_journal_cannot_be_written_any_more(
    job: MainJob, stage: Stage
) -> None:
    save = job.journal.save

    def fill_up(record: RunRecord) -> None:
        job.journal.failing = "the disk is full" if record.stage is stage else job.journal.failing
        save(record)

    job.journal.save = fill_up  # type: ignore[method-assign]
    report = job.run(REQUEST)
    assert report.exit_status is ExitStatus.DONE
    assert sorted(str(s.snapshot_id) for s in report.snapshots) == sorted(
        job.simulator.dump()["snapshots"]
    )
    assert len([event for event in job.events if "the disk is full" in event.text]) == 1
    job.journal.failing = ""
    job.journal.save = save  # type: ignore[method-assign]
    assert any(str(report.run_id) in note for note in list_snapshots(job.tools).notes)
    assert job.journal.unfinished() == ()


def test_refusal_is_told_when_the_journal_cannot_be_written_any_more(job: MainJob) -> None:
    save = job.journal.save

    def fill_up(record: RunRecord) -> None:
        save(record)
        job.journal.failing = "the disk is full" if record.stage is Stage.CREATING else ""

    job.journal.save = fill_up  # type: ignore[method-assign]
    fault = Fault(kind="error:Forbidden.RAM:403", action="CreateSnapshotGroup", count=10)
    job.simulator.inject(fault)
    report = job.run(REQUEST)
    assert report.exit_status is ExitStatus.CREDENTIALS
