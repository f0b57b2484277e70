"""Whether the role may look into snapshots, which only doing it shows: what the journal has.

The ECS API has no dry run of CreateDisk, AttachDisk, DetachDisk and DeleteDisk.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from snap_self.model.ids import InstanceId
from snap_self.model.temporary import CopyRecord, DiskStage


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenProof:
    """What earlier copies of an instance's snapshots show.

    Args:
        opened: when one was last opened whose disks were deleted afterwards; None if none was.
        failed: when it was last tried since, and not opened; None if it was not.
    """

    opened: datetime | None = None
    failed: datetime | None = None


def open_proof(records: Iterable[CopyRecord], instance_id: InstanceId) -> OpenProof:
    """Return what the records show.

    Args:
        records: of what has ended, newest first; those of other instances, as an image brings them
            along, do not count.
    """
    failed = None
    for record in records:
        if record.instance_id != instance_id:
            continue
        if record.opened and all(disk.stage is DiskStage.GONE for disk in record.disks):
            return OpenProof(opened=record.opened, failed=failed)
        failed = failed or record.started
    return OpenProof(failed=failed)
