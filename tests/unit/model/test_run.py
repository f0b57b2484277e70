"""What a run's record says of itself: its name, its disks, and whether its boot is another one."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fakes.records import order_record, run_record
from snap_self.model.ids import DiskId, GroupId, RunId, SnapshotId
from snap_self.model.run import rebooted

GROUP = replace(order_record(grouped=True, sent=True), group_id=GroupId("ssg-1"))
MEMBER = {DiskId("d-bp1aaaabbbbccccdddd1"): SnapshotId("s-1")}


@pytest.mark.parametrize(
    ("then", "now", "known_to_differ"),
    [("a", "a", False), ("a", "b", True), ("", "b", False), ("a", "", False), ("", "", False)],
)
def test_reboot_is_told_only_where_both_boots_are_known(
    then: str, now: str, *, known_to_differ: bool
) -> None:
    assert rebooted(then, now) is known_to_differ


def test_order_is_made_once_a_group_or_a_snapshot_of_it_is_known() -> None:
    assert not order_record(sent=True).is_made
    assert GROUP.is_made
    assert replace(order_record(), snapshot_ids=MEMBER).is_made


def test_members_may_still_appear_only_in_a_group_that_lacks_some_and_is_not_final() -> None:
    assert GROUP.lacks_members
    assert not replace(GROUP, snapshot_ids=MEMBER).lacks_members
    assert not replace(GROUP, members_final=True).lacks_members
    assert not order_record(sent=True).lacks_members


def test_snapshots_of_a_run_are_those_of_all_its_orders() -> None:
    other = replace(order_record(), snapshot_ids={DiskId("d-2"): SnapshotId("s-2")})
    orders = (replace(GROUP, snapshot_ids=MEMBER), order_record(), other)
    assert run_record(orders=orders).snapshot_ids == ("s-1", "s-2")


def test_run_is_named_by_its_id_and_what_it_was_made_before() -> None:
    record = replace(run_record(before="o's\nupgrade"), run_id=RunId("20261122t083225z-000001"))
    assert record.label == 'run 20261122t083225z-000001 (before "o\'s\\nupgrade")'


def test_disks_of_a_run_are_those_of_all_its_orders() -> None:
    group, single = order_record(grouped=True), order_record()
    two = replace(group.order, disk_ids=(DiskId("d-1"), DiskId("d-2")))
    one = replace(single.order, disk_ids=(DiskId("d-3"),))
    orders = (replace(group, order=two), replace(single, order=one))
    assert run_record(orders=orders).disk_ids == ("d-1", "d-2", "d-3")
