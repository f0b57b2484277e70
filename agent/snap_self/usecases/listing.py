"""List this instance's snapshots made by the agent."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from snap_self.errors import ApiFault, CloudUnreachable, SnapSelfError, StateUnusable
from snap_self.model.executions import Waiting
from snap_self.model.ids import DiskId, InstanceId, RunId
from snap_self.model.listed import ListedSnapshot, SnapshotState, newness, runs_of
from snap_self.model.result import Result
from snap_self.model.retention import Retention, expires_by_itself, retention_of
from snap_self.model.run import RunRecord, Stage
from snap_self.model.snapshots import (
    BEFORE_TAG,
    OUTCOME_TAG,
    OWNER_TAG,
    RUN_TAG,
    VERIFIED_TAG,
    Consistency,
    Identity,
    SnapshotStatus,
)
from snap_self.model.summary import Holdings
from snap_self.model.verification import Verification
from snap_self.ports import RunStore
from snap_self.recovery.went_back import Return, returns_of
from snap_self.usecases.aftercare.going_back import follow_returns
from snap_self.usecases.aftercare.interrupted import explain_interrupted
from snap_self.usecases.aftercare.pending import Answers, Asked, Seen, note_seen
from snap_self.usecases.inventory.own import OwnSnapshot, OwnSnapshots, Remembered, own_snapshots
from snap_self.usecases.tools import Here, Tools

# Named in a note; the list shows all.
SHOWN = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """The list, newest first, and what should be known about it.

    Args:
        returns: when disks went back, the latest first.
        armed: what goes back by itself unless somebody confirms, by the journal.
        unknown: what carries this instance's tag and is not known to be of it; see
            ``inventory.own``.
    """

    identity: Identity
    snapshots: tuple[ListedSnapshot, ...]
    notes: tuple[str, ...]
    returns: tuple[Return, ...] = ()
    armed: tuple[Waiting, ...] = ()
    unknown: tuple[ListedSnapshot, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which runs to list; one that has a snapshot of one of the disks is listed whole.

    Args:
        last: so many of the newest; None for all.
        before: what the text must hold, in whatever case.
        disks: ids, devices and mount points, as the main job takes them.
    """

    last: int | None = None
    before: str = ""
    disks: tuple[str, ...] = ()

    def chosen(
        self, shots: Sequence[ListedSnapshot], disk_ids: Collection[DiskId]
    ) -> tuple[ListedSnapshot, ...]:
        """Return those of the snapshots, in the same order.

        Args:
            disk_ids: what ``disks`` mean here.
        """
        runs = [run for run in runs_of(shots) if self.before.casefold() in run.before.casefold()]
        if self.disks:
            runs = [run for run in runs if any(shot.disk_id in disk_ids for shot in run.shots)]
        kept = {shot.snapshot_id for run in runs[: self.last] for shot in run.shots}
        return tuple(shot for shot in shots if shot.snapshot_id in kept)


ALL = Wanted()


def list_snapshots(tools: Tools, wanted: Wanted = ALL) -> Listing:
    """Return this instance's snapshots made by us, from the cloud's tags and our journal.

    Raises:
        UsageError: a disk that is wanted is none of this machine.
    """
    here = tools.here()
    disk_ids: Collection[DiskId] = ()
    if wanted.disks:  # what understands the kernel's disks is not loaded for a plain list
        from snap_self.usecases.inventory.attached import disks_named

        disk_ids = disks_named(here, wanted.disks)
    listing = list_here(here)
    shots = listing.snapshots
    if wanted == ALL or not shots:
        return listing
    if chosen := wanted.chosen(shots, disk_ids):
        return replace(listing, snapshots=chosen)
    none = f"none of the {len(runs_of(shots))} runs that have snapshots is as asked for"
    return replace(listing, snapshots=(), notes=(none, *listing.notes))


