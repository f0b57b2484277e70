"""Changes of disks' attributes, replacing the system disk, cloning, and what is on sale."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ecs_simulator.config import DiskConfig, SimulatorConfig
from fakes.simulated_cloud import TWO_DISKS, SocketlessCloud

OWN = TWO_DISKS.instances[0]
NEW = {"ZoneId": "cn-hangzhou-i", "DiskCategory": "cloud_essd", "Size": "20"}
IMAGE = OWN.image_id
OK = (200, "")


def disk(cloud: SocketlessCloud, name: str) -> dict[str, Any]:
    (found,) = cloud.call("DescribeDisks", DiskIds=f'["{name}"]').body["Disks"]["Disk"]
    return dict(found)


def with_free(**changes: Any) -> SimulatorConfig:
    return replace(TWO_DISKS, free_disks=(DiskConfig(disk_id="d-free", **changes),))


def test_attributes_of_several_disks_change_at_once() -> None:
    cloud = SocketlessCloud()
    ids = {"DiskIds__1": "d-sys", "DiskIds__2": "d-data"}
    answer = cloud.call(
        "ModifyDiskAttribute", **ids, DeleteWithInstance="false", Description="of tests"
    )
    shown = [
        (disk(cloud, name)["DeleteWithInstance"], disk(cloud, name)["Description"])
        for name in ("d-sys", "d-data")
    ]
    assert (answer.outcome, shown) == (OK, [(False, "of tests")] * 2)


def test_attributes_of_several_disks_of_which_one_is_unknown_stay() -> None:
    cloud = SocketlessCloud()
    ids = {"DiskIds__1": "d-data", "DiskIds__2": "d-x"}
    answer = cloud.call("ModifyDiskAttribute", **ids, DeleteWithInstance="false")
    assert answer.outcome == (404, "InvalidDiskId.NotFound")
    assert disk(cloud, "d-data")["DeleteWithInstance"]


@pytest.mark.parametrize(
    ("params", "outcome"),
    [
        ({"DeleteWithInstance": "true"}, (400, "MissingParameter.DiskIdOrDiskIds")),
        (
            {"DiskId": "d-free", "DiskIds__1": "d-data", "DiskName": "name"},
            (400, "ParameterConflict.DiskIdAndDiskIds"),
        ),
        ({"DiskId": "d-free"}, (400, "NoAttributeToModify")),
        ({"DiskId": "d-free", "DiskName": "1st"}, (400, "InvalidDiskName.Malformed")),
        ({"DiskId": "d-free", "Description": "x"}, (404, "InvalidDescription.Malformed")),
        (
            {"DiskId": "d-free", "BurstingEnabled": "true"},
            (400, "BurstingEnabledForDiskCategoryUnsupported"),
        ),
        ({"DiskId": "d-free", "DiskName": "name"}, OK),
    ],
    ids=str,
)
def test_attributes_give_documented_outcome(
    params: dict[str, str], outcome: tuple[int, str]
) -> None:
    assert SocketlessCloud(with_free()).call("ModifyDiskAttribute", **params).outcome == outcome


def test_end_of_a_shared_disk_cannot_be_chosen() -> None:
    cloud = SocketlessCloud(with_free(multi_attach="Enabled"))
    answer = cloud.call("ModifyDiskAttribute", DiskId="d-free", DeleteWithInstance="true")
    assert answer.outcome == (403, "DeleteWithInstance.Conflict")


def stopped() -> SocketlessCloud:
    own = replace(OWN, status="Stopped")
    return SocketlessCloud(replace(TWO_DISKS, instances=(own,), images=("m-new",)))


def test_replaced_system_disk_is_a_new_disk_and_the_old_one_is_gone() -> None:
    cloud = stopped()
    name = cloud.made("ReplaceSystemDisk", InstanceId="i-own", ImageId="m-new")
    cloud.pass_time(1)
    cloud.pass_time(1)
    found = cloud.call("DescribeDisks", DiskType="system").body["Disks"]["Disk"]
    assert [(each["DiskId"], each["Status"], each["Device"]) for each in found] == [
        (name, "In_use", "/dev/xvda")
    ]
    assert "d-sys" not in cloud.cloud.state.disks
    assert cloud.cloud.own_instance.image_id == "m-new"


def test_replaced_system_disk_cannot_be_reset_to_a_snapshot_of_the_old_one() -> None:
    cloud = stopped()
    snapshot = cloud.made("CreateSnapshot", DiskId="d-sys")
    cloud.pass_time(1)
    cloud.pass_time(100)
    name = cloud.made("ReplaceSystemDisk", InstanceId="i-own", ImageId="m-new")
    cloud.pass_time(1)
    answer = cloud.call("ResetDisk", DiskId=name, SnapshotId=snapshot)
    assert answer.outcome == (403, "InvalidParameter.Mismatch")


@pytest.mark.parametrize(
    ("params", "outcome"),
    [
        ({}, (400, "MissingParameter")),
        ({"ImageId": "m-none"}, (404, "InvalidImageId.NotFound")),
        (
            {"ImageId": IMAGE, "SystemDisk.Size": "19"},
            (400, "InvalidSystemDiskSize.ValueNotSupported"),
        ),
        ({"ImageId": IMAGE, "Password": "short"}, (400, "InvalidPassword.Malformed")),
        ({"ImageId": IMAGE, "SystemDisk.Size": "60"}, OK),
    ],
    ids=str,
)
def test_replacing_gives_documented_outcome(
    params: dict[str, str], outcome: tuple[int, str]
) -> None:
    assert stopped().call("ReplaceSystemDisk", InstanceId="i-own", **params).outcome == outcome


def test_replacing_while_the_instance_runs_is_refused() -> None:
    answer = SocketlessCloud().call("ReplaceSystemDisk", InstanceId="i-own", ImageId=IMAGE)
    assert answer.outcome == (403, "IncorrectInstanceStatus")


CLONE = {
    "SourceDiskId": "d-data",
    "DiskCategory": "cloud_essd",
    "PerformanceLevel": "PL0",
    "Size": "100",
    "MultiAttach": "Disabled",
}


def test_clone_has_the_source_s_content_without_a_snapshot() -> None:
    cloud = SocketlessCloud()
    answer = cloud.call("CloneDisks", **CLONE, Tag__1__Key="k", Tag__1__Value="v")
    cloud.pass_time(1)
    (found,) = cloud.call("DescribeDisks", Tag__1__Key="k").body["Disks"]["Disk"]
    shown = (found["Status"], found["SourceDiskId"], found["SourceSnapshotId"], found["Size"])
    assert (list(answer.body), shown) == (
        ["RequestId", "TaskGroupId"],
        ("Available", "d-data", "", 100),
    )
    ((_, content),) = cloud.storage.cuts[0]
    assert cloud.storage.log[-2:] == [
        ("create-from", found["DiskId"], content),
        ("delete-snapshot", content),
    ]
    assert cloud.snapshots() == []


@pytest.mark.parametrize(
    ("params", "outcome"),
    [
        ({"Size": "99"}, (403, "InvalidDiskSize.TooSmall")),
        ({"Size": ""}, (400, "MissingParameter")),
        ({"PerformanceLevel": ""}, (400, "MissingParameter")),
        ({"SourceDiskId": "d-x"}, (404, "InvalidDiskId.NotFound")),
        ({"DiskCategory": "cloud_ssd"}, (403, "InvalidDiskCategory.NotSupported")),
        ({"DiskCategory": "cloud_regional_disk_auto"}, (403, "InvalidDiskCategory.NotSupported")),
        ({"DryRun": "true"}, (400, "DryRunOperation")),
        ({}, OK),
    ],
    ids=str,
)
def test_cloning_gives_documented_outcome(params: dict[str, str], outcome: tuple[int, str]) -> None:
    assert SocketlessCloud().call("CloneDisks", **{**CLONE, **params}).outcome == outcome


def offered(cloud: SocketlessCloud, **params: str) -> dict[str, tuple[int, int, str]]:
    wish = {"DestinationResource": "DataDisk", "ResourceType": "disk", **params}
    zones = cloud.call("DescribeAvailableResource", **wish).body["AvailableZones"]["AvailableZone"]
    (zone,) = zones
    (resource,) = zone["AvailableResources"]["AvailableResource"]
    found = resource["SupportedResources"]["SupportedResource"]
    return {each["Value"]: (each["Min"], each["Max"], each["Status"]) for each in found}


def test_data_disks_on_offer_have_their_sizes() -> None:
    found = offered(SocketlessCloud())
    assert found["cloud_essd_entry"] == (10, 32768, "Available")
    assert found["cloud_essd"] == (1, 65536, "Available")


def test_category_that_is_sold_out_is_told_and_refused() -> None:
    cloud = SocketlessCloud(replace(TWO_DISKS, sold_out=("cn-hangzhou-i/cloud_essd",)))
    found = offered(cloud)
    assert (found["cloud_essd"][2], found["cloud_auto"][2]) == ("SoldOut", "Available")
    assert cloud.call("CreateDisk", **NEW).outcome == (403, "InvalidDiskCategory.NotSupported")
    assert cloud.call("CreateDisk", **{**NEW, "DiskCategory": "cloud_auto"}).outcome == OK


def test_zone_that_sells_nothing_refuses_every_disk() -> None:
    cloud = SocketlessCloud(replace(TWO_DISKS, sold_out=("cn-hangzhou-i/*",)))
    assert {status for _, _, status in offered(cloud).values()} == {"SoldOut"}
    assert cloud.call("CreateDisk", **NEW).outcome == (400, "Zone.NotOnSale")


def test_category_that_the_instance_type_does_not_support_is_not_offered_nor_attached() -> None:
    own = replace(OWN, refused_categories=("cloud_essd",))
    cloud = SocketlessCloud(replace(with_free(), instances=(own,)))
    wish = {"ResourceType": "instance", "InstanceType": own.instance_type}
    assert "cloud_essd" not in offered(cloud, **wish)
    answer = cloud.call("AttachDisk", InstanceId="i-own", DiskId="d-free")
    assert answer.outcome == (403, "InvalidInstanceType.NotSupportDiskCategory")


@pytest.mark.parametrize(
    ("params", "outcome"),
    [
        ({}, (400, "MissingParameter")),
        ({"DestinationResource": "Moon"}, (400, "InvalidParameter.DestinationResource")),
        ({"DestinationResource": "DataDisk"}, (400, "MissingParameter")),
        ({"DestinationResource": "SystemDisk"}, (400, "MissingParameter")),
        ({"DestinationResource": "SystemDisk", "InstanceType": "ecs.g7.large"}, OK),
        ({"DestinationResource": "Zone"}, OK),
        ({"DestinationResource": "InstanceType"}, OK),
    ],
    ids=str,
)
def test_what_is_on_offer_gives_documented_outcome(
    params: dict[str, str], outcome: tuple[int, str]
) -> None:
    assert SocketlessCloud().call("DescribeAvailableResource", **params).outcome == outcome


@pytest.mark.parametrize(
    ("account", "code"),
    [
        ({"enough_balance": False}, "InvalidAccountStatus.NotEnoughBalance"),
        ({"disk_quota": 2}, "QuotaExceed.PostPaidDisk"),
        ({"disk_quota": 3}, ""),
    ],
    ids=str,
)
def test_account_that_may_not_buy_gets_no_disk(account: dict[str, Any], code: str) -> None:
    cloud = SocketlessCloud()
    for name, value in account.items():
        setattr(cloud.cloud.account, name, value)
    assert cloud.call("CreateDisk", **NEW).code == code


def price(**params: str) -> float:
    wish = {"ResourceType": "disk", **params}
    info = SocketlessCloud().call("DescribePrice", **wish).body["PriceInfo"]["Price"]
    assert info["Currency"] == "CNY"
    return float(info["TradePrice"])


def of_disk(size: int, level: str = "PL0") -> dict[str, str]:
    return {
        "DataDisk.1.Category": "cloud_essd",
        "DataDisk.1.Size": str(size),
        "DataDisk.1.PerformanceLevel": level,
    }


def test_price_of_a_disk_grows_with_its_size_and_level() -> None:
    assert price(**of_disk(400)) == pytest.approx(10 * price(**of_disk(40)), rel=1e-4)
    assert price(**of_disk(40, "PL1")) > price(**of_disk(40)) > 0


@pytest.mark.parametrize(
    ("params", "outcome"),
    [
        ({"ResourceType": "moon"}, (400, "InvalidResourceType.ValueNotSupported")),
        ({"ResourceType": "instance"}, (400, "PriceNotFound")),
        ({"ResourceType": "disk"}, (400, "InvalidDataDiskCategory.ValueNotSupported")),
        ({"ResourceType": "disk", **of_disk(0)}, (400, "InvalidDataDiskSize.ValueNotSupported")),
        (
            {"ResourceType": "disk", **of_disk(40), "PriceUnit": "Month"},
            (400, "InvalidPriceUnit.ValueNotSupported"),
        ),
    ],
    ids=str,
)
def test_price_gives_documented_refusal(params: dict[str, str], outcome: tuple[int, str]) -> None:
    assert SocketlessCloud().call("DescribePrice", **params).outcome == outcome
