"""Operations on instances: start, reboot, release, attributes, statuses."""

from __future__ import annotations

import base64
from dataclasses import replace
from typing import Any

import pytest

from ecs_simulator.config import DiskConfig, InstanceConfig, SimulatorConfig
from ecs_simulator.pace import Fate
from fakes.simulated_cloud import TWO_DISKS, Answer, SocketlessCloud

OWN = TWO_DISKS.instances[0]
KEPT = DiskConfig(disk_id="d-kept", delete_with_instance=False)
REFUSED = (403, "IncorrectInstanceStatus")


def with_own(**changes: Any) -> SimulatorConfig:
    return replace(TWO_DISKS, instances=(replace(OWN, **changes),))


def call(cloud: SocketlessCloud, action: str, **params: str) -> Answer:
    return cloud.call(action, **{"InstanceId": "i-own", **params})


def status(cloud: SocketlessCloud) -> str:
    entries = cloud.call("DescribeInstanceStatus").body["InstanceStatuses"]["InstanceStatus"]
    return str({each["InstanceId"]: each["Status"] for each in entries}.get("i-own", "gone"))


def disks(cloud: SocketlessCloud) -> dict[str, str]:
    found = cloud.call("DescribeDisks").body["Disks"]["Disk"]
    return {each["DiskId"]: each["Status"] for each in found}


def snapshot_of(cloud: SocketlessCloud, disk_id: str) -> str:
    name = cloud.made("CreateSnapshot", DiskId=disk_id)
    cloud.pass_time(1)
    cloud.pass_time(100)
    return str(name)


def test_reboot_stops_and_starts_the_machine() -> None:
    cloud = SocketlessCloud()
    assert call(cloud, "RebootInstance").status == 200
    seen = [status(cloud)]
    cloud.pass_time(1)
    seen.append(status(cloud))
    assert seen == ["Stopping", "Running"]


@pytest.mark.parametrize("action", ["RebootInstance", "StopInstance"])
def test_action_on_a_running_instance_while_it_is_stopped_is_refused(action: str) -> None:
    cloud = SocketlessCloud(with_own(status="Stopped"))
    assert call(cloud, action).outcome == REFUSED


def test_start_while_a_disk_is_being_reset_is_refused_until_it_is_done() -> None:
    cloud = SocketlessCloud(with_own(status="Stopped"))
    snapshot = snapshot_of(cloud, "d-data")
    cloud.call("ResetDisk", DiskId="d-data", SnapshotId=snapshot)
    assert call(cloud, "StartInstance").outcome == (403, "DiskError")
    cloud.pass_time(1)
    assert call(cloud, "StartInstance").outcome == (200, "")


def test_reset_that_fails_leaves_the_disk_for_another_reset_and_the_instance_stopped() -> None:
    cloud = SocketlessCloud(with_own(status="Stopped"))
    snapshot = snapshot_of(cloud, "d-data")
    cloud.cloud.pace.befall(Fate(action="ResetDisk", outcome="fail"))
    cloud.call("ResetDisk", DiskId="d-data", SnapshotId=snapshot)
    cloud.pass_time(1)
    assert disks(cloud)["d-data"] == "ReInitFailed"
    found = cloud.call("DescribeDisks", Status="ReInitFailed").body["Disks"]["Disk"]
    assert [each["DiskId"] for each in found] == ["d-data"]
    assert call(cloud, "StartInstance").outcome == (403, "DiskError")
    cloud.call("ResetDisk", DiskId="d-data", SnapshotId=snapshot)
    cloud.pass_time(1)
    assert disks(cloud)["d-data"] == "In_use"


def test_start_without_a_system_disk_is_refused() -> None:
    cloud = SocketlessCloud(with_own(status="Stopped"))
    call(cloud, "DetachDisk", DiskId="d-sys")
    cloud.pass_time(1)
    assert call(cloud, "StartInstance").outcome == (400, "InvalidInstance.NotFoundSystemDisk")


def test_release_takes_disks_that_go_with_the_instance_and_leaves_the_others() -> None:
    cloud = SocketlessCloud(with_own(status="Stopped", disks=(*OWN.disks, KEPT)))
    assert call(cloud, "DeleteInstance").status == 200
    cloud.pass_time(1)
    cloud.pass_time(1)
    assert (status(cloud), disks(cloud)) == ("gone", {"d-kept": "Available"})
    deleted = [name for kind, name, *_ in cloud.storage.log if kind == "delete-disk"]
    assert deleted == ["d-sys", "d-data"]


def test_release_keeps_snapshots_of_the_disks() -> None:
    cloud = SocketlessCloud(with_own(status="Stopped"))
    snapshot = snapshot_of(cloud, "d-data")
    call(cloud, "DeleteInstance")
    cloud.pass_time(1)
    assert [each["SnapshotId"] for each in cloud.snapshots()] == [snapshot]


def test_disk_attached_to_go_with_the_instance_goes() -> None:
    cloud = SocketlessCloud(replace(TWO_DISKS, free_disks=(KEPT,)))
    call(cloud, "AttachDisk", DiskId="d-kept", DeleteWithInstance="true")
    cloud.pass_time(1)
    call(cloud, "DeleteInstance", Force="true")
    cloud.pass_time(1)
    assert disks(cloud) == {}


def test_release_while_the_machine_does_not_let_go_of_a_disk_ends_that() -> None:
    cloud = SocketlessCloud()
    cloud.storage.mounted.add("d-data")
    call(cloud, "DetachDisk", DiskId="d-data", DeleteWithInstance="true")
    cloud.pass_time(1)
    call(cloud, "DeleteInstance", Force="true")
    cloud.pass_time(1)
    assert disks(cloud) == {}
    cloud.pass_time(1)
    assert [fault.over_at is None for fault in cloud.cloud.guest_faults] == [False]
    assert cloud.cloud.storage_faults == []


