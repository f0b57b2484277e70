"""What a run leaves behind: an interrupted one is explained, a proved level is tagged."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace

from snap_self.cloud.client import EcsClient
from snap_self.errors import ApiFault, CloudUnreachable, SnapSelfError
from snap_self.model.ids import DiskId, InstanceId, SnapshotId
from snap_self.model.progress import Event, EventKind
from snap_self.model.run import OrderRecord, RunRecord, Stage
from snap_self.model.snapshots import CONSISTENCY_TAG, Consistency, SnapshotStatus
from snap_self.plan import is_held
from snap_self.usecases.making import adopt
from snap_self.usecases.outcomes import explain_lost_commands
from snap_self.usecases.resuming import INTERRUPTED
from snap_self.usecases.tools import Tools
from snap_self.usecases.uploads import begun
from snap_self.usecases.waiting import Settled

# Setting a retention is never worth a throttled minute: a later command does it as well.
RETENTION_S = 10.0


def explain_interrupted(
    tools: Tools,
    cloud: EcsClient,
    instance_id: InstanceId,
    *,
    but: RunRecord | None,
    tell: bool = True,
) -> tuple[RunRecord, ...]:
    """Close the records of runs that were interrupted, each with what is known of its snapshots.

    Call it only while holding the lock: its holder knows that an unfinished run is dead. What the
    cloud tells nothing of now is told of, and left as it is for a later command.

    Args:
        but: a record that is about to be finished instead.
        tell: tell the listener; a caller that shows what is returned does not want it twice.
    """
    explained = []
    mute = ""
    for record in _left_to_others(tools, instance_id):
        tools.store.save(record)
        explained.append(record)
        if tell:
            tools.listener(Event(kind=EventKind.NOTE, text=record.explained))
    for record in tools.store.unfinished():
        if but is not None and record.run_id == but.run_id:
            continue
        closed: RunRecord | None = None
        if record.stage is Stage.COMMAND:
            closed = explain_lost_commands(tools, record)
            if closed is None:
                continue
        elif not mute or record.stage is Stage.PLANNED:
            try:
                closed = _explained(tools, cloud, record)
            except (ApiFault, CloudUnreachable) as error:
                # Not asked for the next one again: each answer may be long in coming.
                mute = error.message
        if closed:
            tools.store.save(closed)
        else:
            closed = _untold(record, mute)
        explained.append(closed)
        if tell:
            tools.listener(Event(kind=EventKind.WARNING, text=closed.explained))
    return tuple(explained)


def _left_to_others(tools: Tools, instance_id: InstanceId) -> Iterator[RunRecord]:
    """Yield the open records of other instances, closed.

    A disk made from a snapshot holds the journal as it was at the cut, with that very run in it.
    """
    open_records = {r.run_id: r for r in (*tools.store.unfinished(), *tools.store.uploading())}
    for record in open_records.values():
        if record.instance_id == instance_id:
            continue
        whose = f"not known here: it is a matter of {record.instance_id}"
        now, upload = tools.clock.now(), record.upload
        if upload and upload.going_on:
            upload = replace(upload, going_on=False, text=whose, ended=now)
        yield replace(
            explain_lost_commands(tools, record) or record,
            upload=upload,
            stage=Stage.FINISHED,
            finished=record.finished or now,
            result=record.result or INTERRUPTED,
            explained=f"run {record.run_id} (before {record.before!r}) is left alone: it is of "
            f"{record.instance_id}, from which the journal here was copied",
        )


def _explained(tools: Tools, cloud: EcsClient, record: RunRecord) -> RunRecord:
    orders = record.orders
    if record.stage is not Stage.PLANNED:
        orders = adopt(cloud, record.run_id, record.orders)
        orders = _retention_noted(with_members(cloud, orders), record)
    made = replace(record, orders=orders)
    return replace(
        made,
        upload=record.upload or begun(made, record.boot_id),
        stage=Stage.FINISHED,
        finished=tools.clock.now(),
        result=INTERRUPTED,
        explained=_sentence(record, orders),
    )


def _untold(record: RunRecord, why: str) -> RunRecord:
    """Return the record, still open, with why nothing can be said of it."""
    run = f"run {record.run_id} (before {record.before!r})"
    return replace(
        record, explained=f"{run} was interrupted; what became of it cannot be told now: {why}"
    )


def with_members(cloud: EcsClient, orders: Sequence[OrderRecord]) -> tuple[OrderRecord, ...]:
    """Return the orders with the members that their groups have by now."""
    ids = [order.group_id for order in orders if order.group_id]
    if not ids:
        return tuple(orders)
    members = {
        group.group_id: {m.disk_id: m.snapshot_id for m in group.members}
        for group in cloud.describe_groups(ids=ids)
    }
    return tuple(
        replace(order, snapshot_ids={**order.snapshot_ids, **members.get(order.group_id, {})})
        if order.group_id
        else order
        for order in orders
    )


def _retention_noted(orders: Sequence[OrderRecord], record: RunRecord) -> tuple[OrderRecord, ...]:
    """Note the members of groups as still without the retention that only they can be given."""
    if record.keep_days is None:
        return tuple(orders)
    return tuple(
        replace(order, retention_pending=tuple(order.snapshot_ids.values()))
        if order.order.grouped
        else order
        for order in orders
    )


def _sentence(record: RunRecord, orders: Sequence[OrderRecord]) -> str:
    run = f"run {record.run_id} (before {record.before!r}) was interrupted"
    made: list[str] = [s for order in orders for s in order.snapshot_ids.values()]
    made += [o.group_id for o in orders if o.group_id and not o.snapshot_ids]
    if made:
        unmade = [d for o in orders if not (o.group_id or o.snapshot_ids) for d in o.order.disk_ids]
        lacking = f"; none of {', '.join(unmade)} is known" if unmade else ""
        # They may fail yet, so no more is said of them.
        return f"{run} after it had asked the cloud for {', '.join(made)}{lacking}"
    if record.stage is Stage.PLANNED:
        return f"{run} before it asked the cloud for anything; no snapshot was made"
    return (
        f"{run} while it was asking the cloud; no snapshot of it can be seen so far. If one "
        "appears later, `snap-self list` shows it"
    )


def tag_level(cloud: EcsClient, settled: Settled, level: Consistency | None) -> None:
    """Tag the snapshots with a level that was proved only after they were asked for.

    They were made with the level the flush had proved, which stays on them if the role may not
    tag: the tag then says less than the journal, never more.
    """
    ids = [sid for record in settled.records for sid in record.snapshot_ids.values()]
    if level is None or not is_held(level) or not ids:
        return
    with suppress(SnapSelfError):
        cloud.tag_snapshots(ids, {CONSISTENCY_TAG: level.value})


def set_retention(
    cloud: EcsClient, settled: Settled, keep_days: int | None
) -> tuple[OrderRecord, ...]:
    """Set the retention of group members that are uploaded; note the others as pending."""
    if keep_days is None:
        return settled.records
    done = {
        disk_id
        for disk_id, shot in settled.snapshots.items()
        if shot.status is SnapshotStatus.ACCOMPLISHED
    }
    return tuple(_retained(cloud, record, keep_days, done) for record in settled.records)


def _retained(
    cloud: EcsClient, record: OrderRecord, keep_days: int, done: set[DiskId]
) -> OrderRecord:
    if not record.group_id:
        return record
    pending = [
        snapshot_id
        for disk_id, snapshot_id in record.snapshot_ids.items()
        if disk_id not in done or not _set(cloud, snapshot_id, keep_days)
    ]
    return replace(record, retention_pending=tuple(pending))


def _set(cloud: EcsClient, snapshot_id: SnapshotId, keep_days: int) -> bool:
    """Tell whether the retention could be set; if not it stays pending for a later command."""
    try:
        cloud.set_retention(snapshot_id, keep_days, deadline_s=RETENTION_S)
    except SnapSelfError:
        return False
    return True
