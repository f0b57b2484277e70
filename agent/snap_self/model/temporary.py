"""A disk made from a snapshot for a while: what the journal keeps of it, and how far it has come.

The record is written before each effect, so whoever finds one that is not done knows all that may
exist: see ``recovery.temporary.rules`` for what is done about it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum
from typing import NewType

from snap_self.model.disk_orders import DiskOrder
from snap_self.model.ids import DiskId, InstanceId, RegionId

RestoreId = NewType("RestoreId", str)


class Purpose(Enum):
    """What a snapshot is opened for; also the name of the command."""

    RESTORE = "restore"
    MOUNT = "mount"
    VERIFY = "verify"
    DIFF = "diff"


class Stage(Enum):
    """How far a copy is known to have come; written before the step that it names begins."""

    PLANNED = "planned"
    # CreateDisk may have reached the cloud.
    CREATING = "creating"
    # All disks have ids.
    CREATED = "created"
    # The rule that keeps udev off them may be there.
    GUARDED = "guarded"
    ATTACHING = "attaching"
    OPENING = "opening"
    # Files may be half written beside their targets.
    COPYING = "copying"
    # A mount that people look at; only this one outlives its command.
    OPEN = "open"
    CLOSING = "closing"
    DETACHING = "detaching"
    DELETING = "deleting"
    DONE = "done"

    def at_least(self, other: Stage) -> bool:
        """Tell whether what the other one names may have begun."""
        return _STAGES.index(self) >= _STAGES.index(other)


_STAGES = tuple(Stage)


class DiskStage(Enum):
    """What is known of one disk."""

    PLANNED = "planned"
    CREATING = "creating"
    MADE = "made"
    # Nothing of it is left, or nothing ever was.
    GONE = "gone"
    # Nobody knows: never seen for a day, or not known to be ours any more. No more is said of it.
    GIVEN_UP = "given-up"

    @property
    def is_over(self) -> bool:
        """Tell whether nothing is done about it any more."""
        return self in (DiskStage.GONE, DiskStage.GIVEN_UP)


@dataclass(frozen=True, slots=True, kw_only=True)
class TemporaryDisk:
    """One disk of a copy.

    Args:
        source: the disk of which it is a copy.
        disk_id: None until the cloud has told it.
        serial: by which the kernel knows it; empty until the cloud has told it.
        asked: when it was first asked for; None if it was not, or it was refused for certain.
        made: when it was first known to exist.
    """

    source: DiskId
    order: DiskOrder
    stage: DiskStage = DiskStage.PLANNED
    disk_id: DiskId | None = None
    serial: str = ""
    asked: datetime | None = None
    made: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A file that was replaced, and where it is kept."""

    path: str
    kept: str


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptFiles:
    """What a restore replaced, for its way back.

    Args:
        made: what was not there before, and where going back would put it.
        undone: when that was gone; None if it was not.
        aside: the directory in which all is that is kept; empty where that was not noted.
        whole: all of it was done; else it is what was to be done, and some may not have been.
    """

    restore_id: RestoreId
    files: tuple[Kept, ...]
    made: tuple[Kept, ...] = ()
    undone: datetime | None = None
    aside: str = ""
    whole: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class DamagedRecord:
    """A record that cannot be read; what it told of may exist.

    Args:
        restore_id: as its file is named.
        where: its path.
    """

    restore_id: RestoreId
    where: str
    why: str

    @property
    def text(self) -> str:
        """What people are told of it."""
        return f"{self.where} ({self.why})"


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyRecord:
    """A snapshot that is, was or is to be opened beside the running system.

    Args:
        restore_id: also the mark of the copier's temporary files, and part of the client tokens.
        run_id: of the run that made the snapshots; empty if no tag tells it.
        snapshot: how people named it.
        until: when a mount is to end; of all others when they should have.
        attached_before: the disks of this instance at planning; none of them is ever touched.
        mounted_at: where people look at it; empty for what has no mount point.
        made_folder: that directory was made for it.
        roots: directories below which the copier writes.
        trouble: why the last clean-up could not end; empty if none was tried, or it did.
        opened: when its filesystem was mounted; None if that was not reached, or not noted.
        source: the filesystem that was opened, as people know it (``/srv``); empty where the record
            had to be made anew.
        boot_id: of the boot in which it was begun; empty in records of old.
        doubt: why its disks are not deleted unasked; empty if nothing speaks against that.
    """

    restore_id: RestoreId
    purpose: Purpose
    instance_id: InstanceId
    region: RegionId
    run_id: str
    snapshot: str
    started: datetime
    until: datetime
    stage: Stage
    disks: tuple[TemporaryDisk, ...]
    attached_before: tuple[DiskId, ...]
    source: str = ""
    mounted_at: str = ""
    made_folder: bool = False
    roots: tuple[str, ...] = ()
    trouble: str = ""
    ended: datetime | None = None
    opened: datetime | None = None
    boot_id: str = ""
    doubt: str = ""

    @property
    def record_id(self) -> str:
        """Its name in the journal."""
        return self.restore_id

    @property
    def is_done(self) -> bool:
        """Whether nothing of it is left."""
        return self.stage is Stage.DONE

    def at(self, stage: Stage) -> CopyRecord:
        """Return the record as it is written before that stage begins."""
        return replace(self, stage=stage)

    def with_disk(self, place: int, disk: TemporaryDisk) -> CopyRecord:
        """Return the record with one disk in place of what was known of it."""
        disks = (*self.disks[:place], disk, *self.disks[place + 1 :])
        return replace(self, disks=disks)

    @property
    def serials(self) -> tuple[str, ...]:
        """The serials that are known."""
        return tuple(disk.serial for disk in self.disks if disk.serial)

    @property
    def disk_ids(self) -> tuple[DiskId, ...]:
        """The disks that are known and not gone."""
        return tuple(disk.disk_id for disk in self.disks if disk.disk_id and not disk.stage.is_over)

    @property
    def is_open(self) -> bool:
        """Tell whether it is a mount that people may look at."""
        return self.stage is Stage.OPEN

    @property
    def gib(self) -> int:
        """How much is paid for while it exists."""
        return sum(d.order.choice.size_gib for d in self.disks if not d.stage.is_over)

    @property
    def existed_s(self) -> float:
        """How long its disks existed, in seconds; 0 as long as one does, or none was made."""
        made = [disk.made for disk in self.disks if disk.made]
        return (self.ended - min(made)).total_seconds() if made and self.ended else 0.0
