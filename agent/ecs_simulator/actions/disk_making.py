"""CreateDisk: it makes a disk, empty or from a snapshot, a little later."""

from __future__ import annotations

from collections.abc import Sequence

from ecs_simulator import encrypting
from ecs_simulator.actions.base import Call, Json, Operation, check_dry_run
from ecs_simulator.actions.snapshots import snapshot_resource
from ecs_simulator.attaching import begin_attach, later, remove
from ecs_simulator.cloud import Cloud
from ecs_simulator.errors import ApiError
from ecs_simulator.params import Params
from ecs_simulator.ram import Resource
from ecs_simulator.records import (
    CATEGORIES,
    ELASTIC_EPHEMERAL,
    ESSD_FAMILY,
    LOCAL,
    REGIONAL,
    Disk,
    Instance,
    Snapshot,
)
from ecs_simulator.rules import check_description, check_name, read_tags

# Sizes in GiB by category, those of cloud_essd by performance level. Source: CreateDisk.
SIZES_GIB: dict[str, tuple[int, int]] = {
    "cloud": (5, 2000),
    "cloud_efficiency": (20, 32768),
    "cloud_ssd": (20, 32768),
    "cloud_auto": (1, 65536),
    "cloud_essd_entry": (10, 32768),
    REGIONAL: (10, 65536),
    **dict.fromkeys(ELASTIC_EPHEMERAL, (64, 8192)),
    "PL0": (1, 65536),
    "PL1": (20, 65536),
    "PL2": (461, 65536),
    "PL3": (1261, 65536),
}
LEVELS = ("PL0", "PL1", "PL2", "PL3")


def create_disk(cloud: Cloud, call: Call) -> Json:
    """Begin to make a disk, empty or from a snapshot."""
    params = call.params
    cloud.check_region(params)
    category = params.text("DiskCategory", "cloud")
    check_category(category)
    check_name(params.text("DiskName"), "InvalidDiskName.Malformed")
    check_description(params.text("Description"))
    tags = read_tags(params)
    with cloud.state.lock:
        instance = _buyer(cloud, params)
        zone_id = instance.zone_id if instance else _zone(cloud, params, category)
        source = _source(cloud, params, category)
        size_gib, level = size_of(params, category, least_gib=source.disk_size_gib if source else 0)
        encrypted, key = encrypting.choose(cloud, params, source, own_key=instance is None)
        check_purchase(cloud, zone_id, category, prepaid=instance is not None)
        check_dry_run(params)
        disk = new_disk(
            cloud, params, size_gib=size_gib, category=category, level=level, zone=zone_id
        )
        disk.encrypted, disk.kms_key_id = encrypted, key
        if instance is not None:
            disk.charge_type, disk.portable, disk.delete_with_instance = "PrePaid", False, True
        else:
            disk.tags = tags
        cloud.state.disks[disk.disk_id] = disk
        if source is not None:
            disk.source_snapshot_id = source.snapshot_id
            source.created_disks.add(disk.disk_id)
    owner = instance.instance_id if instance else ""
    later(cloud, "CreateDisk", disk, lambda: _made(cloud, disk, owner), lambda: remove(cloud, disk))
    return {"DiskId": disk.disk_id}


def new_disk(
    cloud: Cloud, params: Params, *, size_gib: int, category: str, level: str, zone: str
) -> Disk:
    """Return the record of a disk that is being made."""
    disk_id = cloud.ids.make("d")
    now = cloud.clock.now()
    return Disk(
        disk_id=disk_id,
        serial=disk_id.removeprefix("d-"),
        name=params.text("DiskName"),
        description=params.text("Description"),
        size_gib=size_gib,
        category=category,
        performance_level=level,
        kind="data",
        zone_id=zone,
        created_at=now,
        status="Creating",
        multi_attach=params.text("MultiAttach", "Disabled"),
        delete_with_instance=False,
        never_attached=True,
        visible_at=now + cloud.ids.uniform(cloud.life.visible_lag_s),
    )


def check_category(category: str) -> None:
    """Refuse a category that is none, or of which no disk can be bought by itself."""
    if category not in CATEGORIES:
        raise ApiError("InvalidDiskCategory.ValueNotSupported", status=400)
    if category in LOCAL:
        raise ApiError("InvalidDiskCategory.NotSupported")


