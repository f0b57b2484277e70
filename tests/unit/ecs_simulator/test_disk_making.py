"""CreateDisk: sizes, encryption, subscription, and the ClientToken that is forgotten."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ecs_simulator.config import DiskConfig, InstanceConfig, SimulatorConfig
from ecs_simulator.encrypting import SERVICE_KEY
from ecs_simulator.pace import Fate
from fakes.simulated_cloud import TWO_DISKS, SocketlessCloud

ZONE = "cn-hangzhou-i"
NEW = {"ZoneId": ZONE, "DiskCategory": "cloud_essd", "Size": "20"}
REFUSED_SIZE = (403, "InvalidDiskSize.NotSupported")
OK = (200, "")


def disk(cloud: SocketlessCloud, name: str) -> dict[str, Any]:
    (found,) = cloud.call("DescribeDisks", DiskIds=f'["{name}"]').body["Disks"]["Disk"]
    return dict(found)


def snapshot_of(cloud: SocketlessCloud, disk_id: str) -> str:
    name = cloud.made("CreateSnapshot", DiskId=disk_id)
    cloud.pass_time(1)
    cloud.pass_time(100)
    return str(name)


@pytest.mark.parametrize(
    ("category", "least", "most"),
    [
        ("cloud", 5, 2000),
        ("cloud_efficiency", 20, 32768),
        ("cloud_ssd", 20, 32768),
        ("cloud_auto", 1, 65536),
        ("cloud_essd_entry", 10, 32768),
        ("cloud_regional_disk_auto", 10, 65536),
        ("elastic_ephemeral_disk_premium", 64, 8192),
    ],
)
def test_size_of_a_category_has_its_documented_bounds(category: str, least: int, most: int) -> None:
    cloud = SocketlessCloud()
    sizes = (least - 1, least, most, most + 1)
    outcomes = [
        cloud.call("CreateDisk", **{**NEW, "DiskCategory": category, "Size": size}).outcome
        for size in sizes
    ]
    assert outcomes == [REFUSED_SIZE, OK, OK, REFUSED_SIZE]


@pytest.mark.parametrize(("level", "least"), [("PL0", 1), ("PL1", 20), ("PL2", 461), ("PL3", 1261)])
def test_size_of_an_essd_is_bound_by_its_level(level: str, least: int) -> None:
    cloud = SocketlessCloud()
    outcomes = [
        cloud.call("CreateDisk", **{**NEW, "PerformanceLevel": level, "Size": size}).outcome
        for size in (least - 1, least)
    ]
    assert outcomes == [REFUSED_SIZE, OK]


def test_snapshot_smaller_than_the_category_allows_needs_a_larger_size() -> None:
    own = InstanceConfig(instance_id="i-own", disks=(DiskConfig(disk_id="d-small", size_gib=1),))
    cloud = SocketlessCloud(replace(TWO_DISKS, instances=(own,)))
    wish = {**NEW, "DiskCategory": "cloud_essd_entry", "SnapshotId": snapshot_of(cloud, "d-small")}
    assert cloud.call("CreateDisk", **{**wish, "Size": "1"}).outcome == REFUSED_SIZE
    assert cloud.call("CreateDisk", **{**wish, "Size": "10"}).outcome == OK


def encrypted(**changes: Any) -> SimulatorConfig:
    own = InstanceConfig(
        instance_id="i-own",
        disks=(DiskConfig(disk_id="d-enc", encrypted=True, kms_key_id="key-1"),),
    )
    return replace(TWO_DISKS, instances=(own,), **changes)


def test_disk_of_an_encrypted_snapshot_has_its_key() -> None:
    cloud = SocketlessCloud(encrypted())
    name = cloud.made("CreateDisk", **NEW, SnapshotId=snapshot_of(cloud, "d-enc"))
    found = disk(cloud, name)
    assert (found["Encrypted"], found["KMSKeyId"]) == (True, "key-1")


def test_snapshot_of_such_a_disk_has_the_key_too() -> None:
    cloud = SocketlessCloud(encrypted())
    snapshot_of(cloud, "d-enc")
    (found,) = cloud.snapshots()
    assert (found["Encrypted"], found["KMSKeyId"]) == (True, "key-1")


@pytest.mark.parametrize(
    ("params", "outcome"),
    [
        ({"Encrypted": "false"}, (400, "InvalidParameter.Encrypted")),
        ({"Encrypted": "true"}, OK),
        ({"KMSKeyId": "key-2"}, OK),
        ({"KMSKeyId": "key-off"}, (403, "InvalidParameter.KMSKeyId.CMKNotEnabled")),
        ({"KMSKeyId": "key-none"}, (404, "InvalidParameter.KMSKeyId.NotFound")),
    ],
    ids=str,
)
def test_disk_of_an_encrypted_snapshot_gives_documented_outcome(
    params: dict[str, str], outcome: tuple[int, str]
) -> None:
    keys = {"key-2": "enabled", "key-off": "disabled"}
    cloud = SocketlessCloud(encrypted(kms_keys=keys))
    snapshot = snapshot_of(cloud, "d-enc")
    assert cloud.call("CreateDisk", **NEW, SnapshotId=snapshot, **params).outcome == outcome


def test_disk_of_a_snapshot_whose_key_is_gone_is_refused() -> None:
    cloud = SocketlessCloud(encrypted())
    snapshot = snapshot_of(cloud, "d-enc")
    cloud.cloud.account.kms_keys["key-1"] = "deleted"
    answer = cloud.call("CreateDisk", **NEW, SnapshotId=snapshot)
    assert answer.outcome == (404, "InvalidParameter.KMSKeyId.NotFound")


def test_key_without_encryption_is_refused() -> None:
    cloud = SocketlessCloud(replace(TWO_DISKS, kms_keys={"key-2": "enabled"}))
    answer = cloud.call("CreateDisk", **NEW, KMSKeyId="key-2")
    assert answer.outcome == (400, "InvalidParameter.EncryptedIllegal")


@pytest.mark.parametrize(
    ("changes", "params", "shown"),
    [
        ({}, {}, (False, "")),
        ({}, {"Encrypted": "true"}, (True, SERVICE_KEY)),
        ({"default_encryption": True}, {}, (True, SERVICE_KEY)),
        ({"default_encryption": True, "default_kms_key_id": "key-9"}, {}, (True, "key-9")),
    ],
    ids=str,
)
def test_empty_disk_is_encrypted_as_asked_or_as_the_account_does(
    changes: dict[str, Any], params: dict[str, str], shown: tuple[bool, str]
) -> None:
    cloud = SocketlessCloud(replace(TWO_DISKS, **changes))
    found = disk(cloud, cloud.made("CreateDisk", **NEW, **params))
    assert (found["Encrypted"], found["KMSKeyId"]) == shown


def test_plain_disk_where_the_account_encrypts_is_refused() -> None:
    cloud = SocketlessCloud(replace(TWO_DISKS, default_encryption=True))
    answer = cloud.call("CreateDisk", **NEW, Encrypted="false")
    assert answer.outcome == (400, "InvalidParameter.Encrypted")


def subscription() -> SocketlessCloud:
    own = replace(TWO_DISKS.instances[0], charge_type="PrePaid")
    return SocketlessCloud(replace(TWO_DISKS, instances=(own,)))


BOUGHT = {"InstanceId": "i-own", "DiskCategory": "cloud_essd", "Size": "20"}


@pytest.mark.parametrize(
    ("params", "outcome"),
    [
        (BOUGHT, OK),
        ({**BOUGHT, "ZoneId": ZONE}, (400, "InvalidParameter.Conflict")),
        ({**BOUGHT, "MultiAttach": "Enabled"}, (400, "InvalidParameter.Conflict")),
        ({**BOUGHT, "InstanceId": "i-none"}, (404, "InvalidInstanceId.NotFound")),
    ],
    ids=str,
)
def test_disk_for_a_subscription_instance_gives_documented_outcome(
    params: dict[str, str], outcome: tuple[int, str]
) -> None:
    assert subscription().call("CreateDisk", **params).outcome == outcome


def test_disk_for_a_pay_as_you_go_instance_is_refused() -> None:
    assert SocketlessCloud().call("CreateDisk", **BOUGHT).outcome == (403, "InvalidPayMethod")


def test_disk_for_a_subscription_instance_comes_to_it_and_has_no_tags() -> None:
    cloud = subscription()
    name = cloud.made("CreateDisk", **BOUGHT, Tag__1__Key="k", Tag__1__Value="v")
    cloud.pass_time(1)
    cloud.pass_time(1)
    found = disk(cloud, name)
    shown = {key: found[key] for key in ("Status", "InstanceId", "DiskChargeType", "Tags")}
    assert shown == {
        "Status": "In_use",
        "InstanceId": "i-own",
        "DiskChargeType": "PrePaid",
        "Tags": {"Tag": []},
    }


def test_disk_for_a_subscription_instance_is_made_twice_with_one_token() -> None:
    cloud = subscription()
    names = [cloud.made("CreateDisk", **BOUGHT, ClientToken="token") for _ in range(2)]
    assert names[0] != names[1]


def with_memory(seconds: float) -> SocketlessCloud:
    return SocketlessCloud(replace(TWO_DISKS, token_memory_s=seconds))


def test_token_within_its_memory_gives_the_same_disk() -> None:
    cloud = with_memory(600)
    first = cloud.made("CreateDisk", **NEW, ClientToken="token")
    cloud.pass_time(599)
    assert cloud.made("CreateDisk", **NEW, ClientToken="token") == first


def test_token_that_is_forgotten_makes_a_second_disk() -> None:
    cloud = with_memory(600)
    first = cloud.made("CreateDisk", **NEW, ClientToken="token")
    cloud.pass_time(600)
    assert cloud.made("CreateDisk", **NEW, ClientToken="token") != first


def test_token_with_other_parameters_is_refused_within_its_memory_only() -> None:
    cloud = with_memory(600)
    cloud.made("CreateDisk", **NEW, ClientToken="token")
    other = {**NEW, "Size": "21"}
    cloud.pass_time(599)
    refused = cloud.call("CreateDisk", **other, ClientToken="token")
    assert refused.outcome == (403, "IdempotentParameterMismatch")
    cloud.pass_time(1)
    assert cloud.call("CreateDisk", **other, ClientToken="token").outcome == OK


def test_token_is_remembered_for_ever_by_default() -> None:
    cloud = SocketlessCloud()
    first = cloud.made("CreateDisk", **NEW, ClientToken="token")
    cloud.pass_time(1e8)
    assert cloud.made("CreateDisk", **NEW, ClientToken="token") == first


def test_creation_that_fails_leaves_no_disk() -> None:
    cloud = SocketlessCloud()
    cloud.cloud.pace.befall(Fate(action="CreateDisk", outcome="fail"))
    name = cloud.made("CreateDisk", **NEW)
    cloud.pass_time(1)
    assert cloud.call("DescribeDisks", DiskIds=f'["{name}"]').body["Disks"]["Disk"] == []
