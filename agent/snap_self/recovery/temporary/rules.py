"""What is done about a temporary disk that is to go: pure, from the journal and what is seen.

For one disk, by what the journal has of it::

    journal          seen                                   act
    planned, gone,   -                                      nothing
    given up
    creating, no id  asked for less than TOKEN_S ago        ask-again: same token, same arguments
                     longer ago                             look-by-tag, then ask-again
                     the cloud could not tell the disk      look-by-tag, for FIND_S from when it
                                                            was asked for; then once a command
    made             not shown, made less than SIGHT_S ago  wait
                     not shown                              delete, which tells that it is gone
                     not ours by tag, or attached before    leave
                     attached elsewhere                     leave
                     Creating, Attaching, unknown ...       wait
                     In_use here                            detach
                     Detaching                              wait
                     Available                              delete

A token that the cloud has forgotten makes another disk, so asking again proves nothing of the first
one: once all disks of a record are gone, whatever else carries its tags goes too.

Whoever acts by it holds the lock of the copies, so nothing else is at work on the same disk.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

from snap_self.model.disks import CloudDisk, DiskKind
from snap_self.model.snapshots import RESTORE_TAG, TEMPORARY_TAG
from snap_self.model.temporary import CopyRecord, DiskStage, Stage, TemporaryDisk

# What was made shows in lists only after a while.
SIGHT_S = 60.0
FIND_S = 300.0
# How long the cloud remembers a token is not documented; for so long it does.
TOKEN_S = 300.0
# As long as it is looked for.
FORGOTTEN_AFTER = timedelta(hours=24)
# It is not asked for again later, so that what a lost answer made then still has time to show.
ASKED_UNTIL = FORGOTTEN_AFTER - timedelta(hours=1)

AVAILABLE = "Available"
IN_USE = "In_use"
DETACHING = "Detaching"


class Act(Enum):
    """What is to be done next about one disk."""

    NOTHING = "nothing"
    ASK_AGAIN = "ask-again"
    LOOK_BY_TAG = "look-by-tag"
    WAIT = "wait"
    DETACH = "detach"
    DELETE = "delete"
    # It is not certain to be ours, so it is not touched.
    LEAVE = "leave"


class Foreign(Enum):
    """Why a disk is not touched."""

    ATTACHED_BEFORE = "it was attached before snap-self made any"
    NO_DATA_DISK = "it is not known to be a data disk"
    UNTAGGED = "it does not carry the tags of a temporary disk of this restore"
    ELSEWHERE = "it is attached to another instance"


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What the cloud showed of a disk when it was asked.

    Args:
        disk: None if it showed none.
        asked_again: CreateDisk was sent once more, to learn what it had made.
    """

    disk: CloudDisk | None
    asked_again: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Next:
    """What is to be done, and of what is left alone why."""

    act: Act
    foreign: Foreign | None = None


def next_of(record: CopyRecord, disk: TemporaryDisk, seen: Seen | None, now: datetime) -> Next:
    """Return what is done next about a disk that is to go.

    Args:
        seen: None if it was neither looked for nor asked for yet.
    """
    if disk.stage is DiskStage.PLANNED or disk.stage.is_over:
        return Next(act=Act.NOTHING)
    if disk.disk_id is None:
        return Next(act=_way_to_find(disk, seen, now))
    if seen is None:
        return Next(act=Act.WAIT)
    young = disk.made is not None and (now - disk.made).total_seconds() < SIGHT_S
    if seen.disk is None:
        if disk.disk_id in record.attached_before:
            return Next(act=Act.LEAVE, foreign=Foreign.ATTACHED_BEFORE)
        # A list that is empty proves nothing, as where the role may not look.
        return Next(act=Act.WAIT if young else Act.DELETE)
    foreign = why_foreign(record, seen.disk)
    if foreign is Foreign.UNTAGGED and young and not seen.disk.tags:
        return Next(act=Act.WAIT)
    if foreign:
        return Next(act=Act.LEAVE, foreign=foreign)
    if seen.disk.status == IN_USE:
        return Next(act=Act.DETACH)
    return Next(act=Act.DELETE if seen.disk.status == AVAILABLE else Act.WAIT)


def _way_to_find(disk: TemporaryDisk, seen: Seen | None, now: datetime) -> Act:
    age = FORGOTTEN_AFTER if disk.asked is None else now - disk.asked
    if age > ASKED_UNTIL or (seen is not None and seen.asked_again):
        return Act.LOOK_BY_TAG
    # By a token that is forgotten another disk is made: what can be found is not asked for.
    return Act.LOOK_BY_TAG if seen is None and age.total_seconds() > TOKEN_S else Act.ASK_AGAIN


def why_foreign(record: CopyRecord, seen: CloudDisk) -> Foreign | None:
    """Return why a disk is not touched; None for a temporary disk of this record."""
    if seen.disk_id in record.attached_before:
        return Foreign.ATTACHED_BEFORE
    if seen.kind is not DiskKind.DATA:
        return Foreign.NO_DATA_DISK
    tags = (seen.tags.get(TEMPORARY_TAG), seen.tags.get(RESTORE_TAG))
    if tags != (record.instance_id, record.restore_id):
        return Foreign.UNTAGGED
    return Foreign.ELSEWHERE if seen.attached_to - {record.instance_id} else None


def is_forgotten(disk: TemporaryDisk, now: datetime) -> bool:
    """Tell whether a disk that was asked for and never seen is not looked for any more."""
    return disk.asked is None or now - disk.asked > FORGOTTEN_AFTER


def is_taken_over(disk: TemporaryDisk, now: datetime) -> bool:
    """Tell whether a disk that is not known to be ours has been told of for long enough."""
    return disk.made is None or now - disk.made > FORGOTTEN_AFTER


@dataclass(frozen=True, slots=True, kw_only=True)
class OnMachine:
    """What may have to be undone on this machine before the disks go.

    Args:
        tidy: half-written files lie below the roots.
        close: something may be mounted, active or set read-only.
        guard: the rule that keeps udev off the disks may be there.
    """

    tidy: bool
    close: bool
    guard: bool


def local_of(record: CopyRecord) -> OnMachine:
    """Return what the journal knows may have been done on this machine."""
    return OnMachine(
        tidy=bool(record.roots) and record.stage.at_least(Stage.COPYING),
        close=record.stage.at_least(Stage.OPENING),
        guard=record.stage.at_least(Stage.GUARDED),
    )


def is_due(record: CopyRecord, now: datetime) -> bool:
    """Tell whether a record that is found under the lock is to be cleaned up.

    A restore holds the lock as long as it lives, so only a mount may still be wanted.
    """
    return record.stage is not Stage.DONE and not (record.is_open and now < record.until)
