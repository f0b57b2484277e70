"""The plan of a run: what it will do, and what its log names once it has done it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from snap_self.model.disks import Coverage
from snap_self.model.flushing import FlushTarget
from snap_self.model.snapshots import Consistency, SnapshotOrder


class StepName(Enum):
    """The kinds of step a run is made of, in the order in which they can occur."""

    IDENTIFY = "identify"
    MAP = "map-disks"
    FLUSH = "flush"
    QUIESCE = "quiesce"
    FREEZE = "freeze"
    CREATE = "create"
    THAW = "thaw"
    WAIT = "wait"
    RETENTION = "retention"
    ARM = "arm"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One thing that a run does.

    Args:
        what: what it is done to (a mount point, a disk id), for people.
        reason: why, in one sentence.
    """

    name: StepName
    what: str
    reason: str

    @property
    def sentence(self) -> str:
        """Return both for people."""
        return f"{self.what}: {self.reason}"


class NoteKind(Enum):
    """What a note of the plan is about, which decides when it is told."""

    # Of the disks' earlier snapshots: may be why another one is refused.
    EARLIER = "earlier"
    # Of the snapshots to be made.
    MADE = "made"
    KEPT = "kept"
    NO_REBOOT = "no-reboot"


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """Something that the user should know."""

    kind: NoteKind
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a run will do and why.

    Args:
        orders: the create requests; more than one are started side by side.
        flushes: filesystems to sync before the create, innermost first, also those that no path
            leads to.
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
    notes: tuple[Note, ...]
