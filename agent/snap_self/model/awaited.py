"""A change that a run's snapshot was made for, and whose end is waited for."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

from snap_self.model.ids import RunId

# As a hook names the process that is the change: its id, and when it was started in the kernel's
# ticks since boot (``manager_facts.Ancestor.key``).
_KEY = re.compile(r"([1-9][0-9]{0,9}):([0-9]{1,19})")


@dataclass(frozen=True, slots=True, kw_only=True)
class AwaitedChange:
    """A change that goes on for as long as a process lives.

    Args:
        pid_started: when the process was started, in the kernel's ticks since boot.
        since: when the run's snapshot was made.
    """

    run_id: RunId
    pid: int
    pid_started: int
    boot_id: str
    since: datetime


def process_of(key: str) -> tuple[int, int] | None:
    """Return the process that a hook names, by id and start; None if it names none."""
    found = _KEY.fullmatch(key)
    return (int(found[1]), int(found[2])) if found else None
