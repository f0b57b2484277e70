"""What only time makes possible: see uploads end, and give group members their retention.

The follower does it without being asked, and commands that change something do it after their own
work. Those that only show note what they have seen, and ask nothing more.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol

from snap_self.cloud.client import EcsClient
from snap_self.errors import SnapSelfError
from snap_self.model.ids import DiskId, GroupId, InstanceId, RunId, SnapshotId
from snap_self.model.run import OrderRecord, RunRecord, Stage
from snap_self.model.snapshots import Snapshot, SnapshotGroup, SnapshotStatus
from snap_self.usecases.aftercare.retention import (
    Retained,
    refused_words,
    retain,
    tagged,
    tries_after,
)
from snap_self.usecases.aftercare.uploads import (
    MEMBERS_APPEAR,
    goes_on,
    looked_at,
    news,
)
from snap_self.usecases.inventory.members import Members, learn_members, members_of
from snap_self.usecases.tools import Tools

# A refusal lasts until somebody changes the role, so it is met ever more rarely and then no more.
MOST_TRIES = 6
FIRST_PAUSE = timedelta(minutes=10)
ON_THE_WAY_S = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """What a look at the cloud found.

    Args:
        records: each as it was and as it is now.
        shown: how many of the snapshots asked for the cloud shows.
        remaining_s: until the first upload ends, by the cloud's guess; None without one.
    """

    records: tuple[tuple[RunRecord, RunRecord], ...]
    shown: int
    remaining_s: int | None = None


Shown = Mapping[SnapshotId, SnapshotStatus]


class Answers(Protocol):
    """What the cloud shows of snapshots and groups."""

    def shots(self, ids: Sequence[SnapshotId]) -> Sequence[Snapshot]:
        """Return those of these snapshots that are shown."""

    def members(self, ids: Sequence[GroupId]) -> Members:
        """Return the members that these groups have by now."""


@dataclass(frozen=True, slots=True)
class Asked:
    """The cloud is asked."""

    cloud: EcsClient

    def shots(self, ids: Sequence[SnapshotId]) -> Sequence[Snapshot]:
        """Return those of these snapshots that are shown."""
        return self.cloud.describe_snapshots(ids=ids)

    def members(self, ids: Sequence[GroupId]) -> Members:
        """Return the members that these groups have by now."""
        return members_of(self.cloud, ids)


@dataclass(frozen=True, slots=True)
class Seen:
    """Everything of this instance's own has just been shown, so nothing is asked again."""

    by_id: Mapping[SnapshotId, Snapshot]
    groups: Sequence[SnapshotGroup]

    def shots(self, ids: Sequence[SnapshotId]) -> Sequence[Snapshot]:
        """Return those of these snapshots that are shown."""
        return [self.by_id[sid] for sid in ids if sid in self.by_id]

    def members(self, ids: Sequence[GroupId]) -> Members:
        """Return the members that these groups have by now."""
        return {
            group.group_id: {
                disk_id: member
                for member in group.members
                if (disk_id := member.disk_id or self._disk(member.snapshot_id))
            }
            for group in self.groups
            if group.group_id in ids
        }

    def _disk(self, snapshot_id: SnapshotId) -> DiskId:
        shot = self.by_id.get(snapshot_id)
        return shot.disk_id if shot else DiskId("")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending:
    """What is left to be done.

    Args:
        left: how many group members lack their retention.
        given_up: how many of them are not tried any more.
        refused: what the cloud said when the retention was refused last; empty if it was not.
        mend: what is to be done about that, as far as it is known.
        refusals: for each run that lacks a retention because of it, whose and why, in words.
        news: uploads that did not go as they should, in words.
    """

    left: int = 0
    given_up: int = 0
    refused: str = ""
    mend: str = ""
    refusals: tuple[str, ...] = ()
    news: tuple[str, ...] = ()


def finish_pending(
    tools: Tools,
    cloud: EcsClient,
    instance_id: InstanceId,
    *,
    insist: bool = False,
    but: RunId | None = None,
) -> Pending:
    """Do what has become possible since, note it in the journal, and return what is left.

    Call it only while holding the lock. A role without ecs:ModifySnapshotAttribute leaves members
    without retention; the expiry tag still says when they are due.

    Args:
        instance_id: of this instance; a journal that was copied with its disk names others, whose
            snapshots are none of ours.
        insist: also try what was refused too often, once more.
        but: the run that is going on, which sees to its own.
    """
    waiting = _waiting(tools, instance_id, but)
    return _noted(tools, look(tools, cloud, waiting, insist=insist))


def see_to_retention(tools: Tools, cloud: EcsClient, instance_id: InstanceId) -> tuple[str, ...]:
    """Finish what is left where there is something; return what a person is to be told of it.

    It is done on the way, so it takes seconds at most. Call it only while holding the lock.
    """
    if not left_undone(tools, instance_id).left:
        return ()
    with suppress(SnapSelfError):
        return finish_pending(tools, cloud.in_passing(ON_THE_WAY_S), instance_id).refusals
    return ()


def may_retain(tools: Tools, instance_id: InstanceId) -> bool:
    """Tell whether the journal knows of a retention that may be tried now; nothing is asked."""
    now = tools.clock.now()
    waiting = _waiting(tools, instance_id, None)
    return any(_unset(record) and _may_try(record, now) for record in waiting)


