"""What a restore is asked for and what came of it; what a mount shows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from snap_self.errors import DiskLeft, ExitStatus
from snap_self.model.copying import CopyOutcome, CopyPlan
from snap_self.model.opening import Note
from snap_self.model.temporary import CopyRecord, Purpose


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """What is about to be made, for whoever is asked.

    Args:
        paths: what is to be brought back; empty where nothing is.
        to: where to; None for its own place.
        aside: where what is replaced is kept; None to keep nothing.
        gib: how much all disks together have, and so how much is paid for.
        source: the filesystem, as people know it.
    """

    purpose: Purpose
    run: str
    before: str
    cut_time: datetime | None
    snapshot_ids: tuple[str, ...]
    fstype: str
    source: str
    gib: int
    disks: int
    until: datetime
    paths: tuple[str, ...] = ()
    to: str | None = None
    aside: str | None = None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """What came of a restore.

    Args:
        record: the copy as it ended.
        plan: what differed.
        outcome: None where nothing was copied: only shown, declined, or nothing differed.
        aside: where what was replaced is kept; None where nothing is.
        declined: whoever was asked did not want it.
        caveats: what was not as it should be while it was open.
        left: what is to be said of a disk that stays; None if none does.
    """

    intent: Intent
    record: CopyRecord
    plan: CopyPlan
    outcome: CopyOutcome | None
    aside: str | None
    declined: bool
    dry_run: bool
    notes: tuple[str, ...] = ()
    caveats: tuple[Note, ...] = ()
    left: DiskLeft | None = None

    @property
    def exit_status(self) -> ExitStatus:
        """What the command ends with."""
        if self.left is not None:
            return self.left.exit_status
        left = self.outcome.left_out if self.outcome else self.plan.left_out
        if left and not self.declined and not self.dry_run:
            return ExitStatus.RESTORED_IN_PART
        return ExitStatus.DONE


@dataclass(frozen=True, slots=True, kw_only=True)
class Mounted:
    """A snapshot that people may look into now.

    Args:
        timed: systemd ends it in time; else the next command after that does.
        joined: it was open already.
        caveats: what is not as it should be while it is open; of one that was open already none is
            known.
    """

    record: CopyRecord
    intent: Intent
    timed: bool
    joined: bool = False
    notes: tuple[str, ...] = ()
    caveats: tuple[Note, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Undone:
    """What came of taking a restore back."""

    restore_id: str
    outcome: CopyOutcome

    @property
    def exit_status(self) -> ExitStatus:
        """What the command ends with."""
        return ExitStatus.RESTORED_IN_PART if self.outcome.left_out else ExitStatus.DONE
