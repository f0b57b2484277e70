"""Data disks that go back while the system runs: what the journal keeps, and what stands on them.

The record is written before each effect, so whoever finds one that is not done knows all that may
have been done: see ``usecases.going_back``.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import Enum
from typing import NewType

from snap_self.model.ids import DiskId, InstanceId, RegionId, SnapshotId

ReturnId = NewType("ReturnId", str)


class Step(Enum):
    """How far it is known to have come; written before what it names begins."""

    PLANNED = "planned"
    STOPPING = "stopping"
    UNMOUNTING = "unmounting"
    DETACHING = "detaching"
    RESETTING = "resetting"
    ATTACHING = "attaching"
    MOUNTING = "mounting"
    STARTING = "starting"
    DONE = "done"


class Heading(Enum):
    """Where it is going."""

    # To the snapshots.
    FORWARD = "forward"
    # No disk was reset, so everything becomes what it was.
    BACK = "back"
    # Nowhere: somebody gave it up, and the disks are whatever they were then.
    GIVEN_UP = "given-up"


class DiskState(Enum):
    """What is known of the content of one disk."""

    AS_IT_WAS = "as-it-was"
    # ResetDisk may have reached the cloud.
    ASKED = "asked"
    WENT_BACK = "went-back"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReturningDisk:
    """One disk.

    Args:
        serial: by which the kernel knows it.
        delete_with_instance: as it was; None where the cloud did not tell.
    """

    disk_id: DiskId
    snapshot_id: SnapshotId
    serial: str
    delete_with_instance: bool | None
    state: DiskState = DiskState.AS_IT_WAS


@dataclass(frozen=True, slots=True, kw_only=True)
class MountedPlace:
    """A filesystem as it is mounted, and where it lies by names that outlive a detach.

    Args:
        root: what part of the filesystem is mounted.
        options: those of the mount and of its superblock, as the kernel tells them.
        serial: of its disk; of one of them for a volume.
        partition: its number; 0 for none.
        mapped: the device mapper's name of its volume; empty for none.
    """

    place: str
    fstype: str
    root: str
    options: str
    serial: str
    partition: int = 0
    mapped: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitRecord:
    """A unit of systemd that is stopped meanwhile.

    Args:
        was_active: it ran, so it is started again.
    """

    name: str
    was_active: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ReturnRecord:
    """Disks that are going back, or went.

    Args:
        run: the run's name, as `show` knows it.
        since: what was written after it is lost; None where no cut is known.
        boot_id: of the boot in which it was agreed to.
        units: in the order in which they are stopped.
        mounts: the outer ones before what lies in them.
        groups: of LVM that are active.
        waits_in_fstab: places without which a boot fails.
        present: the run that snapshotted the state before; empty where none did.
        trouble: why it could not go on, or turned back; empty if it did not have to.
        not_started: units that did not start again, each with why.
        not_mounted: why something is not mounted again although all disks went back.
        beneath: processes that go on with what lay at a place while nothing was mounted there.
    """

    return_id: ReturnId
    instance_id: InstanceId
    region: RegionId
    run: str
    started: datetime
    since: datetime | None
    boot_id: str
    disks: tuple[ReturningDisk, ...]
    units: tuple[UnitRecord, ...] = ()
    mounts: tuple[MountedPlace, ...] = ()
    groups: tuple[str, ...] = ()
    waits_in_fstab: tuple[str, ...] = ()
    present: str = ""
    step: Step = Step.PLANNED
    heading: Heading = Heading.FORWARD
    trouble: str = ""
    not_started: tuple[str, ...] = ()
    not_mounted: tuple[str, ...] = ()
    beneath: tuple[str, ...] = ()
    ended: datetime | None = None

    @property
    def record_id(self) -> str:
        """Its name in the journal."""
        return self.return_id

    @property
    def is_done(self) -> bool:
        """Whether it has ended, whichever way it went."""
        return self.step is Step.DONE

    def at(self, step: Step) -> ReturnRecord:
        """Return the record as it is written before that step begins."""
        return replace(self, step=step)

    def with_disk(self, place: int, state: DiskState) -> ReturnRecord:
        """Return the record with what is known of one disk."""
        disk = replace(self.disks[place], state=state)
        return replace(self, disks=(*self.disks[:place], disk, *self.disks[place + 1 :]))

    @property
    def untouched(self) -> bool:
        """Whether no disk can have lost anything yet."""
        return all(disk.state is DiskState.AS_IT_WAS for disk in self.disks)

    @property
    def whole(self) -> bool:
        """Whether all disks are known to have gone back."""
        return all(disk.state is DiskState.WENT_BACK for disk in self.disks)

    @property
    def went_back(self) -> bool:
        """Whether it has ended, and the disks are those of the snapshots."""
        return self.step is Step.DONE and self.heading is Heading.FORWARD

    @property
    def disk_ids(self) -> tuple[DiskId, ...]:
        """The disks."""
        return tuple(disk.disk_id for disk in self.disks)

    @property
    def places(self) -> tuple[str, ...]:
        """Where what lies on them is mounted, once each."""
        return tuple(dict.fromkeys(each.place for each in self.mounts))


@dataclass(frozen=True, slots=True, kw_only=True)
class DamagedReturn:
    """A record that cannot be read.

    Args:
        where: its path.
        disk_ids: the disks that are still named in it; none where it is empty.
    """

    return_id: ReturnId
    where: str
    why: str
    disk_ids: tuple[DiskId, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SetAside:
    """A record that could not be read, and is in nobody's way any more.

    Args:
        kept: where its bytes are now.
        disks: the disks that it may be about, each with where the cloud shows it.
        guessed: the disks are those of the last run, as it names none itself.
    """

    damaged: DamagedReturn
    kept: str
    disks: tuple[DiskSeen, ...]
    guessed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskSeen:
    """Where a disk is.

    Args:
        status: as the cloud words it; empty where it shows no such disk.
        here: it is attached to this instance.
        elsewhere: other instances that it is attached to.
    """

    disk_id: DiskId
    status: str
    here: bool
    elsewhere: tuple[InstanceId, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """A process that has something open on the disks.

    Args:
        unit: the service that it belongs to; empty for none.
        path: one of the things that it has open, as the kernel names it; empty if that is not told.
    """

    pid: int
    program: str
    unit: str = ""
    path: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stacked:
    """A block device that stands on the disks.

    Args:
        kind: ``partition``, ``lvm``, ``crypt``, ``md``, ``loop``, ``dm`` …
    """

    name: str
    kind: str


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitFacts:
    """What systemd tells of a unit.

    Args:
        known: there is such a unit.
        stopped_with: units that systemd stops whenever it stops this one.
        triggered_by: sockets, timers, paths and the like that may start it at any time.
        upheld_by: units as long as one of which runs systemd starts this one again.
    """

    name: str
    known: bool
    active: bool
    stopped_with: tuple[str, ...] = ()
    triggered_by: tuple[str, ...] = ()
    upheld_by: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What of the running system stands on the disks.

    Args:
        mounts: in the kernel's order.
        below: places of other filesystems that are mounted on them.
        groups: of LVM with a volume on them, each with the device nodes of all its parts.
        nodes: of the disks, and of all that stands on them.
        elsewhere: a process of each other mount namespace that has them mounted, and keeps them
            so when they are unmounted here.
        idle_groups: those of which no volume is active.
        waits_in_fstab: places in /etc/fstab that are of them, and without which a boot fails.
        kernel_names: by which /etc/fstab names them, and which may be another disk's later.
        own_units: units, slices among them, in which this command runs.
        bound_units: units that systemd stops by itself when the mounts or devices go, and those
            that have it mount them again.
    """

    mounts: tuple[MountedPlace, ...] = ()
    below: tuple[str, ...] = ()
    on_top: tuple[Stacked, ...] = ()
    users: tuple[User, ...] = ()
    groups: dict[str, tuple[str, ...]] = field(default_factory=dict, hash=False)
    nodes: tuple[str, ...] = ()
    elsewhere: tuple[User, ...] = ()
    idle_groups: frozenset[str] = frozenset()
    waits_in_fstab: tuple[str, ...] = ()
    kernel_names: tuple[str, ...] = ()
    own_units: frozenset[str] = frozenset()
    bound_units: tuple[str, ...] = ()
