"""Operations that keep a snapshot from being lost: locks in compliance mode, copies elsewhere.

Source: LockSnapshot, UnlockSnapshot, DescribeLockedSnapshots and CopySnapshot of the ECS API. Their
pages name hardly a code: those of a wrong lock are this simulator's own. A lock's days are counted
from the lock, or from the end of the upload if that is later.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ecs_simulator.actions.base import Call, Json, Operation, check_dry_run
from ecs_simulator.actions.snapshots import one_resource, snapshot_resource
from ecs_simulator.clock import iso_second
from ecs_simulator.cloud import Cloud
from ecs_simulator.errors import ApiError
from ecs_simulator.paging import cut_page, read_page_request
from ecs_simulator.params import Params
from ecs_simulator.ram import Resource
from ecs_simulator.records import LOCAL, Snapshot, SnapshotLock
from ecs_simulator.rules import check_description, check_name, check_retention, read_tags
from ecs_simulator.snapshotting import retention_end

_STATUSES = ("compliance-cooloff", "compliance", "expired")


def lock_snapshot(cloud: Cloud, call: Call) -> Json:
    """Lock a snapshot, or change its lock as far as that is allowed."""
    params = call.params
    cloud.check_region(params)
    if params.required("LockMode") != "compliance":
        raise ApiError("InvalidParameter.LockMode", "The LockMode is compliance.")
    days = _between(params, "LockDuration", 1, 36500)
    cool_off_h = _between(params, "CoolOffPeriod", 0, 72)
    with cloud.state.lock:
        snapshot = _found(cloud, params)
        now = cloud.clock.now()
        if snapshot.status(now) == "failed":
            raise ApiError("InvalidSnapshotId.NotReady", "The snapshot has failed.")
        lock = SnapshotLock(
            created_at=now,
            starts_at=max(now, snapshot.ends_at() or now),
            cool_off_h=cool_off_h,
            days=days,
        )
        _check_change(snapshot, lock, now)
        ends_at = retention_end(snapshot)
        if ends_at is not None and lock.ends_at > ends_at:
            text = "The lock would end later than the snapshot's retention."
            raise ApiError("InvalidParameter.LockDuration", text)
        check_dry_run(params)
        snapshot.lock = lock
        return {"LockedSnapshotInfo": _lock_json(snapshot, lock, now)}


def _between(params: Params, name: str, low: int, high: int) -> int:
    params.required(name)
    value = params.integer(name, f"InvalidParameter.{name}")
    if value is None or not low <= value <= high:
        raise ApiError(f"InvalidParameter.{name}", f"{name} is {low} to {high}.")
    return value


def _found(cloud: Cloud, params: Params) -> Snapshot:
    snapshot = cloud.state.snapshots.get(params.required("SnapshotId"))
    if snapshot is None:
        raise ApiError("InvalidSnapshotId.NotFound")
    return snapshot


def _check_change(snapshot: Snapshot, wanted: SnapshotLock, now: float) -> None:
    """Once its cool-off has ended, a lock can only be made longer."""
    old = snapshot.lock
    if old is None or old.status(now) != "compliance":
        return
    if wanted.cool_off_h:
        raise ApiError("InvalidParameter.CoolOffPeriod", "The snapshot is locked already.")
    if wanted.ends_at < old.ends_at:
        raise ApiError("InvalidParameter.LockDuration", "A lock can only be made longer.")


def unlock_snapshot(cloud: Cloud, call: Call) -> Json:
    """Take a lock away again while its cool-off lasts."""
    params = call.params
    cloud.check_region(params)
    with cloud.state.lock:
        snapshot = _found(cloud, params)
        lock, now = snapshot.lock, cloud.clock.now()
        if lock is None or lock.status(now) != "compliance-cooloff":
            raise ApiError("InvalidOperation.SnapshotIsLocked", status=403)
        check_dry_run(params)
        snapshot.lock = None
    return {"SnapshotId": snapshot.snapshot_id}


def describe_locked(cloud: Cloud, call: Call) -> Json:
    """List locks, also those that have ended."""
    params = call.params
    cloud.check_region(params)
    request = read_page_request(params, floor=1, numbered=False)
    wanted, status = params.items("SnapshotIds"), params.text("LockStatus")
    if status not in ("", *_STATUSES):
        raise ApiError("InvalidParameter.LockStatus", f"It is one of {', '.join(_STATUSES)}.")
    check_dry_run(params)
    now = cloud.clock.now()
    with cloud.state.lock:
        here = cloud.state.snapshots.values() if cloud.here(params) else ()
        locks = [
            (snapshot.number, _lock_json(snapshot, snapshot.lock, now))
            for snapshot in call.visible(here)
            if snapshot.lock is not None
            and (not wanted or snapshot.snapshot_id in wanted)
            and status in ("", snapshot.lock.status(now))
            and (request.after is None or snapshot.number > request.after)
        ]
    page = cut_page(locks, request)
    token = {"NextToken": page.next_token} if page.next_token else {}
    return {"LockedSnapshotsInfo": page.entries, **token}


def _lock_json(snapshot: Snapshot, lock: SnapshotLock, now: float) -> Json:
    return {
        "SnapshotId": snapshot.snapshot_id,
        "LockMode": "compliance",
        "LockStatus": lock.status(now),
        "LockCreationTime": iso_second(lock.created_at),
        "CoolOffPeriod": lock.cool_off_h,
        "CoolOffPeriodExpiredTime": iso_second(lock.cool_off_ends_at),
        "LockDuration": lock.days,
        "LockDurationStartTime": iso_second(lock.starts_at),
        "LockExpiredTime": iso_second(lock.ends_at),
    }


def copy_snapshot(cloud: Cloud, call: Call) -> Json:
    """Copy a finished snapshot to another region; no disk can be reset to the copy."""
    params = call.params
    cloud.check_region(params)
    region = params.required("DestinationRegionId")
    if region not in cloud.config.other_regions:
        raise ApiError("InvalidDestinationRegionId.NotFound", "It is no other region.")
    name = params.required("DestinationSnapshotName")
    description = params.required("DestinationSnapshotDescription")
    check_name(name, "InvalidSnapshotName.Malformed")
    check_description(description)
    days, tags = check_retention(params), read_tags(params)
    with cloud.state.lock:
        source = _found(cloud, params)
        now = cloud.clock.now()
        if source.disk_category in LOCAL:
            raise ApiError("DiskCategory.OperationNotSupported")
        if source.status(now) != "accomplished":
            raise ApiError("InvalidSnapshotId.NotReady", "The snapshot is not ready.")
        copy = replace(
            source,
            snapshot_id=cloud.ids.make("s"),
            number=cloud.state.next_number(),
            accepted_at=now,
            visible_at=now,
            cut_at=now,
            modified_at=now,
            name=name,
            description=description,
            retention_days=days,
            group_id="",
            created_disks=set(),
            created_image=False,
            tags=tags,
            lock=None,
            source_id=source.snapshot_id,
        )
        cloud.state.copies.setdefault(region, {})[copy.snapshot_id] = copy
        return {"SnapshotId": copy.snapshot_id}


def locked_resources(cloud: Cloud, params: Params) -> Sequence[Resource]:
    """Name the snapshots a listing of locks asks for, or all."""
    names = params.items("SnapshotIds")
    return [snapshot_resource(cloud, name) for name in names] or (Resource(kind="snapshot"),)


OPERATIONS = (
    Operation(name="LockSnapshot", run=lock_snapshot, resources=one_resource, idempotent=True),
    Operation(name="UnlockSnapshot", run=unlock_snapshot, resources=one_resource, idempotent=True),
    Operation(
        name="DescribeLockedSnapshots", run=describe_locked, resources=locked_resources, reads=True
    ),
    Operation(name="CopySnapshot", run=copy_snapshot, resources=one_resource, idempotent=True),
)
