"""Tell how whole disks go back to a run's snapshots and what that costs; refuse what would tear."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from snap_self.errors import (
    RollbackGoesOn,
    SnapSelfError,
    SnapshotNotTagged,
    StateUnusable,
    TopologyError,
)
from snap_self.model.actions import rollback_role
from snap_self.model.disks import CloudDisk, DiskKind, Layout
from snap_self.model.executions import Execution
from snap_self.model.listed import ListedRun, ListedSnapshot, run_of, runs_of
from snap_self.model.run import RollbackRecord, RunRecord
from snap_self.model.snapshots import OWNER_TAG, Identity
from snap_self.model.ways import Way
from snap_self.ports import Executions
from snap_self.recovery.copies import AttachedDisk, attached_disks
from snap_self.recovery.outside import client_token, execution_tags, rollback_order
from snap_self.recovery.rollback import RollbackPlan, Scene, Staying, plan_rollback
from snap_self.recovery.script import rollback_script
from snap_self.recovery.ways import all_ways
from snap_self.usecases.inventory.attached import Attached, look_at
from snap_self.usecases.inventory.named import named_shots, record_of, unknown
from snap_self.usecases.listing import journal_records, list_here
from snap_self.usecases.tools import Here, Tools

# Asked for again within that time, it is the same order.
SAME_ORDER = timedelta(minutes=10)


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What a rollback would do, and that nothing known speaks against it.

    Args:
        record: the journal's of the run; None where it has none.
        way: the same as steps from outside.
        notes: what to know beside it.
        named: what names the same again: the run, or the snapshot or group that is a part of it.
        layout: what lies on the disks here; None where it could not be looked at.
    """

    identity: Identity
    plan: RollbackPlan
    record: RunRecord | None
    way: Way
    notes: tuple[str, ...]
    named: str
    layout: Layout | None = None

    def script(self, body: str) -> str:
        """Return the steps as one script for another machine.

        Args:
            body: the script with the lines of an example.
        """
        plan = self.plan
        return rollback_script(body, self.identity, plan.pairs, run=plan.run, since=plan.since)


def judge_rollback(here: Here, wanted: str, *, blind: bool, data_only: bool = False) -> Judged:
    """Return what bringing back is meant by a snapshot, group or run id, or by ``last``.

    A snapshot's id means its disk alone.

    Args:
        blind: go on where it cannot be told what lies on which disk.
        data_only: of what is named the system disk is left out, unless it is all of it.

    Raises:
        UsageError: none of ours has that id.
        SnapSelfError: it would tear something, or cannot be done now; see ``recovery.rollback``.
    """
    listing = list_here(here)
    runs = runs_of(listing.snapshots)
    named, newer = named_shots(runs, wanted)
    if not named:
        raise unknown(wanted)
    run = _run_of(runs, named[0])
    records = journal_records(here.tools.store, here.identity.instance_id)
    record = record_of(tuple(records.values()), wanted, named)
    disks = here.cloud.describe_disks(here.identity.instance_id)
    if data_only:
        named = _of_data(named, disks)
    found, unread = _what_lies_where(here, disks, blind=blind)
    attached = (
        attached_disks(disks, found.layout, found.disk_map)
        if found
        else tuple(AttachedDisk(cloud=disk) for disk in disks)
    )
    scene = Scene(
        identity=here.identity,
        disks=attached,
        layout=found.layout if found else None,
        instance=here.cloud.describe_instance(here.identity.instance_id),
        record=record,
        runs=runs,
    )
    plan = plan_rollback(named, run, scene)
    if data_only:
        plan = replace(plan, staying=tuple(_staying_data(plan, disks)))
    _refuse(plan)
    shots = [one.shot for one in plan.returns]
    managers = {each.manager for each in here.tools.changes_of(record.run_id)} if record else ()
    ways = all_ways(shots, attached, here.identity, managers=managers)
    return Judged(
        identity=here.identity,
        plan=plan,
        record=record,
        way=ways[0],
        notes=(*newer, *unread, *listing.notes),
        named=run.name if len(named) == len(run.shots) else wanted,
        layout=found.layout if found else None,
    )


def _of_data(
    named: Sequence[ListedSnapshot], disks: Sequence[CloudDisk]
) -> tuple[ListedSnapshot, ...]:
    system = {disk.disk_id for disk in disks if disk.kind is DiskKind.SYSTEM}
    return tuple(shot for shot in named if shot.disk_id not in system) or tuple(named)


def _staying_data(plan: RollbackPlan, disks: Sequence[CloudDisk]) -> Iterator[Staying]:
    """Yield what stays; of the system disk why it does."""
    system = {disk.disk_id for disk in disks if disk.kind is DiskKind.SYSTEM}
    why = "it is the system disk, which goes back only while the machine is stopped"
    for each in plan.staying:
        yield replace(each, why=why) if each.disk_id in system else each


