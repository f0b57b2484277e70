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
from snap_self.model.executions import CANCELLED, Execution, Waiting
from snap_self.model.ids import RunId
from snap_self.model.run import ArmedEnd, RunRecord
from snap_self.model.snapshots import Identity
from snap_self.ports import Executions
from snap_self.recovery.went_back import armed_it, end_of, replaced_it, return_words, with_seen
from snap_self.usecases.aftercare.going_back import tell_log
from snap_self.usecases.confirming.arming import Outside, Wish, arm
from snap_self.usecases.confirming.calling_off import (
    CalledOff,
    call_off,
    not_called_off,
)
from snap_self.usecases.confirming.waiting import Checked, Found, find, is_of, own
from snap_self.usecases.tools import Tools

# The clock outside runs on while another run holds the lock.
TURN_S = 5.0


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
        run: only what goes back to that run, or to the ``last`` that waits; empty for whatever
            waits.
        extend_s: not to confirm, but to wait for so long from now on; None to confirm.
        check: a command that must succeed first; empty for none.
        checks: those kept with the runs and those of the folder must succeed first.
        boot_check: a rollback that has brought the disks back asks for it, so that no other one of
            its run does the same again; what was armed since that boot is a change begun anew.
    """

    run: str = ""
    extend_s: int | None = None
    check: str = ""
    checks: bool = False
    boot_check: bool = False


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
        RollbackNotCalledOff: this machine may be rolled back all the same, or at the time before.
        UsageError: something waits, but nothing of that run.
    """
    results: tuple[CheckResult, ...] = ()
    checked: Checked | None = None
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
        # What is armed meanwhile is another change, which these checks say nothing of.
        checked = Checked.of(records) if records else _seen(tools, outside, request.run)
        results = run_checks(tuple(commands), folder=request.checks)
        _refuse_failed(results)
        if not results:
            return Confirmed(outcome=ConfirmOutcome.NO_CHECK, waiting=records[0].waiting)
    try:
        identity = tools.identify()
        calls = outside.executions(identity)
        confirming = _Confirming(tools, calls, identity, request, checked)
        if request.extend_s is None:
            confirming.confirm()
        else:
            found = find(tools, calls, identity)
            found = found.of(found.meant(request.run))
    except (ApiFault, CloudUnreachable, EnvironmentFault) as error:
        raise _not_known(tools, request.run, error) from None
    if request.extend_s is None:
        return replace(confirming.done(), checks=results)
    for each, why in found.unseen:
        raise not_called_off(each, identity.region, why)
    return _extend(tools, outside, identity, found.waiting, request.extend_s)


def _seen(tools: Tools, outside: Outside, run: str) -> Checked:
    """Return what the cloud shows to wait, where the journal knows of nothing."""
    try:
        identity = tools.identify()
        found = find(tools, outside.executions(identity), identity)
        found = found.of(found.meant(run))
    except (ApiFault, CloudUnreachable, EnvironmentFault) as error:
        raise _not_known(tools, run, error) from None
    return Checked(ids=frozenset(each.execution_id for each in found.waiting))


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
    wish = Wish(run_id=run_id, within_s=extend_s, check=check, earlier=found)
    waiting = arm(tools, outside, identity, wish)
    return Confirmed(outcome=ConfirmOutcome.EXTENDED, called_off=tuple(found), waiting=waiting)


