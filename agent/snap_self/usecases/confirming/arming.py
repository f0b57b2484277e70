"""Arm a rollback that OOS does by itself unless somebody confirms in time.

What is armed counts only when it is seen to sleep: its role was taken then, and its clock runs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from snap_self.errors import (
    ApiFault,
    CloudUnreachable,
    RollbackGoesOn,
    RollbackNotArmed,
    RollbackNotCalledOff,
    SnapSelfError,
    SnapshotRunsOut,
    StateUnusable,
)
from snap_self.model.actions import rollback_role
from snap_self.model.executions import GRACE, Execution, ExecutionOrder, Waiting
from snap_self.model.ids import RunId
from snap_self.model.retention import Retention
from snap_self.model.run import ArmedEnd, ArmedRecord, RunRecord
from snap_self.model.snapshots import DEADLINE_TAG, Identity
from snap_self.ports import Executions
from snap_self.recovery.outside import armed_order, armed_token, execution_tags, rollback_order
from snap_self.recovery.went_back import armed_it, replaced_it, with_seen
from snap_self.usecases.aftercare.going_back import tell_log
from snap_self.usecases.confirming.calling_off import (
    SHOWN_AFTER,
    call_off,
    not_called_off,
    not_moved,
)
from snap_self.usecases.confirming.waiting import Found, find
from snap_self.usecases.rollback import Judged, judge_rollback, refuse_half_way, refuse_untagged
from snap_self.usecases.tools import Tools

# The service begins within seconds, and looks at three things before it sleeps.
LOOKS = 60
PAUSE_S = 1.0
# What was begun without an answer is looked for until it would be shown.
SEEK_S = 5.0
CALL_OFF_FIRST = "call it off first: snap-self confirm"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outside:
    """How OOS is reached, and what it is given.

    Args:
        executions: gives the calls of the instance's region.
        content: the template's text; empty for the one that the account keeps.
        role: whose rights it uses; empty for the one that `policy --rollback` names.
        half_way: whether data disks that go back while the system runs are not back yet.
    """

    executions: Callable[[Identity], Executions]
    content: str
    role: str
    half_way: Callable[[], bool] = lambda: False


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What is to be armed.

    Args:
        run_id: the run to go back to.
        within_s: for how long a confirmation is waited for.
        check: the command whose success confirms; empty for none.
        earlier: what is known to wait already, and is to be moved.
    """

    run_id: RunId
    within_s: int
    check: str = ""
    earlier: Sequence[Waiting] = ()


def refuse_second(tools: Tools, outside: Outside, *, but_waiting: bool) -> Sequence[Waiting]:
    """Refuse, before a snapshot is paid for, where another rollback of this instance goes on.

    Returns what waits and was let pass.

    Args:
        but_waiting: one that waits is let pass, as it may be of the run that serves again.

    Raises:
        RollbackGoesOn: as it says.
        ApiFault, CloudUnreachable: it cannot be seen.
    """
    refuse_half_way(outside.half_way)
    identity = tools.identify()
    passed = []
    for each in _going_on(tools, outside.executions(identity), identity).going:
        if each.deadline is None or not but_waiting:
            raise _second(each)
        passed.append(Waiting(execution_id=each.execution_id, run=each.run, deadline=each.deadline))
    return passed


def arm(tools: Tools, outside: Outside, identity: Identity, wish: Wish) -> Waiting:
    """Arm a rollback to a run; one to the same run that waits already is moved.

    Raises:
        RollbackNotArmed: it is not, and nothing that was asked for goes on.
        RollbackNotCalledOff: what was asked for, or was armed before, goes on.
    """
    try:
        judged = judge_rollback(tools.here_as(identity), wish.run_id, blind=False)
        _refuse_short_lived(judged, tools.clock.now() + timedelta(seconds=wish.within_s))
        if not outside.role:
            refuse_untagged(judged)
        with tools.lock.hold(timeout_s=tools.lock_wait_s, purpose="arm a rollback"):
            refuse_half_way(outside.half_way)
            return _Arming(tools, outside, judged, wish).arm()
    except RollbackNotCalledOff:
        raise
    except SnapSelfError as error:
        raise _not_armed(error, wish.earlier) from None