def test_disk_on_its_way_to_a_released_instance_stays_free() -> None:
    slow = replace(TWO_DISKS, free_disks=(KEPT,), operations_s={"AttachDisk": 30.0})
    cloud = SocketlessCloud(slow)
    call(cloud, "AttachDisk", DiskId="d-kept", DeleteWithInstance="true")
    call(cloud, "DeleteInstance", Force="true")
    cloud.pass_time(1)
    cloud.pass_time(60)
    assert disks(cloud) == {"d-kept": "Available"}


@pytest.mark.parametrize(
    ("changes", "params", "outcome"),
    [
        ({}, {}, REFUSED),
        ({}, {"Force": "true"}, (200, "")),
        ({"status": "Stopped"}, {}, (200, "")),
        ({"status": "Starting"}, {"Force": "true"}, REFUSED),
        ({}, {"Force": "true", "DryRun": "true"}, (400, "DryRunOperation")),
        ({"charge_type": "PrePaid"}, {"Force": "true"}, (403, "ChargeTypeViolation")),
        (
            {"deletion_protection": True},
            {"Force": "true"},
            (403, "InvalidOperation.DeletionProtection"),
        ),
        ({}, {"InstanceId": "i-x"}, (404, "InvalidInstanceId.NotFound")),
    ],
    ids=str,
)
def test_release_gives_documented_outcome(
    changes: dict[str, Any], params: dict[str, str], outcome: tuple[int, str]
) -> None:
    assert call(SocketlessCloud(with_own(**changes)), "DeleteInstance", **params).outcome == outcome


def test_name_description_and_protection_change_at_once() -> None:
    cloud = SocketlessCloud()
    call(
        cloud,
        "ModifyInstanceAttribute",
        InstanceName="other",
        Description="of tests",
        DeletionProtection="true",
    )
    (found,) = cloud.call("DescribeInstances").body["Instances"]["Instance"]
    shown = [found[name] for name in ("InstanceName", "Description", "DeletionProtection")]
    assert shown == ["other", "of tests", True]


def test_host_name_and_user_data_change_with_the_next_start() -> None:
    cloud = SocketlessCloud()
    data = base64.b64encode(b"#!/bin/sh").decode()
    call(cloud, "ModifyInstanceAttribute", HostName="new-host", UserData=data)
    before = cloud.cloud.own_instance.hostname
    call(cloud, "RebootInstance")
    cloud.pass_time(1)
    own = cloud.cloud.own_instance
    assert (before, own.hostname, own.user_data) == ("sim-host", "new-host", b"#!/bin/sh")


@pytest.mark.parametrize(
    ("params", "outcome"),
    [
        ({"InstanceName": "1st"}, (400, "InvalidInstanceName.Malformed")),
        ({"Description": "http://x"}, (400, "InvalidDescription.Malformed")),
        ({"HostName": "-x"}, (400, "InvalidHostName.Malformed")),
        ({"HostName": "x" * 65}, (400, "InvalidHostName.Malformed")),
        ({"Password": "short"}, (400, "InvalidPassword.Malformed")),
        ({"UserData": "%"}, (400, "InvalidUserData.Base64FormatInvalid")),
        ({"HostName": "host.example"}, (200, "")),
    ],
    ids=str,
)
def test_attributes_give_documented_outcome(
    params: dict[str, str], outcome: tuple[int, str]
) -> None:
    assert call(SocketlessCloud(), "ModifyInstanceAttribute", **params).outcome == outcome


def test_statuses_are_paged_by_number() -> None:
    many = tuple(InstanceConfig(instance_id=f"i-{n:02}", zone_id="cn-z") for n in range(12))
    cloud = SocketlessCloud(replace(TWO_DISKS, instances=(OWN, *many)))
    answer = cloud.call("DescribeInstanceStatus", PageNumber=2, PageSize=10, ZoneId="cn-z")
    body = answer.body
    shown = [each["InstanceId"] for each in body["InstanceStatuses"]["InstanceStatus"]]
    assert (body["TotalCount"], body["PageNumber"], shown) == (12, 2, ["i-10", "i-11"])


def test_statuses_of_named_instances() -> None:
    other = InstanceConfig(instance_id="i-other", status="Stopped")
    cloud = SocketlessCloud(replace(TWO_DISKS, instances=(OWN, other)))
    found = cloud.call("DescribeInstanceStatus", InstanceId__1="i-other")
    assert found.body["InstanceStatuses"]["InstanceStatus"] == [
        {"InstanceId": "i-other", "Status": "Stopped"}
    ]


@pytest.mark.parametrize("params", [{"PageSize": 51}, {"PageNumber": -1}], ids=str)
def test_statuses_of_a_page_that_cannot_be_are_refused(params: dict[str, int]) -> None:
    assert SocketlessCloud().call("DescribeInstanceStatus", **params).status == 400


@pytest.mark.parametrize("action", ["AttachDisk", "DetachDisk"])
def test_disk_of_a_type_without_hot_plug_moves_only_while_stopped(action: str) -> None:
    moved = {"AttachDisk": "d-kept", "DetachDisk": "d-data"}[action]
    outcomes = []
    for state in ("Running", "Stopped"):
        config = replace(with_own(status=state, hot_plug=False), free_disks=(KEPT,))
        outcomes.append(call(SocketlessCloud(config), action, DiskId=moved).code)
    assert outcomes == ["InvalidOperation.InstanceTypeNotSupport", ""]
