"""Call a waiting rollback off, and prove that it ended before it stopped anything."""

from __future__ import annotations

from enum import Enum

from snap_self.errors import ApiFault, CloudUnreachable, RollbackNotCalledOff
from snap_self.model.executions import CANCELLED, SKIPPED, STOP, Execution, Waiting
from snap_self.model.ids import RegionId
from snap_self.model.shell import command
from snap_self.ports import Clock, Executions

# A cancelled one ends within seconds.
LOOKS = 10
PAUSE_S = 1.0


class CalledOff(Enum):
    """What has become of it."""

    NOW = "now"
    # It had ended before and brings nothing back: it failed, or somebody else cancelled it.
    BEFORE = "before"
    WENT_BACK = "went-back"


def call_off(outside: Executions, clock: Clock, waiting: Waiting, region: RegionId) -> CalledOff:
    """Cancel it, and return what is known of it then.

    One that has begun to stop the instance is let go on: cut short it would leave the machine
    stopped, with some of its disks reset.

    Raises:
        RollbackNotCalledOff: it may go back all the same.
    """
    _refuse_begun(outside, waiting, region)
    refused = _cancel(outside, waiting)
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


def _refuse_begun(outside: Executions, waiting: Waiting, region: RegionId) -> None:
    try:
        found = outside.look(waiting.execution_id)
    except (ApiFault, CloudUnreachable):
        return  # it is cancelled unseen: its clock runs on
    if found is not None and not found.ended and not found.is_harmless:
        raise not_called_off(waiting, region, "it has begun to stop this machine")


def _cancel(outside: Executions, waiting: Waiting) -> ApiFault | CloudUnreachable | None:
    try:
        outside.cancel(waiting.execution_id)
    except (ApiFault, CloudUnreachable) as error:
        return error
    return None


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
    """Return what is said of one that goes on."""
    return RollbackNotCalledOff(
        f"this machine will be rolled back to run {waiting.run} at {waiting.deadline:%F %T} UTC: "
        f"execution {waiting.execution_id} of OOS could not be called off: {why}",
        hint=f"try again, or cancel it in the OOS console of {region} (Execution Management, "
        f"{waiting.execution_id}, Cancel), or from any machine: {_by_hand(waiting, region)}",
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