def _refuse_short_lived(judged: Judged, deadline: datetime) -> None:
    """Refuse where the cloud deletes a snapshot before it is gone back to."""
    for each in judged.plan.returns:
        shot = each.shot
        by_itself = shot.retention in (Retention.SET, Retention.PENDING, Retention.NOT_KNOWN)
        if by_itself and shot.expires is not None and shot.expires < deadline + GRACE:
            raise SnapshotRunsOut(
                f"{shot.snapshot_id} is deleted by the cloud at {shot.expires:%F %T} UTC, which is "
                "too soon to go back to it by then",
                hint="make a new snapshot: leave --reuse out",
            )


def _not_armed(
    error: SnapSelfError, earlier: Sequence[Waiting]
) -> RollbackNotArmed | RollbackNotCalledOff:
    """Return what is said where nothing new is armed; what waited before still does."""
    if earlier:
        return not_moved(min(earlier, key=lambda each: each.deadline), error)
    return RollbackNotArmed(
        f"no rollback is armed, so nothing else was begun: {error.told}",
        hint=error.hint,
        details=error.details,
    )


def _second(other: Execution) -> RollbackGoesOn:
    if other.deadline is None or not other.is_harmless:
        return RollbackGoesOn(
            f"execution {other.execution_id} of OOS already brings disks of this instance back",
            hint="the OOS console shows how far it is",
        )
    return RollbackGoesOn(
        f"execution {other.execution_id} of OOS will bring this instance back to run "
        f"{other.run} at {other.deadline:%F %T} UTC",
        hint=CALL_OFF_FIRST,
    )


def _going_on(tools: Tools, calls: Executions, identity: Identity) -> Found:
    """Return what goes on of this instance, as the cloud and the journal know it.

    Raises:
        RollbackGoesOn: something may wait that the cloud does not show.
    """
    found = find(tools, calls, identity)
    for each, why in found.unseen:
        raise RollbackGoesOn(
            f"a rollback to run {each.run} may wait until {each.deadline:%F %T} UTC: {why}",
            hint=f"try again in a minute; or {CALL_OFF_FIRST}",
        )
    return found


