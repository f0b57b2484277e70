"""The steps that go back: what is done, in which order, and what is waited for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise

import pytest

from fakes.builders import cloud_disk
from fakes.samples import sample
from snap_self.model.ids import DiskId, InstanceId, RegionId, SnapshotId
from snap_self.model.listed import ListedSnapshot
from snap_self.model.snapshots import Identity
from snap_self.model.ways import CloudCall, Local, Step, Until
from snap_self.recovery.steps import look_into, roll_back, roll_back_running

IDENTITY = replace(
    sample(Identity, lambda place: place), instance_id=InstanceId("i-1"), region=RegionId("cn-x")
)
SYSTEM = cloud_disk(1)
PAIRS = {DiskId("d-1"): SnapshotId("s-1"), SYSTEM.disk_id: SnapshotId("s-2")}


def test_disks_are_reset_between_the_stop_and_the_start_each_waited_for() -> None:
    here = {"RegionId": "cn-x"}
    assert roll_back(IDENTITY, PAIRS, [SYSTEM, cloud_disk(2)]) == (
        CloudCall(
            action="StopInstance",
            params={**here, "InstanceId": "i-1", "StoppedMode": "KeepCharging"},
        ),
        CloudCall(
            action="DescribeInstances",
            params={**here, "InstanceIds": '["i-1"]'},
            until=Until.STOPPED,
        ),
        CloudCall(
            action="ResetDisk",
            params={**here, "DiskId": SYSTEM.disk_id, "SnapshotId": "s-2"},
        ),
        CloudCall(action="ResetDisk", params={**here, "DiskId": "d-1", "SnapshotId": "s-1"}),
        CloudCall(
            action="DescribeDisks",
            params={**here, "InstanceId": "i-1"},
            until=Until.NOT_REINITING,
        ),
        CloudCall(action="StartInstance", params={**here, "InstanceId": "i-1"}),
    )


def test_nothing_to_go_back_to_is_no_way_back() -> None:
    assert roll_back(IDENTITY, {}, [SYSTEM]) == ()


@pytest.mark.parametrize(("count", "more"), [(10, None), (11, "100")])
def test_disks_that_fill_more_than_a_page_are_all_waited_for(count: int, more: str | None) -> None:
    disks = [cloud_disk(number) for number in range(1, count + 1)]
    pairs = {disk.disk_id: SnapshotId("s") for disk in disks}
    in_place = roll_back(IDENTITY, {SYSTEM.disk_id: SnapshotId("s")}, disks)
    for steps in (in_place, roll_back_running(IDENTITY, pairs, [], disks)):
        calls = [step for step in steps if isinstance(step, CloudCall)]
        (asked,) = (call.params for call in calls if call.until is Until.NOT_REINITING)
        assert asked.get("MaxResults") == more


def test_each_disk_that_is_moved_is_waited_for_by_itself() -> None:
    pairs = {DiskId("d-1"): SnapshotId("s-1"), DiskId("d-2"): SnapshotId("s-2")}
    calls = [s for s in roll_back_running(IDENTITY, pairs, [], []) if isinstance(s, CloudCall)]
    for call, then in pairwise(calls):
        if call.action in ("DetachDisk", "AttachDisk"):
            assert then.params["DiskIds"] == f'["{call.params["DiskId"]}"]'


def _words(step: Step) -> tuple[str, str, Until | None]:
    if isinstance(step, Local):
        return (step.argv[0], step.argv[1], None)
    return (step.action, step.params.get("DiskId", ""), step.until)


def test_data_disks_are_unmounted_inner_ones_first_and_mounted_outer_ones_first() -> None:
    pairs = {DiskId("d-1"): SnapshotId("s-1"), DiskId("d-2"): SnapshotId("s-2")}
    steps = roll_back_running(IDENTITY, pairs, ["/srv", "/srv/in"], [])
    assert [_words(step) for step in steps] == [
        ("umount", "/srv/in", None),
        ("umount", "/srv", None),
        ("DetachDisk", "d-1", None),
        ("DescribeDisks", "", Until.AVAILABLE),
        ("DetachDisk", "d-2", None),
        ("DescribeDisks", "", Until.AVAILABLE),
        ("ResetDisk", "d-1", None),
        ("ResetDisk", "d-2", None),
        ("DescribeDisks", "", Until.NOT_REINITING),
        ("AttachDisk", "d-1", None),
        ("DescribeDisks", "", Until.ATTACHED),
        ("AttachDisk", "d-2", None),
        ("DescribeDisks", "", Until.ATTACHED),
        ("mount", "/srv", None),
        ("mount", "/srv/in", None),
    ]


@pytest.mark.parametrize(("now", "told"), [(True, "true"), (False, "false"), (None, None)])
def test_data_disk_is_attached_as_it_was_released_with_the_instance_or_not(
    now: bool | None, told: str | None
) -> None:
    disks = [replace(cloud_disk(1), delete_with_instance=now), cloud_disk(2)]
    steps = roll_back_running(IDENTITY, {disks[0].disk_id: SnapshotId("s")}, [], disks)
    (attach,) = (s for s in steps if isinstance(s, CloudCall) and s.action == "AttachDisk")
    assert attach.params.get("DeleteWithInstance") == told


def test_new_disk_is_released_with_the_instance_if_nobody_deletes_it_before() -> None:
    shot = sample(ListedSnapshot, lambda place: place)
    steps = look_into(IDENTITY, shot, "cloud_essd", (), ())
    (attach,) = (s for s in steps if isinstance(s, CloudCall) and s.action == "AttachDisk")
    assert attach.params["DeleteWithInstance"] == "true"


def test_new_disk_is_made_waited_for_attached_and_done_away_with() -> None:
    opening = [Local(argv=("mount", "/dev/NEW", "/mnt/restore"))]
    closing = [Local(argv=("umount", "/mnt/restore"))]
    shot = sample(ListedSnapshot, lambda place: place)
    steps = look_into(IDENTITY, shot, "cloud_essd", opening, closing)
    assert [_words(step) for step in steps] == [
        ("CreateDisk", "", None),
        ("DescribeDisks", "", Until.AVAILABLE),
        ("AttachDisk", "NEW_DISK", None),
        ("DescribeDisks", "", Until.ATTACHED),
        ("lsblk", "-o", None),
        ("mount", "/dev/NEW", None),
        ("umount", "/mnt/restore", None),
        ("DetachDisk", "NEW_DISK", None),
        ("DescribeDisks", "", Until.AVAILABLE),
        ("DeleteDisk", "NEW_DISK", None),
    ]


STATUSES: Mapping[str, tuple[Until, list[str], bool]] = {
    "all stopped": (Until.STOPPED, ["Stopped"], True),
    "one of two attached": (Until.ATTACHED, ["In_use", "Attaching"], False),
    "stopping": (Until.STOPPED, ["Stopping"], False),
    "one of two available": (Until.AVAILABLE, ["Available", "Detaching"], False),
    "one of two in the making": (Until.NOT_REINITING, ["In_use", "ReIniting"], False),
    "none in the making": (Until.NOT_REINITING, ["In_use", "Available"], True),
    "nothing stopped shown": (Until.STOPPED, [], False),
    "nothing at all shown": (Until.NOT_REINITING, [], False),
}


@pytest.mark.parametrize(("until", "statuses", "seen"), STATUSES.values(), ids=list(STATUSES))
def test_state_to_wait_for_is_seen_when_all_have_it(
    until: Until, statuses: list[str], *, seen: bool
) -> None:
    assert until.is_seen(statuses) is seen
