"""DescribeDisks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ecs_simulator.actions.base import Call, Json, Operation, check_dry_run
from ecs_simulator.clock import iso_second, parse_iso
from ecs_simulator.cloud import Cloud
from ecs_simulator.errors import ApiError
from ecs_simulator.paging import cut_page, read_page_request
from ecs_simulator.params import Params
from ecs_simulator.ram import Resource
from ecs_simulator.records import CATEGORIES, ESSD_FAMILY, Disk
from ecs_simulator.rules import fits, read_tag_filter

_STATUSES = {"In_use", "Available", "Attaching", "Detaching", "Creating", "ReIniting", "All"}
_STATUSES |= {"ReInitFailed"}  # seen in clients, not in the documentation


def describe_disks(cloud: Cloud, call: Call) -> Json:
    """List disks."""
    params = call.params
    cloud.check_region(params, "InvalidRegion.NotFound")
    request = read_page_request(params, ceiling=500)
    ids = params.json_ids("DiskIds", "InvalidDiskIds.Malformed")
    _check_values(params)
    wanted = read_tag_filter(params)
    check_dry_run(params)
    now = cloud.clock.now()
    with cloud.state.lock:
        found = [
            disk
            for disk in call.visible(_candidates(cloud, params, now) if cloud.here(params) else ())
            if disk.visible_at <= now
            and (ids is None or disk.disk_id in ids)
            and _chosen(disk, params)
            and fits(disk.tags, wanted)
        ]
        found.sort(key=lambda disk: (-disk.created_at, disk.disk_id))
        numbered = list(enumerate(found))[0 if request.after is None else request.after + 1 :]
        page = cut_page(numbered, request, cap=cloud.config.tag_filter_cap if wanted else None)
        return {
            **page.head(),
            "Disks": {"Disk": [disk_json(cloud, disk) for disk in page.entries]},
        }


def _candidates(cloud: Cloud, params: Params, now: float) -> Iterable[Disk]:
    """Return only an instance's disks if one is named, so that not all of a thousand are read."""
    state, instance_id = cloud.state, params.text("InstanceId")
    if cloud.sight_lag_s <= 0:
        return state.disks_of(instance_id) if instance_id else state.disks.values()
    seen = (disk.seen(now) for disk in (*state.disks.values(), *state.deleted_disks))
    return [
        disk
        for disk in seen
        if disk.deleted_at is None and (not instance_id or instance_id in disk.instance_ids)
    ]


def _check_values(params: Params) -> None:
    if params.text("DiskType", "all") not in ("all", "system", "data"):
        raise ApiError("InvalidDiskType.ValueNotSupported", "DiskType is not valid.")
    if params.text("Status", "All") not in _STATUSES:
        raise ApiError("InvalidStatus.ValueNotSupported", "Status is not valid.")
    category = params.text("Category", "all")
    if category != "all" and category not in CATEGORIES:
        raise ApiError("InvalidCategory.ValueNotSupported", "Category is not valid.")
    if params.text("MultiAttach", "Disabled") not in ("Disabled", "Enabled", "LegacyShared"):
        raise ApiError("InvalidParameter.MultiAttach", "MultiAttach is not valid.")
    for record in params.records("Filter"):
        if record.get("Key") not in ("CreationStartTime", "CreationEndTime"):
            raise ApiError("InvalidFilterKey.NotFound", "Filter.N.Key is not valid.")
        if not record.get("Value"):
            raise ApiError("IncompleteParamter", "Some fields can not be null in this request.")
        if parse_iso(record["Value"]) is None:
            raise ApiError("InvalidFilterValue", "Filter.N.Value is not valid.")


def _chosen(disk: Disk, params: Params) -> bool:
    tests = (
        ("DiskType", "all", disk.kind),
        ("Status", "All", disk.status),
        ("Category", "all", disk.category),
        ("ZoneId", "", disk.zone_id),
        ("MultiAttach", "", disk.multi_attach),
        ("SnapshotId", "", disk.source_snapshot_id),
        ("DiskName", "", disk.name),
    )
    for name, anything, value in tests:
        wanted = params.text(name, anything)
        if wanted not in (anything, "", value):
            return False
    for record in params.records("Filter"):
        limit = parse_iso(record["Value"]) or 0.0
        early = disk.created_at < limit
        if early == (record["Key"] == "CreationStartTime"):
            return False
    return not params.given("Encrypted") or params.flag("Encrypted") == disk.encrypted


