"""How to go back: the exact steps for one instance and its snapshots."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from snap_self.model.disks import CloudDisk, DiskKind
from snap_self.model.ids import DiskId, InstanceId, RegionId, SnapshotId


def ways_back(
    *,
    instance_id: InstanceId,
    region: RegionId,
    pairs: Mapping[DiskId, SnapshotId],
    disks: Sequence[CloudDisk],
) -> tuple[str, ...]:
    """Return the rollback as lines to be read and run one after the other.

    A disk is rolled back in place only while its instance is stopped, so no instance can do it to
    itself; the commands are for another machine or the console.

    Source: ECS API reference, ResetDisk and StopInstance.
    """
    if not pairs:
        return ()
    by_id = {disk.disk_id: disk for disk in disks}
    return tuple(_lines(instance_id, region, pairs, by_id))


def _lines(
    instance_id: InstanceId,
    region: RegionId,
    pairs: Mapping[DiskId, SnapshotId],
    by_id: Mapping[DiskId, CloudDisk],
) -> Iterable[str]:
    yield (
        "Run these from another machine (or use the ECS console: Snapshots > Roll Back Disk); "
        "a disk can only be rolled back while this instance is stopped."
    )
    yield (
        "Everything written after the snapshot is lost; in doubt, snapshot the present state first."
    )
    yield (
        f"aliyun ecs StopInstance --RegionId {region} --InstanceId {instance_id} "
        "--StoppedMode KeepCharging"
    )
    instances = f"--InstanceIds '[\"{instance_id}\"]'"
    yield (
        f"aliyun ecs DescribeInstances --RegionId {region} {instances}   # until Status is Stopped"
    )
    for disk_id in sorted(pairs, key=lambda d: (not _is_system(by_id.get(d)), d)):
        yield (
            f"aliyun ecs ResetDisk --RegionId {region} --DiskId {disk_id} "
            f"--SnapshotId {pairs[disk_id]}"
        )
    yield (
        f"aliyun ecs DescribeDisks --RegionId {region} --InstanceId {instance_id}   "
        "# until no Status is ReIniting"
    )
    yield f"aliyun ecs StartInstance --RegionId {region} --InstanceId {instance_id}"


def _is_system(disk: CloudDisk | None) -> bool:
    return disk is not None and disk.kind is DiskKind.SYSTEM
