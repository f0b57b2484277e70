"""List this instance's snapshots made by the agent, and show one in full."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from snap_self.disks.layout import read_layout
from snap_self.disks.mapping import map_disks
from snap_self.errors import (
    ApiFault,
    CloudUnreachable,
    StateUnusable,
    TopologyError,
    UsageError,
)
from snap_self.model.changes import LoggedChange
from snap_self.model.disks import CloudDisk
from snap_self.model.ids import DiskId, GroupId, RunId, SnapshotId
from snap_self.model.run import RunRecord
from snap_self.model.snapshots import OUTCOME_TAG, Consistency, Identity
from snap_self.model.ways import Way
from snap_self.ports import RunStore
from snap_self.usecases.aftercare import explain_interrupted
from snap_self.usecases.copies import Copied, copied_by_disk
from snap_self.usecases.own import OwnSnapshot, own_snapshots
from snap_self.usecases.pending import finish_pending
from snap_self.usecases.reporting import LEVELS
from snap_self.usecases.tools import Tools
from snap_self.usecases.undo import ways_back
from snap_self.usecases.ways import Ground, Shot, all_ways


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedSnapshot:
    """One line of the list.

    Args:
        state: ``accomplished``, ``available``, ``progressing`` or ``failed``.
        outcome: what came of the change, from the journal or the tag; empty if not known.
    """

    snapshot_id: SnapshotId
    group_id: GroupId | None
    run_id: RunId | None
    disk_id: DiskId
    before: str
    level: Consistency
    state: str
    progress: int
    cut_time: datetime | None
    size_gib: int
    expires: datetime | None
    used_by: str
    outcome: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """The list, newest first, and what should be known about it."""

    identity: Identity
    snapshots: tuple[ListedSnapshot, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """One run's snapshots in full.

    Args:
        undo: the shortest way back, line by line.
        upload: how far the upload is by the journal, and who watches it.
        ways: every way back in full.
        changes: those of package managers that the snapshots were made for.
    """

    identity: Identity
    snapshots: tuple[ListedSnapshot, ...]
    record: RunRecord | None
    undo: tuple[str, ...]
    notes: tuple[str, ...]
    upload: str = ""
    ways: tuple[Way, ...] = ()
    changes: tuple[LoggedChange, ...] = ()


def list_snapshots(tools: Tools) -> Listing:
    """Return this instance's snapshots made by us, from the cloud's tags and our journal."""
    tools.warm()
    identity = tools.identify()
    cloud = tools.connect(identity)
    own = own_snapshots(cloud, identity.instance_id)
    notes = [own.incomplete] if own.incomplete else []
    notes += _aftercare(tools, identity)
    if not own.found:
        notes.append(
            "the cloud shows none; an instance role that may not list snapshots looks the same"
        )
    records = _records(tools.store)
    listed = (_listed(one, records.get(one.run_id) if one.run_id else None) for one in own.found)
    return Listing(
        identity=identity,
        snapshots=tuple(sorted(listed, key=_newest_first)),
        notes=tuple(notes),
    )


def show(tools: Tools, wanted: str) -> Shown:
    """Return one run's snapshots in full, named by snapshot, group or run id.

    Raises:
        UsageError: none of ours has that id.
    """
    listing = list_snapshots(tools)
    named = [s for s in listing.snapshots if wanted in (s.snapshot_id, s.group_id, s.run_id)]
    record = _record(tools.store, wanted, named)
    if not named and record is None:
        raise UsageError(
            f"{wanted} is not a snapshot, group or run of this instance that snap-self made",
            hint="`snap-self list` shows their ids",
        )
    run_id = named[0].run_id if named else None
    whole = [s for s in listing.snapshots if run_id and s.run_id == run_id] or named
    undo, ways = _ways(tools, listing.identity, whole, record)
    return Shown(
        identity=listing.identity,
        snapshots=tuple(whole),
        record=record,
        undo=undo,
        ways=ways,
        notes=listing.notes,
        upload=_upload(tools, record),
        changes=tools.changes_of(run_id or (record.run_id if record else RunId(""))),
    )


def _upload(tools: Tools, record: RunRecord | None) -> str:
    upload = record.upload if record else None
    if upload is None:
        return ""
    if not upload.going_on:
        return upload.text
    one = upload.follower
    if one is None:
        return "going on; nobody watches it, and nothing holds a reboot back"
    if one.ended:
        return f"going on when it was left: {one.ended}; nothing holds a reboot back"
    same_boot = one.boot_id == tools.process.boot_id
    if not same_boot or tools.process_started(one.pid) != one.pid_started:
        return "going on; the follower was ended, and nothing holds a reboot back"
    if one.why:
        return f"going on; a follower watches it, but nothing holds a reboot back: {one.why}"
    return (
        "going on; a follower holds a reboot back until then, at the latest until "
        f"{one.until:%Y-%m-%d %H:%M} UTC"
    )


def _ways(
    tools: Tools, identity: Identity, shots: list[ListedSnapshot], record: RunRecord | None
) -> tuple[tuple[str, ...], tuple[Way, ...]]:
    """Return the short way back, and every way in full."""
    good = [shot for shot in shots if shot.state != "failed"]
    if not good:
        return (), ()
    disks = tools.connect(identity).describe_disks(identity.instance_id)
    copied, local = _copied(tools, identity, disks)
    ground = Ground(
        instance_id=identity.instance_id,
        region=identity.region,
        zone=identity.zone,
        disks={disk.disk_id: disk for disk in disks},
        copied=copied,
        local=local,
        lost=_lost(record, good),
        before=good[0].before,
    )
    short = ways_back(
        instance_id=identity.instance_id,
        region=identity.region,
        pairs={shot.disk_id: shot.snapshot_id for shot in good if shot.disk_id in ground.disks},
        disks=disks,
    )
    return short, all_ways([_shot(shot) for shot in good], ground)


def _shot(listed: ListedSnapshot) -> Shot:
    return Shot(
        snapshot_id=listed.snapshot_id,
        disk_id=listed.disk_id,
        group_id=listed.group_id,
        size_gib=listed.size_gib,
        usable=listed.state in ("available", "accomplished"),
        uploaded=listed.state == "accomplished",
    )


def _copied(
    tools: Tools, identity: Identity, disks: Sequence[CloudDisk]
) -> tuple[Mapping[DiskId, tuple[Copied, ...]], Mapping[DiskId, str]]:
    """Return what lies on which disk here, and its name; nothing where that cannot be told."""
    try:
        layout = read_layout(tools.machine.read())
        disk_map = map_disks(
            layout,
            disks,
            instance_id=identity.instance_id,
            serial_to_disk=identity.serial_to_disk,
            user_map=tools.user_map,
        )
    except TopologyError:
        return {}, {}
    local = {each.cloud.disk_id: each.local.name for each in disk_map.disks if each.local}
    return copied_by_disk(layout, disk_map), local


def _lost(record: RunRecord | None, good: Sequence[ListedSnapshot]) -> tuple[DiskId, ...]:
    ordered = (d for order in record.orders for d in order.order.disk_ids) if record else ()
    return tuple(disk_id for disk_id in ordered if disk_id not in {shot.disk_id for shot in good})


def _aftercare(tools: Tools, identity: Identity) -> list[str]:
    """Explain interrupted runs and set due retention, unless a run is going on right now."""
    try:
        with tools.lock.attempt(purpose="list") as held:
            if not held:
                return ["another run is going on; its snapshots may not be listed yet"]
            ended = tools.end_stale_freeze()
            return [*filter(None, (ended,)), *_explained(tools, identity)]
    except StateUnusable as error:
        return [f"the journal was left alone: {error.message}"]


def _explained(tools: Tools, identity: Identity) -> list[str]:
    cloud = tools.connect(identity)
    explained = explain_interrupted(tools, cloud, identity.instance_id, but=None, tell=False)
    notes = [record.explained for record in explained]
    try:
        notes += finish_pending(tools, cloud, identity.instance_id).news
    except (ApiFault, CloudUnreachable) as error:
        # The list itself is there: what the journal lacks must not hide it.
        notes.append(f"what became of earlier runs was not looked for: {error.message}")
    return notes


def _records(store: RunStore) -> dict[RunId, RunRecord]:
    """Return the journal's records; whoever may not read them still has the cloud's tags."""
    try:
        return {record.run_id: record for record in store.all()}
    except StateUnusable:
        return {}


def _record(store: RunStore, wanted: str, named: list[ListedSnapshot]) -> RunRecord | None:
    run_ids = {wanted, *(s.run_id for s in named if s.run_id)}
    return next((record for record in _records(store).values() if record.run_id in run_ids), None)


def _listed(own: OwnSnapshot, record: RunRecord | None) -> ListedSnapshot:
    shot = own.shot
    ready = shot.available and shot.status.value == "progressing"
    return ListedSnapshot(
        snapshot_id=shot.snapshot_id,
        group_id=own.group_id,
        run_id=own.run_id,
        disk_id=shot.disk_id,
        before=record.before if record else own.before,
        level=_level(own, record),
        state="available" if ready else shot.status.value,
        progress=shot.progress,
        cut_time=shot.cut_time,
        size_gib=shot.size_gib,
        expires=own.expires,
        used_by="" if shot.usage == "none" else shot.usage,
        outcome=(record.outcome if record else "") or own.tags.get(OUTCOME_TAG, ""),
    )


def _level(own: OwnSnapshot, record: RunRecord | None) -> Consistency:
    """Return the level proved; the tag may say less, if the role may not tag after the fact."""
    told, proved = own.level, record.consistency_reached if record else None
    return max(told, proved, key=LEVELS.index) if proved else told


def _newest_first(shot: ListedSnapshot) -> tuple[float, str]:
    return (-(shot.cut_time.timestamp() if shot.cut_time else float("inf")), shot.disk_id)
