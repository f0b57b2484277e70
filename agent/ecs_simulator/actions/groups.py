"""Operations on snapshot-consistent groups."""

from __future__ import annotations

from collections.abc import Sequence

from ecs_simulator.actions.base import Call, Json, Operation
from ecs_simulator.actions.snapshots import check_obsolete
from ecs_simulator.clock import iso_second
from ecs_simulator.cloud import Cloud
from ecs_simulator.errors import ApiError
from ecs_simulator.paging import cut_page, read_page_request
from ecs_simulator.params import Params
from ecs_simulator.ram import Resource
from ecs_simulator.records import Disk, Snapshot, SnapshotGroup
from ecs_simulator.rules import check_description, check_name, fits, read_tag_filter, read_tags
from ecs_simulator.snapshotting import (
    Wishes,
    check_deletable,
    check_disk,
    delete_snapshot,
    start_group,
)

_REGIONAL = "cloud_regional_disk_auto"
_PROGRESS_STATUS = "SNAPSHOT_GROUP_PROGRESS_STATUS"
_STATUSES = ("progressing", "accomplished", "failed")


def create_group(cloud: Cloud, call: Call) -> Json:
    """Accept a group of snapshots that share one cut."""
    params = call.params
    cloud.check_region(params)
    wishes = Wishes(
        name=params.text("Name"),
        description=params.text("Description"),
        tags=read_tags(params, group=True),
    )
    check_name(wishes.name, "InvalidParameter.Name")
    check_description(wishes.description)
    check_obsolete(params)
    with cloud.state.lock:
        disks = _members(cloud, params)
        _check_set(cloud, disks)
        for disk in disks:
            check_disk(cloud, disk, group=True)
        owners = {owner for disk in disks for owner in disk.instance_ids}
        instance_id = next(iter(owners)) if len(owners) == 1 else ""
        group = start_group(cloud, disks, wishes, instance_id=instance_id)
        return {"SnapshotGroupId": group.group_id}


def _members(cloud: Cloud, params: Params) -> list[Disk]:
    """Return the disks a request means."""
    instance_id = params.text("InstanceId")
    names = params.items("DiskId")
    left_out = params.items("ExcludeDiskId")
    if not instance_id and not names:
        raise ApiError("MissingParamter.InstanceId")
    if names and left_out:
        raise ApiError("InvalidParam.ExcludeDiskIdsAndDiskIds.Conflict")
    own: list[Disk] = []
    if instance_id:
        cloud.instance(instance_id)
        own = cloud.state.disks_of(instance_id)
    if not names:
        chosen = [disk for disk in own if disk.disk_id not in left_out]
        if not chosen:
            raise ApiError("InvalidInstance.NoDisk")
        return chosen
    disks = [cloud.disk(name) for name in dict.fromkeys(names)]
    if instance_id and any(disk not in own for disk in disks):
        raise ApiError("InvalidDiskId.NotFound")
    return disks


def _check_set(cloud: Cloud, disks: Sequence[Disk]) -> None:
    """Refuse disks that cannot be in one group together."""
    if len(disks) > cloud.config.group_max_disks:
        raise ApiError("NumberExceed.TooManyDisks")
    if sum(disk.size_gib for disk in disks) > cloud.config.group_max_tib * 1024:
        raise ApiError("CapacityExceed.TooManyDisks")
    if len({disk.zone_id for disk in disks}) > 1:
        raise ApiError("InvalidDiskIds.NotInSameZone")
    if len({disk.category == _REGIONAL for disk in disks}) > 1:
        raise ApiError("InvalidDisk.DiskCategoryInconsistent")


def describe_groups(cloud: Cloud, call: Call) -> Json:
    """List groups, newest first; members appear a little after their group."""
    params = call.params
    cloud.check_region(params)
    request = read_page_request(params, floor=1)
    wanted = params.items("SnapshotGroupId")
    extra = params.items("AdditionalAttributes")
    if len(wanted) > 10:
        raise ApiError("InvalidParameter.SnapshotGroupId", "At most 10 ids can be given.")
    if _PROGRESS_STATUS in extra and len(wanted) != 1:
        raise ApiError("InvalidSnapshotGroupId.MustBeOne")
    statuses = [value.lower() for value in params.items("Status")]
    if any(value not in _STATUSES for value in statuses):
        raise ApiError("InvalidStatus.ValueNotSupported")
    tags = read_tag_filter(params)
    if len({key for key, _ in tags}) < len(tags):
        raise ApiError("Duplicate.TagKey")
    now = cloud.clock.now()
    with cloud.state.lock:
        if params.text("InstanceId"):
            cloud.instance(params.text("InstanceId"))
        source = [cloud.state.groups[i] for i in wanted if i in cloud.state.groups]
        candidates = source if wanted else reversed(cloud.state.groups.values())
        found = (
            (group.number, group)
            for group in call.visible(candidates if cloud.here(params) else ())
            if group.visible_at <= now
            and (request.after is None or group.number < request.after)
            and params.text("InstanceId") in ("", group.instance_id)
            and params.text("Name") in ("", group.name)
            and (not statuses or _status(cloud, group, now) in statuses)
            and fits(group.tags, tags)
        )
        page = cut_page(found, request, cap=cloud.config.tag_filter_cap if tags else None)
        return {
            "NextToken": page.next_token,
            "SnapshotGroups": {
                "SnapshotGroup": [_group_json(cloud, group, now) for group in page.entries]
            },
        }


def _status(cloud: Cloud, group: SnapshotGroup, now: float) -> str:
    states = {cloud.state.snapshots[name].status(now) for name in group.member_ids}
    if "failed" in states:
        return "failed"
    return "progressing" if "progressing" in states else "accomplished"


