"""What the machine knows of it that it went back: its own journal is from before."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from ecs_simulator.config import RoleConfig
from ecs_simulator.faults import Fault
from fakes.journal import FakeJournal
from fakes.main_job import DISKS, MainJob, config, main_job
from snap_self.access.documents import OOS_SERVICE, role_policy, rollback_role_policy
from snap_self.cloud.executions import OosExecutions
from snap_self.errors import ExitStatus
from snap_self.model.actions import Policy
from snap_self.model.executions import Back
from snap_self.model.ids import RunId
from snap_self.model.progress import EventKind
from snap_self.model.request import Request
from snap_self.model.result import Result
from snap_self.model.run import ArmedEnd, ArmedRecord, RunRecord, Stage
from snap_self.model.snapshots import Identity
from snap_self.recovery.went_back import Return
from snap_self.system.rollback_files import template
from snap_self.usecases.confirming.arming import Outside
from snap_self.usecases.confirming.confirm import (
    CheckResult,
    Confirmed,
    ConfirmRequest,
    confirm,
)
from snap_self.usecases.confirming.job import take_armed
from snap_self.usecases.listing import list_snapshots
from snap_self.usecases.rollback import RollbackRequest, Started, roll_back
from snap_self.usecases.show import show
from snap_self.usecases.tools import Process

ROLE, OUTSIDE = "SnapSelfRole", "own-rollback"
WANTED = Request(before="os upgrade")


class Machine:
    """A machine whose journal goes back with its disks.

    Args:
        job: the agent on it.
    """

    def __init__(self, job: MainJob) -> None:
        self.job = job
        self.logged: list[str] = []
        self.at_cut: dict[str, RunRecord] = {}
        self.deadlines: dict[str, datetime] = {}
        self.cut_stage = Stage.CREATING
        job.tools = replace(
            job.tools, executions=self._executions, tell_system_log=self.logged.append
        )
        job.clock.moves_cloud = True
        self._watch()

    def run(self, before: str) -> str:
        """Take a snapshot; return its run."""
        report = self.job.run(replace(WANTED, before=before))
        assert report.exit_status is ExitStatus.DONE
        self._settle()
        assert report.run_id
        return report.run_id

    def go_back(self, run: str, *, snapshot_first: bool = False) -> Started:
        """Have OOS bring the disks back, and wait for it; what the disks hold is not touched."""
        request = RollbackRequest(
            wanted=run, snapshot_first=snapshot_first, content=template(), role=OUTSIDE
        )
        started = roll_back(
            self.job.tools, self._executions, request, lambda _: True, half_way=lambda: False
        )
        assert started is not None
        self._wait(started.execution.execution_id)
        return started

    def arm(self, within_s: int = 600) -> str:
        """Take a snapshot with a rollback that waits for so long; return its run."""
        request = replace(WANTED, confirm_within_s=within_s)
        report = take_armed(request, self.job.tools, self.outside())
        assert report.exit_status is ExitStatus.DONE, report.error
        assert report.armed is not None
        assert report.run_id
        self.deadlines[report.run_id] = report.armed.deadline
        self._settle()
        return report.run_id

    def extend_and_die(self) -> None:
        """Arm a later one in place of what waits, and be killed before that one is called off."""

        def edit(action: str, answer: dict[str, Any]) -> dict[str, Any]:
            if action == "StartExecution":
                raise KeyboardInterrupt
            return answer

        self.job.edit = edit
        with pytest.raises(KeyboardInterrupt):
            confirm(self.job.tools, self.outside(), ConfirmRequest(extend_s=1500), no_checks)
        self.job.edit = lambda _action, answer: answer

    def wait_for_armed(self, run: str, execution_id: str = "") -> None:
        """Wait until what a run armed, or one that was armed before it was extended, has ended."""
        # Nothing happens until shortly before it is due; then the cloud is asked each second.
        left = self.deadlines[run] - self.job.clock.now()
        self.job.clock.sleep(max(0.0, left.total_seconds() - 10))
        if execution_id:
            return self._wait(execution_id)
        record = self.job.journal.load(RunId(run))
        assert record is not None
        assert record.armed is not None
        return self._wait(record.armed.execution_id)

    def wait_until_over(self, run: str) -> None:
        """Wait until the disks are back, and the execution only looks at what came of it."""
        left = self.deadlines[run] - self.job.clock.now()
        self.job.clock.sleep(max(0.0, left.total_seconds() - 10))
        for _ in range(2000):
            seen = self._executions(self.job.tools.identify()).look(armed(self, run).execution_id)
            if seen is not None and seen.over:
                return
            self.job.clock.sleep(1)
        raise AssertionError(seen)

    def outside(self) -> Outside:
        return Outside(executions=self._executions, content=template(), role=OUTSIDE)

    def confirm(self, run: str) -> Confirmed:
        """Say what the template's boot check has the machine say."""
        return confirm(self.job.tools, self.outside(), ConfirmRequest(run=run), no_checks)

    def boot(self, *, journal_of: str = "") -> None:
        """Start again.

        Args:
            journal_of: with the journal as it was at the cut of this run.
        """
        if journal_of:
            kept = [r for r in self.job.journal.all() if r.run_id < journal_of]
            self.job.forget()
            for record in (*kept, self.at_cut[journal_of]):
                self.job.journal.save(record)
            self._watch()
        self.job.tools = replace(self.job.tools, process=Process(pid=2, boot_id="another boot"))

    def _watch(self) -> None:
        """Keep each record as it was when the cloud was asked."""
        journal: FakeJournal = self.job.journal
        save = journal.save

        def saving(record: RunRecord) -> None:
            save(record)
            if record.stage is self.cut_stage:
                self.at_cut.setdefault(record.run_id, record)

        journal.save = saving  # type: ignore[method-assign]

    def _executions(self, identity: Identity) -> OosExecutions:
        return OosExecutions(self.job.tools.connect(identity).caller)

    def _settle(self) -> None:
        for _ in range(500):
            shots = self.job.simulator.dump()["snapshots"].values()
            if all(each["progress"] == 100 for each in shots):
                return
            self.job.clock.sleep(1)

    def _wait(self, execution_id: str) -> None:
        call = self.job.caller()
        for _ in range(2000):
            asked = {"Version": "2019-06-01", "ExecutionId": execution_id}
            (found,) = call("ListExecutions", asked)["Executions"]
            if found["Status"] not in ("Started", "Running"):
                return
            self.job.clock.sleep(1)
        raise AssertionError(found)


