"""Operations on single snapshots."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from ecs_simulator.actions.base import Call, Json, Operation, check_dry_run
from ecs_simulator.clock import iso_second, parse_iso
from ecs_simulator.cloud import Cloud
from ecs_simulator.errors import ApiError
from ecs_simulator.paging import PageRequest, cut_page, read_page_request
from ecs_simulator.params import Params
from ecs_simulator.ram import Resource
from ecs_simulator.records import Snapshot
from ecs_simulator.rules import (
    TagFilter,
    check_description,
    check_name,
    check_retention,
    fits,
    read_tag_filter,
    read_tags,
)
from ecs_simulator.snapshotting import (
    Wishes,
    check_deletable,
    check_disk,
    delete_snapshot,
    note_retention,
    start_snapshot,
    unfinished,
)

Test = Callable[[Snapshot, float], bool]


def create_snapshot(cloud: Cloud, call: Call) -> Json:
    """Accept a snapshot of one disk."""
    params = call.params
    disk_id = params.required("DiskId")
    if params.given("RegionId"):
        cloud.check_region(params)
    wishes = Wishes(
        name=params.text("SnapshotName"),
        description=params.text("Description"),
        retention_days=check_retention(params),
        tags=read_tags(params),
    )
    check_name(wishes.name, "InvalidSnapshotName.Malformed", no_auto=True)
    check_description(wishes.description)
    check_obsolete(params)
    with cloud.state.lock:
        disk = cloud.disk(disk_id)
        check_disk(cloud, disk)
        return {"SnapshotId": start_snapshot(cloud, disk, wishes).snapshot_id}


def check_obsolete(params: Params) -> None:
    """Refuse obsolete parameters that are misused; else they do nothing."""
    category = params.text("Category")
    if category and category.lower() not in ("standard", "flash"):
        raise ApiError("InvalidSnapshotCategory.Malformed")
    if category and params.flag("InstantAccess"):
        raise ApiError("InvalidCategoryAndInstantAccess.Malformed")
    code = "InvalidInstantAccessRetentionDays.Malformed"
    days = params.integer("InstantAccessRetentionDays", code)
    if days is not None and not 1 <= days <= 65535:
        raise ApiError(code)


def describe_snapshots(cloud: Cloud, call: Call) -> Json:
    """List snapshots, newest first."""
    params = call.params
    cloud.check_region(params)
    request = read_page_request(params)
    tags = read_tag_filter(params)
    tests = _tests(params)
    ids = params.json_ids("SnapshotIds", "InvalidSnapshotIds.Malformed")
    check_dry_run(params)
    now = cloud.clock.now()
    with cloud.state.lock:
        source = (
            _candidates(cloud, params, request, ids=ids, tags=tags)
            if cloud.here(params)
            else _copies(cloud, params, request, ids)
        )
        found = (
            (snapshot.number, snapshot)
            for snapshot in call.visible(source)
            if snapshot.visible_at <= now
            and all(test(snapshot, now) for test in tests)
            and fits(snapshot.tags, tags)
        )
        page = cut_page(found, request, cap=cloud.config.tag_filter_cap if tags else None)
        return {
            **page.head(),
            "Snapshots": {
                "Snapshot": [
                    {**snapshot_json(cloud, s, now), "RegionId": params.text("RegionId")}
                    for s in page.entries
                ]
            },
        }


def _candidates(
    cloud: Cloud,
    params: Params,
    request: PageRequest,
    *,
    ids: Sequence[str] | None,
    tags: TagFilter,
) -> Iterator[Snapshot]:
    """Yield candidates from the cheapest index, newest first; filters must still be applied."""
    state = cloud.state
    disk_ids: list[str] | None = None
    if params.text("DiskId"):
        disk_ids = [params.text("DiskId")]
    elif params.text("SnapshotLinkId"):
        disk_ids = ["d-" + params.text("SnapshotLinkId").removeprefix("sl-")]
    if params.text("InstanceId"):
        owned = [disk.disk_id for disk in state.disks_of(params.text("InstanceId"))]
        disk_ids = [name for name in owned if disk_ids is None or name in disk_ids]
    if ids is None:
        yield from state.newest_snapshots(before=request.after, disk_ids=disk_ids, tags=tags)
        return
    named = [state.snapshots[name] for name in set(ids) if name in state.snapshots]
    for snapshot in sorted(named, key=lambda s: -s.number):
        before = request.after is None or snapshot.number < request.after
        if before and (disk_ids is None or snapshot.disk_id in disk_ids):
            yield snapshot


def _copies(
    cloud: Cloud, params: Params, request: PageRequest, ids: Sequence[str] | None
) -> Iterator[Snapshot]:
    """Yield what was copied to another region, newest first; filters must still be applied."""
    copies = cloud.state.copies.get(params.text("RegionId"), {})
    for snapshot in reversed(copies.values()):
        before = request.after is None or snapshot.number < request.after
        if before and (ids is None or snapshot.snapshot_id in ids):
            yield snapshot


def _tests(params: Params) -> list[Test]:
    """Return a test for each filter that is given; refuse values outside their lists."""
    tests: list[Test] = []
    status = _one_of(
        params, "Status", ("progressing", "accomplished", "failed", "all"), "InvalidStatus.NotFound"
    )
    if status not in ("", "all"):
        tests.append(lambda s, now: s.status(now) == status)
    kind = _one_of(params, "SnapshotType", ("auto", "user", "all"), "InvalidSnapshotType.NotFound")
    if kind == "auto":
        tests.append(lambda _s, _now: False)
    usage = _one_of(params, "Usage", ("image", "disk", "image_disk", "none"), "InvalidUsage")
    if usage:
        tests.append(lambda s, _now: s.usage() == usage)
    source = _one_of(params, "SourceDiskType", ("system", "data"), "InvalidSourceDiskType")
    if source:
        tests.append(lambda s, _now: s.disk_kind == source)
    category = _one_of(
        params, "Category", ("standard", "flash", "archive"), "InvalidSnapshotCategory.Malformed"
    )
    if category not in ("", "standard"):
        tests.append(lambda _s, _now: False)
    name = params.text("SnapshotName")
    if name:
        tests.append(lambda s, _now: s.name == name)
    if params.given("Encrypted"):
        encrypted = params.flag("Encrypted")
        tests.append(lambda s, _now: s.encrypted == encrypted)
    return tests + _time_tests(params)


def _one_of(params: Params, name: str, allowed: Sequence[str], code: str) -> str:
    value = params.text(name).lower()
    if value and value not in allowed:
        raise ApiError(code, f"The specified {name} is not valid.")
    return value


def _time_tests(params: Params) -> list[Test]:
    tests: list[Test] = []
    for record in params.records("Filter"):
        key = record.get("Key", "")
        if key not in ("CreationStartTime", "CreationEndTime"):
            raise ApiError("InvalidFilterKey.NotFound", "Filter.N.Key is not valid.")
        limit = parse_iso(record.get("Value", ""))
        if limit is None:
            raise ApiError("InvalidFilterValue", "Filter.N.Value is not valid.")
        tests.append(_time_test(limit, start=key == "CreationStartTime"))
    return tests


def _time_test(limit: float, *, start: bool) -> Test:
    def test(snapshot: Snapshot, _now: float) -> bool:
        at = snapshot.cut_at
        return at is not None and (at >= limit if start else at <= limit)

    return test


def snapshot_json(cloud: Cloud, snapshot: Snapshot, now: float) -> Json:
    """Return a snapshot as DescribeSnapshots shows it."""
    end = snapshot.ends_at()
    status = snapshot.status(now)
    remaining = max(0, int(end - now)) if end is not None and status == "progressing" else 0
    body: Json = {
        "SnapshotId": snapshot.snapshot_id,
        "SnapshotName": snapshot.name,
        "Description": snapshot.description,
        "Status": status,
        "Progress": f"{snapshot.progress(now)}%",
        "RemainTime": remaining,
        "Available": snapshot.available(now),
        "CreationTime": iso_second(snapshot.cut_at),
        "LastModifiedTime": iso_second(snapshot.modified_at),
        "SnapshotType": "user",
        "Category": "standard",
        "Usage": snapshot.usage(),
        "InstantAccess": snapshot.instant_access,
        "InstantAccessRetentionDays": 0,
        "SourceDiskId": snapshot.disk_id,
        "SourceDiskType": snapshot.disk_kind,
        "SourceDiskSize": str(snapshot.disk_size_gib),
        "SourceStorageType": "disk",
        "Encrypted": snapshot.encrypted,
        "KMSKeyId": snapshot.kms_key_id,
        "RegionId": cloud.config.region_id,
        "ResourceGroupId": "",
        "ProductCode": "",
        "SnapshotSN": f"64472-{snapshot.number:09d}-619760001",
        "SnapshotLinkId": "sl-" + snapshot.disk_id.removeprefix("d-"),
        "SourceSnapshotId": snapshot.source_id,
        "SourceRegionId": cloud.config.region_id if snapshot.source_id else "",
        "FullSnapshotSizeInBytes": 0,
        "Tags": {"Tag": [{"TagKey": k, "TagValue": v} for k, v in snapshot.tags.items()]},
    }
    if snapshot.retention_days is not None:
        body["RetentionDays"] = snapshot.retention_days
    return body


def delete_one(cloud: Cloud, call: Call) -> Json:
    """Delete a snapshot, or cancel one in progress."""
    snapshot_id = call.params.required("SnapshotId")
    force = call.params.flag("Force")
    with cloud.state.lock:
        snapshot = cloud.state.snapshots.get(snapshot_id)
        if snapshot is None:
            if cloud.config.loose_delete:
                return {}
            raise ApiError("InvalidSnapshotId.NotFound")
        check_deletable(cloud, snapshot, force=force)
        delete_snapshot(cloud, snapshot_id)
    return {}


def modify_attribute(cloud: Cloud, call: Call) -> Json:
    """Change a finished snapshot's name, description or retention."""
    params = call.params
    snapshot_id = params.required("SnapshotId")
    names = ("SnapshotName", "Description", "RetentionDays", "DisableInstantAccess")
    if not any(params.given(name) for name in names):
        raise ApiError("NoAttributeToModify")
    check_name(params.text("SnapshotName"), "InvalidSnapshotName.Malformed", no_auto=True)
    check_description(params.text("Description"))
    days = check_retention(params)
    with cloud.state.lock:
        snapshot = cloud.state.snapshots.get(snapshot_id)
        if snapshot is None:
            raise ApiError("InvalidSnapshotId.NotFound")
        now = cloud.clock.now()
        if snapshot.status(now) == "progressing":
            raise ApiError("InvalidSnapshotId.NotReady", "The snapshot is not ready.")
        if unfinished(cloud, snapshot.disk_id):
            raise ApiError("IncorrectDiskStatus.CreatingSnapshot")
        if days is not None and days < (snapshot.retention_days or 0):
            raise ApiError("InvalidOperation.DecreaseRetentionDaysUnsupported")
        snapshot.name = params.text("SnapshotName") or snapshot.name
        snapshot.description = params.text("Description", snapshot.description)
        snapshot.modified_at = now
        if days is not None:
            snapshot.retention_days = days
            note_retention(cloud, snapshot)
    return {}


