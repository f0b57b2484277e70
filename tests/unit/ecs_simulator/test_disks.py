"""Disks: listing, making, attaching, rolling back, deleting; instances."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ecs_simulator.config import DiskConfig, InstanceConfig, SimulatorConfig
from fakes.simulated_cloud import TWO_DISKS, SocketlessCloud

ZONE = "cn-hangzhou-i"
NEW = {"ZoneId": ZONE, "DiskCategory": "cloud_essd", "Size": "20"}


def disk(cloud: SocketlessCloud, name: str) -> dict[str, Any]:
    answer = cloud.call("DescribeDisks", DiskIds=f'["{name}"]')
    (found,) = answer.body["Disks"]["Disk"]
    return dict(found)


def finished_snapshot(cloud: SocketlessCloud, disk_id: str = "d-data") -> str:
    name = cloud.made("CreateSnapshot", DiskId=disk_id)
    cloud.pass_time(1)
    cloud.pass_time(100)
    return str(name)


def stopped(**changes: Any) -> SimulatorConfig:
    own = replace(TWO_DISKS.instances[0], status="Stopped", **changes)
    return replace(TWO_DISKS, instances=(own,))


def with_free_disk(**changes: Any) -> SimulatorConfig:
    return replace(TWO_DISKS, free_disks=(DiskConfig(disk_id="d-free", **changes),))


def test_attached_disk_shows_serial_label_and_owner() -> None:
    found = disk(SocketlessCloud(), "d-sys")
    shown = {name: found[name] for name in ("SerialNumber", "Device", "InstanceId", "Status")}
    assert shown == {
        "SerialNumber": "sys",
        "Device": "/dev/xvda",
        "InstanceId": "i-own",
        "Status": "In_use",
    }
    assert found["Attachments"]["Attachment"][0]["InstanceId"] == "i-own"


def test_multi_attach_disk_shows_its_owners_only_as_attachments() -> None:
    shared = DiskConfig(disk_id="d-m", kind="data", multi_attach="Enabled")
    own = InstanceConfig(instance_id="i-own", disks=(shared,))
    found = disk(SocketlessCloud(replace(TWO_DISKS, instances=(own,))), "d-m")
    assert (found["InstanceId"], found["Device"]) == ("", "")
    assert found["Attachments"]["Attachment"][0]["InstanceId"] == "i-own"


@pytest.mark.parametrize(
    ("params", "names"),
    [
        ({}, ("d-data", "d-sys")),
        ({"DiskType": "system"}, ("d-sys",)),
        ({"DiskIds": "[]"}, ()),
        ({"DiskIds": '["d-data","d-x"]'}, ("d-data",)),
        ({"Status": "Available"}, ()),
        ({"InstanceId": "i-own"}, ("d-data", "d-sys")),
        ({"InstanceId": "i-x"}, ()),
        ({"Category": "cloud_ssd"}, ()),
        ({"RegionId": "cn-beijing"}, ()),
        (
            {"Filter.1.Key": "CreationStartTime", "Filter.1.Value": "2026-11-22T08:00Z"},
            (),
        ),
        (
            {"Filter.1.Key": "CreationEndTime", "Filter.1.Value": "2026-11-22T08:00Z"},
            ("d-data", "d-sys"),
        ),
    ],
    ids=str,
)
def test_describe_disks_with_filter_finds_only_what_fits(
    params: dict[str, str], names: tuple[str, ...]
) -> None:
    found = SocketlessCloud().call("DescribeDisks", **params).body["Disks"]["Disk"]
    assert sorted(entry["DiskId"] for entry in found) == [*names]


@pytest.mark.parametrize(
    ("params", "outcome"),
    [
        ({"RegionId": ""}, (400, "MissingParamter.RegionId")),
        ({"RegionId": "mars"}, (400, "InvalidRegion.NotFound")),
        ({"DiskType": "tape"}, (400, "InvalidDiskType.ValueNotSupported")),
        ({"Status": "Gone"}, (400, "InvalidStatus.ValueNotSupported")),
        ({"Category": "gold"}, (400, "InvalidCategory.ValueNotSupported")),
        ({"DiskIds": "d-sys"}, (403, "InvalidDiskIds.Malformed")),
        ({"MultiAttach": "Maybe"}, (403, "InvalidParameter.MultiAttach")),
        ({"Encrypted": "perhaps"}, (400, "InvalidParamter")),
        ({"Filter.1.Key": "Colour"}, (404, "InvalidFilterKey.NotFound")),
        ({"Filter.1.Key": "CreationStartTime"}, (400, "IncompleteParamter")),
    ],
    ids=lambda value: str(value)[:40],
)
def test_describe_disks_gives_documented_refusal(
    params: dict[str, str], outcome: tuple[int, str]
) -> None:
    assert SocketlessCloud().call("DescribeDisks", **params).outcome == outcome


def test_disk_from_snapshot_is_made_attached_detached_and_deleted() -> None:
    cloud = SocketlessCloud()
    snapshot = finished_snapshot(cloud)
    name = cloud.made("CreateDisk", SnapshotId=snapshot, **NEW)
    statuses = [disk(cloud, name)["Status"]]
    for action in ("AttachDisk", "DetachDisk"):
        cloud.pass_time(1)
        statuses.append(disk(cloud, name)["Status"])
        cloud.call(action, InstanceId="i-own", DiskId=name)
        statuses.append(disk(cloud, name)["Status"])
    cloud.pass_time(1)
    statuses.append(disk(cloud, name)["Status"])
    assert cloud.call("DeleteDisk", DiskId=name).status == 200
    cloud.pass_time(1)
    assert statuses == ["Creating", "Available", "Attaching", "In_use", "Detaching", "Available"]
    assert cloud.storage.log[-4:] == [
        ("create-from", name, snapshot),
        ("attach", name),
        ("detach", name),
        ("delete-disk", name),
    ]


def test_disk_from_snapshot_is_never_smaller_than_it() -> None:
    cloud = SocketlessCloud()
    name = cloud.made("CreateDisk", SnapshotId=finished_snapshot(cloud), **NEW)
    assert disk(cloud, name)["Size"] == 100


@pytest.mark.parametrize(
    ("params", "outcome"),
    [
        ({"ZoneId": ""}, (400, "MissingParameter")),
        ({"ZoneId": "cn-x"}, (404, "InvalidZoneId.NotFound")),
        ({"Size": ""}, (400, "MissingParameter")),
        ({"DiskCategory": "gold"}, (400, "InvalidDiskCategory.ValueNotSupported")),
        ({"DiskCategory": "local_ssd_pro"}, (403, "InvalidDiskCategory.NotSupported")),
        ({"SnapshotId": "s-x"}, (404, "InvalidSnapshotId.NotFound")),
    ],
    ids=lambda value: str(value)[:40],
)
def test_create_disk_gives_documented_outcome(
    params: dict[str, str], outcome: tuple[int, str]
) -> None:
    assert SocketlessCloud().call("CreateDisk", **{**NEW, **params}).outcome == outcome


def test_disk_from_snapshot_that_still_uploads_must_be_essd() -> None:
    cloud = SocketlessCloud()
    snapshot = cloud.made("CreateSnapshot", DiskId="d-data")
    cloud.pass_time(1)
    assert cloud.call("CreateDisk", SnapshotId=snapshot, **NEW).code == "InvalidSnapshotId.NotReady"
    cloud.pass_time(2)
    plain = {**NEW, "DiskCategory": "cloud_ssd"}
    refused = cloud.call("CreateDisk", SnapshotId=snapshot, **plain)
    assert refused.code == "InvalidSnapshotId.NotReady"
    assert cloud.call("CreateDisk", SnapshotId=snapshot, **NEW).status == 200


@pytest.mark.parametrize(
    ("config", "params", "outcome"),
    [
        (TWO_DISKS, {"DiskId": "d-sys"}, (404, "InvalidDisk.InUse")),
        (TWO_DISKS, {"DiskId": "d-x"}, (404, "InvalidDiskId.NotFound")),
        (with_free_disk(zone_id="cn-z"), {}, (403, "ResourcesNotInSameZone")),
        (with_free_disk(portable=False), {}, (403, "DiskNotPortable")),
        (with_free_disk(), {"InstanceId": "i-x"}, (404, "InvalidInstanceId.NotFound")),
        (with_free_disk(), {}, (200, "")),
    ],
    ids=lambda value: str(value)[:30],
)
def test_attach_disk_gives_documented_outcome(
    config: SimulatorConfig, params: dict[str, str], outcome: tuple[int, str]
) -> None:
    given = {"InstanceId": "i-own", "DiskId": "d-free", **params}
    assert SocketlessCloud(config).call("AttachDisk", **given).outcome == outcome


def test_attach_beyond_what_the_type_carries_is_refused() -> None:
    own = replace(TWO_DISKS.instances[0], disk_quantity=2)
    cloud = SocketlessCloud(replace(with_free_disk(), instances=(own,)))
    answer = cloud.call("AttachDisk", InstanceId="i-own", DiskId="d-free")
    assert answer.outcome == (403, "InstanceDiskLimitExceeded")
    types = cloud.call("DescribeInstanceTypes").body["InstanceTypes"]["InstanceType"]
    assert types[0]["DiskQuantity"] == 2


@pytest.mark.parametrize(
    ("params", "outcome"),
    [
        ({"DiskId": "d-sys"}, (403, "IncorrectInstanceStatus")),
        ({"DiskId": "d-free"}, (404, "InvalidDisk.AlreadyDetached")),
        ({"DiskId": "d-data"}, (200, "")),
    ],
    ids=str,
)
def test_detach_disk_gives_documented_outcome(
    params: dict[str, str], outcome: tuple[int, str]
) -> None:
    cloud = SocketlessCloud(with_free_disk())
    assert cloud.call("DetachDisk", InstanceId="i-own", **params).outcome == outcome


def test_delete_of_attached_disk_is_refused_and_of_unknown_ignored() -> None:
    cloud = SocketlessCloud()
    assert cloud.call("DeleteDisk", DiskId="d-data").outcome == (403, "DiskStillAttached")
    assert cloud.call("DeleteDisk", DiskId="d-x").status == 200


def test_reset_of_disk_while_instance_runs_is_refused() -> None:
    cloud = SocketlessCloud()
    answer = cloud.call("ResetDisk", DiskId="d-data", SnapshotId=finished_snapshot(cloud))
    assert answer.outcome == (403, "IncorrectInstanceStatus")


def test_reset_of_disk_while_stopped_rolls_back_and_returns_to_its_status() -> None:
    cloud = SocketlessCloud(stopped())
    snapshot = finished_snapshot(cloud)
    assert cloud.call("ResetDisk", DiskId="d-data", SnapshotId=snapshot).status == 200
    assert disk(cloud, "d-data")["Status"] == "ReIniting"
    again = cloud.call("ResetDisk", DiskId="d-data", SnapshotId=snapshot)
    assert again.code == "InvalidOperation.DiskResetInProgress"
    cloud.pass_time(1)
    assert disk(cloud, "d-data")["Status"] == "In_use"
    assert cloud.storage.log[-1] == ("reset", "d-data", snapshot)


def test_reset_to_snapshot_of_another_disk_is_refused() -> None:
    cloud = SocketlessCloud(stopped())
    answer = cloud.call("ResetDisk", DiskId="d-sys", SnapshotId=finished_snapshot(cloud))
    assert answer.outcome == (403, "InvalidParameter.Mismatch")


def test_reset_as_dry_run_changes_nothing() -> None:
    cloud = SocketlessCloud(stopped())
    snapshot = finished_snapshot(cloud)
    answer = cloud.call("ResetDisk", DiskId="d-data", SnapshotId=snapshot, DryRun="true")
    assert answer.outcome == (400, "DryRunOperation")
    assert disk(cloud, "d-data")["Status"] == "In_use"


def test_reset_of_several_disks_reports_each() -> None:
    cloud = SocketlessCloud(stopped())
    snapshot = finished_snapshot(cloud)
    answer = cloud.call(
        "ResetDisks",
        **{
            "Disk.1.DiskId": "d-data",
            "Disk.1.SnapshotId": snapshot,
            "Disk.2.DiskId": "d-sys",
            "Disk.2.SnapshotId": "s-x",
        },
    )
    entries = answer.body["OperationProgressSet"]["OperationProgress"]
    assert [entry["ErrorCode"] for entry in entries] == ["", "InvalidSnapshotId.NotFound"]


def test_instance_stops_in_the_asked_mode_and_starts_again() -> None:
    cloud = SocketlessCloud()
    seen: list[tuple[str, str]] = []

    def note() -> None:
        (found,) = cloud.call("DescribeInstances").body["Instances"]["Instance"]
        seen.append((found["Status"], found["StoppedMode"]))

    cloud.call("StopInstance", InstanceId="i-own", StoppedMode="KeepCharging")
    note()
    cloud.pass_time(1)
    note()
    cloud.call("StartInstance", InstanceId="i-own")
    note()
    cloud.pass_time(1)
    note()
    assert seen == [
        ("Stopping", "Not-applicable"),
        ("Stopped", "KeepCharging"),
        ("Starting", "KeepCharging"),
        ("Running", "Not-applicable"),
    ]


def test_start_of_running_instance_is_refused() -> None:
    answer = SocketlessCloud().call("StartInstance", InstanceId="i-own")
    assert answer.outcome == (403, "IncorrectInstanceStatus")


def test_snapshot_links_count_each_disks_chain() -> None:
    cloud = SocketlessCloud()
    finished_snapshot(cloud)
    finished_snapshot(cloud)
    finished_snapshot(cloud, "d-sys")
    links = cloud.call("DescribeSnapshotLinks").body["SnapshotLinks"]["SnapshotLink"]
    assert {link["SourceDiskId"]: link["TotalCount"] for link in links} == {
        "d-data": 2,
        "d-sys": 1,
    }
    assert cloud.call("DescribeSnapshotsUsage").body["SnapshotCount"] == 3


def test_regions_hold_the_clouds_own() -> None:
    regions = SocketlessCloud().call("DescribeRegions").body["Regions"]["Region"]
    assert regions[0]["RegionId"] == "cn-hangzhou"