class _Arming:
    """One arming, under the lock."""

    def __init__(self, tools: Tools, outside: Outside, judged: Judged, wish: Wish) -> None:
        self._tools = tools
        self._outside = outside
        self._judged = judged
        self._identity = judged.identity
        self._wish = wish
        self._calls = outside.executions(judged.identity)
        record = tools.store.load(wish.run_id)
        if record is None:
            raise StateUnusable(
                f"the journal has no record of run {wish.run_id}",
                hint="arm it with a new run",
            )
        self._record: RunRecord = record

    def arm(self) -> Waiting:
        earlier = self._earlier()
        order, noted = self._order(earlier)
        self._save(noted)
        try:
            execution = self._calls.start(order)
        except (ApiFault, CloudUnreachable) as error:
            raise self._not_started(error, order, noted) from None
        noted = replace(noted, execution_id=execution.execution_id)
        # What is not noted any more is known to the cloud.
        with suppress(StateUnusable):
            self._save(noted)
        waiting = self._waiting(noted)
        self._see_asleep(waiting)
        for each in earlier:
            self._replace(each, waiting)
        with suppress(StateUnusable):
            self._save(replace(noted, replaces=""))
        return waiting

    def _earlier(self) -> Sequence[Waiting]:
        """Return what waits for the same run; refuse where another rollback goes on."""
        found = []
        going_on = _going_on(self._tools, self._calls, self._identity)
        self._keep(going_on.gone)
        for each in going_on.going:
            if each.deadline is None or each.run != self._judged.plan.run or not each.is_harmless:
                raise _second(each)
            found.append(
                Waiting(execution_id=each.execution_id, run=each.run, deadline=each.deadline)
            )
        return found

    def _keep(self, gone: Sequence[Execution]) -> None:
        """Keep with the record what the run armed before, and what has come of it by now."""
        for one in gone:
            if armed_it(self._record, one) or replaced_it(self._record, one):
                self._record = with_seen(self._record, one)
                tell_log(self._tools, self._record)

    def _order(self, earlier: Sequence[Waiting]) -> tuple[ExecutionOrder, ArmedRecord]:
        wish, run = self._wish, self._judged.plan.run
        now = self._tools.clock.now().replace(microsecond=0)
        deadline = now + timedelta(seconds=wish.within_s)
        noted = ArmedRecord(
            asked=now,
            within_s=wish.within_s,
            deadline=deadline,
            client_token=armed_token(run, deadline),
            replaces=" ".join(each.execution_id for each in earlier),
            check=wish.check,
            boot_id=self._tools.process.boot_id,
        )
        order = rollback_order(
            self._judged.plan,
            self._identity,
            content=self._outside.content,
            role=self._outside.role or rollback_role(self._identity.instance_id),
            token=noted.client_token,
            present=None,
            now=now,
        )
        return armed_order(order, within_s=wish.within_s, deadline=deadline), noted

    def _waiting(self, noted: ArmedRecord) -> Waiting:
        return Waiting(
            execution_id=noted.execution_id,
            run=self._judged.plan.run,
            deadline=noted.deadline,
        )

    def _save(self, armed: ArmedRecord | None) -> None:
        self._tools.store.save(replace(self._record, armed=armed))

    def _not_started(
        self, error: ApiFault | CloudUnreachable, order: ExecutionOrder, noted: ArmedRecord
    ) -> SnapSelfError:
        """Return the error of a start that failed; what it may have begun is called off."""
        if error.maybe_done:
            mine = {DEADLINE_TAG: order.tags[DEADLINE_TAG]}
            tags = {**execution_tags(self._identity.instance_id), **mine}
            unknown = self._waiting(noted)
            begun = self._seek(tags)
            if not begun:
                return not_called_off(unknown, self._identity.region, error.told)
            for each in begun:
                self._give_up(replace(unknown, execution_id=each.execution_id))
            called_off = "what was begun without an answer is called off"
            if isinstance(error, ApiFault) and error.api_code:
                error.details = (*error.details, called_off)  # the refusal has a hint of its own
            else:
                error.hint = f"try again: {called_off}"
        self._forget()
        return error

    def _seek(self, tags: Mapping[str, str]) -> Sequence[Execution]:
        """Return what was begun, as soon as it is shown; none where it is not, or not to be seen.

        The list lags behind what was started.
        """
        end = self._tools.clock.monotonic() + SHOWN_AFTER.total_seconds()
        while True:
            try:
                begun = self._calls.going_on(tags)
            except (ApiFault, CloudUnreachable):
                return ()
            if begun or self._tools.clock.monotonic() >= end:
                return begun
            self._tools.clock.sleep(SEEK_S)

    def _see_asleep(self, waiting: Waiting) -> None:
        """Wait until it sleeps; call off one that does not.

        Raises:
            RollbackNotArmed: it does not sleep, and does nothing any more.
            RollbackNotCalledOff: it does not, and goes on.
        """
        why = "it did not come to its sleep"
        try:
            for _ in range(LOOKS):
                found = self._calls.look(waiting.execution_id)
                if found is not None and found.sleeps:
                    return
                if found is not None and found.ended:
                    why = found.said or f"it ended: {found.status}"
                    break
                self._tools.clock.sleep(PAUSE_S)
        except (ApiFault, CloudUnreachable) as error:
            why = error.told
        self._give_up(waiting)
        self._forget()
        raise RollbackNotArmed(
            f"execution {waiting.execution_id} of OOS: {why}",
            hint="`snap-self policy --rollback` prints the role that OOS needs",
        )

    def _replace(self, earlier: Waiting, later: Waiting) -> None:
        """Call the earlier one off; where it goes on, the later one is called off instead.

        Raises:
            RollbackNotCalledOff: the earlier one goes on.
        """
        try:
            call_off(self._calls, self._tools.clock, earlier, self._identity.region)
        except RollbackNotCalledOff as error:
            try:
                self._give_up(later)
            except RollbackNotCalledOff as second:
                error.details = (*error.details, f"also: {second.message}")
            else:
                self._forget()
            raise error from None

    def _give_up(self, waiting: Waiting) -> None:
        call_off(self._calls, self._tools.clock, waiting, self._identity.region)

    def _forget(self) -> None:
        """Note what holds without this arming: the one before, or that it came to nothing."""
        before = self._record.armed
        stays = before is not None and before.unconfirmed
        # As the journal has it: the failure itself is what must be told.
        with suppress(StateUnusable):
            self._save(before if stays else self._failed())

    def _failed(self) -> ArmedRecord | None:
        saved = self._tools.store.load(self._wish.run_id)
        armed = saved.armed if saved else None
        return armed and replace(armed, unconfirmed=False, ended=ArmedEnd.NOT_ARMED)
