"""What lies on a disk that snap-self itself made of a snapshot, to look at it for a while."""

from __future__ import annotations

from snap_self.errors import OnTemporaryDisk
from snap_self.model.disks import CloudDisk
from snap_self.model.snapshots import RESTORE_TAG, TEMPORARY_TAG


def is_copy(disk: CloudDisk) -> bool:
    """Tell whether a disk is marked as such a copy."""
    return TEMPORARY_TAG in disk.tags


def refuse_copy(path: str, disk: CloudDisk) -> None:
    """Refuse to work on what is mounted at a path, if it lies on such a copy.

    A copy has all ids of its original until it is opened. Where the power goes before that, the
    machine may come up from it, as what boots takes either of two disks with the same ids.

    Raises:
        OnTemporaryDisk: it does.
    """
    if not is_copy(disk):
        return
    made_of = f" of {disk.snapshot_id}" if disk.snapshot_id else ""
    raise OnTemporaryDisk(
        f"{path} lies on {disk.disk_id}, a temporary disk that snap-self made{made_of}",
        hint="if it was mounted from there when the machine came up: its own disk is as it was. "
        "Copy elsewhere what was written meanwhile and is needed, stop the instance, detach "
        f"{disk.disk_id}, and start it again. That disk is then deleted by `snap-self unmount "
        f"{disk.tags.get(RESTORE_TAG) or '--all'}`, and not before",
    )
