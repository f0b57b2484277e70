"""All operations by name."""

from __future__ import annotations

from ecs_simulator.actions import disk_changes, disks, groups, instances, snapshots, sts, tags
from ecs_simulator.actions.base import Operation

OPERATIONS: dict[str, Operation] = {
    operation.name: operation
    for operation in (
        *disks.OPERATIONS,
        *disk_changes.OPERATIONS,
        *groups.OPERATIONS,
        *instances.OPERATIONS,
        *snapshots.OPERATIONS,
        *sts.OPERATIONS,
        *tags.OPERATIONS,
    )
}