def list_here(here: Here) -> Listing:
    """Return the list for a command that has more to ask."""
    instance_id = here.identity.instance_id

    def remembered() -> Remembered:
        return Remembered.of(journal_records(here.tools.store, instance_id).values(), instance_id)

    own = own_snapshots(here.cloud, instance_id, remembered)
    notes = [*filter(None, (own.incomplete,)), *_aftercare(here, own)]
    if not own.found:
        notes.append(
            "the cloud shows none; an instance role that may not list snapshots looks the same"
        )
    here.tools.saw(holdings(own, instance_id))
    # What was just learned of interrupted runs is in it.
    known = readable_records(here.tools.store, instance_id)
    records = known or {}
    every = (listed(one, records.get(one.run_id) if one.run_id else None) for one in own.found)
    by_disk = sorted(every, key=lambda shot: shot.disk_id)
    shots = tuple(sorted(by_disk, key=newness, reverse=True))
    notes += _without_retention(shots)
    notes += unknown_notes(own.unknown, journal_read=known is not None)
    return Listing(
        identity=here.identity,
        snapshots=shots,
        notes=tuple(notes),
        returns=returns_of(records.values(), runs_of(shots)),
        armed=tuple(waiting for record in records.values() if (waiting := record.waiting)),
        unknown=tuple(map(unproved, own.unknown)),
    )


def holdings(own: OwnSnapshots, instance_id: InstanceId) -> Holdings:
    """Return what a list has seen, for those who watch this machine."""
    shown = None if own.incomplete else frozenset(one.shot.snapshot_id for one in own.found)
    counts = {str(disk_id): count for disk_id, count in own.on_disks.items()}
    return Holdings(instance_id=instance_id, counts=counts, shown=shown)


def unproved(own: OwnSnapshot) -> ListedSnapshot:
    """Return what only says that it is ours; whatever its tags claim, none of it is proved."""
    claims = {RUN_TAG, BEFORE_TAG, OWNER_TAG}
    bare = replace(own, tags={key: text for key, text in own.tags.items() if key in claims})
    return listed(bare, None)


def unknown_notes(unknown: Sequence[OwnSnapshot], *, journal_read: bool) -> Iterator[str]:
    """Tell in one line of what carries the tag and is not known to be of this instance.

    Args:
        journal_read: the journal had its say; if not, they may well be of disks detached by now.
    """
    why = (
        "are of no disk that is attached here or in its journal, or were not made by snap-self"
        if journal_read
        else "the journal cannot be read, so whether they are of this instance is not known"
    )
    names = [one.shot.snapshot_id for one in unknown]
    if names:
        more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
        yield (
            f"unknown: {', '.join(names[:SHOWN])}{more} carry this instance's tag, but {why}: "
            "they are neither counted nor used nor deleted"
        )


def _without_retention(shots: Iterable[ListedSnapshot]) -> Iterator[str]:
    """Tell of what nobody but a person deletes; a refusal is told with its run."""
    names = [each.snapshot_id for each in shots if each.retention is Retention.NOT_SET]
    if names:
        more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
        yield (
            f"{', '.join(names[:SHOWN])}{more}: the cloud has no retention for them, so they are "
            "kept, and cost money, until somebody deletes them (`snap-self prune`, after their "
            "date)"
        )


def _aftercare(here: Here, own: OwnSnapshots) -> tuple[str, ...]:
    """Explain interrupted runs and note what is seen of others, unless a run is going on now."""
    try:
        with here.tools.lock.attempt(purpose="list") as held:
            if not held:
                return ("another run is going on; its snapshots may not be listed yet",)
            ended = here.tools.end_stale_freeze()
            return (*filter(None, (ended,)), *_explained(here, own))
    except StateUnusable as error:
        return (f"the journal was left alone: {error.message}",)


def _explained(here: Here, own: OwnSnapshots) -> tuple[str, ...]:
    instance_id = here.identity.instance_id
    explained = explain_interrupted(here.tools, here.cloud, here.identity, but=None, tell=False)
    # A going back is told by the list itself, with what was lost by it.
    notes = tuple(record.explained for record in explained if record.went_back is None)
    notes += _returns_followed(here)
    seen: Answers = Seen({one.shot.snapshot_id: one.shot for one in own.found}, own.groups)
    if own.incomplete:  # what it does not show may be there
        seen = Asked(here.cloud)
    try:
        pending = note_seen(here.tools, seen, instance_id)
    except (ApiFault, CloudUnreachable) as error:
        # The list itself is there: what the journal lacks must not hide it.
        text = f"what became of earlier runs was not looked for: {error.told}"
        return (*notes, text)
    return (*notes, *pending.news, *pending.refusals)