def note_seen(tools: Tools, seen: Answers, instance_id: InstanceId) -> Pending:
    """Note in the journal what has been seen of earlier runs, and return what is left.

    Call it only while holding the lock.
    """
    waiting = _waiting(tools, instance_id, None)
    return _noted(tools, _looked(tools, seen, waiting, cloud=None, insist=False))


def _noted(tools: Tools, looked: Looked) -> Pending:
    for before, after in looked.records:
        if after != before:
            tools.store.save(after)
    boot_id = tools.process.boot_id
    words = (news(before, after, boot_id) for before, after in looked.records)
    left = _left([after for _, after in looked.records])
    return replace(left, news=tuple(filter(None, words)))


def left_undone(tools: Tools, instance_id: InstanceId, *, but: RunId | None = None) -> Pending:
    """Return what the journal knows to be left; nothing is asked or changed."""
    return _left(_waiting(tools, instance_id, but))


def _waiting(tools: Tools, instance_id: InstanceId, but: RunId | None) -> list[RunRecord]:
    own = (record for record in tools.store.all() if record.instance_id == instance_id)
    return [record for record in own if record.run_id != but and is_waiting(record)]


def _left(records: Sequence[RunRecord]) -> Pending:
    refused = [(r, r.retention) for r in records if r.retention and _unset(r)]
    return Pending(
        left=sum(len(_unset(record)) for record in records),
        given_up=sum(len(_unset(record)) for record in records if _given_up(record)),
        refused=next((tries.why for _, tries in refused), ""),
        mend=next((tries.mend for _, tries in refused), ""),
        refusals=tuple(
            f"run {record.run_id}: {refused_words(_unset(record), tries.why, tries.mend)}"
            for record, tries in refused
        ),
    )


def is_waiting(record: RunRecord) -> bool:
    """Tell whether something of a run is left to be done."""
    if goes_on(record) or _unset(record):
        return True
    return _wants_retention(record) and any(order.lacks_members for order in record.orders)


def look(
    tools: Tools, cloud: EcsClient, records: Sequence[RunRecord], *, insist: bool = False
) -> Looked:
    """Ask the cloud how far it is, set what retention can be, and return each record's change."""
    return _looked(tools, Asked(cloud), records, cloud=cloud, insist=insist)


def _looked(
    tools: Tools,
    answers: Answers,
    records: Sequence[RunRecord],
    *,
    cloud: EcsClient | None,
    insist: bool,
) -> Looked:
    """Return each record's change.

    Args:
        cloud: sets retentions; None to leave them to others.
    """
    now = tools.clock.now()
    tried = [record for record in records if insist or goes_on(record) or not _given_up(record)]
    known = {record.run_id: _late_members(answers, record, now) for record in tried}
    ids = dict.fromkeys(sid for r in known.values() for sid in _asked_for(r))
    shots = answers.shots(list(ids))
    shown = {shot.snapshot_id: shot.status for shot in shots}
    retained = Retained()
    if cloud is not None:
        due = [r for r in known.values() if insist or _may_try(r, now)]
        retained = _retain_all(cloud, due, shots)
    looked = []
    for record in records:
        after = known.get(record.run_id, record)
        refusals = (retained.refused[sid] for sid in _unset(after) if sid in retained.refused)
        if refusal := next(refusals, None):
            after = replace(after, retention=tries_after(after.retention, refusal, now))
        if record in tried:
            after = _without(after, retained.done | _gone(after, shown, now))
        else:
            after = record
        looked.append((record, looked_at(after, shown, now)))
    guesses = [shot.remaining_s for shot in shots if shot.remaining_s is not None]
    remaining_s = min(guesses, default=None)
    return Looked(records=tuple(looked), shown=len(shown), remaining_s=remaining_s)


def _asked_for(record: RunRecord) -> tuple[SnapshotId, ...]:
    return record.snapshot_ids if goes_on(record) else _unset(record)


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


def _late_members(answers: Answers, record: RunRecord, now: datetime) -> RunRecord:
    """Return the record with the members that its groups have by now, noted as pending."""
    if not (goes_on(record) or _wants_retention(record)):
        return record
    known, _ = learn_members(record.orders, answers.members)
    final = now - record.started > MEMBERS_APPEAR
    orders = []
    for order, found in zip(record.orders, known, strict=True):
        if order.lacks_members:
            late = (s for d, s in found.snapshot_ids.items() if d not in order.snapshot_ids)
            pending = (*order.retention_pending, *late) if record.keep_days is not None else ()
            found = replace(found, retention_pending=pending, members_final=final)
        orders.append(found)
    return replace(record, orders=tuple(orders))


def _retain_all(
    cloud: EcsClient, records: Iterable[RunRecord], shots: Sequence[Snapshot]
) -> Retained:
    """Set what retention can be set of these runs' members."""
    ready = {s.snapshot_id for s in shots if s.status is SnapshotStatus.ACCOMPLISHED}
    unset = ((sid, record.keep_days or 0) for record in records for sid in _unset(record))
    return retain(cloud, [(s, days) for s, days in unset if s in ready], own=tagged(shots))


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
