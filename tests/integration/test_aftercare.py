"""What an earlier run left in the journal, where the cloud does not tell what became of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from ecs_simulator.faults import Fault
from fakes.main_job import MainJob, main_job
from snap_self.errors import ExitStatus
from snap_self.model.disks import Selection
from snap_self.model.request import Request
from snap_self.model.run import RunRecord, Stage
from snap_self.model.snapshots import WaitFor
from snap_self.usecases.listing import list_snapshots

REQUEST = Request(before="os upgrade", wait=WaitFor.AVAILABLE)


@pytest.fixture
def job() -> Iterator[MainJob]:
    with main_job() as one:
        yield one


def _interrupted(job: MainJob) -> RunRecord:
    """Return the record of a run that was ended when the cloud had answered."""
    job.run(REQUEST)
    record = replace(job.journal.all()[0], stage=Stage.CREATED, finished=None, result="")
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
    disk = Selection(disks=(record.orders[0].order.disk_ids[0],))
    report = job.run(replace(REQUEST, before="another change", selection=disk))
    assert report.exit_status is ExitStatus.DONE, report.error
    assert report.snapshots
    assert any(record.run_id in event.text for event in job.events)
