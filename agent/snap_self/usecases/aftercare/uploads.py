"""What the journal says of a run's uploads: begun, watched, ended; pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from snap_self.model.ids import DiskId, SnapshotId
from snap_self.model.run import RunRecord, Upload, rebooted
from snap_self.model.snapshots import SnapshotStatus

if TYPE_CHECKING:  # only a run that waits pays for the import
    from snap_self.usecases.job.wait import Settled

# A member of a group that has not appeared after so long is not coming.
MEMBERS_APPEAR = timedelta(minutes=10)
# What nobody could find out in so long is not asked for any more.
ASKED_FOR = timedelta(days=7)


def begun(record: RunRecord, boot_id: str) -> Upload | None:
    """Return the upload of what a run had made; None if it made nothing."""
    made = any(order.is_made for order in record.orders)
    return Upload(going_on=True, boot_id=boot_id) if made else None


def goes_on(record: RunRecord) -> bool:
    """Tell whether the end of the run's uploads was not seen yet."""
    return record.upload is not None and record.upload.going_on


def looked_at(
    record: RunRecord,
    shown: Mapping[SnapshotId, SnapshotStatus],
    now: datetime,
    *,
    missing: Collection[DiskId] = (),
    gone: Collection[SnapshotId] = (),
) -> RunRecord:
    """Return the record with the upload ended, if that is what the cloud shows.

    An empty answer may only mean that the role may not look, so what is absent counts as deleted
    beside others that are shown.

    Args:
        missing: disks that the cloud left out of their group for certain.
        gone: snapshots that were shown and are not any more.
    """
    upload = record.upload
    if upload is None or not upload.going_on:
        return record
    ids = record.snapshot_ids
    old = now - record.started > MEMBERS_APPEAR
    absent = [sid for sid in ids if sid not in shown and (old or sid in gone)]
    deleted = absent if shown else []
    failed = [sid for sid in ids if shown.get(sid) is SnapshotStatus.FAILED]
    done = [sid for sid in ids if shown.get(sid) is SnapshotStatus.ACCOMPLISHED]
    seen_all = len(deleted) + len(failed) + len(done) == len(ids)
    awaited = (d for o in record.orders if o.lacks_members for d in o.order.disk_ids)
    known = {disk_id for order in record.orders for disk_id in order.snapshot_ids}
    if seen_all and ids and known.issuperset(d for d in awaited if d not in missing):
        text = _sentence(done, failed, deleted)
    elif now - record.started > ASKED_FOR:
        text = "not known: the cloud did not show them all for a week"
    else:
        return record
    ended = replace(
        upload,
        going_on=False,
        text=text,
        ended=now,
        failed=tuple(failed),
        deleted=tuple(deleted),
        accomplished=len(done) == len(ids) > 0,
    )
    return replace(record, upload=ended)


def settled_upload(record: RunRecord, settled: Settled, now: datetime) -> Upload | None:
    """Return the upload of a run as it is at the end of its wait."""
    known = replace(record, orders=settled.records)
    shown = {shot.snapshot_id: shot.status for shot in settled.snapshots.values()}
    gone = [sid for disk in settled.gone if (sid := settled.snapshot_of(disk))]
    return looked_at(known, shown, now, missing=settled.missing, gone=gone).upload


def _sentence(
    done: Collection[SnapshotId], failed: Collection[SnapshotId], deleted: Collection[SnapshotId]
) -> str:
    parts = []
    if failed:
        parts.append(f"failed, and of no use: {', '.join(failed)}")
    if deleted:
        parts.append(f"deleted by somebody: {', '.join(deleted)}")
    if not parts:
        return "accomplished"
    return "; ".join([*parts, f"accomplished: {', '.join(done)}"] if done else parts)


def news(before: RunRecord, after: RunRecord, boot_id: str) -> str:
    """Return what to tell people of an upload that did not go as it should; empty if nothing."""
    upload, run = after.upload, after.label
    if upload is None or not goes_on(before):
        return ""
    restarted = rebooted(upload.boot_id, boot_id)
    if upload.going_on:
        if not restarted:
            return ""
        return (
            f"{run}: this instance was restarted while its snapshots were being uploaded, which "
            "can spoil them; the upload is not finished yet"
        )
    if upload.accomplished:
        if not restarted:
            return ""
        return (
            f"{run}: this instance was restarted while its snapshots were being uploaded; they "
            "are accomplished all the same"
        )
    cause = "; this instance was restarted meanwhile" if restarted else ""
    return f"{run}: its snapshots: {upload.text}{cause}"
