"""A rollback that waits, while commands meet, answers are lost, or its time has all but come."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from test_confirm_within import (
    ARMED,
    OUTSIDE,
    POLICIES,
    ROLE,
    WITHIN_S,
    Killed,
    Stage,
    forbid,
    journal,
    killing,
    read,
)

from ecs_simulator.config import RoleConfig
from ecs_simulator.faults import Fault
from fakes.main_job import DISKS, config, main_job
from snap_self.access.documents import OOS_SERVICE, role_policy, rollback_role_policy
from snap_self.errors import (
    CheckFailed,
    ExitStatus,
    LockHeld,
    RollbackGoesOn,
    RollbackNotCalledOff,
    UsageError,
)
from snap_self.model.ids import RunId
from snap_self.model.retention import Retention
from snap_self.model.run import ArmedEnd
from snap_self.usecases.confirming import arming
from snap_self.usecases.confirming.confirm import CheckResult, ConfirmOutcome, ConfirmRequest
from snap_self.usecases.confirming.confirm import confirm as confirm_use_case
from snap_self.usecases.listing import list_snapshots
from snap_self.usecases.rollback import judge_rollback

LATER_S = 2 * WITHIN_S


@pytest.fixture
def stage() -> Iterator[Stage]:
    roles = (RoleConfig(), RoleConfig(name=OUTSIDE, trusted=(OOS_SERVICE,)))
    with main_job(replace(config(), roles=roles)) as job:
        job.simulator.set_group_behaviour(propagate_tags=True)
        holder = replace(job.tools.identify().holder, disks=DISKS)
        job.simulator.set_policies(ROLE, read(role_policy(holder, POLICIES, passed=OUTSIDE)))
        job.simulator.set_policies(OUTSIDE, read(rollback_role_policy(holder)))
        yield Stage(job=job)


class Meeting:
    """A lock before which another command comes, once."""

    def __init__(self, lock: Any, other: Callable[[], object], purpose: str) -> None:
        self._lock = lock
        self._other: Callable[[], object] | None = other
        self._purpose = purpose

    def __getattr__(self, name: str) -> Any:
        return getattr(self._lock, name)

    @contextmanager
    def hold(self, *, timeout_s: float, purpose: str) -> Iterator[None]:
        if purpose == self._purpose and self._other:
            other, self._other = self._other, None
            other()
        with self._lock.hold(timeout_s=timeout_s, purpose=purpose):
            yield


def meet(stage: Stage, other: Callable[[], object]) -> None:
    lock: Any = Meeting(stage.job.tools.lock, other, "confirm")
    stage.job.tools = replace(stage.job.tools, lock=lock)


def shows(stage: Stage, *, nothing: Sequence[int] = (), only: str = "") -> None:
    """Have lists of executions lag behind: those of these numbers, or all that but one."""
    count = 0

    def edit(action: str, answer: dict[str, Any]) -> dict[str, Any]:
        nonlocal count
        if action != "ListExecutions":
            return answer
        count += 1
        kept = [one for one in answer["Executions"] if only in ("", one["ExecutionId"])]
        return {**answer, "Executions": [] if count in nothing else kept}

    stage.job.edit = edit


def list_lags(stage: Stage) -> None:
    """Have the list show nothing; one that is asked for by its id is shown."""

    def edit(action: str, answer: dict[str, Any]) -> dict[str, Any]:
        listed = action == "ListExecutions" and not any(
            "ExecutionId" in call.params for call in stage.job.simulator.calls[-1:]
        )
        return {**answer, "Executions": []} if listed else answer

    stage.job.edit = edit


def late(stage: Stage, seconds: float) -> None:
    """Move the cloud's clock and the agent's on."""
    stage.moved_s += seconds
    stage.job.clock.sleep(seconds)
    stage.job.simulator.set_clock_offset(stage.moved_s)
    stage.job.clock.sleep(0)


def test_confirm_beside_an_extend_calls_the_later_one_off_too(stage: Stage) -> None:
    stage.take()
    meet(stage, lambda: stage.confirm(extend_s=LATER_S))
    assert stage.confirm().outcome is ConfirmOutcome.CONFIRMED
    assert stage.statuses() == ["Cancelled", "Cancelled"]
    assert journal(stage).ended is ArmedEnd.CONFIRMED


class Late:
    """A lock whose first turn is not had, and before whose second another command comes."""

    def __init__(self, lock: Any, other: Callable[[], object]) -> None:
        self._lock = lock
        self._other = other
        self._turns = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._lock, name)

    @contextmanager
    def hold(self, *, timeout_s: float, purpose: str) -> Iterator[None]:
        self._turns += purpose == "confirm"
        if purpose == "confirm" and self._turns == 1:
            raise LockHeld("another command holds it")
        if purpose == "confirm" and self._turns == 2:
            self._other()
        with self._lock.hold(timeout_s=timeout_s, purpose=purpose):
            yield


def test_move_right_after_the_arming_calls_the_earlier_one_off(stage: Stage) -> None:
    stage.take()
    list_lags(stage)
    assert stage.confirm(extend_s=LATER_S).outcome is ConfirmOutcome.EXTENDED
    assert stage.statuses() == ["Cancelled", "Running"]
    assert journal(stage).execution_id == stage.executions()[1]["ExecutionId"]


def test_run_that_serves_again_at_once_has_its_rollback_moved(stage: Stage) -> None:
    stage.take()
    list_lags(stage)
    again = stage.take(replace(ARMED, reuse_s=3600, confirm_within_s=LATER_S))
    assert again.exit_status is ExitStatus.DONE
    assert stage.statuses() == ["Cancelled", "Running"]


def test_second_run_is_refused_before_the_list_shows_the_first(stage: Stage) -> None:
    name = stage.take().armed.execution_id  # type: ignore[union-attr]
    made = stage.job.creates()
    list_lags(stage)
    with pytest.raises(RollbackGoesOn, match=name):
        stage.take(replace(ARMED, before="another"))
    assert (stage.job.creates(), stage.statuses()) == (made, ["Running"])


def test_nothing_is_armed_while_what_was_asked_for_is_not_shown(stage: Stage) -> None:
    stage.job.edit = killing("StartExecution")
    with pytest.raises(Killed):
        stage.take()
    made = stage.job.creates()
    list_lags(stage)
    for asked in (replace(ARMED, before="another"), replace(ARMED, reuse_s=3600)):
        with pytest.raises(RollbackGoesOn, match="a moment ago") as caught:
            stage.take(asked)
        assert "snap-self confirm" in caught.value.hint
    assert (stage.job.creates(), stage.statuses()) == (made, ["Running"])


def test_both_of_an_interrupted_move_are_called_off_before_the_list_shows_them(
    stage: Stage,
) -> None:
    stage.take()
    stage.job.edit = killing("ListExecutions", after="StartExecution")
    with pytest.raises(Killed):
        stage.confirm(extend_s=LATER_S)
    list_lags(stage)
    assert len(stage.confirm().called_off) == 2
    assert stage.statuses() == ["Cancelled", "Cancelled"]


def test_move_that_held_the_lock_meanwhile_is_called_off_too(stage: Stage) -> None:
    armed = stage.take().armed
    assert armed is not None

    def move() -> None:
        # As it was half-way when the earlier one was called off.
        wish = arming.Wish(run_id=RunId(armed.run), within_s=LATER_S)
        arming.arm(stage.job.tools, stage.outside(), stage.job.tools.identify(), wish)

    lock: Any = Late(stage.job.tools.lock, move)
    stage.job.tools = replace(stage.job.tools, lock=lock)
    assert len(stage.confirm().called_off) == 2
    assert stage.statuses() == ["Cancelled", "Cancelled"]
    assert journal(stage).ended is ArmedEnd.CONFIRMED


def test_next_change_that_was_armed_meanwhile_is_left_and_told(stage: Stage) -> None:
    stage.take()
    lock: Any = Late(stage.job.tools.lock, lambda: stage.take(replace(ARMED, before="next")))
    stage.job.tools = replace(stage.job.tools, lock=lock)
    confirmed = stage.confirm()
    assert stage.statuses() == ["Cancelled", "Running"]
    assert confirmed.waiting is not None
    assert any("still waits" in note for note in confirmed.notes)
    assert list_snapshots(stage.job.tools).armed == (confirmed.waiting,)


def test_cloud_that_is_not_seen_again_is_told_and_what_was_called_off_is_noted(
    stage: Stage,
) -> None:
    stage.take()
    lock: Any = Late(stage.job.tools.lock, lambda: forbid(stage, "oos:ListExecutions"))
    stage.job.tools = replace(stage.job.tools, lock=lock)
    confirmed = stage.confirm()
    assert len(confirmed.called_off) == 1
    assert any("is not known" in note for note in confirmed.notes)
    assert journal(stage).ended is ArmedEnd.CONFIRMED


def test_later_one_that_is_not_shown_yet_is_not_taken_for_called_off(stage: Stage) -> None:
    stage.take()
    stage.job.edit = killing("StartExecution")
    with pytest.raises(Killed):
        stage.confirm(extend_s=LATER_S)
    shows(stage, only=stage.executions()[0]["ExecutionId"])
    with pytest.raises(RollbackNotCalledOff, match="a moment ago"):
        stage.confirm()
    assert journal(stage).unconfirmed
    stage.job.edit = lambda _action, answer: answer
    stage.confirm()
    assert stage.statuses() == ["Cancelled", "Cancelled"]
    assert journal(stage).ended is ArmedEnd.CONFIRMED


def test_lost_start_that_the_list_shows_late_is_called_off(stage: Stage) -> None:
    stage.job.simulator.inject(Fault(kind="lost_reply", action="StartExecution", count=50))
    shows(stage, nothing=(3, 4))
    report = stage.take()
    assert report.exit_status is ExitStatus.NOT_ARMED
    assert stage.statuses() == ["Cancelled"]
    assert report.error is not None
    assert report.error.hint == "try again: what was begun without an answer is called off"


def test_start_that_is_lost_first_and_then_refused_is_called_off(stage: Stage) -> None:
    stage.job.simulator.inject(Fault(kind="lost_reply", action="StartExecution", count=1))
    stage.job.simulator.inject(
        Fault(kind="error:QuotaExceeded.Execution:403", action="StartExecution", count=9)
    )
    report = stage.take()
    assert stage.statuses() == ["Cancelled"]
    assert report.exit_status is ExitStatus.NOT_ARMED
    assert report.error is not None
    assert "what was begun without an answer is called off" in report.error.details


@pytest.mark.parametrize("shown", [True, False])
def test_start_whose_answer_names_nothing_was_heard(stage: Stage, shown: bool) -> None:
    def edit(action: str, answer: dict[str, Any]) -> dict[str, Any]:
        if action == "StartExecution":
            return {**answer, "Execution": {}}
        return answer if action != "ListExecutions" or shown else {**answer, "Executions": []}

    stage.job.edit = edit
    report = stage.take()
    assert report.armed is None
    if shown:
        assert report.exit_status is ExitStatus.NOT_ARMED
        assert (stage.statuses(), journal(stage).ended) == (["Cancelled"], ArmedEnd.NOT_ARMED)
    else:
        assert report.exit_status is ExitStatus.WILL_GO_BACK
        assert (stage.statuses(), journal(stage).unconfirmed) == (["Running"], True)


def test_lost_start_that_is_not_shown_may_go_back_and_stays_open(stage: Stage) -> None:
    stage.job.simulator.inject(Fault(kind="lost_reply", action="StartExecution", count=50))
    shows(stage, nothing=range(3, 100))
    report = stage.take()
    assert report.exit_status is ExitStatus.WILL_GO_BACK
    assert report.error is not None
    assert "may be rolled back" in report.error.message
    assert "within 10 minutes" not in report.error.hint
    assert journal(stage).unconfirmed
    stage.job.edit = lambda _action, answer: answer
    assert len(stage.confirm().called_off) == 1
    assert stage.statuses() == ["Cancelled"]


def test_extend_that_fails_says_that_the_earlier_time_holds(stage: Stage) -> None:
    armed = stage.take().armed
    assert armed is not None
    forbid(stage, "oos:StartExecution")
    with pytest.raises(RollbackNotCalledOff, match="the time was not moved") as caught:
        stage.confirm(extend_s=LATER_S)
    assert armed.execution_id in caught.value.message
    assert f"{armed.deadline:%Y-%m-%d %H:%M:%S} UTC" in caught.value.message
    assert "no rollback is armed" not in caught.value.message
    assert stage.statuses() == ["Running"]
    assert journal(stage).execution_id == armed.execution_id


def test_run_that_serves_again_but_is_not_moved_says_that_the_earlier_time_holds(
    stage: Stage,
) -> None:
    armed = stage.take().armed
    assert armed is not None
    forbid(stage, "oos:StartExecution")
    again = stage.take(replace(ARMED, reuse_s=3600, confirm_within_s=LATER_S))
    assert again.exit_status is ExitStatus.WILL_GO_BACK
    assert again.error is not None
    assert armed.execution_id in again.error.message


def test_extend_of_one_that_has_begun_says_so(stage: Stage) -> None:
    stage.take()
    stage.pass_time(WITHIN_S)
    while not stage.did("StopInstance"):
        stage.pass_time(1)
    with pytest.raises(RollbackNotCalledOff, match="already brings disks") as caught:
        stage.confirm(extend_s=3000)
    assert "the time was not moved" in caught.value.message


@pytest.mark.parametrize(
    ("state", "told"), [("ResetDisk", "is not known"), ("StopInstance", "is not known")]
)
def test_reset_that_cannot_be_seen_is_not_cut_short(stage: Stage, state: str, told: str) -> None:
    stage.take()
    late(stage, WITHIN_S)
    while not stage.did(state):
        stage.pass_time(1)
    # What waits is seen, the look before the cancel is not.
    stage.job.simulator.inject(
        Fault(kind="error:Forbidden:403", action="ListExecutions", skip=1, count=1)
    )
    with pytest.raises(RollbackNotCalledOff, match=told):
        stage.confirm()
    assert stage.did("CancelExecution") == []
    assert stage.until_ended() == ["Success"]
    assert stage.runs


def test_cancel_that_is_throttled_until_the_time_comes_is_given_up(stage: Stage) -> None:
    stage.take()
    late(stage, WITHIN_S - 24)
    fault = Fault(kind="error:Throttling.User:400", action="CancelExecution", count=1000)
    stage.job.simulator.inject(fault)

    def on_sleep(seconds: float) -> None:
        stage.moved_s += seconds
        stage.job.simulator.set_clock_offset(stage.moved_s)
        if stage.moved_s > WITHIN_S + 30:
            stage.job.simulator.api.faults.clear()

    stage.job.clock.on_sleep = on_sleep
    with pytest.raises(RollbackNotCalledOff, match="its time has come"):
        stage.confirm()
    assert stage.did("CancelExecution") == []


def test_in_its_last_seconds_it_is_let_go_on(stage: Stage) -> None:
    stage.take()
    late(stage, WITHIN_S - 5)
    with pytest.raises(RollbackNotCalledOff, match="its time has come") as caught:
        stage.confirm()
    assert "do not cancel it" in caught.value.hint
    assert stage.did("CancelExecution") == []


def test_one_that_sleeps_while_this_clock_is_far_ahead_is_called_off(stage: Stage) -> None:
    stage.take()
    stage.job.clock.sleep(WITHIN_S + 300)
    assert stage.confirm().outcome is ConfirmOutcome.CONFIRMED
    assert stage.statuses() == ["Cancelled"]


def test_one_that_waits_for_an_upload_past_its_time_is_let_go_on(stage: Stage) -> None:
    stage.take()
    stage.pass_time(WITHIN_S - 60)
    stage.job.simulator.set_life(accomplished_s=200.0)
    stage.call("CreateSnapshot", DiskId=DISKS[1])
    stage.pass_time(61)
    stage.pass_time(60)
    assert stage.statuses() == ["Running"]
    with pytest.raises(RollbackNotCalledOff, match="its time has come"):
        stage.confirm()
    assert stage.did("CancelExecution") == []


def test_check_of_one_change_does_not_confirm_the_next(stage: Stage) -> None:
    stage.take(replace(ARMED, check="healthy"))

    def slow(commands: Sequence[str], *, folder: bool) -> tuple[CheckResult, ...]:
        del folder
        stage.confirm()
        stage.take(replace(ARMED, before="the next change"))
        return tuple(CheckResult(name=each) for each in commands)

    with pytest.raises(CheckFailed, match="this was not known before"):
        confirm_use_case(stage.job.tools, stage.outside(), ConfirmRequest(checks=True), slow)
    assert stage.statuses() == ["Cancelled", "Running"]
    assert len(stage.job.journal.armed()) == 1


@pytest.mark.parametrize("journal_is_there", [True, False])
def test_check_by_hand_confirms_what_waited_before_it(stage: Stage, journal_is_there: bool) -> None:
    stage.take()
    if not journal_is_there:
        stage.job.forget()
    assert stage.confirm(check="healthy").outcome is ConfirmOutcome.CONFIRMED
    assert stage.statuses() == ["Cancelled"]


@pytest.mark.parametrize("wrong", ["r-nonsense", "s-bp1nosuchsnapshot00"])
def test_misspelt_run_is_an_error_that_names_what_waits(stage: Stage, wrong: str) -> None:
    armed = stage.take().armed
    assert armed is not None
    with pytest.raises(UsageError, match=armed.run) as caught:
        stage.confirm(run=wrong)
    assert caught.value.hint == f"snap-self confirm {armed.run}"
    assert stage.statuses() == ["Running"]
    assert journal(stage).unconfirmed


def test_last_is_the_run_that_waits(stage: Stage) -> None:
    stage.take()
    assert stage.confirm(run="last").outcome is ConfirmOutcome.CONFIRMED
    assert not journal(stage).unconfirmed
    assert stage.confirm(run="last").outcome is ConfirmOutcome.NOTHING_ARMED


def test_snapshot_that_the_cloud_deletes_before_the_time_is_not_relied_on(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def judged(here: Any, wanted: str, *, blind: bool) -> Any:
        found = judge_rollback(here, wanted, blind=blind)
        soon = stage.job.clock.now() + timedelta(seconds=WITHIN_S + 60)
        returns = tuple(
            replace(one, shot=replace(one.shot, expires=soon, retention=Retention.SET))
            for one in found.plan.returns
        )
        return replace(found, plan=replace(found.plan, returns=returns))

    monkeypatch.setattr("snap_self.usecases.confirming.arming.judge_rollback", judged)
    report = stage.take()
    assert report.exit_status is ExitStatus.NOT_ARMED
    assert report.error is not None
    assert "is deleted by the cloud" in report.error.message
    assert stage.statuses() == []


def test_one_that_cannot_be_called_off_does_not_keep_the_other_from_being_noted(
    stage: Stage,
) -> None:
    armed = stage.take().armed
    assert armed is not None
    stranger = forged(stage)
    # The one of the nearer time comes first: ours.
    stage.job.simulator.inject(
        Fault(kind="error:Forbidden:403", action="CancelExecution", skip=1, count=1)
    )
    with pytest.raises(RollbackNotCalledOff, match=stranger) as caught:
        stage.confirm()
    told = " ".join(caught.value.details)
    assert f"{stranger} is an execution that carries our tags" in told
    assert f"called off: {armed.execution_id}" in told
    assert stage.statuses() == ["Cancelled", "Running"]
    assert (journal(stage).unconfirmed, journal(stage).ended) == (False, ArmedEnd.CONFIRMED)


def forged(stage: Stage) -> str:
    """Have another execution with our tags wait for longer, of which the journal knows nothing."""
    kept = stage.job.journal.all()
    stage.job.edit = killing("StartExecution")
    with pytest.raises(Killed):
        stage.confirm(extend_s=LATER_S)
    stage.job.edit = lambda _action, answer: answer
    for record in kept:
        stage.job.journal.save(record)
    return str(stage.executions()[1]["ExecutionId"])
