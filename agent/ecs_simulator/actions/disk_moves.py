"""AttachDisk and DetachDisk; both finish a little later.

Source: their pages of the ECS API reference. That AttachDisk of a disk that is leaving this very
instance answers success and does nothing: kubernetes-sigs/alibaba-cloud-csi-driver, change 1520.
"""

from __future__ import annotations

from collections.abc import Sequence

from ecs_simulator.actions.base import Call, Json, Operation
from ecs_simulator.attaching import begin_attach, begin_detach, leave, moving
from ecs_simulator.cloud import Cloud
from ecs_simulator.errors import ApiError
from ecs_simulator.params import Params
from ecs_simulator.ram import Resource
from ecs_simulator.records import ELASTIC_EPHEMERAL, REGIONAL, Disk, Instance
from ecs_simulator.rules import check_password


def attach_disk(cloud: Cloud, call: Call) -> Json:
    """Begin to attach a free disk."""
    params = call.params
    instance_id = params.required("InstanceId")
    disk_id = params.required("DiskId")
    with cloud.state.lock:
        instance, disk = cloud.instance(instance_id), cloud.disk(disk_id)
        bootable = params.flag("Bootable")
        _check_instance(instance, bootable=bootable)
        _check_end_of_life(disk, params)
        if bootable:
            _check_bootable(cloud, instance, disk, params)
        if disk.status == "Detaching" and instance_id in disk.instance_ids:
            return {}
        if params.flag("Force"):
            _force(cloud, instance, disk)
        _check_attach(cloud, instance, disk)
        with cloud.changing(disk):
            disk.delete_with_instance = params.flag("DeleteWithInstance")
            disk.kind = "system" if bootable else "data"
            begin_attach(cloud, disk, instance_id)
    return {}


def _check_instance(instance: Instance, *, bootable: bool) -> None:
    if "security" in instance.locks:
        raise ApiError("InstanceLockedForSecurity")
    if instance.status not in (("Stopped",) if bootable else ("Running", "Stopped")):
        raise ApiError("IncorrectInstanceStatus")
    if instance.status == "Running" and not instance.hot_plug:
        raise ApiError("InvalidOperation.InstanceTypeNotSupport")


def _check_end_of_life(disk: Disk, params: Params) -> None:
    """Refuse a DeleteWithInstance that the disk cannot have."""
    if disk.multi_attach == "Enabled" and params.given("DeleteWithInstance"):
        raise ApiError("DeleteWithInstance.Conflict")
    if disk.category in ELASTIC_EPHEMERAL and not params.flag("DeleteWithInstance"):
        raise ApiError("InvalidParameter.DeleteWithInstance", status=403)


def _check_bootable(cloud: Cloud, instance: Instance, disk: Disk, params: Params) -> None:
    """Refuse a disk that cannot become the instance's system disk again."""
    if disk.multi_attach == "Enabled":
        raise ApiError("InvalidOperation.CanNotAttachMultiAttachDiskAsSystemDisk")
    if not disk.system_of or disk.category in ELASTIC_EPHEMERAL:
        raise ApiError("InvalidDisk.DiskNotBootable")
    if disk.system_of != instance.instance_id:
        raise ApiError("InvalidInstance.NotOriginInstance")
    if any(other.kind == "system" for other in cloud.state.disks_of(instance.instance_id)):
        raise ApiError("InvalidDevice.InUse", "The specified device has been occupied.")
    if not params.text("Password") and not params.text("KeyPairName"):
        raise ApiError("InvalidParameter.AllEmpty")
    check_password(params.text("Password"))


def _force(cloud: Cloud, instance: Instance, disk: Disk) -> None:
    """Take a regional disk from an instance of another zone that does not let go of it."""
    if disk.category != REGIONAL:
        raise ApiError("InvalidParameterForce.DiskCategoryNotSupported")
    if disk.charge_type == "PrePaid":
        raise ApiError("InvalidParameterForce.PrepaidDiskNotSupported")
    if disk.multi_attach == "Enabled":
        raise ApiError("InvalidParameterForce.MultiAttachDiskNotSupported")
    for holder in [cloud.instance(name) for name in disk.instance_ids]:
        if holder.zone_id == instance.zone_id:
            raise ApiError("InvalidInstance.ZoneConflict", status=403)
        cloud.storage.pull(disk.disk_id)
        leave(cloud, disk, holder.instance_id)


