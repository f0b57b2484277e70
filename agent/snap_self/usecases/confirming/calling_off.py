"""Call a waiting rollback off, and prove that it ended before it stopped anything."""

from __future__ import annotations

from datetime import timedelta
from enum import Enum

from snap_self.errors import (
    ApiFault,
    CloudAnswerUnclear,
    CloudThrottled,
    CloudUnreachable,
    RollbackNotCalledOff,
    SnapSelfError,
)
from snap_self.model.executions import (
    CANCELLED,
    DEADLINE_FORM,
    SKIPPED,
    STOP,
    Execution,
    Waiting,
)
from snap_self.model.ids import RegionId
from snap_self.model.shell import command
from snap_self.model.snapshots import DEADLINE_TAG
from snap_self.ports import Clock, Executions

# A cancelled one ends within seconds.
LOOKS = 10
PAUSE_S = 1.0
# What a look showed is still so when a cancel that follows it takes effect.
LOOK_S, CANCEL_S = 5.0, 8.0
# It is tried again for so long, with such pauses: a throttled minute ends within that.
PATIENCE_S, RETRY_S = 90.0, 5.0
# So close to its time it may begin meanwhile; by this machine's clock, and some seconds go by
# between the asking and the sleep.
CLOSE = timedelta(seconds=15)
# With so much time left it is cancelled unseen.
AMPLE = timedelta(seconds=30)
# A start that was asked for so long ago is shown by the cloud, if there was one.
SHOWN_AFTER = timedelta(minutes=1)


class CalledOff(Enum):
    """What has become of it."""

    NOW = "now"
    # It had ended before and brings nothing back: it failed, or somebody else cancelled it.
    BEFORE = "before"
    WENT_BACK = "went-back"


def call_off(outside: Executions, clock: Clock, waiting: Waiting, region: RegionId) -> CalledOff:
    """Cancel it, and return what is known of it then.

    One whose time has come is let go on: cut short it may leave the machine stopped, with some of
    its disks reset. So each try to cancel is a short one, and follows a look.

    Raises:
        RollbackNotCalledOff: it may go back all the same.
    """
    refused = _cancel(outside, clock, waiting, region)
    try:
        ended = _ended(outside, clock, waiting, once=isinstance(refused, ApiFault))
        if ended is None:
            raise not_called_off(waiting, region, refused.told if refused else "it has not ended")
        stopped = any(
            task.name == STOP and task.status != SKIPPED
            for task in outside.tasks(waiting.execution_id)
        )
    except (ApiFault, CloudUnreachable) as error:
        raise not_called_off(waiting, region, f"how far it is is not known: {error.told}") from None
    if ended.status != CANCELLED:
        return CalledOff.WENT_BACK if ended.status == SUCCESS else CalledOff.BEFORE
    if stopped:
        raise _too_late(waiting, region)
    return CalledOff.BEFORE if refused else CalledOff.NOW


SUCCESS = "Success"
PASSING = (CloudAnswerUnclear, CloudThrottled, CloudUnreachable)


def _cancel(
    outside: Executions, clock: Clock, waiting: Waiting, region: RegionId
) -> ApiFault | CloudUnreachable | None:
    """Have it cancelled; return why that failed, None if it did not.

    Raises:
        RollbackNotCalledOff: it is let go on.
    """
    end = clock.monotonic() + PATIENCE_S
    while True:
        _refuse_begun(outside, clock, waiting, region)
        try:
            outside.cancel(waiting.execution_id, deadline_s=CANCEL_S)
        except (ApiFault, CloudUnreachable) as error:
            if not isinstance(error, PASSING) or clock.monotonic() >= end:
                return error
            clock.sleep(RETRY_S)
        else:
            return None


