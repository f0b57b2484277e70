"""Operations that reset, change and delete disks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from ecs_simulator import encrypting
from ecs_simulator.actions.base import Call, Json, Operation, check_dry_run
from ecs_simulator.actions.disk_moves import disk_resource
from ecs_simulator.actions.groups import operation_progress
from ecs_simulator.actions.instances import one_resource
from ecs_simulator.actions.snapshots import snapshot_resource
from ecs_simulator.attaching import later, leave, remove
from ecs_simulator.cloud import Cloud
from ecs_simulator.errors import ApiError
from ecs_simulator.params import Params
from ecs_simulator.ram import Resource
from ecs_simulator.records import LOCAL, Disk, Instance, Snapshot
from ecs_simulator.rules import check_description, check_name, check_password
from ecs_simulator.snapshotting import unfinished


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
        remove(cloud, disk)
    return {}


def modify_disk_attribute(cloud: Cloud, call: Call) -> Json:
    """Change names, descriptions and what becomes of disks with their instance, at once."""
    params = call.params
    many = params.items("DiskIds")
    if not many and not params.text("DiskId"):
        raise ApiError("MissingParameter.DiskIdOrDiskIds")
    if many and params.text("DiskId"):
        raise ApiError("ParameterConflict.DiskIdAndDiskIds")
    if not any(params.given(name) for name in _ATTRIBUTES):
        raise ApiError("NoAttributeToModify")
    check_name(params.text("DiskName"), "InvalidDiskName.Malformed")
    check_description(params.text("Description"))
    with cloud.state.lock:
        disks = [cloud.disk(name) for name in many or [params.text("DiskId")]]
        for disk in disks:
            _check_attributes(disk, params)
        for disk in disks:
            with cloud.changing(disk):
                _set_attributes(disk, params)
    return {}


_ATTRIBUTES = (
    *("DiskName", "Description", "DeleteWithInstance"),
    *("DeleteAutoSnapshot", "EnableAutoSnapshot", "BurstingEnabled"),
)


def _check_attributes(disk: Disk, params: Params) -> None:
    if params.given("DeleteWithInstance"):
        if disk.multi_attach == "Enabled":
            raise ApiError("DeleteWithInstance.Conflict")
        stuck = disk.category in LOCAL or (disk.category == "cloud" and not disk.portable)
        if stuck and not params.flag("DeleteWithInstance"):
            raise ApiError("DiskNotPortable")
    if params.given("BurstingEnabled") and disk.category != "cloud_auto":
        raise ApiError("BurstingEnabledForDiskCategoryUnsupported")


def _set_attributes(disk: Disk, params: Params) -> None:
    disk.name = params.text("DiskName") or disk.name
    disk.description = params.text("Description") or disk.description
    disk.delete_with_instance = params.flag("DeleteWithInstance", default=disk.delete_with_instance)
    disk.delete_auto_snapshot = params.flag("DeleteAutoSnapshot", default=disk.delete_auto_snapshot)
    disk.bursting = params.flag("BurstingEnabled", default=disk.bursting)


def replace_system_disk(cloud: Cloud, call: Call) -> Json:
    """Begin to replace a stopped instance's system disk by an empty one of another id."""
    params = call.params
    instance_id, image_id = params.required("InstanceId"), params.required("ImageId")
    check_password(params.text("Password"))
    with cloud.state.lock:
        instance = cloud.instance(instance_id)
        old = _replaceable(cloud, instance, image_id)
        size_gib = params.integer("SystemDisk.Size", _BAD_SIZE)
        if size_gib is not None and not 20 <= size_gib <= 2048:
            raise ApiError(_BAD_SIZE)
        encrypted, key = encrypting.choose(cloud, params, None)
        disk_id = cloud.ids.make("d")
        disk = replace(
            old,
            disk_id=disk_id,
            serial=disk_id.removeprefix("d-"),
            size_gib=size_gib or max(40, old.size_gib),
            status="Creating",
            created_at=cloud.clock.now(),
            encrypted=encrypted,
            kms_key_id=key,
            source_snapshot_id="",
            instance_ids=[],
            tags={},
            past=[],
            attached_s=0.0,
        )
        cloud.state.disks[disk_id] = disk
        with cloud.changing(old):
            old.status = "Detaching"
    finish = partial(_replaced, cloud, disk, old, instance, image_id)
    later(cloud, "ReplaceSystemDisk", disk, finish)
    return {"DiskId": disk_id}


