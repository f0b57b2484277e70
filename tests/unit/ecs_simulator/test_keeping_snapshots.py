"""Locks in compliance mode and copies in other regions."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from fakes.simulated_cloud import TWO_DISKS, Answer, SocketlessCloud

HOUR_S, DAY_S = 3600.0, 86400.0


@pytest.fixture
def cloud() -> SocketlessCloud:
    return SocketlessCloud(replace(TWO_DISKS, loose_delete=False))


def finished(cloud: SocketlessCloud, days: int | None = 14, **params: Any) -> str:
    kept = {} if days is None else {"RetentionDays": days}
    name = str(cloud.made("CreateSnapshot", DiskId="d-data", **kept, **params))
    cloud.pass_time(2)
    cloud.pass_time(200)
    return name


def lock(cloud: SocketlessCloud, name: str, **params: Any) -> Answer:
    given = {"SnapshotId": name, "LockMode": "compliance", "LockDuration": 7, "CoolOffPeriod": 0}
    return cloud.call("LockSnapshot", **{**given, **params})


def status(cloud: SocketlessCloud) -> list[str]:
    found = cloud.call("DescribeLockedSnapshots").body["LockedSnapshotsInfo"]
    return [each["LockStatus"] for each in found]


def test_locked_snapshot_cannot_be_deleted_or_unlocked(cloud: SocketlessCloud) -> None:
    name = finished(cloud)
    info = lock(cloud, name).body["LockedSnapshotInfo"]
    assert (info["LockStatus"], info["LockDuration"]) == ("compliance", 7)
    refused = (403, "InvalidOperation.SnapshotIsLocked")
    for action, given in (("DeleteSnapshot", {"Force": "true"}), ("UnlockSnapshot", {})):
        assert cloud.call(action, SnapshotId=name, **given).outcome == refused
    assert [each["SnapshotId"] for each in cloud.snapshots()] == [name]


def test_lock_ends_with_its_days(cloud: SocketlessCloud) -> None:
    name = finished(cloud)
    lock(cloud, name)
    cloud.pass_time(7 * DAY_S - 1)
    assert status(cloud) == ["compliance"]
    cloud.pass_time(1)
    assert status(cloud) == ["expired"]
    assert cloud.call("DeleteSnapshot", SnapshotId=name).status == 200


def test_lock_can_be_taken_away_while_its_cool_off_lasts_and_no_longer(
    cloud: SocketlessCloud,
) -> None:
    name = finished(cloud)
    lock(cloud, name, CoolOffPeriod=24)
    assert status(cloud) == ["compliance-cooloff"]
    assert cloud.call("DeleteSnapshot", SnapshotId=name).status == 403
    assert cloud.call("UnlockSnapshot", SnapshotId=name).status == 200
    lock(cloud, name, CoolOffPeriod=24)
    cloud.pass_time(24 * HOUR_S)
    assert status(cloud) == ["compliance"]
    assert cloud.call("UnlockSnapshot", SnapshotId=name).status == 403


def test_lock_after_its_cool_off_can_only_be_made_longer(cloud: SocketlessCloud) -> None:
    name = finished(cloud)
    lock(cloud, name)
    assert lock(cloud, name, LockDuration=6).code == "InvalidParameter.LockDuration"
    assert lock(cloud, name, LockDuration=8, CoolOffPeriod=1).code == (
        "InvalidParameter.CoolOffPeriod"
    )
    assert lock(cloud, name, LockDuration=8).status == 200


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({"LockDuration": 0}, "InvalidParameter.LockDuration"),
        ({"LockDuration": 36501}, "InvalidParameter.LockDuration"),
        ({"LockDuration": 14}, "InvalidParameter.LockDuration"),
        ({"LockDuration": ""}, "MissingParameter"),
        ({"CoolOffPeriod": 73}, "InvalidParameter.CoolOffPeriod"),
        ({"CoolOffPeriod": ""}, "MissingParameter"),
        ({"LockMode": "governance"}, "InvalidParameter.LockMode"),
        ({"SnapshotId": "s-none"}, "InvalidSnapshotId.NotFound"),
        ({"DryRun": "true"}, "DryRunOperation"),
    ],
    ids=str,
)
def test_lock_that_breaks_a_rule_is_refused(
    cloud: SocketlessCloud, params: dict[str, Any], code: str
) -> None:
    assert lock(cloud, finished(cloud), **params).code == code
    assert status(cloud) == []


def test_lock_of_what_is_kept_for_ever_may_be_long(cloud: SocketlessCloud) -> None:
    assert lock(cloud, finished(cloud, days=None), LockDuration=36500).status == 200


def copy(cloud: SocketlessCloud, name: str, **params: Any) -> Answer:
    given = {
        "SnapshotId": name,
        "DestinationRegionId": "cn-beijing",
        "DestinationSnapshotName": "copy",
        "DestinationSnapshotDescription": "a copy",
    }
    return cloud.call("CopySnapshot", **{**given, **params})


def test_copy_is_a_snapshot_of_its_own_in_the_other_region(cloud: SocketlessCloud) -> None:
    name = finished(cloud)
    answer = copy(cloud, name, RetentionDays=5, Tag__1__Key="k", Tag__1__Value="v")
    (there,) = cloud.snapshots(RegionId="cn-beijing", Tag__1__Key="k")
    assert (there["SnapshotId"], there["SourceSnapshotId"]) == (answer.body["SnapshotId"], name)
    assert (there["RegionId"], there["RetentionDays"]) == ("cn-beijing", 5)
    assert [each["SnapshotId"] for each in cloud.snapshots()] == [name]
    assert cloud.snapshots(RegionId="cn-shanghai") == []


def test_copy_can_bring_no_disk_back(cloud: SocketlessCloud) -> None:
    there = copy(cloud, finished(cloud)).body["SnapshotId"]
    answer = cloud.call("ResetDisk", DiskId="d-data", SnapshotId=there)
    assert answer.code == "InvalidSnapshotId.NotFound"


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({"DestinationRegionId": "cn-hangzhou"}, "InvalidDestinationRegionId.NotFound"),
        ({"DestinationRegionId": "moon"}, "InvalidDestinationRegionId.NotFound"),
        ({"DestinationSnapshotName": ""}, "MissingParameter"),
        ({"DestinationSnapshotDescription": ""}, "MissingParameter"),
        ({"RetentionDays": 0}, "InvalidRetentionDays.Malformed"),
        ({"SnapshotId": "s-none"}, "InvalidSnapshotId.NotFound"),
    ],
    ids=str,
)
def test_copy_that_breaks_a_rule_is_refused(
    cloud: SocketlessCloud, params: dict[str, Any], code: str
) -> None:
    assert copy(cloud, finished(cloud), **params).code == code
    assert cloud.snapshots(RegionId="cn-beijing") == []


def test_copy_of_what_is_not_finished_is_refused(cloud: SocketlessCloud) -> None:
    name = cloud.made("CreateSnapshot", DiskId="d-data")
    cloud.pass_time(2)
    assert copy(cloud, name).code == "InvalidSnapshotId.NotReady"
