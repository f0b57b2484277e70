"""Our own snapshots among those of others, some of which are not as documented."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from fakes.clock import FakeClock
from fakes.records import order_record, run_record
from fakes.rpc import KEYS, FakeRpc
from snap_self.cloud.client import EcsClient
from snap_self.errors import CloudAnswerUnclear
from snap_self.model.ids import DiskId, InstanceId, RegionId, SnapshotId
from snap_self.usecases.inventory.own import OwnSnapshots, Remembered, own_snapshots

ME = InstanceId("i-own")
OURS = {"TagKey": "snap-self-owner", "TagValue": ME}


def shot(name: str, **more: object) -> dict[str, Any]:
    return {"SnapshotId": name, "Status": "accomplished", "SourceDiskId": "d-1", **more}


def ours(name: str, **more: object) -> dict[str, Any]:
    return shot(name, Tags={"Tag": [OURS]}, **more)


def found(*items: Mapping[str, Any], groups: tuple[Mapping[str, Any], ...] = ()) -> OwnSnapshots:
    def answer(action: str, params: Mapping[str, str]) -> Mapping[str, Any]:
        if action == "DescribeSnapshotGroups":
            return {"SnapshotGroups": {"SnapshotGroup": list(groups)}}
        return {"Snapshots": {"Snapshot": [] if "SnapshotIds" in params else list(items)}}

    cloud = EcsClient(
        FakeRpc(answering=answer),
        region=RegionId("cn-hangzhou"),
        credentials=lambda _: KEYS,
        clock=FakeClock(),
        random=lambda: 0.5,
    )
    return own_snapshots(cloud, ME, Remembered)


def ids(own: OwnSnapshots) -> list[str]:
    return [one.shot.snapshot_id for one in own.found]


def test_snapshot_without_an_id_hides_no_other_and_is_told_once() -> None:
    own = found(ours("s-1"), shot(""), ours("s-2"))
    assert ids(own) == ["s-1", "s-2"]
    assert own.incomplete.count("is not shown") == 1
    assert "this instance's own" not in own.incomplete
    assert "Snapshot[1].SnapshotId" in own.incomplete


def test_snapshot_of_ours_without_an_id_is_said_to_be_ours() -> None:
    own = found(ours("s-1"), ours(""))
    assert ids(own) == ["s-1"]
    assert "is this instance's own, and is not shown" in own.incomplete


@pytest.mark.parametrize(
    "odd",
    [
        {"Status": "new-word"},
        {"Progress": "half"},
        {"CreationTime": "yesterday"},
        {"SourceDiskSize": []},
        {"Available": "perhaps"},
        {"Description": 5},
    ],
)
def test_odd_field_hides_no_snapshot_and_is_not_worth_a_word(odd: dict[str, object]) -> None:
    own = found(ours("s-1"), ours("s-2", **odd), shot("s-foreign", **odd))
    assert ids(own) == ["s-1", "s-2"]
    assert own.incomplete == ""


def test_tags_that_cannot_be_read_leave_open_whose_the_snapshot_is() -> None:
    own = found(ours("s-1"), shot("s-2", Tags={"Tag": ["text"]}))
    assert ids(own) == ["s-1"]
    assert "s-2: its tags cannot be read" in own.incomplete


def test_one_tag_that_cannot_be_read_hides_not_the_others() -> None:
    own = found(shot("s-1", Tags={"Tag": [5, OURS, {"TagKey": "a", "TagValue": 5}]}))
    assert ids(own) == ["s-1"]
    assert own.incomplete == ""


def test_odd_field_of_a_group_hides_none_of_its_members() -> None:
    group = {
        "SnapshotGroupId": "ssg-1",
        "Status": "odd",
        "Tags": {"Tag": [{"Key": "snap-self-owner", "Value": ME}]},
        "Snapshots": {"Snapshot": [{"SnapshotId": "s-2", "SourceDiskId": "d-1", "Progress": []}]},
    }
    own = found(ours("s-1"), shot("s-2"), groups=(group,))
    assert ids(own) == ["s-1", "s-2"]
    assert own.incomplete == ""


def test_group_whose_members_cannot_be_read_hides_no_snapshot() -> None:
    own = found(ours("s-1"), groups=({"SnapshotGroupId": "ssg-1", "Snapshots": [7]},))
    assert ids(own) == ["s-1"]
    assert "ssg-1 is not shown" in own.incomplete


def test_answer_without_its_list_is_an_error_and_not_an_empty_list() -> None:
    with pytest.raises(CloudAnswerUnclear):
        EcsClient(
            FakeRpc({"RequestId": "R"}),
            region=RegionId("cn-hangzhou"),
            credentials=lambda _: KEYS,
            clock=FakeClock(),
            random=lambda: 0.5,
        ).describe_snapshots(instance_id=ME, unclear=[])


def of_others(
    *items: Mapping[str, Any],
    remembered: Remembered | Callable[[], Remembered],
    here: tuple[Mapping[str, Any], ...] = (),
) -> OwnSnapshots:
    """Return what is found where only some of it is of disks that are attached."""

    def answer(action: str, params: Mapping[str, str]) -> Mapping[str, Any]:
        if action == "DescribeSnapshotGroups":
            return {"SnapshotGroups": {"SnapshotGroup": []}}
        shown = here if "InstanceId" in params else (*here, *items)
        return {"Snapshots": {"Snapshot": [] if "SnapshotIds" in params else list(shown)}}

    cloud = EcsClient(
        FakeRpc(answering=answer),
        region=RegionId("cn-hangzhou"),
        credentials=lambda _: KEYS,
        clock=FakeClock(),
        random=lambda: 0.5,
    )
    return own_snapshots(cloud, ME, remembered if callable(remembered) else lambda: remembered)


def unknown_ids(own: OwnSnapshots) -> list[str]:
    return [one.shot.snapshot_id for one in own.unknown]


DETACHED = ours("s-2", SourceDiskId="d-2")


def test_tag_alone_makes_nothing_our_own() -> None:
    own = of_others(DETACHED, here=(ours("s-1"),), remembered=Remembered())
    assert (ids(own), unknown_ids(own)) == (["s-1"], ["s-2"])


def test_journal_is_read_once_and_only_for_what_is_not_attached() -> None:
    asked: list[str] = []

    def remembered() -> Remembered:
        asked.append("read")
        return Remembered()

    of_others(here=(ours("s-1"),), remembered=remembered)
    assert asked == []
    of_others(DETACHED, ours("s-3", SourceDiskId="d-3"), remembered=remembered)
    assert asked == ["read"]


def test_disk_that_the_journal_knows_is_our_own_though_it_is_detached() -> None:
    remembered = Remembered(disk_ids=frozenset((DiskId("d-2"),)))
    own = of_others(DETACHED, remembered=remembered)
    assert (ids(own), unknown_ids(own)) == (["s-2"], [])


def test_snapshot_that_the_journal_knows_is_our_own_though_its_disk_is_gone() -> None:
    gone = ours("s-2", SourceDiskId="")
    remembered = Remembered(snapshot_ids=frozenset((SnapshotId("s-2"),)))
    assert ids(of_others(gone, remembered=remembered)) == ["s-2"]
    assert unknown_ids(of_others(gone, remembered=Remembered())) == ["s-2"]


def test_records_of_another_instance_vouch_for_nothing() -> None:
    order = replace(order_record(), snapshot_ids={DiskId("d-2"): SnapshotId("s-2")})
    theirs = run_record(orders=(order,))
    assert Remembered.of([theirs], ME) == Remembered()
    own = replace(theirs, instance_id=ME)
    assert "s-2" in Remembered.of([theirs, own], ME).snapshot_ids


def test_automatic_snapshots_do_not_count_among_the_manual_ones_of_a_disk() -> None:
    own = found(ours("s-1"), shot("s-2", SnapshotType="user"), shot("s-3", SnapshotType="auto"))
    assert own.on_disks == {"d-1": 2}


def test_automatic_snapshot_with_our_tag_is_not_one_of_ours() -> None:
    own = of_others(here=(ours("s-1", SnapshotType="auto"),), remembered=Remembered())
    assert (ids(own), unknown_ids(own)) == ([], ["s-1"])