def disk_json(cloud: Cloud, disk: Disk) -> Json:
    """Return a disk as DescribeDisks shows it."""
    return {
        "DiskId": disk.disk_id,
        "DiskName": disk.name,
        "Description": disk.description,
        "SerialNumber": disk.serial,
        "RegionId": cloud.config.region_id,
        "ZoneId": disk.zone_id,
        "Type": disk.kind,
        "Category": disk.category,
        "PerformanceLevel": disk.performance_level,
        "Size": disk.size_gib,
        "Status": disk.status,
        "Encrypted": disk.encrypted,
        "KMSKeyId": disk.kms_key_id,
        "Portable": disk.portable,
        "DiskChargeType": disk.charge_type,
        "DeleteWithInstance": disk.delete_with_instance,
        "DeleteAutoSnapshot": disk.delete_auto_snapshot,
        "BurstingEnabled": disk.bursting,
        "CreationTime": iso_second(disk.created_at),
        "DetachedTime": iso_second(disk.detached_at),
        "ImageId": cloud.own_instance.image_id if disk.kind == "system" else "",
        "SourceSnapshotId": disk.source_snapshot_id,
        "SourceDiskId": disk.source_disk_id,
        **_UNUSED,
        **_attachment_json(disk),
        **_speed_json(disk),
        "OperationLocks": {"OperationLock": [{"LockReason": why} for why in disk.locks]},
        "Tags": {"Tag": [{"TagKey": k, "TagValue": v} for k, v in disk.tags.items()]},
    }


# Fields that are always there and that nothing here changes.
_UNUSED: Json = {
    "EnableAutoSnapshot": True,
    "EnableAutomatedSnapshotPolicy": False,
    "AutoSnapshotPolicyId": "",
    "ExpiredTime": "2999-09-08T16:00Z",
    "ProductCode": "",
    "ResourceGroupId": "",
    "StorageSetId": "",
    "StorageSetPartitionNumber": 0,
    "StorageClusterId": "",
    "BdfId": "",
    "ProvisionedIops": 0,
}


def _attachment_json(disk: Disk) -> Json:
    shared = disk.multi_attach == "Enabled"
    attached = iso_second(disk.attached_at) if disk.instance_ids else ""
    owner = "" if shared or not disk.instance_ids else disk.instance_ids[0]
    entries = [
        {"InstanceId": name, "Device": disk.device, "AttachedTime": attached}
        for name in disk.instance_ids
    ]
    return {
        "InstanceId": owner,
        "Device": disk.device if owner else "",
        "AttachedTime": attached,
        "MultiAttach": disk.multi_attach,
        "MountInstanceNum": len(entries) if shared else 0,
        "Attachments": {"Attachment": entries},
        "MountInstances": {"MountInstance": entries if shared else []},
    }


def _speed_json(disk: Disk) -> Json:
    iops = min(1800 + 50 * disk.size_gib, 50000) if disk.category in ESSD_FAMILY else 1000
    throughput = min(120 + disk.size_gib // 2, 350)
    return {
        **dict.fromkeys(("IOPS", "IOPSRead", "IOPSWrite"), iops),
        **dict.fromkeys(("Throughput", "ThroughputRead", "ThroughputWrite"), throughput),
    }


def disk_resources(cloud: Cloud, params: Params) -> Sequence[Resource]:
    """Name the disks a listing asks for by id, or all."""
    tags = {key: value or "" for key, value in read_tag_filter(params)}
    ids = params.json_ids("DiskIds", "InvalidDiskIds.Malformed")
    if not ids:
        return (Resource(kind="disk", tags=tags),)
    disks = cloud.state.disks
    return [
        Resource(kind="disk", name=name, tags=disks[name].tags if name in disks else tags)
        for name in ids
    ]


OPERATIONS = (
    Operation(name="DescribeDisks", run=describe_disks, resources=disk_resources, reads=True),
)