def _shown_members(cloud: Cloud, group: SnapshotGroup, now: float) -> list[Snapshot]:
    """Return the members that have appeared: none at first, then more and more."""
    count = len(group.member_ids)
    lag_s = group.members_visible_at - group.created_at
    if now < group.members_visible_at and lag_s > 0:
        count = int(count * (now - group.created_at) / lag_s)
    return [cloud.state.snapshots[name] for name in group.member_ids[:count]]


def _group_json(cloud: Cloud, group: SnapshotGroup, now: float) -> Json:
    members = _shown_members(cloud, group, now)
    return {
        "SnapshotGroupId": group.group_id,
        "Name": group.name,
        "Description": group.description,
        "InstanceId": group.instance_id,
        "Status": _status(cloud, group, now),
        "CreationTime": iso_second(group.created_at),
        "ResourceGroupId": "",
        "ProgressStatus": "",
        "Tags": {"Tag": [{"Key": k, "Value": v} for k, v in group.tags.items()]},
        "Snapshots": {"Snapshot": [_member_json(member, now) for member in members]},
    }


def _member_json(member: Snapshot, now: float) -> Json:
    return {
        "SnapshotId": member.snapshot_id,
        "SourceDiskId": member.disk_id,
        "SourceDiskType": member.disk_kind,
        "Progress": f"{member.progress(now)}%",
        "Available": member.available(now),
        "InstantAccess": member.instant_access,
        "InstantAccessRetentionDays": 0,
        "Tags": {"Tag": [{"Key": k, "Value": v} for k, v in member.tags.items()]},
    }


def _group(cloud: Cloud, params: Params) -> SnapshotGroup:
    group = cloud.state.groups.get(params.required("SnapshotGroupId"))
    if group is None:
        # The not-found code of groups is not documented; formed like all others.
        raise ApiError("InvalidSnapshotGroupId.NotFound", "The snapshot group does not exist.")
    return group


def delete_group(cloud: Cloud, call: Call) -> Json:
    """Delete a group's members, each with its own outcome; the group goes with the last one."""
    params = call.params
    cloud.check_region(params)
    with cloud.state.lock:
        group = _group(cloud, params)
        members = [cloud.state.snapshots[name] for name in group.member_ids]
        if members and all(member.created_image for member in members):
            raise ApiError("SnapshotCreatedImage")
        outcomes = [_delete_member(cloud, member) for member in members]
        if not group.member_ids:
            del cloud.state.groups[group.group_id]
    return {"OperationProgressSet": {"OperationProgress": outcomes}}


def _delete_member(cloud: Cloud, member: Snapshot) -> Json:
    try:
        check_deletable(cloud, member, force=False)
    except ApiError as refusal:
        return operation_progress({"SnapshotId": member.snapshot_id}, refusal)
    delete_snapshot(cloud, member.snapshot_id)
    return operation_progress({"SnapshotId": member.snapshot_id}, None)


def operation_progress(items: dict[str, str], refusal: ApiError | None) -> Json:
    """Return one entry of an OperationProgressSet."""
    related = [{"Name": name, "Value": value} for name, value in items.items()]
    return {
        "OperationStatus": "Failed" if refusal else "Success",
        "ErrorCode": refusal.code if refusal else "",
        "ErrorMsg": refusal.text() if refusal else "",
        "RelatedItemSet": {"RelatedItem": related},
    }


def modify_group(cloud: Cloud, call: Call) -> Json:
    """Change a group's name or description."""
    params = call.params
    cloud.check_region(params)
    check_name(params.text("Name"), "InvalidParameter.Name")
    check_description(params.text("Description"))
    with cloud.state.lock:
        group = _group(cloud, params)
        group.name = params.text("Name") or group.name
        group.description = params.text("Description", group.description)
    return {}


def create_resources(cloud: Cloud, params: Params) -> Sequence[Resource]:
    """Name the instance and the disks that are given."""
    found: list[Resource] = []
    instance = cloud.state.instances.get(params.text("InstanceId"))
    if params.text("InstanceId"):
        tags = instance.tags if instance else {}
        found.append(Resource(kind="instance", name=params.text("InstanceId"), tags=tags))
    for name in params.items("DiskId"):
        disk = cloud.state.disks.get(name)
        found.append(Resource(kind="disk", name=name, tags=disk.tags if disk else {}))
    return found or (Resource(kind="disk"),)


def one_resource(cloud: Cloud, params: Params) -> Sequence[Resource]:
    """Name the group of the request."""
    name = params.text("SnapshotGroupId")
    group = cloud.state.groups.get(name)
    return (Resource(kind="snapshotgroup", name=name, tags=group.tags if group else {}),)


def list_resources(cloud: Cloud, params: Params) -> Sequence[Resource]:
    """Name the groups a listing asks for by id, or all."""
    tags = {key: value or "" for key, value in read_tag_filter(params)}
    names = params.items("SnapshotGroupId")
    if not names:
        return (Resource(kind="snapshotgroup", tags=tags),)
    groups = cloud.state.groups
    return [
        Resource(kind="snapshotgroup", name=n, tags=groups[n].tags if n in groups else tags)
        for n in names
    ]


OPERATIONS = (
    Operation(
        name="CreateSnapshotGroup", run=create_group, resources=create_resources, idempotent=True
    ),
    Operation(
        name="DescribeSnapshotGroups", run=describe_groups, resources=list_resources, reads=True
    ),
    Operation(name="DeleteSnapshotGroup", run=delete_group, resources=one_resource),
    Operation(name="ModifySnapshotGroup", run=modify_group, resources=one_resource),
)
