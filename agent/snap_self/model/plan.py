"""The plan of a run: data that the text, the JSON, the journal and the executor all read."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from snap_self.model.disks import Coverage
from snap_self.model.snapshots import Consistency, SnapshotOrder


class StepName(Enum):
    """The kinds of step a run is made of, in the order in which they can occur."""

    IDENTIFY = "identify"
    MAP = "map-disks"
    REUSE = "reuse"
    FLUSH = "flush"
    QUIESCE = "quiesce"
    FREEZE = "freeze"
    CREATE = "create"
    THAW = "thaw"
    WAIT = "wait"
    RETENTION = "retention"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One thing a run will do.

    Args:
        what: what it is done to (a mount point, a disk id), for people.
        reason: why, in one sentence.
    """

    name: StepName
    what: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FlushTarget:
    """A filesystem to be synced through one of its mount points.

    Args:
        depth: how many filesystems carry it (loop images); deeper ones are synced first.
    """

    path: str
    fstype: str
    depth: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a run will do and why.

    Args:
        orders: the create requests; more than one are started side by side.
        flushes: filesystems to sync before the create, innermost first.
        keep_days: retention of each snapshot in days, None for ever.
        weaker: why less than the asked consistency can be reached; empty if nothing is known.
        notes: what the user should know (first snapshot is slow, machine is busy …).
    """

    coverage: Coverage
    orders: tuple[SnapshotOrder, ...]
    flushes: tuple[FlushTarget, ...]
    steps: tuple[Step, ...]
    consistency: Consistency
    keep_days: int | None
    weaker: str
    notes: tuple[str, ...]