def record_of(machine: Machine, run: str) -> RunRecord:
    record = machine.job.journal.load(RunId(run))
    assert record is not None
    return record


def armed(machine: Machine, run: str) -> ArmedRecord:
    noted = record_of(machine, run).armed
    assert noted is not None
    return noted


def change_armed(machine: Machine, run: str, **changed: Any) -> None:
    noted = replace(armed(machine, run), **changed)
    machine.job.journal.save(replace(record_of(machine, run), armed=noted))


def no_checks(commands: Sequence[str], *, folder: bool) -> tuple[CheckResult, ...]:
    raise AssertionError((commands, folder))


@pytest.fixture
def machine() -> Iterator[Machine]:
    roles = (RoleConfig(), RoleConfig(name=OUTSIDE, trusted=(OOS_SERVICE,)))
    with main_job(replace(config(), roles=roles)) as job:
        job.simulator.set_group_behaviour(propagate_tags=True)
        holder = replace(job.tools.identify().holder, disks=DISKS)
        policies = (Policy.CREATE, Policy.ROLLBACK)
        job.simulator.set_policies(ROLE, role_policy(holder, policies, passed=OUTSIDE))
        job.simulator.set_policies(OUTSIDE, rollback_role_policy(holder))
        yield Machine(job)


def the_return(machine: Machine) -> Return:
    (one,) = list_snapshots(machine.job.tools).returns
    return one


def test_machine_finds_out_that_it_went_back_and_what_is_lost(machine: Machine) -> None:
    earlier, run, later = (machine.run(before) for before in ("a", "os upgrade", "b"))
    started = machine.go_back(run)
    machine.boot(journal_of=run)
    one = the_return(machine)
    assert (one.run, one.before) == (run, "os upgrade")
    assert one.execution.execution_id == started.execution.execution_id
    assert (one.execution.status, ROLE in one.execution.by) == ("Success", True)
    assert [each.name for each in one.lost] == [later]
    assert earlier not in [each.name for each in one.lost]
    assert machine.logged
    assert run in machine.logged[0]


def test_run_of_the_cut_is_closed_and_told_only_once(machine: Machine) -> None:
    run = machine.run("os upgrade")
    machine.go_back(run)
    machine.boot(journal_of=run)
    assert [r.run_id for r in machine.job.journal.unfinished()] == [run]
    list_snapshots(machine.job.tools)
    assert machine.job.journal.unfinished() == ()
    machine.job.simulator.api.calls.clear()
    list_snapshots(machine.job.tools)
    assert "ListExecutions" not in [call.action for call in machine.job.simulator.calls]
    assert len(machine.logged) == 1


