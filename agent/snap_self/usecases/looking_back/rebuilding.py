"""Make a record anew that cannot be read: from its id and the tags of its disks."""

from __future__ import annotations

from datetime import datetime, timezone

from snap_self.model.disk_orders import DiskChoice, DiskOrder
from snap_self.model.disks import CloudDisk
from snap_self.model.ids import DiskId, SnapshotId
from snap_self.model.snapshots import RESTORE_TAG, TEMPORARY_TAG, Identity
from snap_self.model.temporary import (
    CopyRecord,
    DamagedRecord,
    DiskStage,
    Purpose,
    RestoreId,
    Stage,
    TemporaryDisk,
)
from snap_self.ports_looking_back import TemporaryDisks
from snap_self.recovery.temporary.rules import FORGOTTEN_AFTER

# Ids begin with the time.
_BEGUN = "%Y%m%dt%H%M%Sz"
_BEGUN_LENGTH = len("20260102t030405z")


def rebuilt(
    damaged: DamagedRecord, identity: Identity, cloud: TemporaryDisks, now: datetime
) -> CopyRecord | None:
    """Return a record by which all that the cloud shows can be ended.

    Returns:
        None where the cloud shows no disk, and may do so later: the record is not a day old.

    Raises:
        SnapSelfError: the cloud could not be asked.
    """
    begun = begun_at(damaged.restore_id)
    tags = {TEMPORARY_TAG: identity.instance_id, RESTORE_TAG: damaged.restore_id}
    seen = cloud.disks_by_tag(tags)
    if not seen and (begun is None or now - begun <= FORGOTTEN_AFTER):
        return None
    return CopyRecord(
        restore_id=damaged.restore_id,
        purpose=Purpose.RESTORE,
        instance_id=identity.instance_id,
        region=identity.region,
        run_id="",
        snapshot=seen[0].snapshot_id if seen else "",
        started=begun or now,
        until=begun or now,
        # It may be mounted, and udev be held back.
        stage=Stage.OPENING,
        disks=tuple(_disk(each, tags, begun or now) for each in seen),
        attached_before=(),
    )


def begun_at(restore_id: RestoreId) -> datetime | None:
    """Return the time with which an id begins; None if it does not."""
    try:
        return datetime.strptime(restore_id[:_BEGUN_LENGTH], _BEGUN).replace(tzinfo=timezone.utc)
    except ValueError:
        return None


def _disk(seen: CloudDisk, tags: dict[str, str], made: datetime) -> TemporaryDisk:
    order = DiskOrder(
        snapshot_id=SnapshotId(seen.snapshot_id),
        choice=DiskChoice(category=seen.category, size_gib=seen.size_gib, level=seen.level),
        zone=seen.zone,
        client_token="",
        tags=tags,
    )
    return TemporaryDisk(
        source=DiskId(""),
        order=order,
        stage=DiskStage.MADE,
        disk_id=seen.disk_id,
        serial=seen.serial,
        made=made,
    )