def describe_usage(cloud: Cloud, call: Call) -> Json:
    """Count the region's snapshots and their bytes."""
    cloud.check_region(call.params)
    with cloud.state.lock:
        everything = list(call.visible(cloud.state.snapshots.values()))
    # How much is stored is not simulated: a tenth of each disk.
    size = sum(snapshot.disk_size_gib * 2**30 // 10 for snapshot in everything)
    return {"SnapshotCount": len(everything), "SnapshotSize": size}


def describe_links(cloud: Cloud, call: Call) -> Json:
    """List each disk's chain of snapshots."""
    params = call.params
    cloud.check_region(params)
    request = read_page_request(params)
    wanted = params.json_ids("DiskIds", "InvalidDiskIds.Malformed")
    with cloud.state.lock:
        disk_ids = sorted({s.disk_id for s in call.visible(cloud.state.snapshots.values())})
        if wanted is not None:
            disk_ids = [name for name in disk_ids if name in wanted]
        if params.text("InstanceId"):
            own = {disk.disk_id for disk in cloud.state.disks_of(params.text("InstanceId"))}
            disk_ids = [name for name in disk_ids if name in own]
        numbered = list(enumerate(disk_ids))[0 if request.after is None else request.after + 1 :]
        page = cut_page(numbered, request)
        links = [_link_json(cloud, disk_id) for disk_id in page.entries]
    return {**page.head(), "SnapshotLinks": {"SnapshotLink": links}}


def _link_json(cloud: Cloud, disk_id: str) -> Json:
    chain = cloud.state.snapshots_of(disk_id)
    disk = cloud.state.disks.get(disk_id)
    owner = disk.instance_ids[0] if disk is not None and disk.instance_ids else ""
    return {
        "SnapshotLinkId": "sl-" + disk_id.removeprefix("d-"),
        "RegionId": cloud.config.region_id,
        "InstanceId": owner,
        "InstanceName": cloud.state.instances[owner].name if owner else "",
        "SourceDiskId": disk_id,
        "SourceDiskName": disk.name if disk is not None else "",
        "SourceDiskSize": chain[-1].disk_size_gib,
        "SourceDiskType": chain[-1].disk_kind,
        "Category": "standard",
        "TotalSize": sum(s.disk_size_gib * 2**30 // 10 for s in chain),
        "TotalCount": len(chain),
    }


def create_resources(cloud: Cloud, params: Params) -> Sequence[Resource]:
    """Name the disk and every snapshot, both of which must be allowed."""
    disk = cloud.state.disks.get(params.text("DiskId"))
    return (
        Resource(kind="disk", name=params.text("DiskId"), tags=disk.tags if disk else {}),
        Resource(kind="snapshot"),
    )


def one_resource(cloud: Cloud, params: Params) -> Sequence[Resource]:
    """Name the snapshot of the request."""
    return (snapshot_resource(cloud, params.text("SnapshotId")),)


def snapshot_resource(cloud: Cloud, snapshot_id: str) -> Resource:
    """Return a snapshot as policies see it."""
    snapshot = cloud.state.snapshots.get(snapshot_id)
    return Resource(kind="snapshot", name=snapshot_id, tags=snapshot.tags if snapshot else {})


def list_resources(cloud: Cloud, params: Params) -> Sequence[Resource]:
    """Name the snapshots a listing asks for by id, or all."""
    tags = {key: value or "" for key, value in read_tag_filter(params)}
    ids = params.json_ids("SnapshotIds", "InvalidSnapshotIds.Malformed")
    if not ids:
        return (Resource(kind="snapshot", tags=tags),)
    return [snapshot_resource(cloud, name) for name in ids]


OPERATIONS = (
    Operation(
        name="CreateSnapshot", run=create_snapshot, resources=create_resources, idempotent=True
    ),
    Operation(
        name="DescribeSnapshots", run=describe_snapshots, resources=list_resources, reads=True
    ),
    Operation(name="DeleteSnapshot", run=delete_one, resources=one_resource),
    Operation(name="ModifySnapshotAttribute", run=modify_attribute, resources=one_resource),
    Operation(name="DescribeSnapshotsUsage", run=describe_usage, reads=True),
    Operation(name="DescribeSnapshotLinks", run=describe_links, reads=True),
)