def test_restart_spoilt_no_upload_that_was_gone_back_to(machine: Machine) -> None:
    # The cloud may cut only after it has answered; the journal has the upload begun by then.
    machine.cut_stage = Stage.CREATED
    run = machine.run("os upgrade")
    machine.go_back(run)
    machine.boot(journal_of=run)
    assert machine.at_cut[run].upload is not None
    listing = list_snapshots(machine.job.tools)
    assert [one.run for one in listing.returns] == [run]
    assert listing.notes == ()


def test_same_command_makes_a_run_of_its_own_and_tells_of_the_way_back(machine: Machine) -> None:
    run = machine.run("os upgrade")
    machine.go_back(run)
    machine.boot(journal_of=run)
    sets = machine.job.sets()
    report = machine.job.run(WANTED)
    assert report.exit_status is ExitStatus.DONE
    assert (report.result, machine.job.sets()) == (Result.DONE, sets + 1)
    told = [e.text for e in machine.job.events if e.kind is EventKind.WARNING]
    assert any("brought disks back" in text and run in text for text in told)
    assert [each.name for each in the_return(machine).lost] == []


def test_show_has_it_for_the_run_and_for_those_that_are_lost(machine: Machine) -> None:
    run, later = machine.run("os upgrade"), machine.run("b")
    machine.go_back(run, snapshot_first=True)
    machine.boot(journal_of=run)
    shown = show(machine.job.tools, run)
    assert shown.went_back is not None
    assert len(shown.went_back.lost) == 2
    assert shown.lost_by is None
    assert (lost := show(machine.job.tools, later).lost_by) is not None
    assert (lost.run, show(machine.job.tools, later).went_back) == (run, None)


def test_level_is_what_the_run_had_proved_after_the_cut(machine: Machine) -> None:
    run = machine.run("os upgrade")
    levels = {s.snapshot_id: s.level for s in list_snapshots(machine.job.tools).snapshots}
    machine.go_back(run)
    machine.at_cut[run] = replace(machine.at_cut[run], consistency_reached=None)
    machine.boot(journal_of=run)
    after = {s.snapshot_id: s.level for s in list_snapshots(machine.job.tools).snapshots}
    assert after == levels


def test_data_disk_alone_leaves_a_journal_that_learns_the_end(machine: Machine) -> None:
    run = machine.run("os upgrade")
    machine.go_back(run)
    machine.boot()
    one = the_return(machine)
    assert (one.run, one.execution.ended) == (run, True)
    assert machine.job.journal.load(one.run).result is Result.DONE  # type: ignore[union-attr, arg-type]


def test_failed_one_is_told_as_such_and_nothing_is_called_lost(machine: Machine) -> None:
    run, _ = machine.run("os upgrade"), machine.run("b")
    machine.job.simulator.inject(
        Fault(kind="error:OperationConflict:403", action="ResetDisk", count=9)
    )
    machine.go_back(run)
    machine.boot()
    one = the_return(machine)
    assert (one.execution.status, one.execution.back, one.lost) == ("Failed", Back.NONE, ())
    assert one.execution.said


@pytest.mark.parametrize(
    ("refused", "skip", "back", "ended"),
    [
        ("StartInstance", 0, Back.ALL, ArmedEnd.WENT_BACK),
        ("ResetDisk", 1, Back.PART, ArmedEnd.HALF_WAY),
    ],
)
@pytest.mark.parametrize("confirms", [True, False])
def test_failure_after_disks_went_back_is_told_as_what_it_is(
    machine: Machine, refused: str, skip: int, back: Back, ended: ArmedEnd, confirms: bool
) -> None:
    # The service waits for the start longer than a signature may be old.
    run, later = machine.arm(within_s=240), machine.run("b")
    fault = Fault(kind="error:OperationConflict:403", action=refused, skip=skip, count=9)
    machine.job.simulator.inject(fault)
    machine.wait_for_armed(run)
    machine.boot()
    if confirms:
        machine.confirm(run)
    one = the_return(machine)
    assert (one.execution.status, one.execution.back) == ("Failed", back)
    assert [each.name for each in one.lost] == [later]
    assert armed(machine, run).ended is ended


