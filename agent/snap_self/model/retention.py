"""What becomes of a snapshot by itself: deleted by the cloud at some time, or kept; pure."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from enum import Enum
from math import ceil

from snap_self.model.snapshots import Snapshot, SnapshotStatus


class Retention(Enum):
    """Whether the cloud will delete a snapshot when it expires."""

    # It is to be kept for ever.
    NONE = "none"
    SET = "set"
    # The API takes it once the snapshot is uploaded.
    PENDING = "pending"
    REFUSED = "refused"
    # It was uploaded, and nothing is known that would set it.
    NOT_SET = "not-set"
    NOT_KNOWN = "not-known"

    @property
    def is_lacking(self) -> bool:
        """Tell whether the cloud keeps the snapshot until somebody deletes it."""
        return self in (Retention.REFUSED, Retention.NOT_SET)


def retention_of(
    shot: Snapshot | None,
    *,
    expires: datetime | None,
    pending: bool,
    refused: bool = False,
) -> Retention:
    """Return what is known of a snapshot's retention; what the cloud shows counts first.

    Args:
        shot: None when the cloud does not show it.
        expires: when it may be deleted; None for never.
        pending: it is still to be given its retention.
        refused: the cloud refused that.
    """
    if shot is not None and shot.retention_days:
        return Retention.SET
    if shot is not None and "RetentionDays" in shot.unread:
        return Retention.NOT_KNOWN
    if expires is None:
        return Retention.NONE
    if refused:
        return Retention.REFUSED
    if pending:
        return Retention.PENDING
    uploaded = shot is not None and shot.status is SnapshotStatus.ACCOMPLISHED
    # One that was asked for with its retention, and is not shown with it yet.
    return Retention.NOT_SET if uploaded else Retention.SET


def expires_by_itself(shot: Snapshot) -> datetime | None:
    """Return when the cloud deletes a snapshot; None if it does not, as far as is known."""
    if shot.cut_time is None or not shot.retention_days:
        return None
    try:
        return shot.cut_time + timedelta(days=shot.retention_days)
    except OverflowError:
        return None


def kept_until(
    expires: datetime | None, since: datetime, *, asked: datetime | None = None
) -> datetime | None:
    """Return when the cloud deletes what is to be kept until then; None for never.

    It counts whole days from the cut.

    Args:
        expires: until when it is to be kept at least.
        since: the cut, or when it was asked for where that is not known.
        asked: when it was asked for, by this machine's clock: the cloud's, which tells the cut in
            whole seconds, may be behind.
    """
    if expires is None:
        return None
    days = max(1, ceil((expires - (asked or since)) / timedelta(days=1)))
    try:
        return since + timedelta(days=days)
    except OverflowError:
        return None


_ONCE_SET = (
    ", once the retention is set, which is after the upload: by what watches that, or by the next "
    "snapshot, `snap-self prune` or `snap-self doctor`"
)
_COST = "snapshots cost money until deleted"


def kept_words(until: datetime | None, states: Collection[Retention]) -> str:
    """Return in words for how long snapshots are kept; the worst of their states counts.

    Args:
        until: as ``kept_until`` tells it.
    """
    if until is None:
        return "kept for ever: snapshots cost money until you delete them"
    date = day_words(until)
    if any(state.is_lacking for state in states):
        return (
            f"meant to be kept until {date}, but the cloud has no retention for them: they are "
            "kept, and cost money, until somebody deletes them (`snap-self prune`, after that date)"
        )
    if Retention.NOT_KNOWN in states:
        return f"kept until {date}, if the cloud has their retention, which is not known; {_COST}"
    once = _ONCE_SET if Retention.PENDING in states else ""
    return f"kept until {date}{once}; {_COST}"


def day_words(until: datetime) -> str:
    """Return the day, in UTC, as the cloud deletes what has expired some time after it has."""
    return f"{until:%Y-%m-%d}"
