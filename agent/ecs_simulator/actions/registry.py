"""All operations by name."""

from __future__ import annotations

from ecs_simulator.actions import (
    commands,
    disk_changes,
    disk_cloning,
    disk_making,
    disk_moves,
    disks,
    groups,
    instance_changes,
    instances,
    keeping,
    market,
    oos_executions,
    oos_templates,
    snapshots,
    sts,
    tags,
)
from ecs_simulator.actions.base import Operation

OPERATIONS: dict[str, Operation] = {
    operation.name: operation
    for operation in (
        *commands.OPERATIONS,
        *disks.OPERATIONS,
        *disk_changes.OPERATIONS,
        *disk_cloning.OPERATIONS,
        *disk_making.OPERATIONS,
        *disk_moves.OPERATIONS,
        *groups.OPERATIONS,
        *instance_changes.OPERATIONS,
        *instances.OPERATIONS,
        *keeping.OPERATIONS,
        *market.OPERATIONS,
        *oos_executions.OPERATIONS,
        *oos_templates.OPERATIONS,
        *snapshots.OPERATIONS,
        *sts.OPERATIONS,
        *tags.OPERATIONS,
    )
}