def _returns_followed(here: Here) -> tuple[str, ...]:
    try:
        follow_returns(here.tools, here.identity)
    except StateUnusable:
        raise
    except SnapSelfError as error:
        return (f"what became of a rollback was not learned: {error.message}",)
    return ()


def journal_records(store: RunStore, instance_id: InstanceId | None) -> Mapping[RunId, RunRecord]:
    """Return the instance's own records; whoever may not read them still has the cloud's tags.

    Args:
        instance_id: a journal that was copied with its disk also has records of another one; None
            for those too.
    """
    return readable_records(store, instance_id) or {}


def readable_records(
    store: RunStore, instance_id: InstanceId | None
) -> Mapping[RunId, RunRecord] | None:
    """Return the same; None where the journal cannot be read, which is not the same as empty."""
    try:
        every = store.all()
    except StateUnusable:
        return None
    return {each.run_id: each for each in every if instance_id in (None, each.instance_id)}


def listed(own: OwnSnapshot, record: RunRecord | None) -> ListedSnapshot:
    """Return a snapshot as it is told, with what the journal knows better."""
    shot = own.shot
    dates = [date for date in (own.expires, expires_by_itself(shot)) if date]
    return ListedSnapshot(
        snapshot_id=shot.snapshot_id,
        group_id=own.group_id,
        run_id=own.run_id,
        disk_id=shot.disk_id,
        before=record.before if record else own.before,
        level=_level(own, record),
        state=SnapshotState.of(shot),
        progress=shot.progress,
        cut=shot.cut,
        cut_time=shot.cut_time,
        size_gib=shot.size_gib,
        expires=min(dates, default=None),
        used_by="" if shot.usage == "none" else shot.usage,
        outcome=(record.outcome if record else "") or own.tags.get(OUTCOME_TAG, ""),
        retention=_retention(own, record),
        mounts=record.carried.get(shot.disk_id, ()) if record else (),
        partial=_PARTIAL.get(record.result) if record else None,
        verified=(record.verified.get(shot.snapshot_id) if record else None)
        or Verification.of_tag(own.tags.get(VERIFIED_TAG, "")),
        tagged=OWNER_TAG in shot.tags,
    )


_PARTIAL = {
    Result.PARTIAL: True,
    Result.DONE: False,
    Result.REUSED: False,
    Result.RESUMED: False,
}


def _retention(own: OwnSnapshot, record: RunRecord | None) -> Retention:
    """Return what the cloud shows of a retention, and what the journal has to add."""
    name = own.shot.snapshot_id
    orders = record.orders if record else ()
    pending = any(name in order.retention_pending for order in orders)
    uploading = own.group_id is not None and own.shot.status is not SnapshotStatus.ACCOMPLISHED
    return retention_of(
        own.shot,
        expires=own.expires,
        pending=pending or uploading,
        refused=pending and record is not None and record.retention is not None,
    )


def _ends_open(record: RunRecord) -> bool:
    """Tell whether the journal does not know how a run ended."""
    return record.result is Result.INTERRUPTED


def _level(own: OwnSnapshot, record: RunRecord | None) -> Consistency:
    """Return the level proved; the tag may say otherwise, if the role may not tag afterwards.

    A journal that ends before the snapshots were made knows of no hold that came after.
    """
    told, proved = own.level, record.consistency_reached if record else None
    if record is None or proved is None:
        return told
    if record.went_back is not None and _ends_open(record):
        return told  # the journal is from before the run had proved it
    is_final = record.stage not in (Stage.PLANNED, Stage.CREATING)
    return proved if is_final else max(told, proved)
