"""How long each disk existed, which is what the cloud charges for. Pure.

A disk is charged from CreateDisk's answer until its deletion, attached or not.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ecs_simulator.records import Disk


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskUsage:
    """One disk's time; instants in seconds since 1970.

    Args:
        deleted_at: None while it exists.
        seconds: from its creation until its deletion, or until now.
        gib_seconds: these times its size.
        attached_s: how much of that it was attached.
    """

    disk_id: str
    kind: str
    category: str
    size_gib: int
    source_snapshot_id: str
    tags: Mapping[str, str]
    created_at: float
    deleted_at: float | None
    seconds: float
    gib_seconds: float
    attached_s: float


def disk_usage(disks: Iterable[Disk], now: float) -> list[DiskUsage]:
    """Return every disk's time until now, the oldest first."""
    return [_usage(disk, now) for disk in sorted(disks, key=lambda disk: disk.created_at)]


def _usage(disk: Disk, now: float) -> DiskUsage:
    end = now if disk.deleted_at is None else disk.deleted_at
    seconds = end - disk.created_at
    attached = disk.instance_ids and disk.attached_at is not None
    return DiskUsage(
        disk_id=disk.disk_id,
        kind=disk.kind,
        category=disk.category,
        size_gib=disk.size_gib,
        source_snapshot_id=disk.source_snapshot_id,
        tags=dict(disk.tags),
        created_at=disk.created_at,
        deleted_at=disk.deleted_at,
        seconds=seconds,
        gib_seconds=seconds * disk.size_gib,
        attached_s=disk.attached_s + (end - (disk.attached_at or end) if attached else 0.0),
    )
