"""Processes that use disks, and what is said of them."""

from __future__ import annotations

from collections.abc import Sequence

from snap_self.errors import DisksInUse
from snap_self.model.going_back import User

SERVICE = ".service"


def in_use(users: Sequence[User]) -> DisksInUse | None:
    """Return what is said of processes that use the disks; None for none."""
    if not users:
        return None
    units = tuple(dict.fromkeys(user.unit for user in users if user.unit.endswith(SERVICE)))
    others = [user for user in users if not user.unit.endswith(SERVICE)]
    told = [f"unit {unit}" for unit in units]
    told += [f"{user.program or 'process'} (pid {user.pid})" for user in others]
    hints = [" ".join(f"--unit {unit}" for unit in units)] if units else []
    if others:
        hints.append("end the others, or have them leave those directories")
    return DisksInUse(
        f"the disks are in use by {', '.join(told)}",
        hint="; ".join([f"stop them for the time: {hints[0]}" if units else hints[0], *hints[1:]]),
    )
