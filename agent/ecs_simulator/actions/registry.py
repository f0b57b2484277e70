"""All operations by name."""

from __future__ import annotations

from ecs_simulator.actions import disks, groups, instances, snapshots
from ecs_simulator.actions.base import Operation

OPERATIONS: dict[str, Operation] = {
    operation.name: operation
    for operation in (
        *disks.OPERATIONS,
        *groups.OPERATIONS,
        *instances.OPERATIONS,
        *snapshots.OPERATIONS,
    )
}
