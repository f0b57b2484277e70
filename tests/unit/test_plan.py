"""The plan: which requests are made, what is refused, and why."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fakes.builders import INSTANCE, cloud_disk, coverage, situation, snapshot, target
from snap_self.errors import (
    DiskNotReady,
    InstanceNotReady,
    NothingToSnapshot,
    TornSet,
)
from snap_self.model.disks import Skipped, Span
from snap_self.model.flushing import FlushTarget, Obstacle
from snap_self.model.plan import StepName
from snap_self.model.request import Request
from snap_self.model.snapshots import (
    CONSISTENCY_TAG,
    EXPIRES_TAG,
    OWNER_TAG,
    RUN_TAG,
    Consistency,
    InstanceState,
    SnapshotStatus,
    WaitFor,
)
from snap_self.plan import can_group, make_plan, ungrouped, with_level


def lvm(*names: str) -> Span:
    return Span(kind="lvm", name="vg0-data", disks=frozenset(names))


def test_plan_for_one_disk_is_single_with_retention() -> None:
    plan = make_plan(situation(target(1)))
    (order,) = plan.orders
    assert not order.grouped
    assert order.retention_days == 14


def test_plan_for_two_essd_disks_is_one_group_without_retention() -> None:
    plan = make_plan(situation(target(1), target(2, "/data")))
    (order,) = plan.orders
    assert order.grouped
    assert order.disk_ids == (cloud_disk(1).disk_id, cloud_disk(2).disk_id)
    assert order.retention_days is None
    assert StepName.RETENTION in {step.name for step in plan.steps}


def test_plan_for_kept_forever_sets_no_retention() -> None:
    request = Request(before="x", keep_s=None)
    plan = make_plan(situation(target(1), request=request))
    assert plan.orders[0].retention_days is None
    assert plan.orders[0].tags[EXPIRES_TAG] == "never"
    assert any("for ever" in note.text for note in plan.notes)


@pytest.mark.parametrize(
    ("second", "why"),
    [
        (cloud_disk(2, category="cloud_efficiency"), "category cloud_efficiency"),
        (cloud_disk(2, category="cloud_regional_disk_auto"), "regional"),
        (cloud_disk(2, zone="cn-hangzhou-j"), "one zone"),
        (cloud_disk(2, multi_attach=True), "multi-attach"),
    ],
    ids=["category", "regional", "zone", "multi-attach"],
)
def test_plan_for_ungroupable_disks_is_singles_with_the_reason(second, why) -> None:
    plan = make_plan(situation(target(1), target(2, "/data", second)))
    assert [order.grouped for order in plan.orders] == [False, False]
    assert why in can_group([cloud_disk(1), second])
    creates = [step for step in plan.steps if step.name is StepName.CREATE]
    assert all(why in step.reason for step in creates)
    assert any("not cut at one instant" in note.text for note in plan.notes)


def test_plan_for_regional_disks_listed_in_two_zones_is_one_group() -> None:
    first = cloud_disk(1, category="cloud_regional_disk_auto")
    second = cloud_disk(2, category="cloud_regional_disk_auto", zone="cn-hangzhou-j")
    plan = make_plan(situation(target(1, "/", first), target(2, "/data", second)))
    assert [order.grouped for order in plan.orders] == [True]


def test_plan_for_lvm_beside_an_old_disk_groups_only_the_volume() -> None:
    old = cloud_disk(3, category="cloud_ssd")
    covered = coverage(
        target(1), target(2, "/data"), target(3, "/old", old), spans=(lvm("vda", "vdb"),)
    )
    plan = make_plan(situation(covered=covered))
    shapes = {(order.grouped, len(order.disk_ids)) for order in plan.orders}
    assert shapes == {(True, 2), (False, 1)}


def test_plan_for_chained_volumes_binds_all_their_disks() -> None:
    old = cloud_disk(4, category="cloud_ssd")
    covered = coverage(
        target(1),
        target(2, "/a"),
        target(3, "/b"),
        target(4, "/old", old),
        spans=(lvm("vda", "vdb"), lvm("vdb", "vdc")),
    )
    plan = make_plan(situation(covered=covered))
    assert sorted(len(order.disk_ids) for order in plan.orders) == [1, 3]


def test_plan_for_volume_over_ungroupable_disks_is_refused() -> None:
    old = cloud_disk(2, category="cloud_ssd")
    covered = coverage(target(1), target(2, "/data", old), spans=(lvm("vda", "vdb"),))
    with pytest.raises(TornSet, match=r"vg0-data.*one instant.*cloud_ssd") as caught:
        make_plan(situation(covered=covered))
    assert caught.value.exit_status == 7


def test_plan_for_torn_volume_names_the_missing_disk() -> None:
    covered = coverage(target(1), torn=(lvm("vda", "vdb"),))
    with pytest.raises(TornSet, match="but vdb would not be in the snapshot set"):
        make_plan(situation(covered=covered))


def test_plan_without_targets_names_what_was_left_out() -> None:
    left = Skipped(disk_id=cloud_disk(1).disk_id, why="a local SSD", asked=False)
    with pytest.raises(NothingToSnapshot, match="a local SSD"):
        make_plan(situation(covered=coverage(skipped=(left,))))


@pytest.mark.parametrize("status", ["Starting", "Stopping", "Pending"])
def test_plan_for_instance_in_between_is_refused(status: str) -> None:
    state = InstanceState(instance_id=INSTANCE, status=status, instance_type="ecs.g6.large")
    with pytest.raises(InstanceNotReady, match=status):
        make_plan(situation(target(1), instance=state))


def test_plan_for_locked_instance_is_refused() -> None:
    state = InstanceState(
        instance_id=INSTANCE, status="Running", instance_type="x", locks=("security",)
    )
    with pytest.raises(InstanceNotReady, match="security"):
        make_plan(situation(target(1), instance=state))


@pytest.mark.parametrize("status", ["Attaching", "ReIniting", "Creating"])
def test_plan_for_disk_in_between_is_refused(status: str) -> None:
    with pytest.raises(DiskNotReady, match=status):
        make_plan(situation(target(1, disk=cloud_disk(1, status=status))))


@pytest.mark.parametrize("level", [Consistency.FILESYSTEM, Consistency.APPLICATION])
def test_plan_that_freezes_takes_a_volume_over_ungroupable_disks(level: Consistency) -> None:
    old = cloud_disk(2, category="cloud_ssd")
    covered = coverage(target(1), target(2, "/data", old), spans=(lvm("vda", "vdb"),))
    plan = make_plan(situation(covered=covered, request=Request(before="x", consistency=level)))
    assert [order.grouped for order in plan.orders] == [False, False]
    names = [step.name for step in plan.steps]
    assert names.index(StepName.FREEZE) < names.index(StepName.CREATE) < names.index(StepName.THAW)


def test_plan_orders_carry_all_our_tags_and_the_users() -> None:
    request = Request(before="os upgrade", tags={"team": "db"})
    (order,) = make_plan(situation(target(1), request=request)).orders
    assert order.tags["team"] == "db"
    assert order.tags[OWNER_TAG] == INSTANCE
    assert order.tags[RUN_TAG] in order.client_token
    assert order.tags[EXPIRES_TAG] == "2026-12-06T18:39:28Z"


def test_plan_tokens_differ_between_orders_and_fit_the_limit() -> None:
    old = cloud_disk(2, category="cloud_ssd")
    plan = make_plan(situation(target(1), target(2, "/d", old)))
    tokens = [order.client_token for order in plan.orders]
    assert len(set(tokens)) == 2
    assert all(len(token) <= 64 and token.isascii() for token in tokens)


def test_plan_at_crash_level_flushes_nothing() -> None:
    request = Request(before="x", consistency=Consistency.CRASH)
    hidden = FlushTarget(path="/x", fstype="ext4", obstacle=Obstacle.HIDDEN)
    plan = make_plan(situation(target(1), request=request, flushes=(hidden,)))
    assert plan.flushes == ()
    assert plan.weaker == ""


def test_plan_says_first_snapshot_is_slow_only_without_history() -> None:
    first = make_plan(situation(target(1)))
    later = make_plan(situation(target(1), history=(snapshot(1),)))
    assert any("whole disk" in note.text for note in first.notes)
    assert not any("whole disk" in note.text for note in later.notes)


@pytest.mark.parametrize(("count", "warned"), [(229, False), (230, True), (256, True)])
def test_plan_names_a_disk_that_nears_its_limit(count: int, warned: bool) -> None:
    history = [snapshot(1)] * count + [replace(snapshot(1), automatic=True)] * 300
    plan = make_plan(situation(target(1), target(2), history=tuple(history)))
    found = [note for note in plan.notes if f"{count} manual snapshots" in note.text]
    assert [cloud_disk(1).disk_id in note.text for note in found] == [True] * warned


def test_plan_warns_of_a_snapshot_in_progress() -> None:
    running = snapshot(1, status=SnapshotStatus.PROGRESSING, progress=45)
    plan = make_plan(situation(target(1), history=(running,)))
    assert any(running.snapshot_id in note.text and "45 %" in note.text for note in plan.notes)


def test_plan_warns_against_reboot_unless_it_waits_for_the_upload() -> None:
    usual = make_plan(situation(target(1)))
    patient = make_plan(
        situation(target(1), request=Request(before="x", wait=WaitFor.ACCOMPLISHED))
    )
    assert any("reboot" in note.text for note in usual.notes)
    assert not any("do not stop or reboot" in note.text for note in patient.notes)


def test_ungrouped_gives_singles_with_tokens_of_their_own() -> None:
    plan = make_plan(situation(target(1), target(2, "/data")))
    singles = ungrouped(plan)
    assert [order.grouped for order in singles] == [False, False]
    assert len({order.client_token for order in (*singles, *plan.orders)}) == 3


def test_ungrouped_singles_carry_the_retention_a_group_cannot() -> None:
    plan = make_plan(situation(target(1), target(2, "/data")))
    assert [order.retention_days for order in ungrouped(plan)] == [14, 14]


def test_ungrouped_gives_nothing_when_a_volume_would_tear() -> None:
    covered = coverage(target(1), target(2, "/data"), spans=(lvm("vda", "vdb"),))
    assert ungrouped(make_plan(situation(covered=covered))) == ()


def test_with_level_tags_what_was_reached() -> None:
    (order,) = make_plan(situation(target(1))).orders
    weaker = with_level(order, Consistency.CRASH)
    assert weaker.tags[CONSISTENCY_TAG] == "crash"
    assert replace(weaker, tags=order.tags) == order