_BAD_SIZE = "InvalidSystemDiskSize.ValueNotSupported"


def _replaceable(cloud: Cloud, instance: Instance, image_id: str) -> Disk:
    if "security" in instance.locks:
        raise ApiError("InstanceLockedForSecurity")
    if instance.status != "Stopped":
        raise ApiError("IncorrectInstanceStatus")
    if image_id not in cloud.images():
        raise ApiError("InvalidImageId.NotFound")
    for disk in cloud.state.disks_of(instance.instance_id):
        if disk.kind == "system":
            if disk.status != "In_use" or unfinished(cloud, disk.disk_id):
                raise ApiError("IncorrectDiskStatus")
            return disk
    raise ApiError("InvalidInstance.NotFoundSystemDisk")


def _replaced(cloud: Cloud, disk: Disk, old: Disk, instance: Instance, image_id: str) -> None:
    cloud.storage.pull(old.disk_id)
    leave(cloud, old, instance.instance_id)
    remove(cloud, old)
    disk.path = cloud.storage.create_disk(disk.disk_id, disk.serial, disk.size_gib)
    cloud.storage.attach(disk.disk_id)
    with cloud.changing(disk):
        cloud.place(disk, instance.instance_id)
        instance.image_id = image_id


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
    if disk.status not in ("In_use", "Available", "ReInitFailed"):
        raise ApiError("IncorrectDiskStatus")
    if snapshot.disk_id != disk_id or (snapshot.encrypted and not disk.encrypted):
        raise ApiError("InvalidParameter.Mismatch")
    if not snapshot.available(cloud.clock.now()):
        raise ApiError("InvalidSnapshotId.NotReady", "The snapshot is not ready.")
    if unfinished(cloud, disk_id, but=snapshot_id):
        raise ApiError("IncorrectDiskStatus.HasUnfinishedSnapshot")
    return disk, snapshot


def _begin_reset(cloud: Cloud, disk: Disk, snapshot: Snapshot) -> None:
    name = snapshot.snapshot_id
    with cloud.changing(disk):
        disk.status = "ReIniting"

    def end(status: str) -> None:
        with cloud.changing(disk):
            disk.status = status

    def finish() -> None:
        cloud.storage.reset_disk(disk.disk_id, name)
        end("In_use" if disk.instance_ids else "Available")

    later(cloud, "ResetDisk", disk, finish, lambda: end("ReInitFailed"))


def named_resources(cloud: Cloud, params: Params) -> Sequence[Resource]:
    """Name the disks of the request."""
    names = params.items("DiskIds") or [params.text("DiskId")]
    return [disk_resource(cloud, name) for name in names]


def reset_resources(cloud: Cloud, params: Params) -> Sequence[Resource]:
    """Name every disk and snapshot of the request."""
    records = params.records("Disk")
    if params.text("DiskId"):
        pair = {"DiskId": params.text("DiskId"), "SnapshotId": params.text("SnapshotId")}
        records = [pair, *records]
    found: list[Resource] = []
    for record in records:
        found.append(disk_resource(cloud, record.get("DiskId", "")))
        found.append(snapshot_resource(cloud, record.get("SnapshotId", "")))
    return found


OPERATIONS = (
    Operation(name="DeleteDisk", run=delete_disk, resources=named_resources),
    Operation(name="ModifyDiskAttribute", run=modify_disk_attribute, resources=named_resources),
    Operation(
        name="ReplaceSystemDisk",
        run=replace_system_disk,
        resources=one_resource,
        idempotent=True,
    ),
    Operation(name="ResetDisk", run=reset_disk, resources=reset_resources),
    Operation(name="ResetDisks", run=reset_disks, resources=reset_resources),
)
