"""From what the cloud shows of snapshots to what a report says of them."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from snap_self.model.ids import DiskId, GroupId
from snap_self.model.report import GONE, UNKNOWN, SnapshotReport
from snap_self.model.retention import retention_of
from snap_self.model.snapshots import Cut, Snapshot, SnapshotStatus

if TYPE_CHECKING:  # only a run that waits pays for the import
    from snap_self.model.run import OrderRecord
    from snap_self.usecases.job.wait import Settled


def settled_reports(settled: Settled, expires: datetime | None) -> tuple[SnapshotReport, ...]:
    """Return the lines of all snapshots that a run made, in the order of its orders."""
    return tuple(
        _settled_report(settled, record, disk_id, expires)
        for record in settled.records
        if record.is_made
        for disk_id in record.order.disk_ids
        if disk_id not in settled.missing
    )


def _settled_report(
    settled: Settled, record: OrderRecord, disk_id: DiskId, expires: datetime | None
) -> SnapshotReport:
    """Return one snapshot's line, also for one that the cloud does not show."""
    shot, member = settled.snapshots.get(disk_id), settled.members.get(disk_id)
    retention = retention_of(shot, expires=expires, pending=bool(record.group_id))
    if shot is not None:
        report = snapshot_report(shot, group_id=record.group_id, expires=expires)
        return replace(report, disk_id=disk_id, retention=retention)
    gone, seen = disk_id in settled.gone, member is not None and member.available
    status = SnapshotStatus.PROGRESSING.value
    if gone or settled.unseen:
        status = GONE if gone else UNKNOWN
    return SnapshotReport(
        snapshot_id=settled.snapshot_of(disk_id),
        group_id=record.group_id,
        disk_id=disk_id,
        status=status,
        progress=member.progress if member and not gone else None,
        available=seen and not gone,
        # A snapshot that can be used was cut.
        cut=Cut.MADE if seen else Cut.NOT_KNOWN,
        cut_time=None,
        expires=expires,
        retention=retention,
    )


def snapshot_report(
    shot: Snapshot, *, group_id: GroupId | None, expires: datetime | None
) -> SnapshotReport:
    """Return the line of a snapshot that the cloud shows."""
    return SnapshotReport(
        snapshot_id=shot.snapshot_id,
        group_id=group_id,
        disk_id=shot.disk_id,
        status=shot.status.value,
        progress=shot.progress,
        available=shot.available,
        cut=shot.cut,
        cut_time=shot.cut_time,
        expires=expires,
        retention=retention_of(shot, expires=expires, pending=_may_be_pending(shot)),
    )


def _may_be_pending(shot: Snapshot) -> bool:
    return shot.group_id is not None and shot.status is not SnapshotStatus.ACCOMPLISHED
