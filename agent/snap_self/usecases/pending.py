"""What only time makes possible: see uploads end, and give group members their retention.

Any command does it on the way, and the follower does it without being asked.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from snap_self.cloud.client import EcsClient
from snap_self.errors import (
    ApiFault,
    CloudThrottled,
    CloudUnreachable,
    CredentialsError,
    DiskNotReady,
)
from snap_self.model.ids import InstanceId, SnapshotId
from snap_self.model.run import OrderRecord, RetentionTries, RunRecord, Stage
from snap_self.model.snapshots import SnapshotStatus
from snap_self.usecases.aftercare import RETENTION_S, with_members
from snap_self.usecases.tools import Tools
from snap_self.usecases.uploads import (
    MEMBERS_APPEAR,
    goes_on,
    lacks_members,
    looked_at,
    made_ids,
    news,
)

# A refusal lasts until somebody changes the role, so it is met ever more rarely and then no more.
MOST_TRIES = 6
FIRST_PAUSE = timedelta(minutes=10)
# Somebody keeps the snapshot for longer than we would, which is theirs to say.
KEPT_LONGER = "InvalidOperation.DecreaseRetentionDaysUnsupported"


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """What a look at the cloud found.

    Args:
        records: each as it was and as it is now.
        shown: how many of the snapshots asked for the cloud shows.
    """

    records: tuple[tuple[RunRecord, RunRecord], ...]
    shown: int


Shown = Mapping[SnapshotId, SnapshotStatus]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending:
    """What is left to be done.

    Args:
        left: how many group members lack their retention.
        given_up: how many of them are not tried any more.
        refused: what the cloud said when the retention was refused last; empty if it was not.
        news: uploads that did not go as they should, in words.
    """

    left: int = 0
    given_up: int = 0
    refused: str = ""
    news: tuple[str, ...] = ()


def finish_pending(
    tools: Tools, cloud: EcsClient, instance_id: InstanceId, *, insist: bool = False
) -> Pending:
    """Do what has become possible since, note it in the journal, and return what is left.

    Call it only while holding the lock. A role without ecs:ModifySnapshotAttribute leaves members
    without retention; the expiry tag still says when they are due.

    Args:
        instance_id: of this instance; a journal that was copied with its disk names others, whose
            snapshots are none of ours.
        insist: also try what was refused too often, once more.
    """
    own = (record for record in tools.store.all() if record.instance_id == instance_id)
    waiting = [record for record in own if is_waiting(record)]
    looked = look(tools, cloud, waiting, insist=insist).records
    for before, after in looked:
        if after != before:
            tools.store.save(after)
    boot_id = tools.process.boot_id
    words = (news(before, after, boot_id) for before, after in looked)
    return replace(_left([after for _, after in looked]), news=tuple(filter(None, words)))


def _left(records: Sequence[RunRecord]) -> Pending:
    refused = (r.retention.why for r in records if r.retention and _unset(r))
    return Pending(
        left=sum(len(_unset(record)) for record in records),
        given_up=sum(len(_unset(record)) for record in records if _given_up(record)),
        refused=next(refused, ""),
    )


def is_waiting(record: RunRecord) -> bool:
    """Tell whether something of a run is left to be done."""
    if goes_on(record) or _unset(record):
        return True
    return _wants_retention(record) and any(map(lacks_members, record.orders))


def look(
    tools: Tools, cloud: EcsClient, records: Sequence[RunRecord], *, insist: bool = False
) -> Looked:
    """Ask the cloud how far it is, set what retention can be, and return each record's change."""
    now = tools.clock.now()
    tried = [record for record in records if insist or goes_on(record) or not _given_up(record)]
    known = {record.run_id: _late_members(cloud, record, now) for record in tried}
    ids = dict.fromkeys(sid for r in known.values() for sid in _asked_for(r))
    shown = {shot.snapshot_id: shot.status for shot in cloud.describe_snapshots(ids=list(ids))}
    due = [r for r in known.values() if insist or _may_try(r, now)]
    done, refused = _retain_all(cloud, due, shown)
    looked = []
    for record in records:
        after = known.get(record.run_id, record)
        if why := next((refused[sid] for sid in _unset(after) if sid in refused), ""):
            after = _refused_again(after, why, now)
        after = _without(after, done | _gone(after, shown, now)) if record in tried else record
        looked.append((record, looked_at(after, shown, now)))
    return Looked(records=tuple(looked), shown=len(shown))


