"""What a run says while it goes on; drawn by the output package, ignored by the journal."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from snap_self.model.ids import DiskId


class EventKind(Enum):
    """The kinds of event."""

    STEP = "step"
    NOTE = "note"
    WARNING = "warning"
    DISK = "disk"
    RETRY = "retry"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One thing worth telling.

    Args:
        text: a sentence for people.
        disk_id: for ``DISK`` events.
        percent: upload progress of that disk's snapshot, 0 to 100.
        state: ``asked``, ``cut``, ``available``, ``accomplished`` or ``failed``.
    """

    kind: EventKind
    text: str
    disk_id: DiskId | None = None
    percent: int = 0
    state: str = ""


Listener = Callable[[Event], None]