class _Confirming:
    """One confirmation.

    Args:
        checked: only what waited then is called off; None for all.
    """

    def __init__(
        self,
        tools: Tools,
        calls: Executions,
        identity: Identity,
        request: ConfirmRequest,
        checked: Checked | None,
    ) -> None:
        self._tools = tools
        self._calls = calls
        self._identity = identity
        self._run = request.run
        self._boot_check = request.boot_check
        self._checked = checked
        self._called_off: dict[str, Waiting] = {}
        self._left: tuple[Waiting, ...] = ()
        self._unseen: tuple[Waiting, ...] = ()
        self._gone: tuple[Execution, ...] = ()
        self._ended: list[Waiting] = []
        self._notes: list[str] = []

    def confirm(self) -> None:
        """Call off what is meant, and note it.

        Raises:
            RollbackNotCalledOff: something goes on.
            ApiFault, CloudUnreachable: what waits cannot be seen.
        """
        # Once the lock is held nothing is armed any more: what waits is looked for under it.
        with _turn(self._tools, TURN_S) as held:
            found = self._find()
            self._run = found.meant(self._run)
            noted = self._round(found, held=held)
        if not noted:
            # All is called off: now there is time to wait for another run, and for what it armed.
            with _turn(self._tools, self._tools.lock_wait_s) as held:
                noted = self._again(held=held)
        if not noted:
            self._notes.append("the journal does not tell yet; `snap-self confirm` again notes it")

    def done(self) -> Confirmed:
        """Return what became of it.

        Raises:
            CheckFailed, PreconditionRefused: all that waits was not known before.
        """
        if self._left and not self._called_off:
            raise self._not_known_before(self._left[0])
        for each in self._left:
            self._notes.append(
                f"not known before, so it still waits: back to run {each.run} at "
                f"{each.deadline:%F %T} UTC"
            )
        return Confirmed(
            outcome=ConfirmOutcome.CONFIRMED if self._called_off else ConfirmOutcome.NOTHING_ARMED,
            called_off=tuple(self._called_off.values()),
            waiting=self._left[0] if self._left else None,
            notes=tuple(self._notes),
        )

    def _not_known_before(self, each: Waiting) -> SnapSelfError:
        what = f"this was not known before: back to run {each.run} at {each.deadline:%F %T} UTC"
        if self._checked:
            return CheckFailed(f"not confirmed by these checks: {what}", hint="check again")
        return PreconditionRefused(f"not confirmed: {what}", hint="say it again: snap-self confirm")

    def _find(self) -> Found:
        """Return what waits, without what is none of the boot check's business."""
        found = find(self._tools, self._calls, self._identity)
        since = Checked.of([r for r in own(self._tools, self._identity) if self._is_since_boot(r)])
        return replace(
            found,
            waiting=tuple(each for each in found.waiting if not since.has(each)),
            unseen=tuple((each, why) for each, why in found.unseen if not since.has(each)),
        )

    def _own(self) -> Sequence[RunRecord]:
        """Return the records that may be meant."""
        every = own(self._tools, self._identity)
        return [record for record in every if not self._is_since_boot(record)]

    def _is_since_boot(self, record: RunRecord) -> bool:
        """Tell whether a boot check must leave alone what a run has armed."""
        armed, boot_id = record.armed, self._tools.process.boot_id
        return self._boot_check and armed is not None and armed.boot_id == boot_id != ""

    def _again(self, *, held: bool) -> bool:
        try:
            found = self._find()
        except (ApiFault, CloudUnreachable) as error:
            for record in self._own():
                off = any(is_of(record, each) for each in self._called_off.values())
                if record.waiting and not off and self._run in ("", record.run_id):
                    raise not_called_off(record.waiting, record.region, error.told) from None
            self._notes.append(
                f"whether another one was armed meanwhile is not known: {error.told}"
            )
            return held and self._note(only_called_off=True)
        # A move of the same run is meant as well, another change that was begun meanwhile is not.
        runs = {each.run for each in self._called_off.values()}
        meant = [each.execution_id for each in found.waiting if each.run in runs]
        known = Checked(ids=frozenset(meant))
        return self._round(found, held=held, known=known)

    def _round(self, found: Found, *, held: bool, known: Checked | None = None) -> bool:
        """Call off what was found; tell whether the journal has it.

        Args:
            known: all else is left, also where it waited when the checks were begun; None for none.

        Raises:
            RollbackNotCalledOff: something goes on; what was called off is noted all the same.
        """
        found, checked = found.of(self._run), self._checked
        self._left = tuple(
            each
            for each in found.waiting
            if (checked and not checked.has(each)) or (known and not known.has(each))
        )
        errors = [
            not_called_off(each, self._identity.region, why)
            for each, why in found.unseen
            if checked is None or checked.has(each)
        ]
        for each in sorted(found.waiting, key=lambda one: one.deadline):
            if each in self._left or each.execution_id in self._called_off:
                continue
            try:
                self._call_off(each)
            except RollbackNotCalledOff as error:
                errors.append(self._with_origin(each, error))
        self._unseen = tuple(each for each, _ in found.unseen)
        self._gone = found.gone
        noted = held and self._note(only_called_off=bool(errors))
        if errors:
            errors[0].details = (
                *errors[0].details,
                *(f"also: {each.message}" for each in errors[1:]),
                *(f"called off: {name}" for name in self._called_off),
            )
            raise errors[0]
        return noted

    def _call_off(self, each: Waiting) -> None:
        became = call_off(self._calls, self._tools.clock, each, self._identity.region)
        if became is CalledOff.WENT_BACK:
            # Nothing is noted of it: `list` asks the cloud what became of it.
            self._ended.append(each)
            self._notes.append(
                f"{each.execution_id} has ended meanwhile, after it had begun to go back to run "
                f"{each.run}: `snap-self list` tells what became of it"
            )
            return
        if became is CalledOff.BEFORE:
            self._notes.append(f"{each.execution_id} had ended before")
        self._called_off[each.execution_id] = each

    def _with_origin(self, each: Waiting, error: RollbackNotCalledOff) -> RollbackNotCalledOff:
        """Return the error; it says so if the tags alone make the execution one of ours."""
        if not any(is_of(record, each) for record in own(self._tools, self._identity)):
            tags = f"{each.execution_id} is an execution that carries our tags"
            error.details = (*error.details, f"{tags}; the journal does not know it")
        return error

    def _note(self, *, only_called_off: bool) -> bool:
        """Note in the journal what does not wait any more; tell whether that was possible."""
        try:
            for record in self._own():
                noted = self._noted(record, only_called_off=only_called_off)
                if noted == record:
                    continue
                self._tools.store.save(noted)
                if noted.went_back not in (None, record.went_back):
                    tell_log(self._tools, noted)
        except StateUnusable:
            return False
        return True

    def _noted(self, record: RunRecord, *, only_called_off: bool) -> RunRecord:
        """Return a record as it is now; no end is noted that was not seen."""
        if record.waiting is None or record.waiting in self._unseen:
            return record
        seen = self._seen(record)
        if seen is not None:
            record = with_seen(record, seen)
            if seen.status != CANCELLED:
                self._notes.append(return_words(f"run {record.run_id}", seen))
        armed = record.armed
        done = any(is_of(record, each) for each in self._called_off.values())
        left = any(is_of(record, each) for each in (*self._left, *self._ended))
        over = not only_called_off and self._run in ("", record.run_id) and not left
        if armed is None or not armed.unconfirmed or not (done or over):
            return record
        ended: ArmedEnd | None = ArmedEnd.CONFIRMED if done else ArmedEnd.CAME_TO_NOTHING
        if seen is not None and seen.brought_back:
            ended = end_of(seen)  # by the one before, of a move that was interrupted
        elif armed.execution_id and not done:
            ended = None
            self._notes.append(
                f"the cloud does not show {armed.execution_id} any more: whether it went back to "
                f"run {record.run_id} is not known"
            )
        armed = replace(armed, unconfirmed=False, replaces="", ended=ended)
        return replace(record, armed=armed)

    def _seen(self, record: RunRecord) -> Execution | None:
        """Return what has brought disks back to a run, or came to nothing without our doing."""
        of_it = [one for one in self._gone if armed_it(record, one) or replaced_it(record, one)]
        for one in of_it:
            if one.status != CANCELLED:
                return one
        others = (one for one in of_it if one.execution_id not in self._called_off)
        return next((one for one in others if armed_it(record, one)), None)


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
