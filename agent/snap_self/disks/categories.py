"""Know which categories of disk the cloud takes no snapshots of, and which it serves at once.

An unknown category is tried: the API decides.

Source: ECS documentation, "Snapshot limits", "Instant access" and "Elastic ephemeral disks".
"""

from __future__ import annotations

from snap_self.model.disks import CloudDisk

# Of these a disk can be made while the snapshot is still being uploaded, or rolled back to it.
ESSD_FAMILY = ("cloud_essd", "cloud_auto", "cloud_essd_entry", "cloud_regional_disk_auto")
_LOCAL = ("local_", "ephemeral")
_ELASTIC_EPHEMERAL = "elastic_ephemeral_disk_"


def why_left_out(disk: CloudDisk) -> str:
    """Return why a disk gets no snapshot, or an empty string if it can get one."""
    if disk.category.startswith(_LOCAL):
        return f"category {disk.category}: local disks cannot be snapshotted"
    if disk.category.startswith(_ELASTIC_EPHEMERAL):
        return f"category {disk.category}: elastic ephemeral disks cannot be snapshotted"
    if disk.multi_attach or len(disk.attached_to) > 1:
        return (
            "multi-attach is on: other instances may write to it, and nothing done here stops them"
        )
    return ""
