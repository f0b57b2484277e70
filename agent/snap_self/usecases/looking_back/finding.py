"""Which snapshot holds a path: from the running system's layout and what the run left."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from snap_self.disks.copies import refuse_copy
from snap_self.disks.where import Place, Places
from snap_self.errors import DiskUnmapped, PreconditionRefused, UsageError
from snap_self.model.copying import Wanted
from snap_self.model.disks import BTRFS_KEY, CloudDisk, Filesystem, Mount
from snap_self.model.ids import DiskId
from snap_self.model.listed import ListedSnapshot, run_of, runs_of
from snap_self.model.machine import PathFact
from snap_self.model.run import RunRecord
from snap_self.ports import MachineReader
from snap_self.usecases.inventory.named import named_shots, record_of, unknown
from snap_self.usecases.job.look import Survey, survey
from snap_self.usecases.listing import journal_records, list_here
from snap_self.usecases.tools import Here, Tools


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The snapshots that are meant, on the machine as it is now.

    Args:
        name: the run's, or the group's or snapshot's if no tag tells the run.
        notes: what to know of newer ones, and of the list.
    """

    survey: Survey
    name: str
    shots: tuple[ListedSnapshot, ...]
    record: RunRecord | None
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A filesystem of which files are wanted, and the snapshots that hold it.

    Args:
        mount: where it is mounted now.
        shots: of each of its disks, in the order of the disks.
        disks: those.
        wanted: the paths.
    """

    filesystem: Filesystem
    mount: Mount
    shots: tuple[ListedSnapshot, ...]
    disks: tuple[CloudDisk, ...]
    wanted: tuple[Wanted, ...]


def find(tools: Tools, wanted: str) -> Found:
    """Find the snapshots that are meant by a snapshot, group or run id, or by ``last``.

    Raises:
        UsageError: none of ours has that id.
    """
    seen = survey(tools)
    here = Here(tools=tools, identity=seen.identity, cloud=seen.cloud)
    listing = list_here(here)
    records = tuple(journal_records(tools.store, seen.identity.instance_id).values())
    shots, newer = named_shots(runs_of(listing.snapshots), wanted)
    if not shots:
        raise unknown(wanted)
    # One disk's snapshot is meant alone; a run or group means all of it.
    return Found(
        survey=seen,
        name=run_of(shots[0]),
        shots=tuple(shots),
        record=record_of(records, wanted, shots),
        notes=newer,
    )


def source_of(found: Found, machine: MachineReader, paths: Sequence[str]) -> Source:
    """Return the one filesystem that paths lie on, with the snapshots that hold it.

    Raises:
        UsageError: a path is not absolute, or they lie on several filesystems.
        PreconditionRefused, DiskUnmapped: no snapshot holds it.
    """
    places = Places(found.survey.layout)
    located = [_locate(machine, path) for path in paths]
    placed = [(fact, _place(places, fact)) for fact in located]
    first = placed[0][1]
    others = [fact.asked for fact, place in placed if place.mount.path != first.mount.path]
    if others:
        raise UsageError(
            f"{placed[0][0].asked} and {others[0]} lie on different filesystems, "
            f"{first.mount.path} and {_mount_of(placed, others[0])}",
            hint="give one command for each filesystem",
        )
    return source_at(found, first, tuple(_wanted(fact, first) for fact in located))


def source_at(found: Found, place: Place, wanted: tuple[Wanted, ...] = ()) -> Source:
    """Return a filesystem with the snapshots that hold it.

    Raises:
        PreconditionRefused, DiskUnmapped: none does, or not all of its disks have one.
        OnTemporaryDisk: it lies on a copy itself.
    """
    filesystem = place.filesystem
    if filesystem is None:
        raise PreconditionRefused(
            f"{place.mount.path} ({place.mount.fstype}) lies on no disk of this instance",
            hint="no snapshot of a disk can hold it",
        )
    disks = _disks(found, filesystem, place.mount)
    for disk in disks:
        refuse_copy(place.mount.path, disk)
    _check_same_disk(found, place.mount, disks)
    by_disk = {shot.disk_id: shot for shot in found.shots}
    missing = [disk.disk_id for disk in disks if disk.disk_id not in by_disk]
    if missing:
        held = ", ".join(f"{shot.disk_id}{_at(shot)}" for shot in found.shots)
        raise PreconditionRefused(
            f"{place.mount.path} lies on {', '.join(missing)}, of which {found.name} has no "
            "snapshot",
            hint=f"it has {held}; `snap-self list --disk {missing[0]}` shows those that have it",
        )
    shots = tuple(by_disk[disk.disk_id] for disk in disks)
    for shot in shots:
        _check_usable(shot)
    return Source(filesystem=filesystem, mount=place.mount, shots=shots, disks=disks, wanted=wanted)


def place_of(found: Found, machine: MachineReader, path: str) -> Place:
    """Return the filesystem that a path lies on.

    Raises:
        UsageError, PreconditionRefused: it lies on none that is known.
    """
    return _place(Places(found.survey.layout), _locate(machine, path))


def wanted_at(found: Found, machine: MachineReader, path: str) -> tuple[Place, Wanted]:
    """Return the filesystem that a path lies on, and the path with where it is in a copy of that.

    Raises:
        UsageError, PreconditionRefused: it lies on none that is known.
    """
    fact = _locate(machine, path)
    place = _place(Places(found.survey.layout), fact)
    return place, _wanted(fact, place)


def subvolume_of(source: Source) -> str:
    """Return what of a btrfs is mounted there; empty of any other filesystem."""
    return source.mount.root if source.filesystem.key.startswith(BTRFS_KEY) else ""


def _check_usable(shot: ListedSnapshot) -> None:
    if shot.failed:
        raise PreconditionRefused(
            f"{shot.snapshot_id} failed, so nothing can be made of it",
            hint="`snap-self list` shows the others",
        )
    if not shot.usable:
        raise PreconditionRefused(
            f"{shot.snapshot_id} cannot be used yet",
            hint="`snap-self list` shows when it is available",
        )


def _at(shot: ListedSnapshot) -> str:
    return f" ({', '.join(shot.mounts)})" if shot.mounts else ""


def _disks(found: Found, filesystem: Filesystem, mount: Mount) -> tuple[CloudDisk, ...]:
    disk_map = found.survey.disk_map
    local = {each.local.name: each.cloud for each in disk_map.disks if each.local}
    unknown_ones = sorted(filesystem.disks - local.keys())
    if unknown_ones:
        why = disk_map.local_only.get(unknown_ones[0], "the cloud does not know it")
        raise DiskUnmapped(
            f"{mount.path} lies on {unknown_ones[0]}, which cannot be tied to a cloud disk: {why}",
            hint="`snap-self plan` shows how each disk was judged",
        )
    return tuple(local[name] for name in sorted(filesystem.disks))


def _check_same_disk(found: Found, mount: Mount, disks: Sequence[CloudDisk]) -> None:
    """Refuse a mount point at which another disk was mounted when the snapshot was made."""
    carried: Mapping[DiskId, tuple[str, ...]] = found.record.carried if found.record else {}
    then = [disk_id for disk_id, paths in carried.items() if mount.path in paths]
    now = [disk.disk_id for disk in disks]
    if then and not set(then) & set(now):
        raise PreconditionRefused(
            f"{mount.path} was on {', '.join(then)} when {found.name} was made, and is on "
            f"{', '.join(now)} now",
            hint=f"attach that disk again, or take the files from a disk that you make of its "
            f"snapshot: `snap-self show {found.name}` has the steps",
        )


def _mount_of(placed: Sequence[tuple[PathFact, Place]], asked: str) -> str:
    return next(place.mount.path for fact, place in placed if fact.asked == asked)


def _place(places: Places, fact: PathFact) -> Place:
    place = places.of_path(fact)
    if place is None:
        raise PreconditionRefused(
            f"no known filesystem holds {fact.asked}",
            hint="it may have been unmounted a moment ago; see /proc/self/mountinfo",
        )
    return place


def _wanted(fact: PathFact, place: Place) -> Wanted:
    """Return what is wanted, by its path now and by that in the copy that is opened."""
    rest = posixpath.relpath(fact.real, place.mount.path)
    below = "" if rest == "." else rest
    is_btrfs = place.filesystem is not None and place.filesystem.key.startswith(BTRFS_KEY)
    # Of a btrfs the copy is opened at what is mounted; else at the top of the filesystem.
    root = "" if is_btrfs else place.mount.root.strip("/")
    return Wanted(path=fact.real, inside=posixpath.join(root, below).rstrip("/"))


def _without_dots(machine: MachineReader, path: str) -> str:
    """Return a whole path without ``.`` and ``..``, where what is before ``..`` may be a link.

    Raises:
        UsageError: what is before it is not there, so nobody knows what is above.
    """
    names: list[str] = []
    for name in path.split("/"):
        if name == "..":
            before = machine.locate("/" + "/".join(names)).real
            names = before.strip("/").split("/")[:-1]
        elif name not in ("", "."):
            names.append(name)
    return "/" + "/".join(names)


def _locate(machine: MachineReader, path: str) -> PathFact:
    """Return where a path lies, or would if it were still there; a link is meant itself.

    Raises:
        UsageError: it is not absolute.
    """
    if not path.startswith("/"):
        raise UsageError(
            f"{path!r} is not an absolute path", hint="name it as it is on the running system"
        )
    asked = _without_dots(machine, path)
    if asked == "/":
        return machine.locate("/")
    above, rest = posixpath.split(asked)
    while True:
        try:
            parent = machine.locate(above)
            break
        except UsageError:
            if above == "/":
                raise
            above, name = posixpath.split(above)
            rest = posixpath.join(name, rest)
    real = posixpath.join(parent.real, rest)
    try:
        fact = machine.locate(asked)
    except UsageError:
        fact = parent
    # What leads elsewhere is a link; not the file behind it is meant.
    mount_id, devno, overlay = (
        (fact.mount_id, fact.devno, fact.overlay)
        if fact.real == real
        else (parent.mount_id, parent.devno, parent.overlay)
    )
    return PathFact(asked=path, real=real, mount_id=mount_id, devno=devno, overlay=overlay)
