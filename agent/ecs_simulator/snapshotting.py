"""A snapshot's life: accepted, visible, cut, available, accomplished; and its end.

The cut is the instant whose content is captured. ``CreationTime`` is empty before it, and is set
only after the storage has fixed the content, so a caller that sees it may write again. Everything
after the cut is computed from the clock on request.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from ecs_simulator.cloud import Cloud
from ecs_simulator.errors import ApiError
from ecs_simulator.records import (
    ELASTIC_EPHEMERAL,
    ESSD_FAMILY,
    LOCAL,
    Disk,
    Snapshot,
    SnapshotGroup,
)

_DAY_S = 86400


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What the caller wants a snapshot or group to carry."""

    name: str = ""
    description: str = ""
    retention_days: int | None = None
    tags: Mapping[str, str] = field(default_factory=dict)


def check_disk(cloud: Cloud, disk: Disk, *, group: bool = False) -> None:
    """Refuse a disk that cannot be snapshotted now; the caller holds the state's lock."""
    if not cloud.config.snapshot_service:
        raise ApiError("InvalidAccountStatus.SnapshotServiceUnavailable")
    if disk.category in LOCAL | ELASTIC_EPHEMERAL or (group and disk.category not in ESSD_FAMILY):
        raise ApiError("DiskCategory.OperationNotSupported")
    if group and disk.multi_attach != "Disabled":
        raise ApiError("InvalidOperation.MultiAttachDisk")
    if "financial" in disk.locks:
        raise ApiError("DiskInArrears")
    for instance_id in disk.instance_ids:
        instance = cloud.instance(instance_id)
        if "security" in instance.locks:
            raise ApiError("InstanceLockedForSecurity")
        if instance.status not in ("Running", "Stopped"):
            raise ApiError("IncorrectInstanceStatus")
    if disk.never_attached:
        raise ApiError("IncorrectDiskStatus.NeverAttached")
    if disk.status not in ("In_use", "Available"):
        raise ApiError("IncorrectDiskStatus")
    _check_quota(cloud, disk, group=group)


def _check_quota(cloud: Cloud, disk: Disk, *, group: bool) -> None:
    limit = cloud.config.concurrent_snapshots
    if len(unfinished(cloud, disk.disk_id)) >= limit:
        if limit == 1:
            raise ApiError("IncorrectDiskStatus.CreatingSnapshot")
        if group:
            raise ApiError("IncorrectDiskStatus.TooManyCreatingSnapshots")
        text = f"The disk {disk.disk_id} has reached its limit of {limit} concurrent snapshots."
        raise ApiError("QuotaExceed.ConcurrentSnapshotQuota", text)
    if len(cloud.state.snapshots_of(disk.disk_id)) >= cloud.config.snapshots_per_disk:
        raise ApiError("QuotaExceed.Snapshot")


def unfinished(cloud: Cloud, disk_id: str, *, but: str = "") -> list[Snapshot]:
    """Return a disk's snapshots in progress."""
    now = cloud.clock.now()
    return [
        snapshot
        for snapshot in cloud.state.snapshots_of(disk_id)
        if snapshot.snapshot_id != but and snapshot.status(now) == "progressing"
    ]


def start_snapshot(cloud: Cloud, disk: Disk, wishes: Wishes) -> Snapshot:
    """Accept one snapshot; the caller holds the state's lock and has checked the disk."""
    snapshot = _accept(cloud, disk, wishes)
    life = snapshot.life
    names = [snapshot.snapshot_id]
    cloud.agenda.after(life.cut_s + life.cut_skew_s, lambda: cut(cloud, names))
    return snapshot


def start_group(
    cloud: Cloud, disks: Sequence[Disk], wishes: Wishes, *, instance_id: str
) -> SnapshotGroup:
    """Accept a group; the caller holds the state's lock and has checked the disks."""
    now = cloud.clock.now()
    group = SnapshotGroup(
        group_id=cloud.ids.make("ssg"),
        number=cloud.state.next_number(),
        instance_id=instance_id,
        created_at=now,
        visible_at=now + cloud.ids.uniform(cloud.life.visible_lag_s),
        members_visible_at=now + cloud.life.member_lag_s,
        name=wishes.name,
        description=wishes.description,
        tags=dict(wishes.tags),
    )
    cloud.state.groups[group.group_id] = group
    label = f"Created_from_{group.group_id}"
    for disk in disks:
        if disk.disk_id in cloud.left_out_disks:
            continue
        tags = dict(wishes.tags) if cloud.propagate_group_tags else {}
        if disk.instance_ids:
            tags["acs:ecs:createFrom"] = disk.instance_ids[0]
        member = _accept(cloud, disk, Wishes(name=label, description=label, tags=tags))
        member.group_id = group.group_id
        group.member_ids.append(member.snapshot_id)
    names = list(group.member_ids)
    lives = [cloud.state.snapshots[name].life.cut_s for name in names]
    cloud.agenda.after(max(lives, default=0.0), lambda: cut(cloud, names))
    return group


def add_past_snapshots(
    cloud: Cloud, disk_id: str, wanted: Sequence[Wishes], *, spacing_s: float
) -> list[str]:
    """Put in accomplished snapshots without content; the caller holds the state's lock.

    Quotas are not checked, so that an account can be filled.
    """
    disk = cloud.disk(disk_id)
    newest = cloud.clock.now() - cloud.life.accomplished_s
    names = []
    for place, wishes in enumerate(wanted):
        snapshot = _accept(cloud, disk, wishes)
        at = newest - spacing_s * (len(wanted) - place)
        snapshot.accepted_at = snapshot.visible_at = snapshot.cut_at = snapshot.modified_at = at
        names.append(snapshot.snapshot_id)
    return names


