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
    # Names a disk of which a snapshot is about to be asked for.
    TARGET = "target"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One thing worth telling.

    Args:
        text: a sentence for people; of a ``TARGET`` its device and mount points.
        disk_id: for ``DISK`` and ``TARGET`` events.
        percent: upload progress of that disk's snapshot, 0 to 100.
        state: ``asked``, ``cut``, ``available``, ``accomplished`` or ``failed``.
        remaining_s: how long the upload will take on, by the cloud's guess; None without one.
    """

    kind: EventKind
    text: str
    disk_id: DiskId | None = None
    percent: int = 0
    state: str = ""
    remaining_s: int | None = None


Listener = Callable[[Event], None]
