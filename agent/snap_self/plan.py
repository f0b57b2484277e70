"""Make the plan of a run: pure, from what was asked and what was found to steps with reasons."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from snap_self.errors import DiskNotReady, InstanceNotReady, NothingToSnapshot, TornSet
from snap_self.model.disks import CloudDisk, Coverage, Span, Target
from snap_self.model.duration import format_duration
from snap_self.model.flushing import FlushTarget, to_sync, unreachable
from snap_self.model.ids import DiskId, InstanceId, RunId
from snap_self.model.plan import Note, NoteKind, Plan, Step, StepName
from snap_self.model.request import Request
from snap_self.model.retention import Retention, kept_until, kept_words
from snap_self.model.rules import before_tag, generated_description, generated_name
from snap_self.model.snapshots import (
    BEFORE_TAG,
    CONSISTENCY_TAG,
    EXPIRES_TAG,
    OWNER_TAG,
    RUN_TAG,
    Consistency,
    InstanceState,
    Snapshot,
    SnapshotOrder,
    SnapshotStatus,
    WaitFor,
    uploaded,
)

REGIONAL = "cloud_regional_disk_auto"
GROUPABLE = frozenset({"cloud_essd", "cloud_auto", "cloud_essd_entry", REGIONAL})
# States in which the cloud makes no snapshot. What is no documented word is left to the cloud.
# Source: ECS API reference, DescribeDisks and DescribeInstances, Status.
BUSY_DISK = frozenset({"attaching", "detaching", "creating", "reiniting"})
BUSY_INSTANCE = frozenset({"pending", "starting", "stopping"})
NEVER = "never"
# Most manual snapshots of a disk, and from where on that is worth a word. Source: ECS user guide,
# "Limits", block storage snapshots.
MANUAL_LIMIT = 256
NEAR_LIMIT = 230
SHOWN_DISKS = 4
NO_REBOOT = "do not stop or reboot the instance before the upload is finished"


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """Everything known when the plan is made.

    Args:
        flushes: what is to be synced, innermost filesystem first.
        instance: None where it was not asked for, or is not shown.
        history: recent snapshots of these disks, for what the next one will cost; None where they
            are not known (yet).
        busy: what makes the machine busy, in words; empty if it is not.
    """

    request: Request
    coverage: Coverage
    instance_id: InstanceId
    instance: InstanceState | None
    run_id: RunId
    now: datetime
    flushes: tuple[FlushTarget, ...]
    history: tuple[Snapshot, ...] | None
    busy: str = ""


def make_plan(situation: Situation) -> Plan:
    """Return what the run will do and why.

    Raises:
        NothingToSnapshot: no disk is chosen.
        TornSet: a volume spans disks that cannot be cut at one instant.
        DiskNotReady, InstanceNotReady: the cloud would refuse; nothing has been called yet.
    """
    request, coverage = situation.request, situation.coverage
    _check_targets(coverage)
    check_instance(situation.instance)
    _check_disks(coverage.targets)
    groups = _order_disks(coverage, held=request.consistency.is_held)
    orders = tuple(
        _order(situation, disks, number=number) for number, disks in enumerate(groups, start=1)
    )
    flushes = situation.flushes if request.consistency is not Consistency.CRASH else ()
    return Plan(
        coverage=coverage,
        orders=orders,
        flushes=flushes,
        steps=tuple(_steps(situation, orders=orders, flushes=flushes)),
        consistency=request.consistency,
        keep_days=request.keep_days,
        weaker=unreachable(flushes),
        notes=tuple(_notes(situation, orders)),
    )


def ungrouped(plan: Plan) -> tuple[SnapshotOrder, ...]:
    """Return single orders in place of a group the cloud refused; empty if that would tear."""
    if plan.coverage.spans:
        return ()
    return tuple(
        replace(
            order,
            disk_ids=(disk_id,),
            grouped=False,
            retention_days=plan.keep_days,
            client_token=f"{order.client_token}-{index}",
        )
        for order in plan.orders
        for index, disk_id in enumerate(order.disk_ids, start=1)
    )


def with_level(order: SnapshotOrder, level: Consistency) -> SnapshotOrder:
    """Return the order with the consistency that was really reached in its tags."""
    return replace(order, tags={**order.tags, CONSISTENCY_TAG: level.value})


def expiry(request: Request, now: datetime) -> datetime | None:
    """Return when the snapshots may be deleted, or None for never."""
    return None if request.keep_s is None else now + timedelta(seconds=request.keep_s)


def near_limit(shots: Iterable[Snapshot], disk_ids: Iterable[DiskId]) -> Mapping[DiskId, str]:
    """Return a sentence for each disk that has nearly as many manual snapshots as are allowed."""
    counts = Counter(shot.disk_id for shot in shots if not shot.automatic)
    return {
        disk_id: f"{disk_id} has {counts[disk_id]} manual snapshots that were seen; from "
        f"{MANUAL_LIMIT} on the cloud refuses another one"
        for disk_id in disk_ids
        if counts[disk_id] >= NEAR_LIMIT
    }


def _check_targets(coverage: Coverage) -> None:
    if not coverage.targets:
        left = "; ".join(f"{s.disk_id}: {s.why}" for s in coverage.skipped)
        raise NothingToSnapshot(
            "no disk is left to snapshot" + (f" ({left})" if left else ""),
            hint="`snap-self plan --verbose` shows how each disk was judged",
        )
    check_whole(coverage)


def check_whole(coverage: Coverage) -> None:
    """Refuse a set that holds a volume in part.

    Raises:
        TornSet: it does.
    """
    if coverage.torn:
        raise _torn(coverage.torn[0], coverage)


def _torn(span: Span, coverage: Coverage) -> TornSet:
    if span.unknown:
        return TornSet(
            f"{span.kind} volume {span.name} lies on {', '.join(sorted(span.disks))} and on "
            f"{span.unknown}, which leads to no block device here, so the set may lack a part",
            hint=f"make {span.unknown} lead to the device again, or leave the volume out with "
            f"--exclude {span.name}",
        )
    chosen = {t.local.name for t in coverage.targets if t.local}
    missing = sorted(span.disks - chosen)
    never = {name: why for name, why in coverage.local_only.items() if name in missing}
    told = f" ({'; '.join(f'{name}: {why}' for name, why in never.items())})" if never else ""
    return TornSet(
        f"{span.kind} volume {span.name} lies on {', '.join(sorted(span.disks))}, but "
        f"{', '.join(missing) or 'one of them'} would not be in the snapshot set{told}",
        hint=_NEVER_WHOLE.format(span.name) if never else _TAKE_ALL,
    )


_NEVER_WHOLE = (
    "no set of snapshots can hold it whole: leave it out with --exclude {}, for good with "
    "disks.exclude in the configuration"
)
_TAKE_ALL = (
    "snapshot all disks of the volume together: leave out --path, --disk and --exclude, or name "
    "all of them"
)


def check_instance(instance: InstanceState | None) -> None:
    """Refuse an instance in a state in which the cloud makes no snapshots.

    Raises:
        InstanceNotReady: it is.
    """
    if instance is None:  # an empty answer may also mean: not allowed to look
        return
    if instance.status.lower() in BUSY_INSTANCE:
        raise InstanceNotReady(
            f"instance {instance.instance_id} is {instance.status}; the cloud makes snapshots only "
            "of running or stopped instances",
            hint="wait until it is running, then try again",
        )
    if "security" in instance.locks:
        raise InstanceNotReady(
            f"instance {instance.instance_id} is locked for security reasons",
            hint="see the security event in the ECS console; nothing is allowed until it is lifted",
        )


def _check_disks(targets: Iterable[Target]) -> None:
    for target in targets:
        disk = target.cloud
        if disk.status.lower() in BUSY_DISK:
            raise DiskNotReady(
                f"disk {disk.disk_id} is {disk.status}; it must be In_use or Available",
                hint="wait until the disk's current operation has ended, then try again",
            )
        if "security" in disk.locks:
            raise DiskNotReady(
                f"disk {disk.disk_id} is locked for security reasons",
                hint="see the security event in the ECS console",
            )


def can_group(disks: Sequence[CloudDisk]) -> str:
    """Return why these disks cannot be one snapshot-consistent group; empty if they can."""
    for disk in disks:
        if disk.category not in GROUPABLE:
            return f"{disk.disk_id} is of category {disk.category}, which groups do not take"
        if disk.multi_attach:
            return f"{disk.disk_id} has multi-attach on"
    if len({disk.category == REGIONAL for disk in disks}) > 1:
        return "regional disks group only with regional disks"
    if len({disk.zone for disk in disks if disk.category != REGIONAL}) > 1:
        return "the disks are not in one zone"
    return ""


def _order_disks(coverage: Coverage, *, held: bool) -> list[tuple[CloudDisk, ...]]:
    """Return the disks of each order.

    A volume over disks that cannot be one group is refused, unless a freeze is held over all cuts:
    then they show one instant all the same.
    """
    disks = tuple(target.cloud for target in coverage.targets)
    if len(disks) == 1 or not can_group(disks):
        return [disks]
    if held:
        return [(disk,) for disk in disks]
    by_name = {t.local.name: t.cloud for t in coverage.targets if t.local}
    bound = _bound_together(coverage.spans)
    grouped = [tuple(by_name[name] for name in sorted(names)) for names in bound]
    for members, names in zip(grouped, bound, strict=True):
        if why := can_group(members):
            span = next(s for s in coverage.spans if s.disks <= names)
            raise TornSet(
                f"{span.kind} volume {span.name} lies on {', '.join(sorted(span.disks))}, which "
                f"cannot be cut at one instant: {why}",
                hint="move the volume to ESSD disks without multi-attach; a set cut at different "
                "instants would be torn",
            )
    taken = {disk.disk_id for members in grouped for disk in members}
    singles = [(disk,) for disk in disks if disk.disk_id not in taken]
    return [*grouped, *singles]


def _bound_together(spans: Iterable[Span]) -> list[frozenset[str]]:
    """Return the sets of disks that share a volume, directly or through others."""
    sets: list[frozenset[str]] = []
    for span in spans:
        touching = [s for s in sets if s & span.disks]
        sets = [s for s in sets if not s & span.disks]
        sets.append(span.disks.union(*touching))
    return sets


def _order(situation: Situation, disks: Sequence[CloudDisk], *, number: int) -> SnapshotOrder:
    request = situation.request
    grouped = len(disks) > 1
    return SnapshotOrder(
        disk_ids=tuple(disk.disk_id for disk in disks),
        grouped=grouped,
        name=request.name or generated_name(request.before, situation.now),
        description=request.description
        or generated_description(request.before, situation.instance_id, situation.run_id),
        tags=_tags(situation),
        retention_days=None if grouped else request.keep_days,
        client_token=f"snap-self-{situation.run_id}-{number}",
    )


def _tags(situation: Situation) -> Mapping[str, str]:
    request = situation.request
    expires = expiry(request, situation.now)
    return {
        **request.tags,
        OWNER_TAG: situation.instance_id,
        RUN_TAG: situation.run_id,
        BEFORE_TAG: before_tag(request.before),
        CONSISTENCY_TAG: request.consistency.value,
        EXPIRES_TAG: expires.strftime("%Y-%m-%dT%H:%M:%SZ") if expires else NEVER,
    }


def _steps(
    situation: Situation,
    *,
    orders: Sequence[SnapshotOrder],
    flushes: Sequence[FlushTarget],
) -> Iterable[Step]:
    """Yield what the run does; it makes the same steps again from what it finds, and logs them."""
    request = situation.request
    yield from map_steps(situation.coverage)
    yield from map(flush_step, to_sync(flushes))
    if request.consistency is Consistency.APPLICATION:
        yield QUIESCE
    if request.consistency.is_held:
        yield FREEZE
    yield from create_steps(orders, situation.coverage)
    if request.consistency.is_held:
        yield THAW
    if request.wait is not WaitFor.NONE:
        yield wait_step(request.wait)
    if request.keep_days:
        yield from retention_steps(request.keep_days, orders)
    if request.confirm_within_s is not None:
        yield arm_step(request.confirm_within_s)


IDENTIFY = Step(
    name=StepName.IDENTIFY,
    what="this instance",
    reason="who and where it is, and what it carries, decides all that follows",
)
QUIESCE = Step(
    name=StepName.QUIESCE,
    what="hooks and applications",
    reason="what they hold in memory must be in their files, and stay so until the cut",
)
FREEZE = Step(
    name=StepName.FREEZE,
    what="each filesystem",
    reason="nothing may change between the first and the last cut, and none may need a replay",
)
THAW = Step(
    name=StepName.THAW,
    what="all of them",
    reason="as soon as the cut of every disk is seen, at the latest at the time limit",
)


def map_steps(coverage: Coverage) -> tuple[Step, ...]:
    """Return for each chosen disk how it was found."""
    return tuple(
        Step(name=StepName.MAP, what=target.cloud.disk_id, reason=target.how)
        for target in coverage.targets
    )


def flush_step(target: FlushTarget) -> Step:
    """Return the sync of a filesystem."""
    return Step(
        name=StepName.FLUSH,
        what=target.path,
        reason=f"{target.fstype}: what programs wrote must be on the disk before the cut",
    )


def create_steps(orders: Sequence[SnapshotOrder], coverage: Coverage) -> tuple[Step, ...]:
    """Return the create requests, which are sent side by side."""
    return tuple(
        Step(
            name=StepName.CREATE,
            what=" ".join(order.disk_ids),
            reason=_create_reason(order, orders, coverage),
        )
        for order in orders
    )


def wait_step(wait: WaitFor) -> Step:
    """Return the wait for the snapshots; without one the members of a group are looked for."""
    return Step(name=StepName.WAIT, what=wait.value, reason=_WAIT_REASON[wait])


def arm_step(within_s: int) -> Step:
    """Return the arming of a rollback that waits for a confirmation."""
    return Step(
        name=StepName.ARM,
        what=format_duration(within_s),
        reason="the disks go back by themselves unless `snap-self confirm` is said by then",
    )


def retention_steps(keep_days: int, orders: Sequence[SnapshotOrder]) -> tuple[Step, ...]:
    """Return the setting of retentions that could not be set in the create requests, if any."""
    if not any(order.grouped for order in orders):
        return ()
    return (
        Step(
            name=StepName.RETENTION,
            what=f"{keep_days} days",
            reason="a group takes no retention when it is made; its members take one each once "
            "they are uploaded",
        ),
    )


_WAIT_REASON = {
    WaitFor.NONE: "what the cloud has taken on is named, as far as it shows it at once",
    WaitFor.CUT: "the content is fixed at the cut; what is written later is not in it",
    WaitFor.AVAILABLE: "from then on the snapshot can be used for a rollback",
    WaitFor.ACCOMPLISHED: "from then on a reboot or stop cannot spoil the upload",
}


def _create_reason(
    order: SnapshotOrder, orders: Sequence[SnapshotOrder], coverage: Coverage
) -> str:
    if order.grouped:
        return f"one snapshot-consistent group: {len(order.disk_ids)} disks cut at one instant"
    if len(orders) == 1:
        return "one disk: a single snapshot, since only that can carry a retention from the start"
    why = (
        can_group([target.cloud for target in coverage.targets]) or "the cloud makes no group here"
    )
    return f"single snapshots side by side, at slightly different instants: {why}"


def _notes(situation: Situation, orders: Sequence[SnapshotOrder]) -> Iterable[Note]:
    request = situation.request
    if situation.history is not None:
        yield from history_notes(situation.coverage, situation.history)
    grouped = any(order.grouped for order in orders)
    states = {Retention.PENDING if grouped else Retention.SET}
    kept = kept_words(kept_until(expiry(request, situation.now), situation.now), states)
    yield Note(kind=NoteKind.KEPT, text=kept)
    if request.wait is not WaitFor.ACCOMPLISHED:
        yield Note(kind=NoteKind.NO_REBOOT, text=NO_REBOOT)
    if situation.busy:
        text = f"the machine is busy ({situation.busy}); a snapshot slows disk I/O by up to 10 %"
        yield Note(kind=NoteKind.MADE, text=text)
    if len(orders) > 1 and request.consistency is Consistency.FLUSH:
        text = "the snapshots are not cut at one instant; each disk is consistent by itself"
        yield Note(kind=NoteKind.MADE, text=text)


def history_notes(coverage: Coverage, history: Sequence[Snapshot]) -> Iterable[Note]:
    """Yield what earlier snapshots of these disks mean for the next one."""
    disk_ids = [target.cloud.disk_id for target in coverage.targets]
    for sentence in near_limit(history, disk_ids).values():
        yield Note(kind=NoteKind.EARLIER, text=f"{sentence}: see `snap-self prune`")
    full: list[DiskId] = []
    for target in coverage.targets:
        own = [s for s in history if s.disk_id == target.cloud.disk_id]
        running = [s for s in own if s.status is SnapshotStatus.PROGRESSING]
        if running:
            first = running[0]
            text = (
                f"snapshot {first.snapshot_id} of {target.cloud.disk_id} is still being made "
                f"({uploaded(first.progress)}); the cloud may refuse another one until it is "
                "finished"
            )
            yield Note(kind=NoteKind.EARLIER, text=text)
        if not own:
            full.append(target.cloud.disk_id)
    if full:
        more = f" and {len(full) - SHOWN_DISKS} more" if len(full) > SHOWN_DISKS else ""
        text = (
            f"first snapshot of {', '.join(full[:SHOWN_DISKS])}{more} that is known: whole disks "
            "are uploaded, which is slow; later ones carry only changed blocks"
        )
        yield Note(kind=NoteKind.MADE, text=text)