def _buyer(cloud: Cloud, params: Params) -> Instance | None:
    """Return the subscription instance that a subscription disk is made for."""
    if not params.text("InstanceId"):
        return None
    if params.text("ZoneId") or params.text("MultiAttach") == "Enabled":
        raise ApiError("InvalidParameter.Conflict", "InstanceId excludes ZoneId and MultiAttach.")
    instance = cloud.instance(params.text("InstanceId"))
    if instance.charge_type != "PrePaid":
        raise ApiError("InvalidPayMethod", "The specified pay method is not valid.")
    return instance


def _zone(cloud: Cloud, params: Params, category: str) -> str:
    zone_id = params.text("ZoneId")
    if category == REGIONAL:
        return zone_id or cloud.config.zone_id
    if not zone_id:
        raise ApiError("MissingParameter", 'The input parameter "ZoneId" is not supplied.')
    if zone_id not in cloud.zones():
        raise ApiError("InvalidZoneId.NotFound", "The specified zone does not exist.")
    return zone_id


def check_purchase(cloud: Cloud, zone_id: str, category: str, *, prepaid: bool = False) -> None:
    """Refuse what the account or the zone does not allow to be bought."""
    account = cloud.account
    if account.sells_nothing(zone_id):
        raise ApiError("Zone.NotOnSale")
    if not account.sells(zone_id, category):
        raise ApiError("InvalidDiskCategory.NotSupported")
    if not account.enough_balance:
        raise ApiError("InvalidAccountStatus.NotEnoughBalance")
    owned = sum(disk.charge_type == "PostPaid" for disk in cloud.state.disks.values())
    if not prepaid and owned >= account.disk_quota:
        raise ApiError("QuotaExceed.PostPaidDisk")


def _source(cloud: Cloud, params: Params, category: str) -> Snapshot | None:
    name = params.text("SnapshotId")
    if not name:
        return None
    snapshot = cloud.state.snapshots.get(name)
    if snapshot is None:
        raise ApiError("InvalidSnapshotId.NotFound")
    if category in ELASTIC_EPHEMERAL:
        raise ApiError("InvalidOperation.CreateFromSnapshotUnsupported")
    now = cloud.clock.now()
    uploading = snapshot.status(now) == "progressing"
    if not snapshot.available(now) or (uploading and category not in ESSD_FAMILY):
        raise ApiError("InvalidSnapshotId.NotReady", "The snapshot is not ready.")
    return snapshot


def size_of(params: Params, category: str, *, least_gib: int) -> tuple[int, str]:
    """Return the new disk's GiB and performance level.

    Args:
        least_gib: what it must hold, whatever was asked for.
    """
    asked = params.integer("Size", "InvalidSize.Malformed")
    if asked is None and not least_gib:
        raise ApiError("MissingParameter", 'The input parameter "Size" is not supplied.')
    size_gib = max(asked or 0, least_gib)
    level = params.text("PerformanceLevel", "PL1") if category == "cloud_essd" else ""
    if level and level not in LEVELS:
        raise ApiError("InvalidPerformanceLevel.Malformed")
    least, most = SIZES_GIB[level or category]
    if not least <= size_gib <= most:
        raise ApiError("InvalidDiskSize.NotSupported")
    return size_gib, level


def _made(cloud: Cloud, disk: Disk, instance_id: str) -> None:
    if disk.source_snapshot_id:
        path = cloud.storage.create_disk_from(
            disk.disk_id, disk.serial, disk.size_gib, disk.source_snapshot_id
        )
    else:
        path = cloud.storage.create_disk(disk.disk_id, disk.serial, disk.size_gib)
    with cloud.changing(disk):
        disk.path, disk.status = path, "Available"
        if instance_id:
            begin_attach(cloud, disk, instance_id)


def create_resources(cloud: Cloud, params: Params) -> Sequence[Resource]:
    """Name every disk, and the snapshot when one is given."""
    found = [Resource(kind="disk")]
    if params.text("SnapshotId"):
        found.append(snapshot_resource(cloud, params.text("SnapshotId")))
    return found


def _for_subscription(params: Params) -> bool:
    return bool(params.text("InstanceId"))


OPERATIONS = (
    Operation(
        name="CreateDisk",
        run=create_disk,
        resources=create_resources,
        idempotent=True,
        ignores_token=_for_subscription,
    ),
)
