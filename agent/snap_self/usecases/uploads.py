"""What the journal says of a run's uploads: begun, watched, ended; pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from snap_self.model.ids import DiskId, SnapshotId
from snap_self.model.run import OrderRecord, RunRecord, Upload
from snap_self.model.snapshots import SnapshotStatus

# A member of a group that has not appeared after so long is not coming.
MEMBERS_APPEAR = timedelta(minutes=10)
# What nobody could find out in so long is not asked for any more.
ASKED_FOR = timedelta(days=7)
ACCOMPLISHED = "accomplished"


def begun(record: RunRecord, boot_id: str) -> Upload | None:
    """Return the upload of what a run had made; None if it made nothing."""
    made = any(order.group_id or order.snapshot_ids for order in record.orders)
    return Upload(going_on=True, boot_id=boot_id) if made else None


def goes_on(record: RunRecord) -> bool:
    """Tell whether the end of the run's uploads was not seen yet."""
    return record.upload is not None and record.upload.going_on


def lacks_members(order: OrderRecord) -> bool:
    """Tell whether members of its group may still appear."""
    known = len(order.snapshot_ids) >= len(order.order.disk_ids)
    return bool(order.group_id) and not order.members_final and not known


def made_ids(record: RunRecord) -> tuple[SnapshotId, ...]:
    """Return the snapshots that are known of a run."""
    return tuple(sid for order in record.orders for sid in order.snapshot_ids.values())


def looked_at(
    record: RunRecord,
    shown: Mapping[SnapshotId, SnapshotStatus],
    now: datetime,
    *,
    missing: Collection[DiskId] = (),
) -> RunRecord:
    """Return the record with the upload ended, if that is what the cloud shows.

    An empty answer may only mean that the role may not look, so what is absent counts as deleted
    beside others that are shown.

    Args:
        missing: disks that the cloud left out of their group for certain.
    """
    upload = record.upload
    if upload is None or not upload.going_on:
        return record
    ids = made_ids(record)
    old = now - record.started > MEMBERS_APPEAR
    gone = [sid for sid in ids if sid not in shown] if shown and old else []
    failed = [sid for sid in ids if shown.get(sid) is SnapshotStatus.FAILED]
    done = [sid for sid in ids if shown.get(sid) is SnapshotStatus.ACCOMPLISHED]
    seen_all = len(gone) + len(failed) + len(done) == len(ids)
    awaited = (d for o in record.orders if lacks_members(o) for d in o.order.disk_ids)
    known = {disk_id for order in record.orders for disk_id in order.snapshot_ids}
    if seen_all and ids and known.issuperset(d for d in awaited if d not in missing):
        text = _sentence(done, failed, gone)
    elif now - record.started > ASKED_FOR:
        text = "not known: the cloud did not show them all for a week"
    else:
        return record
    ended = replace(upload, going_on=False, text=text, ended=now, failed=tuple(failed))
    return replace(record, upload=ended)


def _sentence(
    done: Collection[SnapshotId], failed: Collection[SnapshotId], gone: Collection[SnapshotId]
) -> str:
    parts = []
    if failed:
        parts.append(f"failed, and of no use: {', '.join(failed)}")
    if gone:
        parts.append(f"deleted by somebody: {', '.join(gone)}")
    if not parts:
        return ACCOMPLISHED
    return "; ".join([*parts, f"{ACCOMPLISHED}: {', '.join(done)}"] if done else parts)


def news(before: RunRecord, after: RunRecord, boot_id: str) -> str:
    """Return what to tell people of an upload that did not go as it should; empty if nothing."""
    upload, run = after.upload, f"run {after.run_id} (before {after.before!r})"
    if upload is None or not goes_on(before):
        return ""
    restarted = upload.boot_id != boot_id
    if upload.going_on:
        if not restarted:
            return ""
        return (
            f"{run}: this instance was restarted while its snapshots were being uploaded, which "
            "can spoil them; the upload is not finished yet"
        )
    if upload.text == ACCOMPLISHED:
        if not restarted:
            return ""
        return (
            f"{run}: this instance was restarted while its snapshots were being uploaded; they "
            "are accomplished all the same"
        )
    cause = "; this instance was restarted meanwhile" if restarted else ""
    return f"{run}: its snapshots: {upload.text}{cause}"
