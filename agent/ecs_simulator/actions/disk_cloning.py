"""CloneDisks: a new disk with a living disk's content of one instant, without a snapshot.

Its answer names a task only; the new disk is found by its tags or name. DescribeTasks is left out.
Source: CloneDisks of the ECS API reference.
"""

from __future__ import annotations

from collections.abc import Sequence

from ecs_simulator import encrypting
from ecs_simulator.actions.base import Call, Json, Operation, check_dry_run
from ecs_simulator.actions.disk_making import check_purchase, new_disk, size_of
from ecs_simulator.actions.disk_moves import disk_resource
from ecs_simulator.attaching import later, remove
from ecs_simulator.cloud import Cloud
from ecs_simulator.errors import ApiError
from ecs_simulator.params import Params
from ecs_simulator.ram import Resource
from ecs_simulator.records import ESSD_FAMILY, REGIONAL, Disk
from ecs_simulator.rules import check_name, read_tags


def clone_disks(cloud: Cloud, call: Call) -> Json:
    """Begin to clone a disk."""
    params = call.params
    cloud.check_region(params)
    source_id, category = params.required("SourceDiskId"), params.required("DiskCategory")
    for name in ("Size", "MultiAttach"):
        params.required(name)
    if category == "cloud_essd":
        params.required("PerformanceLevel")
    check_name(params.text("DiskName"), "InvalidDiskName.Malformed")
    tags = read_tags(params)
    with cloud.state.lock:
        source = cloud.disk(source_id)
        _check_source(source, category)
        size_gib, level = size_of(params, category, least_gib=0)
        if size_gib < source.size_gib:
            raise ApiError("InvalidDiskSize.TooSmall")
        encrypted, key = (True, source.kms_key_id) if source.encrypted else (False, "")
        if params.given("Encrypted") or not source.encrypted:
            encrypted, key = encrypting.choose(cloud, params, None)
        check_purchase(cloud, source.zone_id, category)
        check_dry_run(params)
        disk = new_disk(
            cloud, params, size_gib=size_gib, category=category, level=level, zone=source.zone_id
        )
        disk.encrypted, disk.kms_key_id = encrypted, key
        disk.source_disk_id, disk.tags = source_id, tags
        cloud.state.disks[disk.disk_id] = disk
    later(
        cloud, "CreateDisk", disk, lambda: _cloned(cloud, disk, source), lambda: remove(cloud, disk)
    )
    return {"TaskGroupId": cloud.ids.make("tg")}


def _check_source(source: Disk, category: str) -> None:
    if source.status not in ("In_use", "Available"):
        raise ApiError("IncorrectDiskStatus")
    if source.category not in ESSD_FAMILY or category not in ESSD_FAMILY:
        raise ApiError("InvalidDiskCategory.NotSupported")
    if (source.category == REGIONAL) != (category == REGIONAL):
        raise ApiError("InvalidDiskCategory.NotSupported")


def _cloned(cloud: Cloud, disk: Disk, source: Disk) -> None:
    content = cloud.ids.make("s")
    cloud.storage.cut([(source.disk_id, content)])
    path = cloud.storage.create_disk_from(disk.disk_id, disk.serial, disk.size_gib, content)
    cloud.storage.delete_snapshot(content)
    with cloud.changing(disk):
        disk.path, disk.status = path, "Available"


def clone_resources(cloud: Cloud, params: Params) -> Sequence[Resource]:
    """Name the disk that is cloned, and every disk."""
    return (disk_resource(cloud, params.text("SourceDiskId")), Resource(kind="disk"))


OPERATIONS = (
    Operation(name="CloneDisks", run=clone_disks, resources=clone_resources, idempotent=True),
)
