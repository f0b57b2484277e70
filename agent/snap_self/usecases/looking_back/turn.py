"""One copy at a time: its life under the lock of the copies, with what is attached by then."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from snap_self.usecases.looking_back.finding import Found
from snap_self.usecases.looking_back.opening import Life, Plan, opened_copy
from snap_self.usecases.looking_back.tools import LookingBack
from snap_self.usecases.tools import Here, Tools


@contextmanager
def opened_in_turn(
    tools: Tools, looking: LookingBack, found: Found, plan: Plan, *, at: str | None = None
) -> Iterator[Life]:
    """Wait for the lock, then open a copy for the block: see ``opened_copy``.

    Raises:
        LockHeld: another command is at work on a copy.
        DiskLeft: the block, or the opening, failed, and something stays.
        SnapSelfError: it could not be opened; nothing of it is left.
    """
    purpose = plan.record.purpose.value
    with looking.lock.hold(timeout_s=tools.lock_wait_s, purpose=purpose):
        plan = _with_attached_now(found, plan)
        here = Here(tools=tools, identity=found.survey.identity, cloud=found.survey.cloud)
        with opened_copy(looking, looking.disks(here), plan, at=at) as life:
            yield life


def _with_attached_now(found: Found, plan: Plan) -> Plan:
    """Note what is attached now that no other copy is at work: none of it is ever touched."""
    disks = found.survey.cloud.describe_disks(found.survey.identity.instance_id)
    before = {*plan.record.attached_before, *(disk.disk_id for disk in disks)}
    record = replace(plan.record, attached_before=tuple(sorted(before)))
    return replace(plan, record=record)
