"""A rollback: which disk goes back to which snapshot, what that costs, and why it may not be; pure.

Source: ECS API reference, ResetDisk, StopInstance; "Roll back a disk by using a snapshot",
"Economical mode".
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import datetime

from snap_self.errors import (
    BootApart,
    DiskNotReady,
    DiskShared,
    DiskUnmapped,
    EconomicalMode,
    InstanceNotReady,
    SnapSelfError,
    SnapshotNotUsable,
    SnapshotOfOtherDisk,
    TornSet,
)
from snap_self.model.disks import Layout, Span
from snap_self.model.ids import DiskId, SnapshotId
from snap_self.model.listed import ListedRun, ListedSnapshot
from snap_self.model.run import RunRecord
from snap_self.model.snapshots import Identity, InstanceState
from snap_self.recovery.copies import AttachedDisk

ROOT = "/"
# What the system starts with, where it lies on a disk of its own: an initial ramdisk, a kernel and
# its modules fit together only as they were.
SYSTEM_PARTS = ("/boot", "/boot/efi", "/efi", "/usr")
ATTACHED = "In_use"
ECONOMICAL = "StopCharging"
OTHER_RUN = "go back to a run that holds all of it: `snap-self list` shows them"


@dataclass(frozen=True, slots=True, kw_only=True)
class Return:
    """A disk, and the snapshot that it goes back to."""

    shot: ListedSnapshot
    disk: AttachedDisk

    @property
    def disk_id(self) -> DiskId:
        """The disk's id."""
        return self.disk.cloud.disk_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Staying:
    """A disk of the run that does not go back.

    Args:
        why: a clause.
    """

    disk_id: DiskId
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """How things stand here.

    Args:
        disks: those attached to the instance now.
        layout: what lies on them; None where it cannot be understood.
        instance: as the cloud shows it; None where it shows none.
        record: the journal's of the run; None where it has none.
        runs: all that the cloud's tags show, newest first.
    """

    identity: Identity
    disks: tuple[AttachedDisk, ...]
    layout: Layout | None
    instance: InstanceState | None
    record: RunRecord | None
    runs: tuple[ListedRun, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RollbackPlan:
    """What a rollback would do.

    Args:
        run: the run's name, as `show` knows it.
        returns: what goes back, the system disk first.
        staying: disks of the run that do not go back.
        since: everything written after this is lost; None where no cut is known.
        later: runs after it whose changes are undone with it, newest first; their snapshots stay.
        refusals: why it may not be done, the gravest first; none where it may.
    """

    run: str
    returns: tuple[Return, ...]
    staying: tuple[Staying, ...]
    since: datetime | None
    later: tuple[ListedRun, ...]
    refusals: tuple[SnapSelfError, ...]

    @property
    def pairs(self) -> Mapping[DiskId, SnapshotId]:
        """Disk to snapshot, in the order in which they go back."""
        return {one.disk_id: one.shot.snapshot_id for one in self.returns}


def plan_rollback(named: Sequence[ListedSnapshot], run: ListedRun, scene: Scene) -> RollbackPlan:
    """Return what bringing these snapshots back means.

    Args:
        named: those asked for, all of the run or some; none of them may be all there is.
        run: the run that made them.
    """
    attached = {disk.cloud.disk_id: disk for disk in scene.disks}
    # Of one disk the list has its newest snapshot first, and what leads further back counts.
    good = (shot for shot in named if not shot.failed)
    by_disk = {shot.disk_id: shot for shot in good if shot.disk_id in attached}
    returns = sorted(
        (Return(shot=shot, disk=attached[name]) for name, shot in by_disk.items()),
        key=lambda one: (not one.disk.is_system, one.disk_id),
    )
    cuts = [one.shot.cut_time for one in returns if one.shot.cut_time]
    return RollbackPlan(
        run=run.name,
        returns=tuple(returns),
        staying=tuple(_staying(returns, named, run, scene)),
        since=min(cuts, default=None),
        later=_later(run, returns, scene.runs),
        refusals=tuple(_refusals(returns, named, run, scene)),
    )


def _later(
    run: ListedRun, returns: Sequence[Return], runs: Sequence[ListedRun]
) -> tuple[ListedRun, ...]:
    """Return the runs after this one that are of disks which go back."""
    going = {one.disk_id for one in returns}
    newer: list[ListedRun] = []
    for each in runs:
        if each.name == run.name:
            return tuple(newer)
        if any(shot.disk_id in going for shot in each.shots):
            newer.append(each)
    return tuple(newer)


def _staying(
    returns: Sequence[Return], named: Sequence[ListedSnapshot], run: ListedRun, scene: Scene
) -> Iterator[Staying]:
    going = {one.disk_id for one in returns}
    attached = {disk.cloud.disk_id for disk in scene.disks}
    asked = {shot.disk_id for shot in named}
    made = {shot.disk_id: shot for shot in run.shots}
    recorded = scene.record.disk_ids if scene.record else ()
    for disk_id in dict.fromkeys((*made, *recorded)):
        if disk_id in going:
            continue
        if disk_id not in made:
            why = "no snapshot of it is left of this run"
        elif disk_id not in attached:
            why = "it is not attached to this instance any more"
        elif disk_id not in asked:
            why = f"its snapshot {made[disk_id].snapshot_id} was not asked for"
        else:
            why = f"its snapshot {made[disk_id].snapshot_id} failed"
        yield Staying(disk_id=disk_id, why=why)


def _refusals(
    returns: Sequence[Return], named: Sequence[ListedSnapshot], run: ListedRun, scene: Scene
) -> Iterator[SnapSelfError]:
    """Yield every reason not to do it, what would tear the machine first."""
    hint = _whole_hint(named, run)
    yield from _strangers(returns, named, run, scene.record)
    yield from _torn(returns, scene, hint)
    yield from _boot_apart(returns, scene.layout, hint)
    yield from _unusable(returns)
    yield from _unfinished(returns, scene.runs)
    yield from _instance(scene)
    yield from _disks(returns)


def _whole_hint(named: Sequence[ListedSnapshot], run: ListedRun) -> str:
    """Return what goes back whole where a part of a run does not."""
    rest = {shot.snapshot_id for shot in run.shots} - {shot.snapshot_id for shot in named}
    return f"name the whole run: snap-self rollback {run.name}" if rest else OTHER_RUN


def _strangers(
    returns: Sequence[Return],
    named: Sequence[ListedSnapshot],
    run: ListedRun,
    record: RunRecord | None,
) -> Iterator[SnapSelfError]:
    """Yield what is said of snapshots that are of none of the disks here, or of another one."""
    orders = record.orders if record else ()
    made_of = {shot: disk for order in orders for disk, shot in order.snapshot_ids.items()}
    for shot in named:
        then = made_of.get(shot.snapshot_id, shot.disk_id)
        if then != shot.disk_id:
            yield SnapshotOfOtherDisk(
                f"{shot.snapshot_id} was made of {then} by the journal, and is of "
                f"{shot.disk_id or 'no disk that is named'} by the cloud",
                hint="look at both in the ECS console; `snap-self show` prints the steps by hand",
            )
    failed = [shot for shot in named if shot.failed]
    if failed and not returns:
        yield SnapshotNotUsable(
            f"{', '.join(shot.snapshot_id for shot in failed)} failed, so there is nothing to go "
            "back to",
            hint="`snap-self list` shows older ones",
        )
    elif not returns:
        gone = ", ".join(dict.fromkeys(shot.disk_id or "a disk that is gone" for shot in named))
        yield SnapshotOfOtherDisk(
            f"no disk of {run.name} is attached to this instance: {gone or 'none is known'}",
            hint="a disk can be made of a snapshot instead: `snap-self show` prints how",
        )


def _torn(returns: Sequence[Return], scene: Scene, hint: str) -> Iterator[SnapSelfError]:
    """Yield what would not fit together: volumes as they lie now, and as they lay then."""
    layout, going = scene.layout, {one.disk_id for one in returns}
    told: set[str] = set()
    if layout is not None:
        for one in returns:
            if not one.disk.name:
                yield DiskUnmapped(
                    f"which disk here {one.disk_id} is cannot be told, so neither what lies on it",
                    hint="name its device under [disks.map] in the configuration",
                )
        names = {one.disk.name for one in returns if one.disk.name}
        for span in layout.spans:
            if span.disks & names and not span.is_within(names):
                told.add(span.name)
                yield TornSet(_tears(span, names, scene.disks), hint=hint)
    places = _places_then(scene.record)
    for place, disks in places.items():
        if place not in told and disks & going and not disks <= going:
            told.add(place)
            yield TornSet(
                f"{place} lay on {', '.join(sorted(disks))}, of which "
                f"{', '.join(sorted(disks - going))} would not go back",
                hint=hint,
            )


def _tears(span: Span, names: Set[str], disks: Iterable[AttachedDisk]) -> str:
    ids = {disk.name: disk.cloud.disk_id for disk in disks if disk.name}
    others = [ids.get(name, f"/dev/{name}") for name in sorted(span.disks - names)]
    missing = ", ".join((*others, *filter(None, (span.unknown,))))
    return (
        f"{span.kind} volume {span.name} lies also on {missing}, which would not go back, so its "
        "parts would not fit together"
    )


def _places_then(record: RunRecord | None) -> Mapping[str, Set[DiskId]]:
    """Return the disks on which each mount point lay when the snapshots were made."""
    places: dict[str, set[DiskId]] = {}
    for disk_id, mounts in (record.carried if record else {}).items():
        for mount in mounts:
            places.setdefault(mount, set()).add(disk_id)
    return places


def _boot_apart(
    returns: Sequence[Return], layout: Layout | None, hint: str
) -> Iterator[SnapSelfError]:
    """Yield which parts of the system would be of another time than the rest."""
    if layout is None:
        return
    names = {one.disk.name for one in returns if one.disk.name}
    on = _disks_below(layout, (ROOT, *SYSTEM_PARTS))
    root = on.get(ROOT, frozenset())
    for part in SYSTEM_PARTS:
        disks = on.get(part, root)
        if not root or bool(disks & names) == bool(root & names):
            continue
        back, stays = (ROOT, part) if root & names else (part, ROOT)
        yield BootApart(
            f"{back} would go back and {stays} would stay as it is now: kernel, boot loader and "
            "modules would not fit together, and the machine may not start",
            hint=hint,
        )


def _disks_below(layout: Layout, places: Collection[str]) -> Mapping[str, frozenset[str]]:
    return {
        mount.path: filesystem.disks
        for filesystem in layout.filesystems.values()
        for mount in filesystem.mounts
        if mount.path in places and mount.namespace is None and not mount.hidden
    }


def _unusable(returns: Sequence[Return]) -> Iterator[SnapSelfError]:
    for one in returns:
        if not one.shot.usable:
            yield SnapshotNotUsable(
                f"{one.shot.snapshot_id} of {one.disk_id} cannot be used yet",
                hint="wait until `snap-self show` says that it is available",
            )


def _unfinished(returns: Sequence[Return], runs: Sequence[ListedRun]) -> Iterator[SnapSelfError]:
    """Yield which disks cannot be reset as another snapshot of them is still being made."""
    shots = [shot for run in runs for shot in run.shots if not (shot.uploaded or shot.failed)]
    for one in returns:
        for shot in shots:
            if shot.disk_id == one.disk_id and shot.snapshot_id != one.shot.snapshot_id:
                yield SnapshotNotUsable(
                    f"{shot.snapshot_id} of {one.disk_id} is still being uploaded, and no disk is "
                    "reset while another snapshot of it is",
                    hint="wait until `snap-self list` says that it is accomplished",
                )


def _instance(scene: Scene) -> Iterator[SnapSelfError]:
    name, instance = scene.identity.instance_id, scene.instance
    if instance is None:
        yield InstanceNotReady(
            f"the cloud does not show {name}, so its state is not known",
            hint="the role must be allowed ecs:DescribeInstances: `snap-self policy`",
        )
        return
    if instance.stopped_mode == ECONOMICAL:
        yield EconomicalMode(
            f"{name} is in economical mode: it has given its processors and memory away, and may "
            "not start again",
            hint="start it first, then stop it in standard mode (KeepCharging)",
        )
    if instance.locks:
        yield InstanceNotReady(
            f"{name} is locked by the cloud: {', '.join(instance.locks)}",
            hint="the ECS console tells how the lock is ended",
        )


def _disks(returns: Sequence[Return]) -> Iterator[SnapSelfError]:
    for one in returns:
        disk = one.disk.cloud
        if len(disk.attached_to) > 1:
            yield DiskShared(
                f"{disk.disk_id} is attached to {', '.join(sorted(disk.attached_to))}: what the "
                "others hold in memory would spoil it",
                hint="detach it from the other instances first",
            )
        if disk.locks:
            yield DiskNotReady(
                f"{disk.disk_id} is locked by the cloud: {', '.join(disk.locks)}",
                hint="the ECS console tells how the lock is ended",
            )
        if disk.status != ATTACHED:
            status = disk.status or "in a state that the cloud does not tell"
            yield DiskNotReady(
                f"{disk.disk_id} is {status}, and only one that is {ATTACHED} is reset",
                hint="wait until the change that goes on has ended, then try again",
            )
