"""Say that all is well: call off what waits, or move it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import Enum
from typing import Protocol

from snap_self.errors import (
    ApiFault,
    CheckFailed,
    CloudUnreachable,
    EnvironmentFault,
    LockHeld,
    PreconditionRefused,
    RollbackNotCalledOff,
    SnapSelfError,
    StateUnusable,
    UsageError,
)
from snap_self.model.executions import Waiting
from snap_self.model.ids import RunId
from snap_self.model.run import ArmedEnd, RunRecord
from snap_self.model.snapshots import Identity
from snap_self.ports import Executions
from snap_self.recovery.outside import execution_tags
from snap_self.usecases.confirming.arming import Outside, Wish, arm
from snap_self.usecases.confirming.calling_off import CalledOff, call_off, not_called_off
from snap_self.usecases.tools import Tools

# The clock outside runs on while another run holds the lock.
TURN_S = 5.0
# A start that was asked for so long ago is shown by the cloud, if there was one.
SHOWN_AFTER = timedelta(minutes=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckResult:
    """What came of one check.

    Args:
        name: the command, or the program's path.
        why: what was wrong; empty if it succeeded.
    """

    name: str
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfirmRequest:
    """What is asked for.

    Args:
        run: only what goes back to that run; empty for whatever waits.
        extend_s: not to confirm, but to wait for so long from now on; None to confirm.
        check: a command that must succeed first; empty for none.
        checks: those kept with the runs and those of the folder must succeed first.
    """

    run: str = ""
    extend_s: int | None = None
    check: str = ""
    checks: bool = False


class ConfirmOutcome(Enum):
    """What was done."""

    CONFIRMED = "confirmed"
    EXTENDED = "extended"
    NOTHING_ARMED = "nothing-armed"
    # By the journal; the cloud was not asked.
    NOTHING_NOTED = "nothing-noted"
    # Nothing tells whether all is well.
    NO_CHECK = "no-check"
    # The change itself has failed, so no check is asked whether all is well.
    COMMAND_FAILED = "command-failed"


# It waits on, although none of the checks has failed.
UNDECIDED = frozenset({ConfirmOutcome.NO_CHECK, ConfirmOutcome.COMMAND_FAILED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirmed:
    """What became of it.

    Args:
        called_off: what waited and does so no more.
        waiting: what waits now; None for nothing.
        checks: all that were run; each has succeeded.
    """

    outcome: ConfirmOutcome
    called_off: tuple[Waiting, ...] = ()
    waiting: Waiting | None = None
    checks: tuple[CheckResult, ...] = ()
    notes: tuple[str, ...] = ()


class RunChecks(Protocol):
    """Runs checks until one fails."""

    def __call__(self, commands: Sequence[str], *, folder: bool) -> tuple[CheckResult, ...]:
        """Run commands, and with the flag the programs of the folder."""
        ...


def confirm(
    tools: Tools, outside: Outside, request: ConfirmRequest, run_checks: RunChecks
) -> Confirmed:
    """Call off what waits for a confirmation, or move it.

    Raises:
        CheckFailed: a check did not succeed; all is as it was.
        RollbackNotCalledOff: this machine may be rolled back all the same.
        RollbackNotArmed: it could not be moved, and waits as before.
    """
    results: tuple[CheckResult, ...] = ()
    if request.checks or request.check:
        noted = tools.store.armed()
        records = _unless_over(tools, outside, noted)
        if request.checks and not records:
            over = ConfirmOutcome.NOTHING_ARMED
            return Confirmed(outcome=over if noted else ConfirmOutcome.NOTHING_NOTED)
        failed = [r for r in records if r.commands and r.commands[-1].failed]
        if request.checks and failed:
            outcome = ConfirmOutcome.COMMAND_FAILED
            return Confirmed(outcome=outcome, waiting=failed[0].waiting)
        kept = [r.armed.check for r in records if r.armed and r.armed.check]
        commands = dict.fromkeys(
            (*filter(None, (request.check,)), *(kept if request.checks else ()))
        )
        results = run_checks(tuple(commands), folder=request.checks)
        _refuse_failed(results)
        if not results:
            return Confirmed(outcome=ConfirmOutcome.NO_CHECK, waiting=records[0].waiting)
    try:
        identity = tools.identify()
        calls = outside.executions(identity)
        found = _find(tools, calls, identity, request.run)
    except (ApiFault, CloudUnreachable, EnvironmentFault) as error:
        raise _not_known(tools, request.run, error) from None
    if request.extend_s is not None:
        return _extend(tools, outside, identity, found, request.extend_s)
    return replace(_confirm(tools, calls, identity, found, request.run), checks=results)


def _refuse_failed(results: Sequence[CheckResult]) -> None:
    failed = [each for each in results if each.why]
    if failed:
        raise CheckFailed(
            f"not confirmed, as a check failed: {failed[0].name}: {failed[0].why}",
            hint="the rollback that is armed stays so; `snap-self confirm` without a check calls "
            "it off",
            details=tuple(f"also: {each.name}: {each.why}" for each in failed[1:]),
        )


def _not_known(
    tools: Tools, run: str, error: ApiFault | CloudUnreachable | EnvironmentFault
) -> SnapSelfError:
    """Return what is said where the cloud cannot be looked at: what waits goes on."""
    for record in tools.store.armed():
        if record.waiting and run in ("", record.run_id):
            return not_called_off(record.waiting, record.region, error.told)
    return error


def _own(tools: Tools, identity: Identity) -> Sequence[RunRecord]:
    """Return what this instance's runs have armed.

    A journal that was copied with its disk names those of another one, whose they are to call off.
    """
    return [r for r in tools.store.armed() if r.instance_id == identity.instance_id]


def _unless_over(
    tools: Tools, outside: Outside, records: Sequence[RunRecord]
) -> Sequence[RunRecord]:
    """Return those that may wait: this machine's clock may be wrong, so the cloud tells an end."""
    now = tools.clock.now()
    return [
        r
        for r in records
        if r.waiting and not (r.waiting.overdue(now) and _is_over(tools, outside, r.waiting))
    ]


