"""What happened on this machine, as whoever watches it is told: log, counters, notifications."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import Enum, unique


@unique
class Occasion(Enum):
    """What kind of thing happened; its value is the word in logs, settings and notifications."""

    BEGUN = "begun"
    MADE = "made"
    REUSED = "reused"
    # A snapshot was asked for, and its cut was not seen.
    ASKED = "asked"
    # No snapshot, or not all of it.
    FAILED = "failed"
    # A package manager went on without a snapshot, or without a good one.
    UNPROTECTED = "unprotected"
    # A package manager's hook was interrupted, and whether the change was made is not known.
    INTERRUPTED = "interrupted"
    # A filesystem may still be frozen.
    FROZEN = "frozen"
    UPLOADED = "uploaded"
    UPLOAD_FAILED = "upload-failed"
    PRUNED = "pruned"
    ARMED = "armed"
    CONFIRMED = "confirmed"
    WENT_BACK = "went-back"


# What is wrong: somebody should look.
BAD = frozenset(
    {
        Occasion.ASKED,
        Occasion.FAILED,
        Occasion.UNPROTECTED,
        Occasion.INTERRUPTED,
        Occasion.FROZEN,
        Occasion.UPLOAD_FAILED,
        Occasion.WENT_BACK,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Occurrence:
    """One thing that happened.

    Args:
        at: with its time zone.
        trigger: who started the run: ``cli``, ``run`` or a package manager's name.
        result: a run's, as its report has it; empty where none ended.
        code: of the error, stable; empty for none.
        exit_status: of the run; None where none ended.
        before: the change, in the words of whoever asked for the snapshot.
        text: what happened, in one sentence for people; never a secret of ours.
        hint: what to do about it; empty for nothing.
    """

    kind: Occasion
    at: datetime
    text: str
    instance_id: str = ""
    region: str = ""
    run_id: str = ""
    trigger: str = ""
    result: str = ""
    code: str = ""
    exit_status: int | None = None
    before: str = ""
    disks: tuple[str, ...] = ()
    snapshots: tuple[str, ...] = ()
    hint: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """One thing that happened and could not be counted.

    Args:
        told: the system's journal and people were told of it when it happened.
    """

    occurrence: Occurrence
    told: bool = False
