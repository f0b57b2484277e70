"""Protocols for the effects of data disks going back; adapters in ``system/`` and ``cloud/``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from snap_self.model.disks import CloudDisk
    from snap_self.model.going_back import (
        DamagedReturn,
        MountedPlace,
        ReturnRecord,
        Standing,
        UnitFacts,
        User,
    )
    from snap_self.model.ids import DiskId, InstanceId, SnapshotId


class Ground(Protocol):
    """What of this machine stands on data disks, how they are freed and used again.

    What is done already is no error, so that after a kill all of it can be done again.
    """

    def device_of(self, serial: str) -> str | None:
        """Return the device node of the disk with that serial; None as long as there is none."""
        ...

    def is_the_machines(self) -> bool:
        """Tell whether what is mounted and unmounted here is so for the whole machine."""
        ...

    def survey(self, devices: Mapping[str, str]) -> Standing:
        """Return what stands on disks; changes nothing.

        Args:
            devices: serial to device node.

        Raises:
            PreconditionRefused: it cannot be found out.
        """
        ...

    def unit(self, name: str) -> UnitFacts:
        """Return what systemd tells of a unit."""
        ...

    def stop(self, unit: str) -> None:
        """Stop a unit, and wait until it has stopped.

        Raises:
            DisksInUse: it did not stop.
        """
        ...

    def start(self, unit: str) -> str:
        """Start a unit; return why it did not start, empty if it did."""
        ...

    def users_at(self, places: Sequence[str]) -> tuple[User, ...]:
        """Return the processes that have open what lies at these places now, or below them.

        Where nothing is mounted that is what a mount would hide.
        """
        ...

    def is_mounted(self, place: MountedPlace) -> bool:
        """Tell whether that filesystem is mounted there; never waits for its disk."""
        ...

    def unmount(self, place: MountedPlace) -> None:
        """Unmount it; nothing mounted is fine.

        Raises:
            DisksInUse: something uses it.
        """
        ...

    def deactivate(self, group: str) -> None:
        """Take a volume group's devices away; none is fine.

        Raises:
            DisksInUse: something uses them.
        """
        ...

    def refuse_held(self, serials: Sequence[str]) -> None:
        """Refuse disks that something still holds; those that are not there are held by nobody.

        Raises:
            DisksInUse: as it says.
        """
        ...

    def activate(self, group: str) -> None:
        """Make a volume group's devices.

        Raises:
            RollbackUnfinished: LVM refuses.
        """
        ...

    def mount(self, place: MountedPlace, device: str) -> None:
        """Mount it as it was; what is mounted there already is fine.

        Args:
            device: the node of its whole disk.

        Raises:
            RollbackUnfinished: it cannot be mounted.
        """
        ...


class ReturnStore(Protocol):
    """The journal of disks that go back while the system runs."""

    def save(self, record: ReturnRecord) -> None:
        """Put the record safely on disk, in place of the one before.

        Raises:
            StateUnusable: it could not be saved; the record before is still there.
        """
        ...

    def load(self, return_id: str) -> ReturnRecord | None:
        """Return one record, done or not; None if there is none that can be read."""
        ...

    def unfinished(self) -> tuple[ReturnRecord, ...]:
        """Return those that have not ended, oldest first.

        Raises:
            StateUnusable: the folder cannot be read.
        """
        ...

    def done(self) -> tuple[ReturnRecord, ...]:
        """Return those that have, newest first.

        Raises:
            StateUnusable: the folder cannot be read.
        """
        ...

    def damaged(self) -> tuple[DamagedReturn, ...]:
        """Return the records of what may not have ended that cannot be read."""
        ...

    def set_aside(self, damaged: DamagedReturn) -> str:
        """Put a record that cannot be read where nobody looks for work; return its new path.

        Raises:
            StateUnusable: it could not be moved; it is where it was.
        """
        ...


class OwnDisks(Protocol):
    """Detaches, resets and attaches the instance's own data disks; all of it ends later.

    ``deadline_s`` bounds a call with all its tries; each raises what ``cloud.faults`` makes of a
    refusal, and ``CloudUnreachable`` where no answer came.
    """

    def disk(self, disk_id: DiskId, *, deadline_s: float | None = None) -> CloudDisk | None:
        """Return a disk, None if the cloud shows none."""
        ...

    def detach(
        self, disk_id: DiskId, instance_id: InstanceId, *, deadline_s: float | None = None
    ) -> None:
        """Detach it; one that is not attached there is no error.

        Raises:
            DiskNotSettled: it is in a state from which it cannot be.
        """
        ...

    def attach(
        self,
        disk_id: DiskId,
        instance_id: InstanceId,
        *,
        released: bool | None,
        deadline_s: float | None = None,
    ) -> None:
        """Attach it; one that is attached there is no error.

        Args:
            released: with the instance; None to leave that to the cloud.

        Raises:
            DiskNotSettled: it is in another state.
        """
        ...

    def may_reset(
        self,
        disk_id: DiskId,
        snapshot_id: SnapshotId,
        *,
        attached: bool,
        deadline_s: float | None = None,
    ) -> None:
        """Have the cloud say whether it would reset the disk; changes nothing.

        Args:
            attached: it still is: that alone is no refusal.

        Raises:
            SnapSelfError: it would not.
        """
        ...

    def reset(
        self, disk_id: DiskId, snapshot_id: SnapshotId, *, deadline_s: float | None = None
    ) -> None:
        """Give the disk the snapshot's content back; one that is being reset is no error.

        Raises:
            SnapSelfError: refused; ``maybe_done`` tells whether an earlier try may have been heard.
        """
        ...