def _accept(cloud: Cloud, disk: Disk, wishes: Wishes) -> Snapshot:
    now = cloud.clock.now()
    life = disk.life or cloud.life
    snapshot = Snapshot(
        snapshot_id=cloud.ids.make("s"),
        number=cloud.state.next_number(),
        disk_id=disk.disk_id,
        disk_kind=disk.kind,
        disk_size_gib=disk.size_gib,
        disk_category=disk.category,
        accepted_at=now,
        visible_at=now + cloud.ids.uniform(life.visible_lag_s),
        life=life,
        name=wishes.name,
        description=wishes.description,
        retention_days=wishes.retention_days,
        encrypted=disk.encrypted,
        kms_key_id=disk.kms_key_id,
        tags=dict(wishes.tags),
        modified_at=now,
    )
    cloud.state.add_snapshot(snapshot)
    note_retention(cloud, snapshot)
    return snapshot


def cut(cloud: Cloud, names: Sequence[str]) -> None:
    """Fix the content of all these snapshots' disks at one instant, now."""
    state = cloud.state
    with state.lock:
        alive = [state.snapshots[name] for name in names if name in state.snapshots]
        for snapshot in alive:
            if snapshot.life.fail_at == "before_cut":
                snapshot.failed_at = cloud.clock.now()
        pairs = [(s.disk_id, s.snapshot_id) for s in alive if s.failed_at is None]
    failure = _cut_storage(cloud, pairs) if pairs else ""
    now = cloud.clock.now()
    gone: list[str] = []
    with state.lock:
        for _, name in pairs:
            found = state.snapshots.get(name)
            if found is None:
                gone.append(name)
            elif failure:
                found.failed_at = now
            else:
                _after_cut(found, now)
    for name in gone:
        cloud.storage.delete_snapshot(name)


def _cut_storage(cloud: Cloud, pairs: Sequence[tuple[str, str]]) -> str:
    """Return what went wrong; empty if nothing did."""
    try:
        cloud.storage.cut(pairs)
    except (OSError, ValueError, LookupError, RuntimeError) as error:
        cloud.storage_faults.append(f"cut {pairs}: {error}")
        return str(error) or "failed"
    return ""


def _after_cut(snapshot: Snapshot, now: float) -> None:
    snapshot.cut_at = snapshot.modified_at = now
    life = snapshot.life
    end = snapshot.ends_at()
    assert end is not None
    if life.fail_at == "after_cut":
        snapshot.failed_at = now + min(life.available_s, end - now) / 2
    elif life.fail_at == "after_available":
        snapshot.failed_at = (now + life.available_s + end) / 2


def fail_snapshot(cloud: Cloud, snapshot_id: str) -> None:
    """Make a snapshot in progress fail now."""
    with cloud.state.lock:
        snapshot = cloud.state.snapshots[snapshot_id]
        snapshot.failed_at = cloud.clock.now()
        snapshot.life = replace(snapshot.life, fail_at="before_cut")


def finish_snapshots(cloud: Cloud) -> None:
    """Make every snapshot that is cut and in progress complete now."""
    with cloud.state.lock:
        now = cloud.clock.now()
        for snapshot in cloud.state.snapshots.values():
            if snapshot.cut_at is not None and snapshot.status(now) == "progressing":
                life = replace(snapshot.life, accomplished_s=0.0, accomplished_s_per_gib=0.0)
                snapshot.life = life


def check_deletable(cloud: Cloud, snapshot: Snapshot, *, force: bool) -> None:
    """Refuse to delete a snapshot that something depends on."""
    if snapshot.is_locked(cloud.clock.now()):
        raise ApiError("InvalidOperation.SnapshotIsLocked", status=403)
    if snapshot.created_image:
        raise ApiError("SnapshotCreatedImage")
    if snapshot.created_disks and not force:
        raise ApiError("SnapshotCreatedDisk")
    if unfinished(cloud, snapshot.disk_id, but=snapshot.snapshot_id):
        raise ApiError("IncorrectDiskStatus.CreatingSnapshot")


def delete_snapshot(cloud: Cloud, snapshot_id: str) -> None:
    """Delete a snapshot and what it captured; cancel one in progress."""
    with cloud.state.lock:
        cloud.state.drop_snapshot(snapshot_id)
    # As an action of the agenda, so that a running cut finishes first.
    cloud.agenda.after(0.0, lambda: cloud.storage.delete_snapshot(snapshot_id))


def note_retention(cloud: Cloud, snapshot: Snapshot) -> None:
    """Remember when a snapshot's retention ends."""
    ends_at = retention_end(snapshot)
    if ends_at is not None:
        heapq.heappush(cloud.retention, (ends_at, snapshot.snapshot_id))


def retention_end(snapshot: Snapshot) -> float | None:
    """Return when a snapshot is deleted automatically."""
    if snapshot.retention_days is None:
        return None
    return snapshot.accepted_at + snapshot.retention_days * _DAY_S


def sweep(cloud: Cloud) -> None:
    """Delete snapshots whose retention has ended, unless something depends on them."""
    with cloud.state.lock:
        now = cloud.clock.now()
        while cloud.retention and cloud.retention[0][0] <= now:
            name = heapq.heappop(cloud.retention)[1]
            snapshot = cloud.state.snapshots.get(name)
            if snapshot is None or snapshot.usage() != "none":
                continue
            ends_at = retention_end(snapshot)
            if ends_at is not None and ends_at <= now and not snapshot.is_locked(now):
                delete_snapshot(cloud, name)
