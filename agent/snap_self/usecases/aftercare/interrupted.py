"""What a run leaves behind: an interrupted one is explained, a proved level is tagged."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace

from snap_self.cloud.client import EcsClient
from snap_self.errors import ApiFault, CloudUnreachable, SnapSelfError
from snap_self.model.asked import CutUnseen
from snap_self.model.ids import InstanceId, RunId
from snap_self.model.progress import Event, EventKind
from snap_self.model.result import Result
from snap_self.model.run import OrderRecord, RunRecord, Stage, rebooted
from snap_self.model.snapshots import CONSISTENCY_TAG, Consistency, Identity, SnapshotStatus
from snap_self.recovery.went_back import return_words
from snap_self.usecases.aftercare.commands import explain_lost_commands
from snap_self.usecases.aftercare.going_back import returned, tell_log
from snap_self.usecases.aftercare.manifests import forget_outlived, forget_strays
from snap_self.usecases.aftercare.pending import finish_pending, left_undone
from snap_self.usecases.aftercare.uploads import begun
from snap_self.usecases.inventory.members import members_of, with_members
from snap_self.usecases.job.create import adopt
from snap_self.usecases.job.look import Survey
from snap_self.usecases.job.wait import Settled
from snap_self.usecases.tools import Tools

# What is done for earlier runs keeps nobody waiting for longer.
AFTERCARE_S = 3.0


def explain_interrupted(
    tools: Tools,
    cloud: EcsClient,
    identity: Identity,
    *,
    but: RunId | None,
    tell: bool = True,
) -> tuple[RunRecord, ...]:
    """Close the records of runs that were interrupted, each with what is known of its snapshots.

    Call it only while holding the lock: its holder knows that an unfinished run is dead. What the
    cloud tells nothing of now is told of, and left as it is for a later command.

    Args:
        but: the record of the run that is going on.
        tell: tell the listener; a caller that shows what is returned does not want it twice.
    """
    explained = [*leave_to_others(tools, identity.instance_id, tell=tell)]
    mute = ""
    for record in tools.store.unfinished():
        if record.run_id == but:
            continue
        closed: RunRecord | None = None
        if record.stage is Stage.COMMAND:
            closed = explain_lost_commands(tools, record)
            if closed is None:
                continue
        elif not mute or record.stage is Stage.PLANNED:
            try:
                closed = _explained(tools, cloud, identity, record)
            except (ApiFault, CloudUnreachable) as error:
                # Not asked for the next one again: each answer may be long in coming.
                mute = error.told
        if closed:
            tools.store.save(closed)
            tell_log(tools, closed)
        else:
            closed = _untold(record, mute)
        explained.append(closed)
        if tell:
            tools.listener(Event(kind=EventKind.WARNING, text=closed.explained))
    return tuple(explained)


def leave_to_others(
    tools: Tools, instance_id: InstanceId, *, tell: bool = True
) -> tuple[RunRecord, ...]:
    """Close the open records of other instances, for which nothing is to be asked.

    Call it only while holding the lock.
    """
    left = tuple(_left_to_others(tools, instance_id))
    for record in left:
        tools.store.save(record)
        if tell:
            tools.listener(Event(kind=EventKind.NOTE, text=record.explained))
    return left


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
            result=_ended_as(record),
            explained=f"{record.label} is left alone: it is of "
            f"{record.instance_id}, from which the journal here was copied",
        )


def see_to_earlier(tools: Tools, found: Survey, *, but: RunId, retention: bool) -> tuple[str, ...]:
    """Do what only time makes possible for earlier runs; return what a person is to be told.

    It is only of use, and comes after the run's own snapshots: it takes seconds at most, and what
    it does not come to is left to the follower and to later commands.

    Args:
        but: the run that is going on.
        retention: also set retentions that are due, which the cloud refuses as long as another
            snapshot of the same disk is being made.
    """
    cloud, instance_id = found.cloud.in_passing(AFTERCARE_S), found.identity.instance_id
    forget_strays(tools)
    forget_outlived(tools)
    with suppress(SnapSelfError):
        explain_interrupted(tools, cloud, found.identity, but=but)
        if not retention:
            return left_undone(tools, instance_id, but=but).refusals
        return finish_pending(tools, cloud, instance_id, but=but).refusals
    return ()


def _explained(tools: Tools, cloud: EcsClient, identity: Identity, record: RunRecord) -> RunRecord:
    orders = record.orders
    if record.stage is not Stage.PLANNED:
        orders = adopt(cloud, record.run_id, record.orders)
        groups = [order.group_id for order in orders if order.group_id]
        orders = _retention_noted(with_members(orders, members_of(cloud, groups)), record)
    made = replace(record, orders=orders)
    made = replace(made, went_back=returned(tools, identity, made))
    restarted = rebooted(record.boot_id, tools.process.boot_id)
    # Whatever was gone back to had come far enough before: no restart of then can have spoilt it.
    boot_id = tools.process.boot_id if made.went_back else record.boot_id
    upload = record.upload or begun(made, boot_id)
    if upload and made.went_back:
        upload = replace(upload, boot_id=boot_id)
    return replace(
        made,
        upload=upload,
        stage=Stage.FINISHED,
        finished=tools.clock.now(),
        result=_ended_as(record),
        explained=_sentence(made, restarted=restarted),
    )


def _ended_as(record: RunRecord) -> Result:
    return Result.INTERRUPTED if record.result is Result.OPEN else record.result


def _untold(record: RunRecord, why: str) -> RunRecord:
    """Return the record, still open, with why nothing can be said of it."""
    run = record.label
    return replace(
        record, explained=f"{run} was interrupted; what became of it cannot be told now: {why}"
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


def _sentence(record: RunRecord, *, restarted: bool) -> str:
    """Return what is known of a run that was not seen to end.

    Args:
        restarted: it is of another boot. Then the disk with its record may have gone back, of
            which nothing is known where somebody did it by hand.
    """
    if record.went_back is not None:
        return (
            f"{return_words(record.label, record.went_back)}; its record is from the moment of "
            "the snapshot, so how the run ended is not in this journal"
        )
    by_itself = record.unseen not in (None, CutUnseen.ENDED)
    how = "ended without having seen a cut" if by_itself else "was interrupted"
    run = f"{record.label} {how}"
    made: list[str] = [*record.snapshot_ids]
    made += [o.group_id for o in record.orders if o.group_id and not o.snapshot_ids]
    if made:
        unmade = [d for o in record.orders if not o.is_made for d in o.order.disk_ids]
        lacking = f"; none of {', '.join(unmade)} is known" if unmade else ""
        if restarted:
            lacking += "; or the disk with this journal was brought back to it since"
        # They may fail yet, so no more is said of them.
        return f"{run} after it had asked the cloud for {', '.join(made)}{lacking}"
    if record.stage is Stage.PLANNED:
        return f"{run} before it asked the cloud for anything; no snapshot was made"
    return (
        f"{run} while it was asking the cloud; no snapshot of it can be seen so far. If one "
        "appears later, `snap-self list` shows it"
    )


def tag_level(cloud: EcsClient, settled: Settled, level: Consistency | None) -> None:
    """Tag the snapshots with the level that was proved, where they were asked for with another.

    They were made with the level the first flush had proved, and a repeated order must not change
    it. A hold proves more; a second sync that fails, less. If the role may not tag, what the
    journal has counts (``listing``), so nobody waits for it for long.
    """
    lost = {d for d, s in settled.snapshots.items() if s.status is SnapshotStatus.FAILED}
    lost.update(settled.gone)
    ids = [
        sid for record in settled.records for d, sid in record.snapshot_ids.items() if d not in lost
    ]
    told = {record.order.tags.get(CONSISTENCY_TAG) for record in settled.records}
    if level is None or told == {level.value} or not ids:
        return
    with suppress(SnapSelfError):
        cloud.in_passing(AFTERCARE_S).tag_snapshots(ids, {CONSISTENCY_TAG: level.value})
