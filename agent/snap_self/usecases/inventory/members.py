"""Which snapshot of a group is that of which disk."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from snap_self.cloud.client import EcsClient
from snap_self.model.ids import DiskId, GroupId
from snap_self.model.run import OrderRecord
from snap_self.model.snapshots import GroupMember, SnapshotGroup

Members = Mapping[GroupId, Mapping[DiskId, GroupMember]]


def members_of(
    cloud: EcsClient, group_ids: Sequence[GroupId], *, deadline_s: float | None = None
) -> Members:
    """Return the members that groups have by now, by disk."""
    groups = cloud.describe_groups(ids=group_ids, deadline_s=deadline_s)
    return named_members(cloud, groups, deadline_s=deadline_s)


def named_members(
    cloud: EcsClient, groups: Sequence[SnapshotGroup], *, deadline_s: float | None = None
) -> Members:
    """Return the members of these groups, by disk.

    Where the group does not name a member's disk, the snapshot itself does.
    """
    nameless = [m.snapshot_id for group in groups for m in group.members if not m.disk_id]
    shots = cloud.describe_snapshots(ids=nameless, deadline_s=deadline_s)
    disks = {shot.snapshot_id: shot.disk_id for shot in shots}
    return {
        group.group_id: {
            disk_id: member
            for member in group.members
            if (disk_id := member.disk_id or disks.get(member.snapshot_id, DiskId("")))
        }
        for group in groups
    }


def young_groups(orders: Sequence[OrderRecord]) -> list[GroupId]:
    """Return the groups of which members may still appear."""
    return [order.group_id for order in orders if order.group_id and order.lacks_members]


def learn_members(
    orders: Sequence[OrderRecord],
    ask: Callable[[Sequence[GroupId]], Members],
    *,
    given_up: bool = False,
) -> tuple[tuple[OrderRecord, ...], Members]:
    """Return the orders with the members that their young groups have by now, and those members.

    Args:
        ask: tells the members of groups; not called where no group is asked for.
        given_up: ask also for groups of which no further member is looked for otherwise: a member
            that is not asked for would count as left out.
    """
    short = [order.group_id for order in orders if order.group_id and order.is_short]
    groups = short if given_up else young_groups(orders)
    members = ask(groups) if groups else {}
    return with_members(orders, members), members


def with_members(orders: Sequence[OrderRecord], members: Members) -> tuple[OrderRecord, ...]:
    """Return the orders with the snapshots that their groups are known to have."""
    return tuple(
        _with(order, members.get(order.group_id, {})) if order.group_id else order
        for order in orders
    )


def _with(order: OrderRecord, members: Mapping[DiskId, GroupMember]) -> OrderRecord:
    ids = {disk_id: member.snapshot_id for disk_id, member in members.items()}
    return replace(order, snapshot_ids={**order.snapshot_ids, **ids})
