"""The steps that go back, as data: for people to paste, and for a program to do.

Source: ECS API reference, StopInstance, ResetDisk, DetachDisk, AttachDisk, CreateDisk, DeleteDisk.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence, Sized

from snap_self.model.disks import CloudDisk, DiskKind
from snap_self.model.ids import DiskId, SnapshotId
from snap_self.model.listed import ListedSnapshot
from snap_self.model.snapshots import Identity
from snap_self.model.ways import NEW_DISK, CloudCall, Local, Step, Until

# The least size of an ESSD at the default performance level PL1.
PL1_GIB = 20
# So many disks DescribeDisks shows where nothing else is asked for.
PAGE = 10


def roll_back(
    identity: Identity, pairs: Mapping[DiskId, SnapshotId], disks: Collection[CloudDisk]
) -> tuple[Step, ...]:
    """Return the steps that roll disks back in place, the system disk first; none for no pairs.

    A disk is rolled back in place only while its instance is stopped, so no instance can do it to
    itself: these are for another machine.

    Args:
        disks: all that are attached to the instance, its system disk among them.
    """
    if not pairs:
        return ()
    system = {disk.disk_id for disk in disks if disk.kind is DiskKind.SYSTEM}
    ordered = sorted(pairs, key=lambda disk_id: (disk_id not in system, disk_id))
    instance = {"InstanceId": identity.instance_id}
    seen = {"InstanceIds": _id_list([identity.instance_id])}
    shown = {**instance, **_on_one_page(disks)}
    return (
        _call(identity, "StopInstance", {**instance, "StoppedMode": "KeepCharging"}),
        _call(identity, "DescribeInstances", seen, until=Until.STOPPED),
        *_resets(identity, {disk_id: pairs[disk_id] for disk_id in ordered}),
        _call(identity, "DescribeDisks", shown, until=Until.NOT_REINITING),
        _call(identity, "StartInstance", instance),
    )


def roll_back_running(
    identity: Identity,
    pairs: Mapping[DiskId, SnapshotId],
    mounts: Sequence[str],
    disks: Collection[CloudDisk],
) -> tuple[Step, ...]:
    """Return the steps that roll data disks back while the instance runs.

    An instance detaches one disk at a time, and attaches one at a time: each is waited for.

    Args:
        mounts: where what they carry is mounted, an outer one before what lies in it.
        disks: these, and maybe others, as they are attached now.
    """
    these = {"DiskIds": _id_list(pairs), **_on_one_page(pairs)}
    released = {disk.disk_id: disk.delete_with_instance for disk in disks}
    return (
        *(Local(argv=("umount", each), why="on the instance") for each in reversed(mounts)),
        *(step for disk_id in pairs for step in _detached(identity, disk_id)),
        *_resets(identity, pairs),
        _call(identity, "DescribeDisks", these, until=Until.NOT_REINITING),
        *(
            step
            for disk_id in pairs
            for step in _attached(identity, disk_id, with_instance=released.get(disk_id))
        ),
        *(Local(argv=("mount", each), why="on the instance") for each in mounts),
    )


def look_into(
    identity: Identity,
    shot: ListedSnapshot,
    category: str,
    opening: Sequence[Step],
    closing: Sequence[Step],
) -> tuple[Step, ...]:
    """Return the steps that make a disk of a snapshot, attach it, and do away with it again.

    Args:
        category: the new disk's.
        opening: the steps that open what the new disk holds.
        closing: those that close it again.
    """
    size = new_disk_gib(shot)
    level = {"PerformanceLevel": "PL0"} if category == "cloud_essd" and size < PL1_GIB else {}
    new = {"DiskId": NEW_DISK}
    made = {
        "ZoneId": identity.zone,
        "SnapshotId": shot.snapshot_id,
        "DiskCategory": category,
        **level,
        "Size": str(size),
        "DiskName": "snap-self-restore",
    }
    return (
        _call(identity, "CreateDisk", made, gives=NEW_DISK),
        _awaited(identity, NEW_DISK, Until.AVAILABLE),
        *_attached(identity, NEW_DISK, with_instance=True),
        Local(
            argv=("lsblk", "-o", "NAME,SERIAL,SIZE,FSTYPE"),
            why="on the instance: NEW has the serial number that NEW_DISK is without its d-",
        ),
        *opening,
        *closing,
        *_detached(identity, NEW_DISK),
        _call(identity, "DeleteDisk", new),
    )


def new_disk_gib(shot: ListedSnapshot) -> int:
    """Return the size of a disk that is made of a snapshot."""
    return max(shot.size_gib, 1)


def _on_one_page(disks: Sized) -> Mapping[str, str]:
    """Return what has DescribeDisks show all of them; by itself it shows ten, and then ends."""
    return {"MaxResults": "100"} if len(disks) > PAGE else {}


def _resets(identity: Identity, pairs: Mapping[DiskId, SnapshotId]) -> Iterator[Step]:
    for disk_id, snapshot_id in pairs.items():
        yield _call(identity, "ResetDisk", {"DiskId": disk_id, "SnapshotId": snapshot_id})


def _detached(identity: Identity, disk_id: str) -> tuple[Step, ...]:
    """Return the steps that detach a disk."""
    params = {"InstanceId": identity.instance_id, "DiskId": disk_id}
    return (
        _call(identity, "DetachDisk", params),
        _awaited(identity, disk_id, Until.AVAILABLE),
    )


def _attached(identity: Identity, disk_id: str, *, with_instance: bool | None) -> tuple[Step, ...]:
    """Return the steps that attach a disk.

    Args:
        with_instance: it is to be released with the instance. Both detaching and attaching take
            that from a disk if they are not told otherwise; None where it is not known.
    """
    params = {"InstanceId": identity.instance_id, "DiskId": disk_id}
    if with_instance is not None:
        params["DeleteWithInstance"] = "true" if with_instance else "false"
    return (
        _call(identity, "AttachDisk", params),
        _awaited(identity, disk_id, Until.ATTACHED),
    )


def _awaited(identity: Identity, disk_id: str, until: Until) -> CloudCall:
    return _call(identity, "DescribeDisks", {"DiskIds": _id_list([disk_id])}, until=until)


def _call(
    identity: Identity,
    action: str,
    params: Mapping[str, str],
    *,
    until: Until | None = None,
    gives: str = "",
    why: str = "",
) -> CloudCall:
    whole = {"RegionId": identity.region, **params}
    return CloudCall(action=action, params=whole, until=until, gives=gives, why=why)


def _id_list(ids: Iterable[str]) -> str:
    """Return ids as the API takes several."""
    return json.dumps(list(ids))