def rollback_from_outside(tools: Tools, wanted: str) -> Judged:
    """Return the way back from outside; what lies where may be unknown.

    Raises:
        SnapSelfError: as ``judge_rollback``.
    """
    return judge_rollback(tools.here(), wanted, blind=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class RollbackRequest:
    """What is asked for.

    Args:
        wanted: the id of a snapshot, a group or a run, or ``last``.
        snapshot_first: snapshot the present state before anything is changed.
        content: the template's text; empty for the one that the account keeps.
        role: whose rights OOS uses; empty for the one that `policy --rollback` names.
    """

    wanted: str
    snapshot_first: bool
    content: str
    role: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """A rollback that goes on outside."""

    judged: Judged
    execution: Execution


def roll_back(
    tools: Tools,
    executions: Callable[[Identity], Executions],
    request: RollbackRequest,
    agree: Callable[[Judged], bool],
    *,
    half_way: Callable[[], bool],
) -> Started | None:
    """Have OOS bring the disks back from outside; None where nobody agreed.

    Args:
        executions: gives the calls of the instance's region.
        agree: is told what will be lost, and tells whether to go on.
        half_way: whether data disks that go back while the system runs are not back yet.

    Raises:
        SnapSelfError: as ``judge_rollback``; another one goes on; it was not started.
    """
    refuse_half_way(half_way)
    here = tools.here()
    judged = judge_rollback(here, request.wanted, blind=False)
    if not request.role:
        refuse_untagged(judged)
    outside = executions(here.identity)
    _refuse_second(outside, judged)
    if not agree(judged):
        return None
    with tools.lock.hold(timeout_s=tools.lock_wait_s, purpose="rollback"):
        # Others went on while somebody thought it over: another rollback, the follower's notes.
        refuse_half_way(half_way)
        _refuse_second(outside, judged)
        if judged.record is not None:
            judged = replace(judged, record=tools.store.load(judged.record.run_id))
        return Started(judged=judged, execution=_start(tools, outside, judged, request))


def refuse_half_way(half_way: Callable[[], bool]) -> None:
    """Refuse where disks are detached, or will be: no two rollbacks at once.

    What tells of them lies on the system disk, and would go back with it.

    Raises:
        RollbackGoesOn: as it says.
    """
    if half_way():
        raise RollbackGoesOn(
            "a rollback of data disks while the system runs (rollback --online) is not finished",
            hint="`snap-self list` goes on with it, and tells what it is about",
        )


def _refuse_second(outside: Executions, judged: Judged) -> None:
    """Refuse where another rollback of this instance goes on.

    Raises:
        RollbackGoesOn: as it says.
    """
    tags = execution_tags(judged.identity.instance_id)
    # One that only looks at what came of it may do so for a quarter of an hour.
    going = [each for each in outside.going_on(tags) if not each.over]
    if going and going[0].deadline:
        raise RollbackGoesOn(
            f"execution {going[0].execution_id} of OOS waits to bring disks of this instance back",
            hint="call it off first: snap-self confirm",
        )
    if going:
        raise RollbackGoesOn(
            f"execution {going[0].execution_id} of OOS already brings disks of this instance back",
            hint="the OOS console shows how far it is, and can cancel it",
        )


def refuse_untagged(judged: Judged) -> None:
    """Refuse what the role that we print may not do: the machine would be stopped in vain.

    Raises:
        SnapshotNotTagged: a snapshot is known as ours by its group alone.
    """
    shots = [one.shot for one in judged.plan.returns]
    names = ", ".join(shot.snapshot_id for shot in shots if not shot.tagged)
    if names:
        tag = f"{OWNER_TAG}={judged.identity.instance_id}"
        raise SnapshotNotTagged(
            f"{names}: without the tag {tag}, which its group alone has, the role of OOS may not "
            "go back to it",
            hint="add the tag in the ECS console, or go back by `snap-self rollback --script`",
        )


def _start(
    tools: Tools, outside: Executions, judged: Judged, request: RollbackRequest
) -> Execution:
    now = tools.clock.now()
    asked = _asked_before(judged.record, now) or now
    token = client_token(judged.plan.run, asked)
    order = rollback_order(
        judged.plan,
        judged.identity,
        content=request.content,
        role=request.role or rollback_role(judged.identity.instance_id),
        token=token,
        present=tools.new_run_id() if request.snapshot_first else None,
        now=asked,
    )
    noted = RollbackRecord(asked=asked, client_token=token)
    _note(tools, judged.record, noted)
    execution = outside.start(order)
    # What is not noted any more is known to the cloud.
    with suppress(StateUnusable):
        _note(tools, judged.record, replace(noted, execution_id=execution.execution_id))
    return execution


def _asked_before(record: RunRecord | None, now: datetime) -> datetime | None:
    """Return when the same was asked for, if its answer may have been lost a moment ago."""
    earlier = record.rollback if record else None
    if earlier is None or earlier.execution_id:
        return None
    return earlier.asked if timedelta() <= now - earlier.asked < SAME_ORDER else None


def _note(tools: Tools, record: RunRecord | None, rollback: RollbackRecord) -> None:
    if record is not None:
        tools.store.save(replace(record, rollback=rollback))


def _run_of(runs: tuple[ListedRun, ...], shot: ListedSnapshot) -> ListedRun:
    return next(run for run in runs if run.name == run_of(shot))


def _what_lies_where(
    here: Here, disks: Sequence[CloudDisk], *, blind: bool
) -> tuple[Attached | None, tuple[str, ...]]:
    try:
        return look_at(here, disks), ()
    except TopologyError as error:
        if not blind:
            raise
        return None, (
            "whether a volume, /boot or EFI lies also on a disk that stays could not be looked "
            f"at: {error.message}",
        )


def _refuse(plan: RollbackPlan) -> None:
    """Raise the gravest reason against it, with the others as its details."""
    if not plan.refusals:
        return
    first, *others = plan.refusals
    told: SnapSelfError = first
    told.details = (*told.details, *(f"also: {each.message}" for each in others))
    raise told