def _check_attach(cloud: Cloud, instance: Instance, disk: Disk) -> None:
    name = instance.instance_id
    shared = disk.multi_attach == "Enabled" and name not in disk.instance_ids
    if disk.status == "In_use" and not shared:
        raise ApiError("InvalidDisk.InUse", "The specified disk has been occupied.")
    if disk.status not in ("Available", "In_use"):
        raise ApiError("IncorrectDiskStatus")
    # A system disk may come back to an instance whatever it was bought with.
    if not disk.portable and not disk.system_of:
        raise ApiError("DiskNotPortable")
    if disk.zone_id != instance.zone_id and disk.category != REGIONAL:
        raise ApiError("ResourcesNotInSameZone")
    if disk.category in instance.refused_categories:
        raise ApiError("InvalidInstanceType.NotSupportDiskCategory")
    under_way = moving(cloud, name, "Attaching")
    if len(cloud.state.disks_of(name)) + under_way >= instance.disk_quantity:
        raise ApiError("InstanceDiskLimitExceeded")
    if under_way >= cloud.config.attaching_limit:
        raise ApiError("OperationConflict.DisksAttachingParallellyExceed")


def detach_disk(cloud: Cloud, call: Call) -> Json:
    """Begin to detach a disk."""
    params = call.params
    instance_id = params.required("InstanceId")
    disk_id = params.required("DiskId")
    with cloud.state.lock:
        instance, disk = cloud.instance(instance_id), cloud.disk(disk_id)
        _check_detach(cloud, instance, disk)
        if disk.multi_attach == "Enabled" and params.given("DeleteWithInstance"):
            raise ApiError("DeleteWithInstance.Conflict")
        with cloud.changing(disk):
            disk.delete_with_instance = params.flag(
                "DeleteWithInstance", default=disk.kind == "system"
            )
            begin_detach(cloud, disk, instance_id)
    return {}


def _check_detach(cloud: Cloud, instance: Instance, disk: Disk) -> None:
    name = instance.instance_id
    if "security" in instance.locks:
        raise ApiError("InstanceLockedForSecurity")
    if name not in disk.instance_ids:
        code = "DependencyViolation" if disk.instance_ids else "InvalidDisk.AlreadyDetached"
        raise ApiError(code)
    if disk.status == "Detaching":
        raise ApiError("InvalidOperation.DiskDetachingFromThisEcs", status=403)
    if disk.status != "In_use":
        raise ApiError("IncorrectDiskStatus")
    system = disk.kind == "system"
    if instance.status not in (("Stopped",) if system else ("Running", "Stopped")):
        raise ApiError("IncorrectInstanceStatus")
    if instance.status == "Running" and not instance.hot_plug:
        raise ApiError("InvalidOperation.InstanceTypeNotSupport")
    if not disk.portable and not system:
        raise ApiError("DiskNotPortable")
    if moving(cloud, name, "Detaching") >= cloud.config.detaching_limit:
        raise ApiError("DisksDetachingOnEcsExceeded")


def disk_resource(cloud: Cloud, disk_id: str) -> Resource:
    """Name one disk."""
    disk = cloud.state.disks.get(disk_id)
    return Resource(kind="disk", name=disk_id, tags=disk.tags if disk else {})


def attach_resources(cloud: Cloud, params: Params) -> Sequence[Resource]:
    """Name the disk and the instance."""
    instance = cloud.state.instances.get(params.text("InstanceId"))
    return (
        disk_resource(cloud, params.text("DiskId")),
        Resource(
            kind="instance",
            name=params.text("InstanceId"),
            tags=instance.tags if instance else {},
        ),
    )


OPERATIONS = (
    Operation(name="AttachDisk", run=attach_disk, resources=attach_resources),
    Operation(name="DetachDisk", run=detach_disk, resources=attach_resources),
)
