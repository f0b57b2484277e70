"""Show one run's snapshots in full, with the ways back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from contextlib import suppress
from dataclasses import dataclass
from operator import itemgetter

from snap_self.disks.carried import mounted_beside
from snap_self.disks.gaps import FOREIGN
from snap_self.disks.mapping import DiskMap
from snap_self.errors import TopologyError
from snap_self.model.changes import LoggedChange
from snap_self.model.ids import DiskId
from snap_self.model.listed import ListedSnapshot, runs_of
from snap_self.model.looking import Since
from snap_self.model.run import RunRecord, rebooted
from snap_self.model.snapshots import Identity
from snap_self.model.ways import Step, Way, WayKind
from snap_self.recovery.copies import AttachedDisk, attached_disks
from snap_self.recovery.ways import all_ways
from snap_self.recovery.went_back import Return
from snap_self.usecases.inventory.attached import Attached, look_at
from snap_self.usecases.inventory.named import named_shots, record_of, unknown
from snap_self.usecases.listing import Listing, journal_records, list_here
from snap_self.usecases.since import changed_since
from snap_self.usecases.tools import Here, Tools


@dataclass(frozen=True, slots=True, kw_only=True)
class Lack:
    """Something that is in no snapshot of a run.

    Args:
        what: its mount point.
        why: a reason that others may share; empty where it is not known.
    """

    what: str
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """One run's snapshots in full.

    Args:
        record: None where the journal has none of that run.
        upload: how far the upload is by the journal, and who watches it.
        ways: every way back.
        lacks: what is in none of the snapshots, so that no way brings it back.
        changes: those of package managers that the snapshots were made for.
        since: what differs on the machine after the change; None where that was not noted.
        went_back: that disks went back to this run; None where nothing is known of that.
        lost_by: that disks went back to an earlier run, so that they know nothing of this one.
        unknown: they carry this instance's tag and are not known to be of it, so nothing that they
            claim is proved, and no way back is told; or the record is another instance's.
    """

    identity: Identity
    snapshots: tuple[ListedSnapshot, ...]
    record: RunRecord | None
    notes: tuple[str, ...]
    upload: str = ""
    ways: tuple[Way, ...] = ()
    lacks: tuple[Lack, ...] = ()
    changes: tuple[LoggedChange, ...] = ()
    since: Since | None = None
    went_back: Return | None = None
    lost_by: Return | None = None
    unknown: bool = False

    @property
    def undo(self) -> tuple[Step, ...]:
        """The steps of the way back in place; none where there is no such way."""
        in_place = (way.steps for way in self.ways if way.kind is WayKind.IN_PLACE)
        return next(in_place, ())


def show(tools: Tools, wanted: str) -> Shown:
    """Return one run's snapshots in full, named by snapshot, group or run id, or by ``last``.

    The last one is the newest of which something is left to go back to.

    Raises:
        UsageError: none of ours has that id.
    """
    here = tools.here()
    listing = list_here(here)
    # A run of the instance whose image this machine was made of is told, and told to be that.
    records = tuple(journal_records(tools.store, None).values())
    named, newer = named_shots(runs_of(listing.snapshots), wanted)
    record = record_of(records, wanted, named)
    if not named and record is None:
        return _unknown(listing, wanted)
    run_id = named[0].run_id if named else record.run_id if record else None
    whole = [s for s in listing.snapshots if run_id and s.run_id == run_id] or named
    changes = tools.changes_of(run_id) if run_id else ()
    back = _back(here, whole, record, changes)
    return Shown(
        identity=listing.identity,
        snapshots=tuple(whole),
        record=record,
        ways=back.ways,
        lacks=back.lacks,
        notes=(*newer, *listing.notes),
        upload=_upload(tools, record),
        changes=changes,
        since=changed_since(tools, run_id) if run_id else None,
        went_back=next((one for one in listing.returns if one.run == run_id), None),
        lost_by=next((one for one in listing.returns if _loses(one, run_id)), None),
        unknown=record is not None and record.instance_id != here.identity.instance_id,
    )


def _unknown(listing: Listing, wanted: str) -> Shown:
    """Return what only says that it is ours.

    Raises:
        UsageError: nothing does.
    """
    named, _ = named_shots(runs_of(listing.unknown), wanted)
    if not named:
        raise unknown(wanted)
    return Shown(
        identity=listing.identity,
        snapshots=tuple(named),
        record=None,
        notes=listing.notes,
        unknown=True,
    )


def _loses(one: Return, run_id: str | None) -> bool:
    return any(run.name == run_id for run in one.lost)


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
    ended_with_boot = rebooted(one.boot_id, tools.process.boot_id)
    if ended_with_boot or tools.process_started(one.pid) != one.pid_started:
        return "going on; the follower was ended, and nothing holds a reboot back"
    if one.why:
        return f"going on; a follower watches it, but nothing holds a reboot back: {one.why}"
    return (
        "going on; a follower holds a reboot back until then, at the latest until "
        f"{one.until:%Y-%m-%d %H:%M} UTC"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Back:
    """What going back means here."""

    ways: tuple[Way, ...] = ()
    lacks: tuple[Lack, ...] = ()


def _back(
    here: Here,
    shots: Sequence[ListedSnapshot],
    record: RunRecord | None,
    changes: Sequence[LoggedChange],
) -> _Back:
    good = [shot for shot in shots if not shot.failed]
    if not good:
        return _Back()
    disks = here.cloud.describe_disks(here.identity.instance_id)
    found: Attached | None = None
    with suppress(TopologyError):  # the ways are the same without what lies where
        found = look_at(here, disks)
    left = {shot.disk_id for shot in good}
    return _Back(
        ways=all_ways(
            good,
            attached_disks(disks, found.layout, found.disk_map)
            if found
            else tuple(AttachedDisk(cloud=disk) for disk in disks),
            here.identity,
            lost=[each for each in (record.disk_ids if record else ()) if each not in left],
            managers={change.manager for change in changes},
        ),
        lacks=tuple(Lack(what=path, why=why) for path, why in _lacks(record, shots, found).items()),
    )


def _lacks(
    record: RunRecord | None, shots: Sequence[ListedSnapshot], found: Attached | None
) -> Mapping[str, str]:
    """Return what was mounted then and is in no good one of these snapshots, each with why.

    Where the journal does not tell what was, what is mounted now stands for it; not where one of
    the disks is detached or cannot be told: what was on it may be mounted under another name.
    """
    left = {shot.disk_id for shot in shots if not shot.failed}
    failed = {shot.disk_id for shot in shots} - left
    if record is not None and record.lacking is not None:
        lost = {
            path: f"the snapshot of {disk_id} {'failed' if disk_id in failed else 'is gone'}"
            for disk_id, paths in record.carried.items()
            if disk_id not in left
            for path in paths
        }
        return {**lost, **{path: record.lacking_why.get(path, "") for path in record.lacking}}
    if found is None:
        return {}
    ids = {each.local.name: each.cloud.disk_id for each in found.disk_map.disks if each.local}
    if not left <= set(ids.values()):
        return {}
    held = {name for name, disk_id in ids.items() if disk_id in left}
    beside = sorted(mounted_beside(found.layout, held), key=itemgetter(0))
    return {path: _why_beside(names, ids, found.disk_map) for path, names in beside}


def _why_beside(names: Set[str], ids: Mapping[str, DiskId], disk_map: DiskMap) -> str:
    """Return why what lies on these local disks is in none of the snapshots."""
    name = min(names)
    if name in ids:
        return f"there is no snapshot of {ids[name]}"
    return FOREIGN if name in disk_map.foreign else disk_map.local_only.get(name, "")