def _is_over(tools: Tools, outside: Outside, waiting: Waiting) -> bool:
    """Tell whether the cloud shows that it brings nothing back any more."""
    if not waiting.execution_id:
        return False
    try:
        seen = outside.executions(tools.identify()).look(waiting.execution_id)
    except (ApiFault, CloudUnreachable, EnvironmentFault):
        return False  # what cannot be seen may wait
    return seen is not None and (seen.ended or seen.over)


def _find(tools: Tools, calls: Executions, identity: Identity, run: str) -> Sequence[Waiting]:
    """Return what waits for a confirmation, by the cloud and the journal.

    Raises:
        RollbackNotCalledOff: one was asked for a moment ago, and is not to be seen yet.
    """
    going = calls.going_on(execution_tags(identity.instance_id))
    found = {
        each.execution_id: Waiting(
            execution_id=each.execution_id, run=each.run, deadline=each.deadline
        )
        for each in going
        if each.deadline and not each.over
    }
    shown = {each.run for each in found.values()}
    for record in _own(tools, identity):
        armed, waiting = record.armed, record.waiting
        if armed is None or waiting is None or armed.execution_id in found:
            continue
        if armed.execution_id:
            seen = calls.look(armed.execution_id)
            if seen is None and not waiting.overdue(tools.clock.now()):
                raise not_called_off(waiting, identity.region, "the cloud does not show it")
            if seen is not None and not seen.ended and not seen.over:
                found[armed.execution_id] = waiting
        elif record.run_id not in shown and tools.clock.now() - armed.asked < SHOWN_AFTER:
            unnamed = replace(waiting, execution_id="(its id is not known)")
            why = "it was asked for a moment ago, and the cloud does not show it yet"
            raise not_called_off(unnamed, identity.region, why)
    return [each for each in found.values() if run in ("", each.run)]


def _extend(
    tools: Tools, outside: Outside, identity: Identity, found: Sequence[Waiting], extend_s: int
) -> Confirmed:
    if not found:
        raise PreconditionRefused(
            "no rollback of this instance waits for a confirmation, so none can be moved",
            hint="`snap-self --before TEXT --confirm-within 30m` arms one",
        )
    latest = max(found, key=lambda each: each.deadline)
    if tools.clock.now() + timedelta(seconds=extend_s) <= latest.deadline:
        raise UsageError(
            f"--extend: it waits until {latest.deadline:%F %T} UTC, which is later already",
            hint="name a longer time; it counts from now",
        )
    run_id = RunId(latest.run)
    record = tools.store.load(run_id)
    check = record.armed.check if record and record.armed else ""
    waiting = arm(tools, outside, identity, Wish(run_id=run_id, within_s=extend_s, check=check))
    return Confirmed(outcome=ConfirmOutcome.EXTENDED, called_off=tuple(found), waiting=waiting)


def _confirm(
    tools: Tools, calls: Executions, identity: Identity, found: Sequence[Waiting], run: str
) -> Confirmed:
    notes: list[str] = []
    errors: list[RollbackNotCalledOff] = []
    with _turn(tools, TURN_S) as held:
        for each in sorted(found, key=lambda one: one.deadline):
            try:
                if call_off(calls, tools.clock, each, identity.region) is not CalledOff.NOW:
                    notes.append(f"{each.execution_id} had ended before")
            except RollbackNotCalledOff as error:
                errors.append(error)
        if errors:
            raise errors[0]
        noted = held and _note(tools, identity, run, called_off=found)
    if not noted:
        # All is called off: now there is time to wait for another run.
        with _turn(tools, tools.lock_wait_s) as held:
            noted = held and _note(tools, identity, run, called_off=found)
    if not noted:
        notes.append("the journal does not tell yet; `snap-self confirm` again notes it")
    outcome = ConfirmOutcome.CONFIRMED if found else ConfirmOutcome.NOTHING_ARMED
    return Confirmed(outcome=outcome, called_off=tuple(found), notes=tuple(notes))


@contextmanager
def _turn(tools: Tools, limit_s: float) -> Iterator[bool]:
    """Hold the lock inside the block if it can be had in that time; tell whether it is held."""
    with ExitStack() as stack:
        try:
            stack.enter_context(tools.lock.hold(timeout_s=limit_s, purpose="confirm"))
            held = True
        except (LockHeld, StateUnusable):
            held = False
        yield held


def _note(tools: Tools, identity: Identity, run: str, *, called_off: Sequence[Waiting]) -> bool:
    """Note in the journal that nothing waits any more; tell whether that was possible."""
    runs = {each.run for each in called_off}
    try:
        for record in _own(tools, identity):
            if record.armed and run in ("", record.run_id):
                done = record.run_id in runs
                ended = ArmedEnd.CONFIRMED if done else ArmedEnd.CAME_TO_NOTHING
                armed = replace(record.armed, unconfirmed=False, replaces="", ended=ended)
                tools.store.save(replace(record, armed=armed))
    except StateUnusable:
        return False
    return True