def _refuse_begun(outside: Executions, clock: Clock, waiting: Waiting, region: RegionId) -> None:
    try:
        found = outside.look(waiting.execution_id, deadline_s=LOOK_S)
    except (ApiFault, CloudUnreachable) as error:
        # Its clock runs on: it is cancelled unseen while there is time for that.
        if waiting.deadline - clock.now() < AMPLE:
            why = f"how far it is is not known: {error.told}"
            raise _let_go_on(waiting, region, why) from None
        return
    if found is not None and found.ended:
        return
    if found is not None and not found.is_harmless:
        raise _let_go_on(waiting, region, "it has begun to stop this machine")
    if found is not None and not found.is_early:
        raise _let_go_on(waiting, region, "its time has come")
    left = waiting.deadline - clock.now()
    # One that sleeps long after its time shows that this machine's clock is wrong.
    sleeps = found is not None and found.sleeps
    if abs(left) < CLOSE or (left < timedelta(0) and not sleeps):
        raise _let_go_on(waiting, region, "its time has come")


def _ended(outside: Executions, clock: Clock, waiting: Waiting, *, once: bool) -> Execution | None:
    """Return it as it ended; None where it is not seen to."""
    for number in range(LOOKS):
        if number:
            clock.sleep(PAUSE_S)
        found = outside.look(waiting.execution_id)
        if found is not None and found.ended:
            return found
        if once:
            break
    return None


def not_called_off(waiting: Waiting, region: RegionId, why: str) -> RollbackNotCalledOff:
    """Return what is said of one that goes on, or may go on where its id is not known."""
    if not waiting.execution_id:
        return RollbackNotCalledOff(
            f"this machine may be rolled back to run {waiting.run} at {waiting.deadline:%F %T} "
            f"UTC: whether an execution of OOS waits for that is not known: {why}",
            hint="say in a minute: snap-self confirm; or look in the OOS console of "
            f"{region} (Execution Management) for one whose tag {DEADLINE_TAG} is "
            f"{waiting.deadline.strftime(DEADLINE_FORM)}, and cancel it there",
        )
    return RollbackNotCalledOff(
        f"this machine will be rolled back to run {waiting.run} at {waiting.deadline:%F %T} UTC: "
        f"execution {waiting.execution_id} of OOS could not be called off: {why}",
        hint=f"try again, or cancel it in the OOS console of {region} (Execution Management, "
        f"{waiting.execution_id}, Cancel), or from any machine: {_by_hand(waiting, region)}",
    )


def not_moved(waiting: Waiting, error: SnapSelfError) -> RollbackNotCalledOff:
    """Return what is said where the time of one that waits could not be moved."""
    return RollbackNotCalledOff(
        f"the time was not moved: this machine still goes back to run {waiting.run} at "
        f"{waiting.deadline:%F %T} UTC (execution {waiting.execution_id} of OOS): {error.told}",
        hint=error.hint,
        details=error.details,
    )


def _let_go_on(waiting: Waiting, region: RegionId, why: str) -> RollbackNotCalledOff:
    return RollbackNotCalledOff(
        f"this machine will be rolled back to run {waiting.run} at {waiting.deadline:%F %T} UTC: "
        f"execution {waiting.execution_id} of OOS is not called off: {why}, and cut short it may "
        "leave this machine stopped",
        hint=f"the OOS console of {region} shows how far it is (Execution Management, "
        f"{waiting.execution_id}); do not cancel it once it has begun",
    )


def _too_late(waiting: Waiting, region: RegionId) -> RollbackNotCalledOff:
    del region
    return RollbackNotCalledOff(
        f"execution {waiting.execution_id} of OOS was cancelled only after it had begun to stop "
        f"this machine, to go back to run {waiting.run}: it may stay stopped, and disks of it may "
        "be reset",
        hint="look at the instance in the ECS console, and start it there when its disks are as "
        "they should be; `snap-self rollback` brings them back whole",
    )


def _by_hand(waiting: Waiting, region: RegionId) -> str:
    return command(
        *("aliyun", "oos", "CancelExecution", "--RegionId", region),
        *("--ExecutionId", waiting.execution_id),
    )
