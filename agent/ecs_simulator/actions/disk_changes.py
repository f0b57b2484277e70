"""Operations that make, attach, detach, reset and delete disks; all finish a little later."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ecs_simulator.actions.base import Call, Json, Operation, check_dry_run
from ecs_simulator.actions.groups import operation_progress
from ecs_simulator.actions.snapshots import snapshot_resource
from ecs_simulator.cloud import Cloud
from ecs_simulator.errors import ApiError
from ecs_simulator.params import Params
from ecs_simulator.ram import Resource
from ecs_simulator.records import CATEGORIES, ESSD_FAMILY, LOCAL, Disk, Instance, Snapshot
from ecs_simulator.rules import check_description, check_name, read_tags
from ecs_simulator.snapshotting import unfinished

_REGIONAL = "cloud_regional_disk_auto"
_LEAST_GIB = {"PL0": 1, "PL1": 20, "PL2": 461, "PL3": 1261}


def create_disk(cloud: Cloud, call: Call) -> Json:
    """Begin to make a disk, empty or from a snapshot."""
    params = call.params
    cloud.check_region(params)
    category = params.text("DiskCategory", "cloud")
    _check_category(category)
    check_name(params.text("DiskName"), "InvalidDiskName.Malformed")
    check_description(params.text("Description"))
    tags = read_tags(params)
    size_gib = params.integer("Size", "InvalidSize.Malformed")
    with cloud.state.lock:
        zone_id = _zone(cloud, params, category)
        source = _source(cloud, params, category)
        if source is not None:
            size_gib = max(size_gib or 0, source.disk_size_gib)
        if size_gib is None:
            raise ApiError("MissingParameter", 'The input parameter "Size" is not supplied.')
        level = params.text("PerformanceLevel", "PL1") if category == "cloud_essd" else ""
        if level and level not in _LEAST_GIB:
            raise ApiError("InvalidPerformanceLevel.Malformed")
        if not _LEAST_GIB.get(level, 1) <= size_gib <= 65536:
            raise ApiError("InvalidDiskSize.NotSupported")
        check_dry_run(params)
        disk_id = cloud.ids.make("d")
        now = cloud.clock.now()
        disk = Disk(
            disk_id=disk_id,
            serial=disk_id.removeprefix("d-"),
            name=params.text("DiskName"),
            description=params.text("Description"),
            size_gib=size_gib,
            category=category,
            performance_level=level,
            kind="data",
            zone_id=zone_id,
            created_at=now,
            status="Creating",
            multi_attach=params.text("MultiAttach", "Disabled"),
            encrypted=params.flag("Encrypted") or (source is not None and source.encrypted),
            kms_key_id=params.text("KMSKeyId"),
            delete_with_instance=False,
            never_attached=True,
            source_snapshot_id=source.snapshot_id if source else "",
            tags=tags,
            visible_at=now + cloud.ids.uniform(cloud.life.visible_lag_s),
        )
        cloud.state.disks[disk_id] = disk
        if source is not None:
            source.created_disks.add(disk_id)
    _later(cloud, disk, lambda: _made(cloud, disk))
    return {"DiskId": disk_id}


def _check_category(category: str) -> None:
    if category not in CATEGORIES:
        raise ApiError("InvalidDiskCategory.ValueNotSupported", status=400)
    if category in LOCAL:
        raise ApiError("InvalidDiskCategory.NotSupported")


def _zone(cloud: Cloud, params: Params, category: str) -> str:
    zone_id = params.text("ZoneId")
    if category == _REGIONAL:
        return zone_id or cloud.config.zone_id
    if not zone_id:
        raise ApiError("MissingParameter", 'The input parameter "ZoneId" is not supplied.')
    zones = {instance.zone_id for instance in cloud.state.instances.values()}
    if zone_id not in zones | {cloud.config.zone_id}:
        raise ApiError("InvalidZoneId.NotFound", "The specified zone does not exist.")
    return zone_id


def _source(cloud: Cloud, params: Params, category: str) -> Snapshot | None:
    name = params.text("SnapshotId")
    if not name:
        return None
    snapshot = cloud.state.snapshots.get(name)
    if snapshot is None:
        raise ApiError("InvalidSnapshotId.NotFound")
    if category.startswith("elastic_ephemeral"):
        raise ApiError("InvalidOperation.CreateFromSnapshotUnsupported")
    now = cloud.clock.now()
    uploading = snapshot.status(now) == "progressing"
    if not snapshot.available(now) or (uploading and category not in ESSD_FAMILY):
        raise ApiError("InvalidSnapshotId.NotReady", "The snapshot is not ready.")
    if snapshot.encrypted and params.given("Encrypted") and not params.flag("Encrypted"):
        raise ApiError("InvalidParameter.Encrypted", "An encrypted snapshot makes encrypted disks.")
    return snapshot


def _made(cloud: Cloud, disk: Disk) -> None:
    if disk.source_snapshot_id:
        disk.path = cloud.storage.create_disk_from(
            disk.disk_id, disk.serial, disk.size_gib, disk.source_snapshot_id
        )
    else:
        disk.path = cloud.storage.create_disk(disk.disk_id, disk.serial, disk.size_gib)
    disk.status = "Available"


def _later(cloud: Cloud, disk: Disk, finish: Callable[[], None]) -> None:
    """Finish an operation after its time; a storage that fails leaves the disk as it is."""

    def run() -> None:
        try:
            finish()
        except (OSError, ValueError, LookupError, RuntimeError) as error:
            cloud.storage_faults.append(f"{disk.status} {disk.disk_id}: {error}")

    cloud.agenda.after(cloud.config.disk_operation_s, run)


def attach_disk(cloud: Cloud, call: Call) -> Json:
    """Begin to attach a free disk."""
    params = call.params
    instance_id = params.required("InstanceId")
    disk_id = params.required("DiskId")
    with cloud.state.lock:
        instance, disk = cloud.instance(instance_id), cloud.disk(disk_id)
        _check_attach(cloud, instance, disk)
        if params.given("DeleteWithInstance"):
            disk.delete_with_instance = params.flag("DeleteWithInstance")
        disk.status = "Attaching"
    _later(cloud, disk, lambda: _attached(cloud, disk, instance_id))
    return {}


def _check_attach(cloud: Cloud, instance: Instance, disk: Disk) -> None:
    if "security" in instance.locks:
        raise ApiError("InstanceLockedForSecurity")
    if instance.status not in ("Running", "Stopped"):
        raise ApiError("IncorrectInstanceStatus")
    shared = disk.multi_attach == "Enabled"
    if disk.status == "In_use" and not shared:
        raise ApiError("InvalidDisk.InUse", "The specified disk has been occupied.")
    if disk.status not in ("Available", "In_use"):
        raise ApiError("IncorrectDiskStatus")
    if not disk.portable:
        raise ApiError("DiskNotPortable")
    if disk.zone_id != instance.zone_id and disk.category != _REGIONAL:
        raise ApiError("ResourcesNotInSameZone")
    if len(cloud.state.disks_of(instance.instance_id)) >= instance.disk_quantity:
        raise ApiError("InstanceDiskLimitExceeded")


def _attached(cloud: Cloud, disk: Disk, instance_id: str) -> None:
    cloud.storage.attach(disk.disk_id)
    with cloud.state.lock:
        cloud.place(disk, instance_id)


def detach_disk(cloud: Cloud, call: Call) -> Json:
    """Begin to detach a disk."""
    params = call.params
    instance_id = params.required("InstanceId")
    disk_id = params.required("DiskId")
    with cloud.state.lock:
        instance, disk = cloud.instance(instance_id), cloud.disk(disk_id)
        if disk.status == "Detaching":
            raise ApiError("InvalidOperation.DiskDetachingFromThisEcs", status=403)
        if instance_id not in disk.instance_ids:
            code = "DependencyViolation" if disk.instance_ids else "InvalidDisk.AlreadyDetached"
            raise ApiError(code)
        if disk.status != "In_use":
            raise ApiError("IncorrectDiskStatus")
        allowed = ("Stopped",) if disk.kind == "system" else ("Running", "Stopped")
        if instance.status not in allowed:
            raise ApiError("IncorrectInstanceStatus")
        disk.status = "Detaching"
    _later(cloud, disk, lambda: _detached(cloud, disk, instance_id))
    return {}


def _detached(cloud: Cloud, disk: Disk, instance_id: str) -> None:
    cloud.storage.detach(disk.disk_id)
    with cloud.state.lock:
        disk.instance_ids.remove(instance_id)
        disk.status = "In_use" if disk.instance_ids else "Available"
        disk.detached_at = cloud.clock.now()
        if not disk.instance_ids:
            disk.device = ""


def delete_disk(cloud: Cloud, call: Call) -> Json:
    """Delete a free disk; an unknown one is ignored, its snapshots stay."""
    disk_id = call.params.required("DiskId")
    with cloud.state.lock:
        disk = cloud.state.disks.get(disk_id)
        if disk is None:
            return {}
        if disk.instance_ids:
            raise ApiError("DiskStillAttached")
        if disk.status == "Creating":
            raise ApiError("IncorrectDiskStatus.Initializing")
        if disk.status != "Available":
            raise ApiError("IncorrectDiskStatus")
        if unfinished(cloud, disk_id):
            raise ApiError("DiskCreatingSnapshot")
        del cloud.state.disks[disk_id]
        origin = cloud.state.snapshots.get(disk.source_snapshot_id)
        if origin is not None:
            origin.created_disks.discard(disk_id)
    cloud.agenda.after(0.0, lambda: cloud.storage.delete_disk(disk_id))
    return {}


def reset_disk(cloud: Cloud, call: Call) -> Json:
    """Begin to roll a disk back to a snapshot of itself."""
    params = call.params
    disk_id, snapshot_id = params.required("DiskId"), params.required("SnapshotId")
    with cloud.state.lock:
        disk, snapshot = _check_reset(cloud, disk_id, snapshot_id)
        check_dry_run(params)
        _begin_reset(cloud, disk, snapshot)
    return {}


def reset_disks(cloud: Cloud, call: Call) -> Json:
    """Begin to roll several disks back, each with its own outcome (deprecated)."""
    params = call.params
    cloud.check_region(params)
    records = params.records("Disk")
    if not 1 <= len(records) <= 10:
        raise ApiError("InvalidParameter.Disk", "1 to 10 disks must be given.")
    outcomes: list[Json] = []
    with cloud.state.lock:
        for record in records:
            disk_id, snapshot_id = record.get("DiskId", ""), record.get("SnapshotId", "")
            refusal: ApiError | None = None
            try:
                disk, snapshot = _check_reset(cloud, disk_id, snapshot_id)
                if not params.flag("DryRun"):
                    _begin_reset(cloud, disk, snapshot)
            except ApiError as error:
                refusal = error
            items = {"DiskId": disk_id, "SnapshotId": snapshot_id}
            outcomes.append(operation_progress(items, refusal))
    check_dry_run(params)
    return {"OperationProgressSet": {"OperationProgress": outcomes}}


def _check_reset(cloud: Cloud, disk_id: str, snapshot_id: str) -> tuple[Disk, Snapshot]:
    disk = cloud.disk(disk_id)
    snapshot = cloud.state.snapshots.get(snapshot_id)
    if snapshot is None:
        raise ApiError("InvalidSnapshotId.NotFound")
    if disk.status == "ReIniting":
        raise ApiError("InvalidOperation.DiskResetInProgress")
    for instance_id in disk.instance_ids:
        instance = cloud.instance(instance_id)
        if "security" in instance.locks:
            raise ApiError("InstanceLockedForSecurity")
        if instance.status != "Stopped":
            raise ApiError("IncorrectInstanceStatus")
    if disk.status not in ("In_use", "Available"):
        raise ApiError("IncorrectDiskStatus")
    if snapshot.disk_id != disk_id or (snapshot.encrypted and not disk.encrypted):
        raise ApiError("InvalidParameter.Mismatch")
    if not snapshot.available(cloud.clock.now()):
        raise ApiError("InvalidSnapshotId.NotReady", "The snapshot is not ready.")
    if unfinished(cloud, disk_id, but=snapshot_id):
        raise ApiError("IncorrectDiskStatus.HasUnfinishedSnapshot")
    return disk, snapshot


def _begin_reset(cloud: Cloud, disk: Disk, snapshot: Snapshot) -> None:
    before, disk.status = disk.status, "ReIniting"
    name = snapshot.snapshot_id

    def finish() -> None:
        cloud.storage.reset_disk(disk.disk_id, name)
        disk.status = before

    _later(cloud, disk, finish)


def _disk_resource(cloud: Cloud, disk_id: str) -> Resource:
    disk = cloud.state.disks.get(disk_id)
    return Resource(kind="disk", name=disk_id, tags=disk.tags if disk else {})


def create_resources(cloud: Cloud, params: Params) -> Sequence[Resource]:
    """Name every disk, and the snapshot when one is given."""
    found = [Resource(kind="disk")]
    if params.text("SnapshotId"):
        found.append(snapshot_resource(cloud, params.text("SnapshotId")))
    return found


def attach_resources(cloud: Cloud, params: Params) -> Sequence[Resource]:
    """Name the disk and the instance."""
    instance = cloud.state.instances.get(params.text("InstanceId"))
    return (
        _disk_resource(cloud, params.text("DiskId")),
        Resource(
            kind="instance",
            name=params.text("InstanceId"),
            tags=instance.tags if instance else {},
        ),
    )


def delete_resources(cloud: Cloud, params: Params) -> Sequence[Resource]:
    """Name the disk."""
    return (_disk_resource(cloud, params.text("DiskId")),)


def reset_resources(cloud: Cloud, params: Params) -> Sequence[Resource]:
    """Name every disk and snapshot of the request."""
    records = params.records("Disk")
    if params.text("DiskId"):
        pair = {"DiskId": params.text("DiskId"), "SnapshotId": params.text("SnapshotId")}
        records = [pair, *records]
    found: list[Resource] = []
    for record in records:
        found.append(_disk_resource(cloud, record.get("DiskId", "")))
        found.append(snapshot_resource(cloud, record.get("SnapshotId", "")))
    return found


OPERATIONS = (
    Operation(name="CreateDisk", run=create_disk, resources=create_resources, idempotent=True),
    Operation(name="AttachDisk", run=attach_disk, resources=attach_resources),
    Operation(name="DetachDisk", run=detach_disk, resources=attach_resources),
    Operation(name="DeleteDisk", run=delete_disk, resources=delete_resources),
    Operation(name="ResetDisk", run=reset_disk, resources=reset_resources),
    Operation(name="ResetDisks", run=reset_disks, resources=reset_resources),
)
