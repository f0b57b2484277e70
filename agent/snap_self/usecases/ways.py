"""The ways back to what one run made, exact for this instance, its disks and what they carry; pure.

Source: ECS documentation, "Roll back a disk by using a snapshot", "Create a disk from a snapshot",
"Economical mode"; ECS API reference, ResetDisk, CreateDisk, StopInstance, AttachDisk.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from snap_self.model.disks import CloudDisk, DiskKind
from snap_self.model.ids import DiskId, GroupId, InstanceId, RegionId, SnapshotId
from snap_self.model.ways import Way
from snap_self.usecases.copies import Copied, open_copies

ESSD = ("cloud_essd", "cloud_auto", "cloud_essd_entry", "cloud_regional_disk_auto")
# The least size of an ESSD at the default performance level PL1.
PL1_GIB = 20
FORCED_STOP = (
    "a system too broken to shut down does not come to Stopped: add --ForceStop true to "
    "StopInstance (console: Force Stop)"
)
LIST_INSTANCE = "aliyun ecs DescribeInstances --RegionId {region} --InstanceIds '[\"{instance}\"]'"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shot:
    """One snapshot of the run.

    Args:
        usable: it can be gone back to now.
        uploaded: it is accomplished.
    """

    snapshot_id: SnapshotId
    disk_id: DiskId
    group_id: GroupId | None
    size_gib: int
    usable: bool
    uploaded: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """What the ways lead over.

    Args:
        disks: those attached to the instance now.
        copied: by disk, the filesystems that its copy would hold, as the disk looks now.
        local: by disk, its name here.
        lost: disks of the run of which no snapshot is left.
        before: the change that the snapshots were made for.
    """

    instance_id: InstanceId
    region: RegionId
    zone: str
    disks: Mapping[DiskId, CloudDisk]
    copied: Mapping[DiskId, Sequence[Copied]]
    local: Mapping[DiskId, str]
    lost: Sequence[DiskId]
    before: str


def all_ways(shots: Sequence[Shot], ground: Ground) -> tuple[Way, ...]:
    """Return every way there is, the one for the whole run first."""
    ordered = sorted(shots, key=lambda shot: (not _is_system(shot, ground), shot.disk_id))
    here = [shot for shot in ordered if shot.disk_id in ground.disks]
    ways = [_in_place(here, ground)] if here else []
    data = [shot for shot in here if not _is_system(shot, ground)]
    if data and len(data) < len(ground.disks) and not _torn(data, ground):
        ways.append(_data_only(data, ground))
    return (*ways, *(_new_disk(shot, ground) for shot in ordered))


def _torn(shots: Sequence[Shot], ground: Ground) -> tuple[str, ...]:
    """Return the mount points of what lies on other disks too, which do not go back with these."""
    names = {ground.local.get(shot.disk_id) for shot in shots}
    copied = (one for shot in shots for one in ground.copied.get(shot.disk_id, ()))
    return tuple(dict.fromkeys(one.mount for one in copied if not one.disks <= names))


def _is_system(shot: Shot, ground: Ground) -> bool:
    disk = ground.disks.get(shot.disk_id)
    return disk is not None and disk.kind is DiskKind.SYSTEM


def _in_place(shots: Sequence[Shot], ground: Ground) -> Way:
    what = ", ".join(_named(shot, ground) for shot in shots)
    commands = [
        f"aliyun ecs StopInstance --RegionId {ground.region} --InstanceId {ground.instance_id} "
        "--StoppedMode KeepCharging",
        f"{_list_instance(ground)}   # until Status is Stopped",
        *(_reset(shot, ground) for shot in shots),
        f"{_list_disks(ground)}   # until no Status is ReIniting",
        f"aliyun ecs StartInstance --RegionId {ground.region} --InstanceId {ground.instance_id}",
    ]
    return Way(
        title=f"Roll back in place, from outside, the instance stopped: {what}",
        cautions=(*_rollback_cautions(shots, ground), FORCED_STOP),
        console=(
            f"Instances > {ground.instance_id} > Stop; as stop mode Standard Mode, not Economical "
            "Mode, which gives processors, memory and public address away and may not start again",
            *_console_rollback(shots),
            f"Instances > {ground.instance_id} > Start",
        ),
        commands=tuple(commands),
        after=tuple(_after_rollback(shots, ground)),
    )


def _data_only(shots: Sequence[Shot], ground: Ground) -> Way:
    what = ", ".join(_named(shot, ground) for shot in shots)
    detach, attach = [], []
    for shot in shots:
        ids = (
            f"--RegionId {ground.region} --InstanceId {ground.instance_id} --DiskId {shot.disk_id}"
        )
        detach.append(f"aliyun ecs DetachDisk {ids}")
        attach.append(f"aliyun ecs AttachDisk {ids}")
    mounts = [one.mount for shot in shots for one in ground.copied.get(shot.disk_id, ())]
    return Way(
        title=f"Roll back data disks only, the instance running: {what}",
        cautions=(
            *_rollback_cautions(shots, ground),
            "stop what uses them first; a disk with swap, or below LVM, md or an encrypted volume, "
            "must be free of them too (swapoff, vgchange -an, mdadm --stop, cryptsetup close)",
        ),
        console=(
            *(f"Disks > {shot.disk_id} > Detach (after umount)" for shot in shots),
            *_console_rollback(shots),
            *(f"Disks > {shot.disk_id} > Attach to {ground.instance_id}" for shot in shots),
        ),
        commands=(
            *(f"umount {shlex.quote(mount)}   # on the instance" for mount in reversed(mounts)),
            *detach,
            f"{_list_disks(ground, shots)}   # until Status is Available",
            *(_reset(shot, ground) for shot in shots),
            f"{_list_disks(ground, shots)}   # until no Status is ReIniting",
            *attach,
            *(f"mount {shlex.quote(mount)}   # on the instance" for mount in mounts),
        ),
    )


def _new_disk(shot: Shot, ground: Ground) -> Way:
    region, disk = ground.region, ground.disks.get(shot.disk_id)
    category = disk.category if disk else "cloud_essd"
    size = max(shot.size_gib, 1)
    level = " --PerformanceLevel PL0" if category == "cloud_essd" and size < PL1_GIB else ""
    cautions = []
    if not shot.uploaded and category not in ESSD:
        cautions.append(f"a disk of category {category} can be made only once it is accomplished")
    if not shot.usable:
        cautions.append(_not_usable(shot))
    if disk and disk.encrypted:
        cautions.append("the snapshot is encrypted, and so will be the new disk")
    ids = f"--RegionId {region} --InstanceId {ground.instance_id} --DiskId NEW_DISK"
    return Way(
        title=f"Look into it, or take files from it, by a new disk: {_named(shot, ground)}",
        cautions=tuple(cautions),
        console=(
            f"Snapshots > {shot.snapshot_id} > Create Disk: zone {ground.zone}, category "
            f"{category}, {size} GiB",
            f"Disks > the new disk > Attach to {ground.instance_id}",
            "when done: umount, Disks > the new disk > Detach, then Release",
        ),
        commands=(
            f"aliyun ecs CreateDisk --RegionId {region} --ZoneId {ground.zone} --SnapshotId "
            f"{shot.snapshot_id} --DiskCategory {category}{level} --Size {size} --DiskName "
            "snap-self-restore   # prints the id of NEW_DISK",
            f"aliyun ecs DescribeDisks --RegionId {region} --DiskIds '[\"NEW_DISK\"]'   # until "
            "Status is Available",
            f"aliyun ecs AttachDisk {ids}",
            "lsblk -o NAME,SERIAL,SIZE,FSTYPE   # on the instance: NEW has the serial number that "
            "NEW_DISK is without its d-",
            *open_copies(ground.copied.get(shot.disk_id, ())),
            f"aliyun ecs DetachDisk {ids}   # after umount, vgchange -an, cryptsetup close",
            f"aliyun ecs DeleteDisk --RegionId {region} --DiskId NEW_DISK",
        ),
        after=(
            "never restart the instance while the copy is attached: its filesystems have the same "
            "UUIDs as yours, and the wrong ones may be mounted",
        ),
    )


def _rollback_cautions(shots: Sequence[Shot], ground: Ground) -> Iterator[str]:
    yield "what was written after the snapshot is lost; in doubt, snapshot the present state first"
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
    for shot in shots:
        disk = ground.disks.get(shot.disk_id)
        if disk and disk.size_gib > shot.size_gib > 0:
            yield (
                f"{shot.disk_id} was enlarged since, from {shot.size_gib} to {disk.size_gib} GiB: "
                "enlarge partition and filesystem again after the rollback"
            )
    if torn := _torn(shots, ground):
        yield (
            f"{', '.join(torn)}: lies also on disks that do not go back with these, and will not "
            "fit together"
        )
    for disk_id in ground.lost:
        yield (
            f"no snapshot of {disk_id} is left of this run; a volume that lies on it too does not "
            "fit together after a rollback of the others"
        )


def _after_rollback(shots: Sequence[Shot], ground: Ground) -> Iterator[str]:
    if any(_is_system(shot, ground) for shot in shots):
        yield (
            "the system disk has gone back with its journal of snap-self; `snap-self list` still "
            "shows every snapshot, by its tags"
        )
        yield "log in with the password or key pair that the instance has now"
        if ground.before.startswith("pacman"):
            yield (
                "the snapshot was made inside a pacman transaction: when no pacman runs, remove "
                "/var/lib/pacman/db.lck"
            )


def _console_rollback(shots: Sequence[Shot]) -> Iterator[str]:
    groups = {shot.group_id for shot in shots if shot.group_id}
    if len(groups) == 1 and all(shot.group_id for shot in shots) and len(shots) > 1:
        yield (
            f"Snapshots > Snapshot-consistent Groups > {groups.pop()} > Roll Back Disks: "
            f"{', '.join(shot.disk_id for shot in shots)}"
        )
        return
    for shot in shots:
        yield f"Snapshots > {shot.snapshot_id} > Roll Back Disk ({shot.disk_id})"


def _not_usable(shot: Shot) -> str:
    return f"{shot.snapshot_id} cannot be used yet; `snap-self show` tells when it is available"


def _named(shot: Shot, ground: Ground) -> str:
    disk = ground.disks.get(shot.disk_id)
    if disk is None:
        return (
            f"{shot.snapshot_id} of {shot.disk_id or 'a disk that is gone'} (not attached to this "
            "instance any more, so it cannot be rolled back in place here)"
        )
    mounts = [one.mount for one in ground.copied.get(shot.disk_id, ())]
    where = f": {', '.join(mounts)}" if mounts else ""
    return f"{shot.snapshot_id} of {disk.kind.value} disk {shot.disk_id}{where}"


def _reset(shot: Shot, ground: Ground) -> str:
    return (
        f"aliyun ecs ResetDisk --RegionId {ground.region} --DiskId {shot.disk_id} "
        f"--SnapshotId {shot.snapshot_id}"
    )


def _list_instance(ground: Ground) -> str:
    return LIST_INSTANCE.format(region=ground.region, instance=ground.instance_id)


def _list_disks(ground: Ground, shots: Sequence[Shot] = ()) -> str:
    if not shots:
        which = f"--InstanceId {ground.instance_id}"
    else:
        ids = ", ".join(f'"{shot.disk_id}"' for shot in shots)
        which = f"--DiskIds '[{ids}]'"
    return f"aliyun ecs DescribeDisks --RegionId {ground.region} {which}"