def test_failure_of_which_oos_tells_no_tasks_is_left_open_and_asked_again(
    machine: Machine,
) -> None:
    run = machine.run("os upgrade")
    fault = Fault(kind="error:OperationConflict:403", action="ResetDisk", skip=1, count=9)
    machine.job.simulator.inject(fault)
    machine.go_back(run)
    machine.boot()
    hidden = Fault(kind="error:NoPermission:403", action="ListTaskExecutions", count=9)
    machine.job.simulator.inject(hidden)
    assert the_return(machine).execution.is_doubtful
    machine.job.simulator.api.faults.clear()
    assert the_return(machine).execution.back is Back.PART


def test_failed_one_is_no_reason_why_a_journal_is_from_before(machine: Machine) -> None:
    run = machine.run("os upgrade")
    started = machine.go_back(run)
    machine.job.simulator.inject(
        Fault(kind="error:OperationConflict:403", action="ResetDisk", count=9)
    )
    machine.go_back(run)
    machine.boot(journal_of=run)
    one = the_return(machine)
    assert one.execution.execution_id == started.execution.execution_id


@pytest.mark.parametrize("kind", ["error:NoPermission:403", "error:InternalError:500"])
def test_where_oos_does_not_tell_it_is_left_open(machine: Machine, kind: str) -> None:
    run = machine.run("os upgrade")
    machine.go_back(run)
    machine.boot(journal_of=run)
    machine.job.simulator.inject(Fault(kind=kind, action="ListExecutions", count=99))
    listing: Any = list_snapshots(machine.job.tools)
    assert listing.returns == ()
    assert any("or the disk with this journal was brought back" in n for n in listing.notes)


def test_crash_alone_is_no_way_back(machine: Machine) -> None:
    run = machine.run("os upgrade")
    machine.boot(journal_of=run)
    listing = list_snapshots(machine.job.tools)
    assert listing.returns == ()
    assert any("was interrupted" in note for note in listing.notes)


def test_what_nobody_confirmed_is_told_by_a_journal_from_before(machine: Machine) -> None:
    run = machine.arm()
    machine.wait_for_armed(run)
    machine.boot(journal_of=run)
    listing = list_snapshots(machine.job.tools)
    (one,) = listing.returns
    assert (one.run, one.execution.status) == (run, "Success")
    assert listing.armed == ()
    assert len(machine.logged) == 1


def test_what_nobody_confirmed_is_told_by_a_journal_that_stayed(machine: Machine) -> None:
    run = machine.arm()
    machine.wait_for_armed(run)
    machine.boot()
    listing = list_snapshots(machine.job.tools)
    assert [(one.run, one.execution.status) for one in listing.returns] == [(run, "Success")]
    assert listing.armed == ()
    record = machine.job.journal.load(RunId(run))
    assert record is not None
    assert record.armed is not None
    assert (record.armed.ended, record.waiting) == (ArmedEnd.WENT_BACK, None)


def test_what_failed_to_go_back_waits_for_nobody_any_more(machine: Machine) -> None:
    run = machine.arm()
    machine.job.simulator.inject(
        Fault(kind="error:OperationConflict:403", action="ResetDisk", count=9)
    )
    machine.wait_for_armed(run)
    machine.boot()
    listing = list_snapshots(machine.job.tools)
    assert [one.execution.status for one in listing.returns] == ["Failed"]
    record = machine.job.journal.load(RunId(run))
    assert record is not None
    assert record.armed is not None
    assert record.armed.ended is ArmedEnd.CAME_TO_NOTHING
    assert record.went_back is not None
    assert record.went_back.back is Back.NONE


@pytest.mark.parametrize("id_noted", [True, False])
@pytest.mark.parametrize("ended", [True, False])
def test_what_nobody_confirmed_is_told_after_the_boot_check_said_confirm(
    machine: Machine, ended: bool, id_noted: bool
) -> None:
    run, lost = machine.arm(), machine.run("b")
    name = armed(machine, run).execution_id
    if ended:
        machine.wait_for_armed(run)
    else:
        machine.wait_until_over(run)
    if not id_noted:
        change_armed(machine, run, execution_id="")
    machine.boot()
    machine.confirm(run)
    noted = record_of(machine, run)
    assert (armed(machine, run).ended, noted.waiting) == (ArmedEnd.WENT_BACK, None)
    assert noted.went_back is not None
    assert noted.went_back.execution_id == name
    machine.wait_for_armed(run)
    one = the_return(machine)
    assert (one.execution.execution_id, one.execution.status) == (name, "Success")
    assert [each.name for each in one.lost] == [lost]
    assert len(machine.logged) == 1


