"""All operations by name."""

from __future__ import annotations

from ecs_simulator.actions import disks
from ecs_simulator.actions.base import Operation

OPERATIONS: dict[str, Operation] = {operation.name: operation for operation in (*disks.OPERATIONS,)}
