"""``run`` as a use case: what is known when the command starts, and what is kept of its end."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import pytest

from ecs_simulator.faults import Fault
from fakes.foreground import FakeForeground
from fakes.journal import FakeJournal
from fakes.main_job import MainJob, main_job
from snap_self.model.command import Ended, NotStartable, OnSnapshotFailure
from snap_self.model.looking import Since
from snap_self.model.report import Report
from snap_self.model.request import Request
from snap_self.model.run import Stage
from snap_self.usecases.listing import list_snapshots
from snap_self.usecases.run_command import Change, Changed, run_change


@dataclass
class View:
    """Notes what it is told, in order."""

    told: list[str] = field(default_factory=list)

    def snapshot_ended(self, report: Report, *, starting: bool) -> None:
        """Note it."""
        self.told.append(f"snapshot {int(report.exit_status)} {starting}")

    def command_ended(self, changed: Changed) -> None:
        """Note it."""
        self.told.append(f"command {changed.exit_status}")

    def waits(self, changed: Changed) -> None:
        """Note it."""
        self.told.append(f"waits {not changed.confirmed}")

    def machine_changed(self, report: Report, since: Since) -> None:
        """Note it."""
        self.told.append("machine changed")


@pytest.fixture
def job() -> Iterator[MainJob]:
    with main_job() as one:
        yield one


def change(policy: OnSnapshotFailure = OnSnapshotFailure.STOP) -> Change:
    return Change(request=Request(before="schema change"), argv=("migrate",), policy=policy)


def test_command_is_started_after_the_snapshot_and_noted_before(job: MainJob) -> None:
    seen: list[tuple[int, Stage, str]] = []

    def look() -> None:
        (record,) = job.journal.all()
        seen.append((job.sets(), record.stage, record.outcome))

    commands, view = FakeForeground(Ended(status=3), while_running=look), View()
    changed = run_change(change(), job.tools, commands, view)
    ((sets, stage, outcome),) = seen
    assert (sets, stage) == (1, Stage.COMMAND)
    assert outcome.startswith("running since ")
    assert changed.exit_status == 3
    assert view.told == ["snapshot 0 True", "command 3"]


def test_outcome_can_be_told_without_the_journal(job: MainJob) -> None:
    run_change(change(), job.tools, FakeForeground(Ended(status=3)), View())
    listing = list_snapshots(replace(job.tools, store=FakeJournal()))
    assert {s.outcome.partition(" after ")[0] for s in listing.snapshots} == {
        "failed with status 3"
    }


def test_refused_tag_changes_nothing_else(job: MainJob) -> None:
    refusal = Fault(kind="error", action="TagResources", code="Forbidden.RAM", status=403, count=9)
    job.simulator.inject(refusal)
    changed = run_change(change(), job.tools, FakeForeground(), View())
    assert changed.exit_status == 0
    assert job.journal.all()[0].outcome.startswith("done after ")


def test_command_that_cannot_be_started_asks_the_cloud_nothing(job: MainJob) -> None:
    commands = FakeForeground(missing={"migrate": NotStartable.NOT_FOUND})
    changed = run_change(change(), job.tools, commands, View())
    assert (changed.exit_status, changed.report) == (127, None)
    assert list(job.simulator.calls) == []


@pytest.mark.parametrize("policy", OnSnapshotFailure)
def test_refused_snapshot_decides_by_policy(job: MainJob, policy: OnSnapshotFailure) -> None:
    job.simulator.inject(
        Fault(kind="error", action="CreateSnapshotGroup", code="Forbidden.RAM", status=403, count=9)
    )
    commands = FakeForeground(Ended(status=4))
    changed = run_change(change(policy), job.tools, commands, View())
    started = policy is OnSnapshotFailure.RUN
    assert commands.started == ([("migrate",)] if started else [])
    assert changed.exit_status == (4 if started else 125)
    (record,) = job.journal.all()
    assert record.stage is Stage.FINISHED
    assert record.outcome.partition(" after ")[0] == ("failed with status 4" if started else "")