def _asked_for(record: RunRecord) -> tuple[SnapshotId, ...]:
    return made_ids(record) if goes_on(record) else _unset(record)


def _wants_retention(record: RunRecord) -> bool:
    return record.keep_days is not None and record.stage is Stage.FINISHED


def _unset(record: RunRecord) -> tuple[SnapshotId, ...]:
    """Return the group members that still lack the retention asked for."""
    if record.keep_days is None:
        return ()
    return tuple(sid for order in record.orders for sid in order.retention_pending)


def _given_up(record: RunRecord) -> bool:
    return record.retention is not None and record.retention.count >= MOST_TRIES


def _may_try(record: RunRecord, now: datetime) -> bool:
    tries = record.retention
    if tries is None:
        return True
    return not _given_up(record) and now - tries.last >= FIRST_PAUSE * 2 ** (tries.count - 1)


def _refused_again(record: RunRecord, why: str, now: datetime) -> RunRecord:
    count = record.retention.count if record.retention else 0
    return replace(record, retention=RetentionTries(count=count + 1, last=now, why=why))


def _is_ready(snapshot_id: SnapshotId, shown: Shown) -> bool:
    return shown.get(snapshot_id) is SnapshotStatus.ACCOMPLISHED


def _late_members(cloud: EcsClient, record: RunRecord, now: datetime) -> RunRecord:
    """Return the record with the members that its groups have by now, noted as pending."""
    if not (goes_on(record) or _wants_retention(record)):
        return record
    young = [order for order in record.orders if lacks_members(order)]
    seen = {order.group_id: order for order in with_members(cloud, young)} if young else {}
    final = now - record.started > MEMBERS_APPEAR
    orders = []
    for order in record.orders:
        found = seen.get(order.group_id) if order.group_id else None
        if found is not None:
            late = (s for d, s in found.snapshot_ids.items() if d not in order.snapshot_ids)
            pending = (*order.retention_pending, *late) if record.keep_days is not None else ()
            order = replace(found, retention_pending=pending, members_final=final)
        orders.append(order)
    return replace(record, orders=tuple(orders))


def _retain_all(
    cloud: EcsClient, records: Iterable[RunRecord], shown: Shown
) -> tuple[set[SnapshotId], Mapping[SnapshotId, str]]:
    """Return the snapshots that need no retention any more, and why others were refused it.

    But for a busy disk: while one snapshot of it is being made, none can be modified.
    """
    done: set[SnapshotId] = set()
    refused: dict[SnapshotId, str] = {}
    unset = ((sid, record.keep_days or 0) for record in records for sid in _unset(record))
    due = [(sid, keep_days) for sid, keep_days in unset if _is_ready(sid, shown)]
    for snapshot_id, keep_days in due:
        try:
            cloud.set_retention(snapshot_id, keep_days, deadline_s=RETENTION_S)
        except DiskNotReady:
            continue
        except (CloudThrottled, CloudUnreachable):
            break
        except CredentialsError as error:
            # The others would meet the same.
            refused |= {sid: error.message for sid, _ in due if sid not in done}
            break
        except ApiFault as error:
            if error.api_code != KEPT_LONGER:
                refused[snapshot_id] = error.message
                continue
        done.add(snapshot_id)
    return done, refused


def _gone(record: RunRecord, shown: Shown, now: datetime) -> set[SnapshotId]:
    """Return the pending snapshots that need no retention any more.

    An empty answer may only mean that the role may not look, so absence counts beside others
    that are shown, or when the snapshot is due anyway.
    """
    due = record.expires is not None and record.expires < now
    old = now - record.started > MEMBERS_APPEAR
    unset = _unset(record)
    absent = {sid for sid in unset if sid not in shown} if due or (shown and old) else ()
    failed = {sid for sid in unset if shown.get(sid) is SnapshotStatus.FAILED}
    return failed.union(absent)


def _without(record: RunRecord, settled: Collection[SnapshotId]) -> RunRecord:
    def left(order: OrderRecord) -> tuple[SnapshotId, ...]:
        return tuple(sid for sid in order.retention_pending if sid not in settled)

    orders = tuple(replace(order, retention_pending=left(order)) for order in record.orders)
    return replace(record, orders=orders)
