"""The ways back to what one run made, exact for this instance, its disks and what they carry; pure.

Source: ECS documentation, "Roll back a disk by using a snapshot", "Create a disk from a snapshot",
"Economical mode".
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from snap_self.disks.categories import ESSD_FAMILY
from snap_self.model.disks import CloudDisk
from snap_self.model.ids import DiskId
from snap_self.model.listed import ListedSnapshot
from snap_self.model.snapshots import Identity
from snap_self.model.ways import Way, WayKind
from snap_self.recovery.copies import AttachedDisk, open_copies
from snap_self.recovery.steps import look_into, new_disk_gib, roll_back, roll_back_running

PACMAN = "pacman"
RELEASED = ", with Release Disk with Instance"
ONE_AT_A_TIME = (
    "an instance detaches one disk at a time, and attaches one at a time: wait until each is done "
    "before the next"
)
FORCED_STOP = (
    "a system too broken to shut down does not come to Stopped: add --ForceStop true to "
    "StopInstance (console: Force Stop)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Return:
    """A snapshot, and the disk that it can be brought back to."""

    shot: ListedSnapshot
    disk: AttachedDisk


def all_ways(
    shots: Sequence[ListedSnapshot],
    disks: Sequence[AttachedDisk],
    identity: Identity,
    *,
    lost: Sequence[DiskId] = (),
    managers: Collection[str] = (),
) -> tuple[Way, ...]:
    """Return every way there is, the one for the whole run first.

    Args:
        shots: the run's, without failed ones.
        disks: those attached to the instance now.
        lost: disks of the run of which no snapshot is left.
        managers: of packages, whose changes the snapshots were made for.
    """
    attached = {disk.cloud.disk_id: disk for disk in disks}
    system = {name for name, disk in attached.items() if disk.is_system}
    ordered = sorted(shots, key=lambda shot: (shot.disk_id not in system, shot.disk_id))
    # Of one disk the list has its newest snapshot first, and what leads further back counts.
    by_disk = {shot.disk_id: shot for shot in ordered if shot.disk_id in attached}
    here = [_Return(shot=shot, disk=attached[name]) for name, shot in by_disk.items()]
    ways = [_in_place(here, disks, identity, lost, managers)] if here else []
    data = [one for one in here if not one.disk.is_system]
    movable = all(one.disk.cloud.portable for one in data)
    if data and movable and len(data) < len(attached) and not _torn(data):
        ways.append(_data_disks(data, identity, lost))
    return (*ways, *(_new_disk(shot, attached.get(shot.disk_id), identity) for shot in ordered))


def _torn(returns: Sequence[_Return]) -> tuple[str, ...]:
    """Return the mount points of what lies on other disks too, which do not go back with these."""
    names = {one.disk.name for one in returns}
    copied = (one for each in returns for one in each.disk.copied)
    return tuple(dict.fromkeys(one.mount for one in copied if not one.disks <= names))


def _in_place(
    returns: Sequence[_Return],
    disks: Sequence[AttachedDisk],
    identity: Identity,
    lost: Sequence[DiskId],
    managers: Collection[str],
) -> Way:
    pairs = {one.shot.disk_id: one.shot.snapshot_id for one in returns}
    instance_id = identity.instance_id
    return Way(
        kind=WayKind.IN_PLACE,
        title=f"Roll back in place, from outside, the instance stopped: {_all_named(returns)}",
        cautions=(*_rollback_cautions(returns, lost), FORCED_STOP),
        console=(
            f"Instances > {instance_id} > Stop; as stop mode Standard Mode, not Economical "
            "Mode, which gives processors, memory and public address away and may not start again",
            *_console_rollback(returns),
            f"Instances > {instance_id} > Start",
        ),
        steps=roll_back(identity, pairs, [disk.cloud for disk in disks]),
        after=tuple(_after_rollback(returns, managers)),
    )


def _data_disks(returns: Sequence[_Return], identity: Identity, lost: Sequence[DiskId]) -> Way:
    pairs = {one.shot.disk_id: one.shot.snapshot_id for one in returns}
    # Once each, though it lies on several disks; an outer one sorts before what lies in it.
    mounts = sorted({mount for one in returns for mount in one.disk.mounts})
    return Way(
        kind=WayKind.DATA_DISKS,
        title=f"Roll back data disks only, the instance running: {_all_named(returns)}",
        cautions=(
            *_rollback_cautions(returns, lost),
            *_release_cautions(returns),
            *((ONE_AT_A_TIME,) if len(pairs) > 1 else ()),
            "stop what uses them first; a disk with swap, or below LVM, md or an encrypted volume, "
            "must be free of them too (swapoff, vgchange -an, mdadm --stop, cryptsetup close)",
        ),
        console=(
            *(f"Disks > {disk_id} > Detach (after umount)" for disk_id in pairs),
            *_console_rollback(returns),
            *(_console_attach(one.disk.cloud, identity) for one in returns),
        ),
        steps=roll_back_running(identity, pairs, mounts, [one.disk.cloud for one in returns]),
    )


def _new_disk(shot: ListedSnapshot, disk: AttachedDisk | None, identity: Identity) -> Way:
    category = disk.cloud.category if disk else "cloud_essd"
    opened = open_copies(disk.copied if disk else ())
    cautions = []
    if not shot.uploaded and category not in ESSD_FAMILY:
        cautions.append(f"a disk of category {category} can be made only once it is accomplished")
    if not shot.usable:
        cautions.append(_not_usable(shot))
    if disk and disk.cloud.encrypted:
        cautions.append("the snapshot is encrypted, and so will be the new disk")
    return Way(
        kind=WayKind.NEW_DISK,
        title=f"Look into it, or take files from it, by a new disk: {_named(shot, disk)}",
        cautions=(*cautions, *opened.cautions),
        console=(
            f"Snapshots > {shot.snapshot_id} > Create Disk: zone {identity.zone}, category "
            f"{category}, {new_disk_gib(shot)} GiB",
            f"Disks > the new disk > Attach to {identity.instance_id}{RELEASED}",
            "when done: umount, Disks > the new disk > Detach, then Release",
        ),
        steps=look_into(identity, shot, category, opened.steps, opened.closing),
        after=(
            *opened.after,
            "never restart the instance while the copy is attached: its filesystems have the same "
            "UUIDs as yours, and the wrong ones may be mounted",
        ),
    )


def _rollback_cautions(returns: Sequence[_Return], lost: Sequence[DiskId]) -> Iterator[str]:
    yield "what was written after the snapshot is lost; in doubt, snapshot the present state first"
    shots = [one.shot for one in returns]
    for shot in shots:
        if not shot.usable:
            yield _not_usable(shot)
        elif not shot.uploaded:
            yield (
                f"{shot.snapshot_id} is still being uploaded; if the cloud refuses the rollback "
                "because of that, wait until it is accomplished"
            )
    if not all(shot.uploaded for shot in shots):
        yield (
            "a follower holds shutdowns back while something is being uploaded, so a stop may end "
            "hard: first, on the instance, systemctl stop 'snap-self-follow@*'"
        )
    for one in returns:
        now, then = one.disk.cloud.size_gib, one.shot.size_gib
        if now > then > 0:
            yield (
                f"{one.shot.disk_id} was enlarged since, from {then} to {now} GiB: "
                "enlarge partition and filesystem again after the rollback"
            )
    if torn := _torn(returns):
        yield (
            f"{', '.join(torn)}: lies also on disks that do not go back with these, and will not "
            "fit together"
        )
    for disk_id in lost:
        yield (
            f"no snapshot of {disk_id} is left of this run; a volume that lies on it too does not "
            "fit together after a rollback of the others"
        )


def _release_cautions(returns: Sequence[_Return]) -> Iterator[str]:
    for one in returns:
        if one.disk.cloud.delete_with_instance is None:
            yield (
                f"it is not known whether {one.shot.disk_id} is to be released with the instance, "
                "which detaching ends: look at the disk in the console first; if so, add "
                "--DeleteWithInstance true to its AttachDisk"
            )


def _console_attach(disk: CloudDisk, identity: Identity) -> str:
    released = RELEASED if disk.delete_with_instance else ""
    return f"Disks > {disk.disk_id} > Attach to {identity.instance_id}{released}"


def _after_rollback(returns: Sequence[_Return], managers: Collection[str]) -> Iterator[str]:
    if any(one.disk.is_system for one in returns):
        yield (
            "the system disk has gone back with its journal of snap-self; `snap-self list` still "
            "shows every snapshot, by its tags"
        )
        yield "log in with the password or key pair that the instance has now"
        if PACMAN in managers:
            yield (
                "the snapshot was made inside a pacman transaction: when no pacman runs, remove "
                "/var/lib/pacman/db.lck"
            )


def _console_rollback(returns: Sequence[_Return]) -> Iterator[str]:
    shots = [one.shot for one in returns]
    groups = {shot.group_id for shot in shots}
    if len(shots) > 1 and len(groups) == 1 and (group := groups.pop()):
        yield (
            f"Snapshots > Snapshot-consistent Groups > {group} > Roll Back Disks: "
            f"{', '.join(shot.disk_id for shot in shots)}"
        )
        return
    for shot in shots:
        yield f"Snapshots > {shot.snapshot_id} > Roll Back Disk ({shot.disk_id})"


def _not_usable(shot: ListedSnapshot) -> str:
    return f"{shot.snapshot_id} cannot be used yet; `snap-self show` tells when it is available"


def _all_named(returns: Sequence[_Return]) -> str:
    return ", ".join(_named(one.shot, one.disk) for one in returns)


def _named(shot: ListedSnapshot, disk: AttachedDisk | None) -> str:
    if disk is None:
        return (
            f"{shot.snapshot_id} of {shot.disk_id or 'a disk that is gone'} (not attached to this "
            "instance any more, so it cannot be rolled back in place here)"
        )
    where = f": {', '.join(disk.mounts)}" if disk.mounts else ""
    return f"{shot.snapshot_id} of {disk.cloud.kind.value} disk {shot.disk_id}{where}"
