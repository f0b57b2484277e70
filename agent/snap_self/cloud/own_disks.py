"""The calls that detach, reset and attach the instance's own data disks.

Source: ECS API reference, DetachDisk, ResetDisk, AttachDisk.
"""

from __future__ import annotations

from snap_self.cloud.caller import Caller
from snap_self.cloud.disk_codes import is_being_reset, is_of_running, is_rehearsed
from snap_self.cloud.params import given
from snap_self.cloud.temporary_disks import EcsTemporaryDisks
from snap_self.errors import ApiFault, PermissionRefused
from snap_self.model.actions import Policy
from snap_self.model.disks import CloudDisk
from snap_self.model.ids import DiskId, InstanceId, SnapshotId


class EcsOwnDisks:
    """Implement ``ports_going_back.OwnDisks``.

    Args:
        caller: of the client whose connections, keys and known limits are shared.
    """

    def __init__(self, caller: Caller) -> None:
        self._call = caller.call
        self._moves = EcsTemporaryDisks(caller)

    def disk(self, disk_id: DiskId, *, deadline_s: float | None = None) -> CloudDisk | None:
        """Return a disk, None if the cloud shows none."""
        return self._moves.disk(disk_id, deadline_s=deadline_s)

    def detach(
        self, disk_id: DiskId, instance_id: InstanceId, *, deadline_s: float | None = None
    ) -> None:
        """Detach it; one that is not attached there is no error."""
        try:
            self._moves.detach_disk(disk_id, instance_id, deadline_s=deadline_s)
        except PermissionRefused as error:
            raise _with_policy(error) from None

    def attach(
        self,
        disk_id: DiskId,
        instance_id: InstanceId,
        *,
        released: bool | None,
        deadline_s: float | None = None,
    ) -> None:
        """Attach it; one that is attached there is no error."""
        try:
            self._moves.attach_disk(disk_id, instance_id, released=released, deadline_s=deadline_s)
        except PermissionRefused as error:
            raise _with_policy(error) from None

    def may_reset(
        self,
        disk_id: DiskId,
        snapshot_id: SnapshotId,
        *,
        attached: bool,
        deadline_s: float | None = None,
    ) -> None:
        """Have the cloud say whether it would reset the disk; changes nothing."""
        try:
            self._reset(disk_id, snapshot_id, dry="true", deadline_s=deadline_s)
        except ApiFault as error:
            if not is_rehearsed(error) and not (attached and is_of_running(error)):
                raise

    def reset(
        self, disk_id: DiskId, snapshot_id: SnapshotId, *, deadline_s: float | None = None
    ) -> None:
        """Give the disk the snapshot's content back; one that is being reset is no error."""
        try:
            self._reset(disk_id, snapshot_id, dry="", deadline_s=deadline_s)
        except ApiFault as error:
            if not is_being_reset(error):
                raise

    def _reset(
        self, disk_id: DiskId, snapshot_id: SnapshotId, *, dry: str, deadline_s: float | None
    ) -> None:
        params = {"DiskId": disk_id, "SnapshotId": snapshot_id, **given(DryRun=dry)}
        self._call("ResetDisk", params, deadline_s=deadline_s, about=(disk_id,))


def _with_policy(error: PermissionRefused) -> PermissionRefused:
    """Name the policy for the own disks; that of the same call elsewhere is for temporary ones."""
    error.hint = (
        f"the role needs the policy {Policy.ONLINE.value.removesuffix('.json')}: "
        f"`{Policy.ONLINE.command}` prints it filled in, with the steps to attach it"
    )
    return error
