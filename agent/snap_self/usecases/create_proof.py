"""Whether the role may create snapshots, which nothing but a create shows: what the journal has.

The ECS API has no dry run of CreateSnapshot and CreateSnapshotGroup.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime

from snap_self.errors import ExitStatus
from snap_self.model.ids import DiskId, InstanceId, RunId
from snap_self.model.run import RunRecord, Stage


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateProof:
    """What earlier runs of an instance show.

    Args:
        worked: when the last create was asked for that was done; None if none was.
        keys: the source of the keys of that one; empty if that is not known.
        disks: all of which a snapshot was made.
        refused: the run after that one which the cloud refused for lack of permission.
    """

    worked: datetime | None = None
    keys: str = ""
    disks: frozenset[DiskId] = frozenset()
    refused: RunId | None = None

    def unproved(self, disks: Collection[DiskId]) -> tuple[DiskId, ...]:
        """Return those of these disks of which no snapshot was made."""
        return tuple(disk_id for disk_id in disks if disk_id not in self.disks)


def create_proof(records: Iterable[RunRecord], instance_id: InstanceId) -> CreateProof:
    """Return what the records show.

    Args:
        records: newest first; those of other instances, as an image brings them along, do not
            count.
    """
    own = [record for record in records if record.instance_id == instance_id]
    good = [record for record in own if any(order.is_made for order in record.orders)]
    last = good[0] if good else None
    since = own[: own.index(last)] if last else own
    return CreateProof(
        worked=last.started if last else None,
        keys=last.keys if last else "",
        disks=frozenset(disk_id for record in good for disk_id in _made_of(record)),
        refused=next((record.run_id for record in since if _is_refused(record)), None),
    )


def should_be_there(
    records: Iterable[RunRecord], instance_id: InstanceId, now: datetime
) -> tuple[bool, bool]:
    """Tell whether runs made snapshots, and groups, whose date is not past.

    Somebody may have deleted them all the same.
    """
    kept = [
        record
        for record in records
        if record.instance_id == instance_id and (record.expires is None or record.expires > now)
    ]
    groups = any(order.group_id for record in kept for order in record.orders)
    return groups or any(record.snapshot_ids for record in kept), groups


def _made_of(record: RunRecord) -> Iterable[DiskId]:
    """Yield the disks of which it made snapshots; not every member of a group may be known."""
    for order in record.orders:
        yield from order.order.disk_ids if order.group_id else order.snapshot_ids


def _is_refused(record: RunRecord) -> bool:
    return record.stage is Stage.FINISHED and record.exit_status == ExitStatus.CREDENTIALS
