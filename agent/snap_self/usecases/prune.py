"""Delete what may go of this instance's own snapshots, and check each deletion's outcome."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from copy import copy
from dataclasses import dataclass, field, replace
from datetime import datetime

from snap_self.cloud.client import EcsClient
from snap_self.cloud.codes import is_used_by_disk
from snap_self.cloud.faults import refusal
from snap_self.errors import (
    CloudThrottled,
    CloudUnreachable,
    CredentialsError,
    ExitStatus,
    PermissionRefused,
    PreconditionRefused,
    SnapSelfError,
)
from snap_self.model.ids import GroupId, SnapshotId
from snap_self.model.listed import ListedSnapshot
from snap_self.model.progress import Event, EventKind
from snap_self.model.snapshots import Identity, MemberDeletion, SnapshotGroup
from snap_self.usecases.aftercare.manifests import (
    forget_deleted,
    forget_outlived,
    forget_strays,
)
from snap_self.usecases.aftercare.pending import see_to_retention
from snap_self.usecases.inventory.keep import Holdings, PrunePolicy, PruneStep, prune_steps
from snap_self.usecases.inventory.own import OwnSnapshots, Remembered, own_snapshots
from snap_self.usecases.listing import listed, readable_records, unknown_notes
from snap_self.usecases.tools import Here, Tools

POLICY_HINT = (
    "on purpose the role's default policy allows no deletion: `snap-self policy --prune` prints "
    "one that does; or prune with other credentials"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PruneOutcome:
    """A step and what became of it.

    Args:
        deleted: the snapshots that are gone.
        failed: the others that were to go, each with the reason.
        tried: the cloud was asked.
    """

    step: PruneStep
    deleted: tuple[SnapshotId, ...] = ()
    failed: Mapping[SnapshotId, str] = field(default_factory=dict)
    tried: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruned:
    """What was to be done and what was.

    Args:
        dry_run: nothing was deleted; the outcomes are the plan.
        outcomes: the oldest first.
        listed: each snapshot that they are about, as `list` tells it.
        error: the first thing that went wrong.
    """

    identity: Identity
    dry_run: bool
    now: datetime
    outcomes: tuple[PruneOutcome, ...]
    notes: tuple[str, ...]
    listed: Mapping[SnapshotId, ListedSnapshot]
    error: SnapSelfError | None = None

    @property
    def exit_status(self) -> ExitStatus:
        """What the process ends with."""
        return self.error.exit_status if self.error else ExitStatus.DONE

    @property
    def due(self) -> int:
        """How many snapshots may go."""
        return sum(len(o.step.members) for o in self.outcomes if o.step.delete)

    @property
    def deleted(self) -> int:
        """How many snapshots are gone."""
        return sum(len(outcome.deleted) for outcome in self.outcomes)

    @property
    def left_over(self) -> int:
        """How many snapshots should have gone and are still there."""
        return 0 if self.dry_run else self.due - self.deleted


def prune(tools: Tools, policy: PrunePolicy, *, dry_run: bool) -> Pruned:
    """Delete this instance's own snapshots that the policy lets go, or say which these are.

    Raises:
        LockHeld: a run of the main job is going on; nothing was deleted.
        SnapSelfError: nothing could be found out. What fails later is in the result.
    """
    here = tools.here()
    if dry_run:
        return _planned(here, policy)
    with tools.lock.hold(timeout_s=tools.lock_wait_s, purpose="prune"):
        ended = tools.end_stale_freeze()
        plan = _planned(here, policy)
        pruner = _Pruner(tools, here.cloud)
        outcomes = tuple(pruner.outcome(outcome.step) for outcome in plan.outcomes)
        gone = {sid for outcome in outcomes for sid in outcome.deleted}
        _forget_retention(tools, gone)
        forget_deleted(tools, gone, left=plan.listed.keys() - gone)
        forget_outlived(tools)
        forget_strays(tools)
        notes = plan.notes + see_to_retention(tools, here.cloud, here.identity.instance_id)
    return replace(
        plan,
        dry_run=False,
        outcomes=outcomes,
        error=pruner.error,
        notes=(*filter(None, (ended,)), *notes),
    )


def _planned(here: Here, policy: PrunePolicy) -> Pruned:
    instance_id = here.identity.instance_id
    known = readable_records(here.tools.store, instance_id)
    records = known or {}
    own = own_snapshots(
        here.cloud, instance_id, lambda: Remembered.of(records.values(), instance_id)
    )
    groups = _groups(here.cloud, own)
    now = here.tools.clock.now()
    holdings = Holdings(
        instance_id=instance_id,
        own=own.found,
        groups=groups,
        awaited=frozenset(run_id for run_id, record in records.items() if record.waiting),
    )
    steps = prune_steps(holdings, policy, now=now)
    told = unknown_notes(own.unknown, journal_read=known is not None)
    notes = [*filter(None, (own.incomplete,)), *told]
    if not own.found:
        notes.append(
            "the cloud shows no snapshots of this instance made by snap-self; a role that may not "
            "list them looks the same"
        )
    return Pruned(
        identity=here.identity,
        dry_run=True,
        now=now,
        outcomes=tuple(PruneOutcome(step=step) for step in steps),
        notes=tuple(notes),
        listed={
            one.shot.snapshot_id: listed(one, records.get(one.run_id) if one.run_id else None)
            for one in own.found
        },
    )


def _groups(cloud: EcsClient, own: OwnSnapshots) -> Mapping[GroupId, SnapshotGroup]:
    """Return the groups of these snapshots; a list by tag ends silently after 1000."""
    known = {group.group_id: group for group in own.groups}
    unseen = {one.group_id for one in own.found if one.group_id} - set(known)
    more = cloud.describe_groups(ids=sorted(unseen))
    return {**known, **{group.group_id: group for group in more}}


class _Pruner:
    """Deletes one thing after the other, until there is no use in going on."""

    def __init__(self, tools: Tools, cloud: EcsClient) -> None:
        self._tools = tools
        self._cloud = cloud
        self._stopped = False
        self.error: SnapSelfError | None = None

    def outcome(self, step: PruneStep) -> PruneOutcome:
        """Do a step and return what became of it."""
        if not step.delete:
            return PruneOutcome(step=step)
        if self._stopped:
            return PruneOutcome(step=step, failed=dict.fromkeys(step.snapshot_ids, "not tried"))
        failed: dict[SnapshotId, str] = {}
        if step.group_id:
            failed |= self._delete_group(step, step.group_id)
        else:
            for snapshot_id in step.snapshot_ids:
                failed |= self._delete_one(snapshot_id, forced=step.forced)
        gone = tuple(sid for sid in step.snapshot_ids if sid not in failed)
        for snapshot_id, why in failed.items():
            self._tell(f"{snapshot_id} was not deleted: {why}")
        return PruneOutcome(step=step, deleted=gone, failed=failed, tried=True)

    def _delete_group(self, step: PruneStep, group_id: GroupId) -> dict[SnapshotId, str]:
        try:
            told = {m.snapshot_id: m for m in self._cloud.delete_group(group_id)}
        except SnapSelfError as error:
            return self._unless_gone(step.snapshot_ids, error)
        # A repeated call, after a lost answer, tells nothing of what the first one deleted.
        untold = [sid for sid in step.snapshot_ids if sid not in told]
        failed = self._unless_gone(untold, _still_there(group_id)) if untold else {}
        for snapshot_id in step.snapshot_ids:
            member = told.get(snapshot_id)
            if member is None or member.deleted:
                continue
            if step.forced and is_used_by_disk(member):
                failed |= self._delete_one(snapshot_id, forced=True)
            else:
                failed[snapshot_id] = self._met(_refusal(member), (snapshot_id,))
        return failed

    def _delete_one(self, snapshot_id: SnapshotId, *, forced: bool) -> dict[SnapshotId, str]:
        if self._stopped:
            return {snapshot_id: "not tried"}
        try:
            self._cloud.delete_snapshot(snapshot_id, force=forced)
        except SnapSelfError as error:
            return self._unless_gone((snapshot_id,), error)
        return {}

    def _unless_gone(
        self, ids: Sequence[SnapshotId], error: SnapSelfError
    ) -> dict[SnapshotId, str]:
        """Return why each was not deleted, leaving out what is gone all the same.

        After a lost answer the second try may be refused: what is gone has no tag any more that a
        policy could allow the deletion by.
        """
        there: set[SnapshotId] = set(ids)
        with suppress(SnapSelfError):
            there = {shot.snapshot_id for shot in self._cloud.describe_snapshots(ids=ids)}
        if not there:
            return {}
        why = self._met(error, sorted(there))
        return {sid: why for sid in ids if sid in there}

    def _met(self, error: SnapSelfError, ids: Iterable[SnapshotId]) -> str:
        """Note what went wrong; return it in words."""
        # Every further call would fail in the same way, after the same long wait.
        self._stopped |= isinstance(error, (CredentialsError, CloudThrottled, CloudUnreachable))
        if self.error is None:
            self.error = copy(error)
            self.error.message = f"{', '.join(ids)}: not deleted: {error.message}"
            if isinstance(error, PermissionRefused):
                self.error.hint = POLICY_HINT
        return error.told

    def _tell(self, text: str) -> None:
        self._tools.listener(Event(kind=EventKind.WARNING, text=text))


def _still_there(group_id: GroupId) -> SnapSelfError:
    return PreconditionRefused(
        f"group {group_id} was deleted, but not all of its snapshots",
        hint="`snap-self prune` tries again",
    )


def _refusal(member: MemberDeletion) -> SnapSelfError:
    """Return what the answer of a group's deletion says of one member."""
    return refusal(
        member.api_code,
        member.api_message,
        action="DeleteSnapshotGroup",
        hint="the others of its group are gone; the next `snap-self prune` tries it again",
        request_id=member.request_id,
    )


def _forget_retention(tools: Tools, gone: Iterable[SnapshotId]) -> None:
    """Take deleted snapshots off the list of those that are still to be given a retention."""
    ids = set(gone)
    for record in tools.store.all() if ids else ():
        orders = tuple(
            replace(
                order,
                retention_pending=tuple(s for s in order.retention_pending if s not in ids),
            )
            for order in record.orders
        )
        if orders != record.orders:
            tools.store.save(replace(record, orders=orders))
