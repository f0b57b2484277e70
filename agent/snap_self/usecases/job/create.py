"""Ask the cloud for the snapshots of a plan, all orders side by side, each exactly once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from snap_self.cloud.client import EcsClient
from snap_self.cloud.codes import is_not_as_group
from snap_self.errors import SnapSelfError
from snap_self.model.ids import DiskId, GroupId, InstanceId, RunId, SnapshotId
from snap_self.model.run import OrderRecord
from snap_self.model.snapshots import RUN_TAG
from snap_self.threads.pool import side_by_side

PARALLEL = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """What became of all orders."""

    records: tuple[OrderRecord, ...]
    errors: tuple[SnapSelfError, ...]

    @property
    def group_refused(self) -> bool:
        """Tell whether the only thing wrong is that the disks cannot be a group here."""
        return bool(self.errors) and all(is_not_as_group(error) for error in self.errors)


def make(
    cloud: EcsClient,
    records: Sequence[OrderRecord],
    *,
    instance_id: InstanceId,
    deadline_s: float,
    hurried: bool = False,
) -> Made:
    """Send every order that has no snapshot yet; an order keeps its client token, so that a lost
    answer and a repeated call still make one snapshot.

    Args:
        hurried: filesystems are frozen: wait for no trouble that lasts longer than that may.
    """

    def ask(record: OrderRecord) -> OrderRecord:
        order = record.order
        if order.grouped:
            group = cloud.create_group(
                order, instance_id=instance_id, deadline_s=deadline_s, hurried=hurried
            )
            return replace(record, group_id=group, error="")
        snapshot = cloud.create_snapshot(order, deadline_s=deadline_s, hurried=hurried)
        return replace(record, snapshot_ids={order.disk_ids[0]: snapshot}, error="")

    def send(record: OrderRecord) -> tuple[OrderRecord, SnapSelfError | None]:
        if record.is_made:
            return record, None
        try:
            return ask(record), None
        except SnapSelfError as error:
            return replace(record, error=error.told), error

    if len(records) == 1:
        results = [send(records[0])]
    else:
        with side_by_side(PARALLEL, "create") as pool:
            results = list(pool.map(send, records))
    return Made(
        records=tuple(record for record, _ in results),
        errors=tuple(error for _, error in results if error),
    )


def adopt(
    cloud: EcsClient, run_id: RunId, records: Sequence[OrderRecord]
) -> tuple[OrderRecord, ...]:
    """Return the records with what the cloud already holds of an interrupted run.

    Nothing is asked where the journal knows what each order became.

    The run's own tag is on everything it made, so this finds what was created although the answer
    never came or was never written down.
    """
    tags = {RUN_TAG: run_id}
    unknown = [r.order for r in records if not r.is_made]
    groups: dict[frozenset[DiskId], GroupId] = {}
    if any(order.grouped for order in unknown):
        groups = {
            frozenset(member.disk_id for member in group.members): group.group_id
            for group in cloud.describe_groups(tags=tags)
        }
    singles: dict[DiskId, SnapshotId] = {}
    if any(not order.grouped for order in unknown):
        singles = {s.disk_id: s.snapshot_id for s in cloud.describe_snapshots(tags=tags)}
    return tuple(_adopted(record, groups, singles) for record in records)


def _adopted(
    record: OrderRecord,
    groups: Mapping[frozenset[DiskId], GroupId],
    singles: Mapping[DiskId, SnapshotId],
) -> OrderRecord:
    if record.is_made:
        return record
    if not record.order.grouped:
        disk_id = record.order.disk_ids[0]
        found = singles.get(disk_id)
        return replace(record, snapshot_ids={disk_id: found}) if found else record
    asked = frozenset(record.order.disk_ids)
    # A disk may be left out for good, so fewer members than asked is still this order's group. A
    # group without any is too young to tell; the repeated create with its token names it.
    for members, group_id in groups.items():
        if members and members <= asked:
            return replace(record, group_id=group_id)
    return record
