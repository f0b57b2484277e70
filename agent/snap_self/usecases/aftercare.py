"""What a run leaves to be done later: explain interrupted runs, set retention on group members."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta

from snap_self.cloud.client import EcsClient
from snap_self.errors import PreconditionRefused, SnapSelfError
from snap_self.model.ids import DiskId, SnapshotId
from snap_self.model.progress import Event, EventKind
from snap_self.model.run import OrderRecord, RunRecord, Stage
from snap_self.model.snapshots import CONSISTENCY_TAG, Consistency, SnapshotStatus
from snap_self.plan import is_held
from snap_self.usecases.making import adopt
from snap_self.usecases.outcomes import explain_lost_commands
from snap_self.usecases.resuming import INTERRUPTED
from snap_self.usecases.tools import Tools
from snap_self.usecases.waiting import Settled

# Setting a retention is never worth a throttled minute: a later command does it as well.
RETENTION_S = 10.0
# A member of a group that has not appeared after so long is not coming.
MEMBERS_APPEAR = timedelta(minutes=10)


def explain_interrupted(
    tools: Tools, cloud: EcsClient, *, but: RunRecord | None
) -> tuple[RunRecord, ...]:
    """Close the records of runs that were interrupted, each with what is known of its snapshots.

    Call it only while holding the lock: its holder knows that an unfinished run is dead.

    Args:
        but: a record that is about to be finished instead.
    """
    explained = []
    for record in tools.store.unfinished():
        if but is not None and record.run_id == but.run_id:
            continue
        if record.stage is Stage.COMMAND:
            lost = explain_lost_commands(tools, record)
            if lost is None:
                continue
            closed = lost
        else:
            closed = _explained(tools, cloud, record)
        tools.store.save(closed)
        explained.append(closed)
        tools.listener(Event(kind=EventKind.WARNING, text=closed.explained))
    return tuple(explained)


def _explained(tools: Tools, cloud: EcsClient, record: RunRecord) -> RunRecord:
    orders = record.orders
    if record.stage is not Stage.PLANNED:
        orders = adopt(cloud, record.run_id, record.orders)
        orders = _retention_noted(_with_members(cloud, orders), record)
    return replace(
        record,
        orders=orders,
        stage=Stage.FINISHED,
        finished=tools.clock.now(),
        result=INTERRUPTED,
        explained=_sentence(record, orders),
    )


def _with_members(cloud: EcsClient, orders: Sequence[OrderRecord]) -> tuple[OrderRecord, ...]:
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
        kept = "were made and are kept" if len(made) > 1 else "was made and is kept"
        unmade = [d for o in orders if not (o.group_id or o.snapshot_ids) for d in o.order.disk_ids]
        lacking = f"; none of {', '.join(unmade)} is known" if unmade else ""
        return f"{run} after it had asked the cloud: {', '.join(made)} {kept}{lacking}"
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


def finish_pending(tools: Tools, cloud: EcsClient) -> int:
    """Set what retention has become possible since; return how many snapshots still lack it.

    A role without ecs:ModifySnapshotAttribute leaves them pending until they are due; the expiry
    tag still says when that is.
    """
    waiting = [
        r for r in tools.store.all() if _pending(r) or any(_lacks_members(r, o) for o in r.orders)
    ]
    if not waiting:
        return 0
    now = tools.clock.now()
    known = {record.run_id: _late_members(cloud, record, now) for record in waiting}
    ids = [sid for record in known.values() for sid in _pending(record)]
    shown = {shot.snapshot_id: shot.status for shot in cloud.describe_snapshots(ids=ids)}
    done = _retain_all(cloud, known.values(), shown)
    left = 0
    for record in waiting:
        mended = _without(known[record.run_id], done | _gone(known[record.run_id], shown, now))
        left += len(_pending(mended))
        if mended != record:
            tools.store.save(mended)
    return left


def _pending(record: RunRecord) -> tuple[SnapshotId, ...]:
    if record.keep_days is None:
        return ()
    return tuple(sid for order in record.orders for sid in order.retention_pending)


def _lacks_members(record: RunRecord, order: OrderRecord) -> bool:
    """Tell whether members may have appeared since, which have no retention then."""
    return bool(
        record.keep_days is not None
        and record.stage is Stage.FINISHED
        and order.group_id
        and not order.members_final
        and len(order.snapshot_ids) < len(order.order.disk_ids)
    )


def _late_members(cloud: EcsClient, record: RunRecord, now: datetime) -> RunRecord:
    """Return the record with the members that its groups have by now, noted as pending."""
    young = [order for order in record.orders if _lacks_members(record, order)]
    seen = {order.group_id: order for order in _with_members(cloud, young)} if young else {}
    final = now - record.started > MEMBERS_APPEAR
    orders = []
    for order in record.orders:
        found = seen.get(order.group_id) if order.group_id else None
        if found is not None:
            late = (s for d, s in found.snapshot_ids.items() if d not in order.snapshot_ids)
            pending = (*order.retention_pending, *late)
            order = replace(found, retention_pending=pending, members_final=final)
        orders.append(order)
    return replace(record, orders=tuple(orders))


def _retain_all(
    cloud: EcsClient, records: Iterable[RunRecord], shown: Mapping[SnapshotId, SnapshotStatus]
) -> set[SnapshotId]:
    """Return the snapshots that have their retention now; the first refusal ends it.

    But for a busy disk: while one snapshot of it is being made, none can be modified.
    """
    done: set[SnapshotId] = set()
    due = ((sid, record.keep_days or 0) for record in records for sid in _pending(record))
    for snapshot_id, keep_days in due:
        if shown.get(snapshot_id) is not SnapshotStatus.ACCOMPLISHED:
            continue
        try:
            cloud.set_retention(snapshot_id, keep_days, deadline_s=RETENTION_S)
        except PreconditionRefused:
            continue
        except SnapSelfError:
            break
        done.add(snapshot_id)
    return done


def _gone(
    record: RunRecord, shown: Mapping[SnapshotId, SnapshotStatus], now: datetime
) -> set[SnapshotId]:
    """Return the pending snapshots that need no retention any more.

    An empty answer may only mean that the role may not look, so absence counts beside others
    that are shown, or when the snapshot is due anyway.
    """
    due = record.expires is not None and record.expires < now
    old = now - record.started > MEMBERS_APPEAR
    absent = {sid for sid in _pending(record) if sid not in shown} if due or (shown and old) else ()
    failed = {sid for sid in _pending(record) if shown.get(sid) is SnapshotStatus.FAILED}
    return failed.union(absent)


def _without(record: RunRecord, settled: AbstractSet[SnapshotId]) -> RunRecord:
    return replace(
        record,
        orders=tuple(
            replace(
                order,
                retention_pending=tuple(s for s in order.retention_pending if s not in settled),
            )
            for order in record.orders
        ),
    )
