"""Snapshot-consistent groups."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ecs_simulator.config import DiskConfig, InstanceConfig, SimulatorConfig
from fakes.simulated_cloud import LIFE, TWO_DISKS, SocketlessCloud


def group_of(cloud: SocketlessCloud, name: str) -> dict[str, Any]:
    answer = cloud.call("DescribeSnapshotGroups", SnapshotGroupId__1=name)
    (found,) = answer.body["SnapshotGroups"]["SnapshotGroup"]
    return dict(found)


def made(cloud: SocketlessCloud, **params: Any) -> str:
    return str(cloud.made("CreateSnapshotGroup", InstanceId="i-own", **params))


def with_disks(*disks: DiskConfig, **config: Any) -> SimulatorConfig:
    own = InstanceConfig(instance_id="i-own", disks=disks)
    return replace(TWO_DISKS, instances=(own,), **config)


def test_group_cuts_all_its_disks_at_one_instant() -> None:
    skewed = DiskConfig(disk_id="d-data", life=replace(LIFE, cut_skew_s=9.0))
    cloud = SocketlessCloud(with_disks(DiskConfig(disk_id="d-sys"), skewed))
    made(cloud)
    cloud.pass_time(1)
    (pairs,) = cloud.storage.cuts
    assert {disk_id for disk_id, _ in pairs} == {"d-sys", "d-data"}
    assert {snapshot["CreationTime"] for snapshot in cloud.snapshots()} == {"2026-11-22T08:32:26Z"}


def test_group_members_point_back_by_description_and_tag() -> None:
    cloud = SocketlessCloud()
    name = made(cloud, Tag__1__Key="k", Tag__1__Value="v")
    member = cloud.snapshots()[0]
    assert member["Description"] == f"Created_from_{name}"
    assert member["Tags"]["Tag"] == [{"TagKey": "acs:ecs:createFrom", "TagValue": "i-own"}]
    assert group_of(cloud, name)["Tags"]["Tag"] == [{"Key": "k", "Value": "v"}]


def test_group_tags_when_propagated_reach_members() -> None:
    cloud = SocketlessCloud(replace(TWO_DISKS, propagate_group_tags=True))
    made(cloud, Tag__1__Key="k", Tag__1__Value="v")
    keys = [tag["TagKey"] for tag in cloud.snapshots()[0]["Tags"]["Tag"]]
    assert keys == ["k", "acs:ecs:createFrom"]


@pytest.mark.parametrize(("after_s", "shown"), [(0.0, 0), (0.9, 0), (1.0, 1), (2.0, 2)])
def test_group_members_appear_one_after_another(after_s: float, shown: int) -> None:
    cloud = SocketlessCloud(replace(TWO_DISKS, life=replace(LIFE, member_lag_s=2.0)))
    name = made(cloud)
    cloud.pass_time(after_s)
    assert len(group_of(cloud, name)["Snapshots"]["Snapshot"]) == shown


def test_group_silently_leaves_out_the_disk_it_is_told_to() -> None:
    cloud = SocketlessCloud(replace(TWO_DISKS, left_out_disks=("d-data",)))
    members = group_of(cloud, made(cloud))["Snapshots"]["Snapshot"]
    assert [member["SourceDiskId"] for member in members] == ["d-sys"]


def test_group_status_follows_its_members() -> None:
    cloud = SocketlessCloud()
    name = made(cloud)
    cloud.pass_time(1)
    assert group_of(cloud, name)["Status"] == "progressing"
    cloud.pass_time(100)
    assert group_of(cloud, name)["Status"] == "accomplished"


def test_group_with_a_failed_member_is_failed() -> None:
    broken = DiskConfig(disk_id="d-data", life=replace(LIFE, fail_at="before_cut"))
    cloud = SocketlessCloud(with_disks(DiskConfig(disk_id="d-sys"), broken))
    name = made(cloud)
    cloud.pass_time(1)
    assert group_of(cloud, name)["Status"] == "failed"
    assert [disk_id for disk_id, _ in cloud.storage.cuts[0]] == ["d-sys"]


TWO_ZONES = with_disks(DiskConfig(disk_id="d-a"), DiskConfig(disk_id="d-b", zone_id="cn-z"))
MIXED = with_disks(
    DiskConfig(disk_id="d-a"), DiskConfig(disk_id="d-b", category="cloud_regional_disk_auto")
)
SEVENTEEN = with_disks(*(DiskConfig(disk_id=f"d-{n}") for n in range(17)))
HUGE = with_disks(DiskConfig(disk_id="d-a", size_gib=32 * 1024), DiskConfig(disk_id="d-b"))
SHARED = with_disks(DiskConfig(disk_id="d-a"), DiskConfig(disk_id="d-b", multi_attach="Enabled"))
OLDER = with_disks(DiskConfig(disk_id="d-a", category="cloud_ssd"))
ALL = {"InstanceId": "i-own"}


@pytest.mark.parametrize(
    ("config", "params", "outcome"),
    [
        (TWO_DISKS, {}, (400, "MissingParamter.InstanceId")),
        (TWO_DISKS, {"InstanceId": "i-x"}, (404, "InvalidInstanceId.NotFound")),
        (TWO_DISKS, {"DiskId.1": "d-x"}, (404, "InvalidDiskId.NotFound")),
        (
            TWO_DISKS,
            {"DiskId.1": "d-sys", "ExcludeDiskId.1": "d-data"},
            (400, "InvalidParam.ExcludeDiskIdsAndDiskIds.Conflict"),
        ),
        (TWO_DISKS, {**ALL, "Name": "1"}, (400, "InvalidParameter.Name")),
        (TWO_DISKS, {**ALL, "Description": "1"}, (404, "InvalidDescription.Malformed")),
        (
            TWO_DISKS,
            {**ALL, "Tag.1.Key": "k", "Tag.1.Value": "acs:v"},
            (400, "InvalidTagValue.Malformed"),
        ),
        (with_disks(), ALL, (403, "InvalidInstance.NoDisk")),
        (
            with_disks(DiskConfig(disk_id="d-a")),
            {**ALL, "ExcludeDiskId.1": "d-a"},
            (403, "InvalidInstance.NoDisk"),
        ),
        (TWO_ZONES, ALL, (400, "InvalidDiskIds.NotInSameZone")),
        (MIXED, ALL, (403, "InvalidDisk.DiskCategoryInconsistent")),
        (SEVENTEEN, ALL, (403, "NumberExceed.TooManyDisks")),
        (replace(SEVENTEEN, group_max_disks=128), ALL, (200, "")),
        (HUGE, ALL, (403, "CapacityExceed.TooManyDisks")),
        (SHARED, ALL, (403, "InvalidOperation.MultiAttachDisk")),
        (SHARED, {**ALL, "ExcludeDiskId.1": "d-b"}, (200, "")),
        (OLDER, ALL, (400, "DiskCategory.OperationNotSupported")),
        (TWO_DISKS, {"DiskId.1": "d-sys", "DiskId.2": "d-data"}, (200, "")),
        (TWO_DISKS, {**ALL, "RegionId": "mars-1"}, (404, "InvalidRegionId.NotFound")),
    ],
    ids=lambda value: str(value)[:40],
)
def test_create_group_gives_documented_outcome(
    config: SimulatorConfig, params: dict[str, str], outcome: tuple[int, str]
) -> None:
    assert SocketlessCloud(config).call("CreateSnapshotGroup", **params).outcome == outcome


def test_create_group_while_a_disk_has_a_snapshot_in_progress_makes_none() -> None:
    cloud = SocketlessCloud()
    cloud.made("CreateSnapshot", DiskId="d-data")
    answer = cloud.call("CreateSnapshotGroup", InstanceId="i-own")
    assert answer.outcome == (403, "IncorrectDiskStatus.CreatingSnapshot")
    assert len(cloud.snapshots()) == 1


def test_group_of_disks_of_two_instances_names_no_instance() -> None:
    other = InstanceConfig(instance_id="i-two", disks=(DiskConfig(disk_id="d-two"),))
    cloud = SocketlessCloud(replace(TWO_DISKS, instances=(*TWO_DISKS.instances, other)))
    name = cloud.made("CreateSnapshotGroup", DiskId__1="d-sys", DiskId__2="d-two")
    assert group_of(cloud, name)["InstanceId"] == ""


@pytest.mark.parametrize(
    ("params", "outcome"),
    [
        ({"Status.1": "odd"}, (403, "InvalidStatus.ValueNotSupported")),
        ({"InstanceId": "i-x"}, (404, "InvalidInstanceId.NotFound")),
        (
            {"AdditionalAttributes.1": "SNAPSHOT_GROUP_PROGRESS_STATUS"},
            (403, "InvalidSnapshotGroupId.MustBeOne"),
        ),
        ({"Tag.1.Key": "k", "Tag.2.Key": "k"}, (400, "Duplicate.TagKey")),
        ({"SnapshotGroupId.1": "ssg-x"}, (200, "")),
    ],
    ids=lambda value: str(value)[:40],
)
def test_describe_groups_gives_documented_outcome(
    params: dict[str, str], outcome: tuple[int, str]
) -> None:
    assert SocketlessCloud().call("DescribeSnapshotGroups", **params).outcome == outcome


def test_delete_group_reports_each_member() -> None:
    cloud = SocketlessCloud()
    name = made(cloud)
    cloud.pass_time(1)
    kept = cloud.snapshots()[0]["SnapshotId"]
    cloud.cloud.state.snapshots[kept].created_image = True
    answer = cloud.call("DeleteSnapshotGroup", SnapshotGroupId=name)
    outcomes = {
        entry["RelatedItemSet"]["RelatedItem"][0]["Value"]: entry["ErrorCode"]
        for entry in answer.body["OperationProgressSet"]["OperationProgress"]
    }
    assert answer.status == 200
    assert outcomes.pop(kept) == "SnapshotCreatedImage"
    assert list(outcomes.values()) == [""]
    assert [snapshot["SnapshotId"] for snapshot in cloud.snapshots()] == [kept]


def test_delete_group_with_all_members_free_removes_everything() -> None:
    cloud = SocketlessCloud()
    cloud.call("DeleteSnapshotGroup", SnapshotGroupId=made(cloud))
    groups = cloud.call("DescribeSnapshotGroups").body["SnapshotGroups"]["SnapshotGroup"]
    assert (groups, cloud.snapshots()) == ([], [])


def test_member_deleted_alone_leaves_its_group() -> None:
    cloud = SocketlessCloud()
    name = made(cloud)
    gone = cloud.snapshots()[0]["SnapshotId"]
    cloud.call("DeleteSnapshot", SnapshotId=gone)
    members = group_of(cloud, name)["Snapshots"]["Snapshot"]
    assert gone not in [member["SnapshotId"] for member in members]
    assert len(members) == 1


def test_modify_group_changes_name_and_keeps_description() -> None:
    cloud = SocketlessCloud()
    name = made(cloud, Name="first", Description="why")
    cloud.call("ModifySnapshotGroup", SnapshotGroupId=name, Name="second")
    found = group_of(cloud, name)
    assert (found["Name"], found["Description"]) == ("second", "why")