def test_one_before_that_went_back_is_told_where_the_later_is_called_off(machine: Machine) -> None:
    run = machine.arm()
    earlier = armed(machine, run).execution_id
    machine.extend_and_die()
    change_armed(machine, run, replaces=earlier)
    machine.wait_for_armed(run, earlier)
    machine.boot()
    assert len(machine.confirm(run).called_off) == 1
    assert armed(machine, run).ended is ArmedEnd.WENT_BACK
    one = the_return(machine)
    assert (one.execution.execution_id, one.execution.status) == (earlier, "Success")


def test_end_that_nobody_shows_any_more_is_not_made_up(machine: Machine) -> None:
    run = machine.arm()
    change_armed(machine, run, deadline=machine.job.clock.now() - timedelta(hours=1))
    machine.job.edit = lambda action, answer: (
        {**answer, "Executions": []} if action == "ListExecutions" else answer
    )
    machine.boot()
    assert any("is not known" in note for note in machine.confirm(run).notes)
    assert (armed(machine, run).unconfirmed, armed(machine, run).ended) == (False, None)


def test_later_armed_rollback_stays_the_last_beside_one_that_was_asked_for(
    machine: Machine,
) -> None:
    run = machine.run("os upgrade")
    machine.go_back(run)
    machine.boot()
    list_snapshots(machine.job.tools)
    noted = record_of(machine, run)
    assert noted.rollback is not None
    before = replace(noted.rollback, asked=noted.rollback.asked - timedelta(hours=1))
    machine.job.journal.save(replace(noted, rollback=before))
    request = replace(WANTED, confirm_within_s=600, reuse_s=86400)
    report = take_armed(request, machine.job.tools, machine.outside())
    assert (report.run_id, report.exit_status) == (run, ExitStatus.DONE)
    machine.deadlines[run] = armed(machine, run).deadline
    machine.wait_for_armed(run)
    for _ in range(3):
        assert the_return(machine).execution.execution_id == armed(machine, run).execution_id


def test_crash_while_one_waits_is_no_way_back(machine: Machine) -> None:
    run = machine.arm()
    machine.boot()
    listing = list_snapshots(machine.job.tools)
    assert listing.returns == ()
    assert [waiting.run for waiting in listing.armed] == [run]


def test_crash_of_a_run_that_had_armed_is_no_way_back(machine: Machine) -> None:
    run = machine.arm()
    record = machine.job.journal.load(RunId(run))
    assert record is not None
    machine.at_cut[run] = replace(machine.at_cut[run], armed=record.armed)
    machine.boot(journal_of=run)
    assert list_snapshots(machine.job.tools).returns == ()
    closed = machine.job.journal.load(RunId(run))
    assert closed is not None
    assert (closed.result, closed.went_back) == (Result.INTERRUPTED, None)


def test_later_one_that_sleeps_on_is_not_taken_for_what_brought_it_back(machine: Machine) -> None:
    run = machine.arm()
    record = machine.job.journal.load(RunId(run))
    assert record is not None
    assert record.armed is not None
    machine.extend_and_die()
    machine.wait_for_armed(run, record.armed.execution_id)
    machine.boot(journal_of=run)
    one = the_return(machine)
    went_back = (record.armed.execution_id, "Success")
    assert (one.execution.execution_id, one.execution.status) == went_back


def test_end_of_what_was_armed_is_learned_where_its_id_was_never_noted(machine: Machine) -> None:
    run = machine.arm()
    record = machine.job.journal.load(RunId(run))
    assert record is not None
    assert record.armed is not None
    name = record.armed.execution_id
    machine.wait_for_armed(run)
    machine.job.journal.save(replace(record, armed=replace(record.armed, execution_id="")))
    machine.boot()
    assert the_return(machine).execution.execution_id == name
    record = machine.job.journal.load(RunId(run))
    assert record is not None
    assert record.armed is not None
    assert (record.armed.execution_id, record.armed.ended) == (name, ArmedEnd.WENT_BACK)
    assert record.waiting is None


def test_wait_that_is_over_is_asked_after_while_it_sleeps_on(machine: Machine) -> None:
    run = machine.arm()
    record = machine.job.journal.load(RunId(run))
    assert record is not None
    assert record.armed is not None
    # This machine's clock is ahead of the cloud's: by it the time has come.
    early = replace(record.armed, deadline=machine.job.clock.now())
    machine.job.journal.save(replace(record, armed=early))
    listing = list_snapshots(machine.job.tools)
    assert (listing.returns, [each.run for each in listing.armed]) == ((), [run])
