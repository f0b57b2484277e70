"""What OOS is asked to do when it brings disks back: the parameters of our template; pure.

Source: ``data/snap-self-rollback.yml``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from snap_self.model.executions import DEADLINE_FORM, ExecutionOrder
from snap_self.model.ids import InstanceId, RunId
from snap_self.model.snapshots import (
    BEFORE_TAG,
    CONSISTENCY_TAG,
    DEADLINE_TAG,
    EXPIRES_TAG,
    OWNER_TAG,
    RUN_TAG,
    Consistency,
    Identity,
)
from snap_self.recovery.rollback import RollbackPlan

# For so long is the present state kept that is snapshotted first.
PRESENT_DAYS = 14
# What it is asked for when it is armed.
_UNITS_S = {"H": 3600, "M": 60, "S": 1}
# The service takes at most 64 characters.
TOKEN_LENGTH = 64


def execution_tags(instance_id: InstanceId) -> Mapping[str, str]:
    """Return the tags by which an instance's rollbacks are found."""
    return {OWNER_TAG: instance_id}


def client_token(run: str, asked: datetime) -> str:
    """Return the token of a rollback to a run that was asked for at an instant."""
    return f"rollback-{run}-{asked:%Y%m%dt%H%M%Sz}"[-TOKEN_LENGTH:]


def rollback_order(
    plan: RollbackPlan,
    identity: Identity,
    *,
    content: str,
    role: str,
    token: str,
    present: RunId | None,
    now: datetime,
) -> ExecutionOrder:
    """Return what is asked of OOS.

    Args:
        content: the template's text; empty for the one that the account keeps.
        role: whose rights it uses.
        present: the run that the snapshots of the present state are to be of; None for none.
    """
    pairs = [f"{disk_id}:{shot}" for disk_id, shot in plan.pairs.items()]
    parameters: dict[str, Any] = {
        "regionId": identity.region,
        "instanceId": identity.instance_id,
        "pairs": pairs,
        "first": pairs[0],
        "others": pairs[1:],
        "diskIds": list(plan.pairs),
        "count": len(pairs),
        "snapshotFirst": present is not None,
        "OOSAssumeRole": role,
    }
    if present is not None:
        tags = _present_tags(plan, identity, present, now)
        parameters["presentTags"] = [{"Key": key, "Value": tags[key]} for key in sorted(tags)]
        parameters["presentDays"] = PRESENT_DAYS
    return ExecutionOrder(
        content=content,
        parameters=parameters,
        description=f"snap-self: {identity.instance_id} back to run {plan.run}",
        tags={**execution_tags(identity.instance_id), RUN_TAG: plan.run},
        client_token=token,
    )


def armed_token(run: str, deadline: datetime) -> str:
    """Return the token of a rollback that goes back at an instant unless it is called off."""
    return f"armed-{run}-{deadline:%Y%m%dt%H%M%Sz}"[-TOKEN_LENGTH:]


def armed_order(order: ExecutionOrder, *, within_s: int, deadline: datetime) -> ExecutionOrder:
    """Return an order that waits first, and does the same when nobody has called it off.

    Args:
        deadline: when that is, in UTC.
    """
    until = deadline.strftime(DEADLINE_FORM)
    return replace(
        order,
        parameters={
            **order.parameters,
            "after": iso_duration(within_s),
            "run": order.tags[RUN_TAG],
        },
        description=f"{order.description} at {until} unless confirmed",
        tags={**order.tags, DEADLINE_TAG: until},
    )


def iso_duration(seconds: int) -> str:
    """Return a duration of at least a second as OOS takes it: ``PT1H30M``."""
    parts, left = [], seconds
    for unit, size in _UNITS_S.items():
        count, left = divmod(left, size)
        parts += [f"{count}{unit}"] if count else []
    return f"PT{''.join(parts)}"


def _present_tags(
    plan: RollbackPlan, identity: Identity, present: RunId, now: datetime
) -> Mapping[str, str]:
    expires = now + timedelta(days=PRESENT_DAYS)
    return {
        OWNER_TAG: identity.instance_id,
        RUN_TAG: present,
        BEFORE_TAG: f"rollback to {plan.run}",
        # The system runs on while it is made.
        CONSISTENCY_TAG: Consistency.CRASH.value,
        EXPIRES_TAG: expires.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
