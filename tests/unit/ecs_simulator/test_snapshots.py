"""Single snapshots: rules, life by the clock, listing, deletion."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from ecs_simulator.config import DiskConfig, InstanceConfig, LifeTimes, SimulatorConfig
from ecs_simulator.controls import Controls
from ecs_simulator.faults import Fault
from fakes.simulated_cloud import LIFE, TWO_DISKS, SocketlessCloud


def with_disk(**disk: Any) -> SimulatorConfig:
    own = InstanceConfig(instance_id="i-own", disks=(DiskConfig(disk_id="d-sys", **disk),))
    return replace(TWO_DISKS, instances=(own,))


def with_instance(**instance: Any) -> SimulatorConfig:
    return replace(TWO_DISKS, instances=(replace(TWO_DISKS.instances[0], **instance),))


def test_snapshot_before_its_cut_has_no_creation_time() -> None:
    cloud = SocketlessCloud()
    cloud.made("CreateSnapshot", DiskId="d-sys")
    cloud.pass_time(0.9)
    (found,) = cloud.snapshots()
    assert (found["CreationTime"], found["Progress"], found["Available"]) == ("", "0%", False)
    assert cloud.storage.cuts == []


def test_snapshot_at_its_cut_is_captured_and_dated() -> None:
    cloud = SocketlessCloud()
    name = cloud.made("CreateSnapshot", DiskId="d-sys")
    cloud.pass_time(1.0)
    assert cloud.storage.cuts == [[("d-sys", name)]]
    assert cloud.snapshots()[0]["CreationTime"] == "2026-11-22T08:32:26Z"


@pytest.mark.parametrize(
    ("after_s", "status", "progress", "available"),
    [
        (1.0, "progressing", "0%", False),
        (3.0, "progressing", "2%", True),
        (51.0, "progressing", "50%", True),
        (100.9, "progressing", "99%", True),
        (101.0, "accomplished", "100%", True),
    ],
)
def test_snapshot_of_essd_after_a_time_is_at_its_stage(
    after_s: float, status: str, progress: str, available: bool
) -> None:
    cloud = SocketlessCloud()
    cloud.made("CreateSnapshot", DiskId="d-sys")
    cloud.pass_time(1.0)
    cloud.pass_time(after_s - 1.0)
    (found,) = cloud.snapshots()
    stage = found["Status"], found["Progress"], found["Available"]
    assert stage == (status, progress, available)


def test_snapshot_of_older_category_is_available_only_at_the_end() -> None:
    cloud = SocketlessCloud(with_disk(category="cloud_ssd"))
    cloud.made("CreateSnapshot", DiskId="d-sys")
    cloud.pass_time(1)
    cloud.pass_time(50)
    assert not cloud.snapshots()[0]["Available"]
    cloud.pass_time(50)
    assert cloud.snapshots()[0]["Available"]


def test_snapshot_within_visible_lag_is_not_listed() -> None:
    life = replace(LIFE, visible_lag_s=1000.0)
    cloud = SocketlessCloud(replace(TWO_DISKS, life=life))
    cloud.made("CreateSnapshot", DiskId="d-sys")
    assert cloud.snapshots() == []
    cloud.pass_time(1000)
    assert len(cloud.snapshots()) == 1


def test_cut_skew_of_a_disk_delays_its_own_cut_only() -> None:
    config = with_instance(
        disks=(
            DiskConfig(disk_id="d-sys"),
            DiskConfig(disk_id="d-data", life=replace(LIFE, cut_skew_s=5.0)),
        )
    )
    cloud = SocketlessCloud(config)
    first = cloud.made("CreateSnapshot", DiskId="d-sys")
    second = cloud.made("CreateSnapshot", DiskId="d-data")
    cloud.pass_time(1)
    cloud.pass_time(5)
    assert cloud.storage.cuts == [[("d-sys", first)], [("d-data", second)]]


@pytest.mark.parametrize(
    ("stage", "dated", "was_available"),
    [("before_cut", False, False), ("after_cut", True, False), ("after_available", True, True)],
)
def test_snapshot_told_to_fail_fails_at_that_stage(
    stage: str, dated: bool, was_available: bool
) -> None:
    cloud = SocketlessCloud(with_disk(life=replace(LIFE, fail_at=stage)))
    cloud.made("CreateSnapshot", DiskId="d-sys")
    cloud.pass_time(1)
    cloud.pass_time(2)
    available = cloud.snapshots()[0]["Available"]
    cloud.pass_time(100)
    (found,) = cloud.snapshots()
    assert (found["Status"], bool(found["CreationTime"])) == ("failed", dated)
    assert (available, found["Available"]) == (was_available, False)


def test_snapshot_when_storage_fails_to_cut_is_failed() -> None:
    cloud = SocketlessCloud()
    cloud.storage.broken = True
    cloud.made("CreateSnapshot", DiskId="d-sys")
    cloud.pass_time(1)
    assert cloud.snapshots()[0]["Status"] == "failed"


@pytest.mark.parametrize(
    ("params", "outcome"),
    [
        ({"SnapshotName": "a"}, (400, "InvalidSnapshotName.Malformed")),
        ({"SnapshotName": "9lives"}, (400, "InvalidSnapshotName.Malformed")),
        ({"SnapshotName": "auto-x"}, (400, "InvalidSnapshotName.Malformed")),
        ({"SnapshotName": "a" * 129}, (400, "InvalidSnapshotName.Malformed")),
        ({"SnapshotName": "with space"}, (400, "InvalidSnapshotName.Malformed")),
        ({"SnapshotName": "快照-1:2_3.4"}, (200, "")),
        ({"Description": "x"}, (404, "InvalidDescription.Malformed")),
        ({"Description": "x" * 257}, (404, "InvalidDescription.Malformed")),
        ({"Description": "https://x"}, (404, "InvalidDescription.Malformed")),
        ({"RetentionDays": "0"}, (400, "InvalidRetentionDays.Malformed")),
        ({"RetentionDays": "65537"}, (400, "InvalidRetentionDays.Malformed")),
        ({"RetentionDays": "soon"}, (400, "InvalidRetentionDays.Malformed")),
        ({"RetentionDays": "65536"}, (200, "")),
        ({"Tag.1.Key": "acs:x"}, (400, "InvalidTagKey.Malformed")),
        ({"Tag.1.Key": "aliyunx"}, (400, "InvalidTagKey.Malformed")),
        ({"Tag.1.Key": "k" * 129}, (400, "InvalidTagKey.Malformed")),
        ({"Tag.1.Key": "k", "Tag.1.Value": "http://x"}, (400, "InvalidTagValue.Malformed")),
        ({"Tag.1.Key": "k", "Tag.2.Key": "K"}, (400, "Duplicate.TagKey")),
        ({f"Tag.{n}.Key": f"k{n}" for n in range(1, 22)}, (400, "InvalidTagCount")),
        ({"ClientToken": "t" * 65}, (403, "InvalidClientToken.Malformed")),
        ({"ClientToken": "ä"}, (403, "InvalidClientToken.Malformed")),
        ({"Category": "Gold"}, (403, "InvalidSnapshotCategory.Malformed")),
        (
            {"Category": "Flash", "InstantAccess": "True"},
            (403, "InvalidCategoryAndInstantAccess.Malformed"),
        ),
        (
            {"InstantAccessRetentionDays": "0"},
            (403, "InvalidInstantAccessRetentionDays.Malformed"),
        ),
        ({"RegionId": "mars-1"}, (404, "InvalidRegionId.NotFound")),
        ({"DiskId": "d-none"}, (404, "InvalidDiskId.NotFound")),
        ({"DiskId": ""}, (400, "MissingParameter")),
        ({"NobodyKnows": "this"}, (200, "")),
    ],
    ids=lambda value: str(value)[:50],
)
def test_create_snapshot_with_parameter_gives_documented_outcome(
    params: dict[str, str], outcome: tuple[int, str]
) -> None:
    given = {"DiskId": "d-sys", **params}
    assert SocketlessCloud().call("CreateSnapshot", **given).outcome == outcome


@pytest.mark.parametrize(
    ("config", "outcome"),
    [
        (with_disk(category="local_ssd_pro"), (400, "DiskCategory.OperationNotSupported")),
        (with_disk(category="cloud_efficiency"), (200, "")),
        (with_disk(multi_attach="Enabled"), (200, "")),
        (with_disk(locks=("financial",)), (403, "DiskInArrears")),
        (with_instance(status="Starting"), (400, "IncorrectInstanceStatus")),
        (with_instance(status="Stopped"), (200, "")),
        (with_instance(locks=("security",)), (403, "InstanceLockedForSecurity")),
        (
            replace(TWO_DISKS, snapshot_service=False),
            (403, "InvalidAccountStatus.SnapshotServiceUnavailable"),
        ),
        (
            replace(
                with_instance(disks=()),
                free_disks=(DiskConfig(disk_id="d-sys", never_attached=True),),
            ),
            (403, "IncorrectDiskStatus.NeverAttached"),
        ),
        (
            replace(with_instance(disks=()), free_disks=(DiskConfig(disk_id="d-sys"),)),
            (200, ""),
        ),
    ],
    ids=[
        *("local disk", "older category", "multi-attach", "arrears", "starting", "stopped"),
        *("security lock", "service off", "never attached", "detached"),
    ],
)
def test_create_snapshot_in_state_gives_documented_outcome(
    config: SimulatorConfig, outcome: tuple[int, str]
) -> None:
    assert SocketlessCloud(config).call("CreateSnapshot", DiskId="d-sys").outcome == outcome


def test_second_snapshot_while_first_is_in_progress_is_refused() -> None:
    cloud = SocketlessCloud()
    cloud.made("CreateSnapshot", DiskId="d-sys")
    answer = cloud.call("CreateSnapshot", DiskId="d-sys")
    assert answer.outcome == (403, "IncorrectDiskStatus.CreatingSnapshot")


def test_snapshots_over_the_concurrency_quota_are_refused() -> None:
    cloud = SocketlessCloud(replace(TWO_DISKS, concurrent_snapshots=2))
    cloud.made("CreateSnapshot", DiskId="d-sys")
    cloud.made("CreateSnapshot", DiskId="d-sys")
    answer = cloud.call("CreateSnapshot", DiskId="d-sys")
    assert answer.outcome == (403, "QuotaExceed.ConcurrentSnapshotQuota")


def test_snapshots_over_the_disk_quota_are_refused() -> None:
    cloud = SocketlessCloud(replace(TWO_DISKS, snapshots_per_disk=1))
    finished(cloud)
    answer = cloud.call("CreateSnapshot", DiskId="d-sys")
    assert answer.outcome == (403, "QuotaExceed.Snapshot")


def finished(cloud: SocketlessCloud, disk_id: str = "d-sys", **params: Any) -> str:
    name = cloud.made("CreateSnapshot", DiskId=disk_id, **params)
    cloud.pass_time(1)
    cloud.pass_time(100)
    return str(name)


def test_same_client_token_gives_the_first_snapshot_again() -> None:
    cloud = SocketlessCloud()
    first = cloud.made("CreateSnapshot", DiskId="d-sys", ClientToken="t")
    assert cloud.made("CreateSnapshot", DiskId="d-sys", ClientToken="t") == first
    assert len(cloud.snapshots()) == 1


def test_same_client_token_with_other_parameters_is_refused() -> None:
    cloud = SocketlessCloud()
    cloud.made("CreateSnapshot", DiskId="d-sys", ClientToken="t")
    answer = cloud.call("CreateSnapshot", DiskId="d-data", ClientToken="t")
    assert answer.outcome == (403, "IdempotentParameterMismatch")


def test_client_token_of_a_refused_call_is_free_again() -> None:
    cloud = SocketlessCloud()
    cloud.call("CreateSnapshot", DiskId="d-none", ClientToken="t")
    assert cloud.call("CreateSnapshot", DiskId="d-sys", ClientToken="t").status == 200


def test_client_token_after_lost_reply_gives_the_one_snapshot() -> None:
    cloud = SocketlessCloud()
    cloud.api.faults.add(Fault(kind="lost_reply", action="CreateSnapshot"))
    params = {"Action": "CreateSnapshot", "DiskId": "d-sys", "ClientToken": "t"}
    lost = cloud.send(cloud.signer.sign(params, at=cloud.clock.time))
    again = cloud.send(cloud.signer.sign(params, at=cloud.clock.time))
    assert lost.send == -1
    assert json.loads(again.body)["SnapshotId"] == cloud.snapshots()[0]["SnapshotId"]
    assert len(cloud.snapshots()) == 1


@pytest.mark.parametrize(
    ("params", "outcome"),
    [
        ({"Status": "done"}, (404, "InvalidStatus.NotFound")),
        ({"SnapshotType": "timer"}, (404, "InvalidSnapshotType.NotFound")),
        ({"Usage": "tape"}, (404, "InvalidUsage")),
        ({"SourceDiskType": "floppy"}, (404, "InvalidSourceDiskType")),
        ({"SnapshotIds": "s-1"}, (403, "InvalidSnapshotIds.Malformed")),
        ({"SnapshotIds": json.dumps(["s-1"] * 101)}, (403, "InvalidSnapshotIds.Malformed")),
        ({"Filter.1.Key": "Colour"}, (404, "InvalidFilterKey.NotFound")),
        (
            {"Filter.1.Key": "CreationStartTime", "Filter.1.Value": "x"},
            (404, "InvalidFilterValue"),
        ),
        ({"Tag.1.Value": "v"}, (400, "InvalidTag.Mismatch")),
        ({"DryRun": "true"}, (400, "DryRunOperation")),
        ({"RegionId": ""}, (400, "MissingParameter")),
        ({"SnapshotIds": '["s-unknown"]'}, (200, "")),
    ],
    ids=lambda value: str(value)[:50],
)
def test_describe_snapshots_with_parameter_gives_documented_outcome(
    params: dict[str, str], outcome: tuple[int, str]
) -> None:
    assert SocketlessCloud().call("DescribeSnapshots", **params).outcome == outcome


@pytest.mark.parametrize(
    ("params", "found"),
    [
        ({}, ["d-data", "d-sys"]),
        ({"DiskId": "d-sys"}, ["d-sys"]),
        ({"InstanceId": "i-own"}, ["d-data", "d-sys"]),
        ({"InstanceId": "i-other"}, []),
        ({"SnapshotLinkId": "sl-data"}, ["d-data"]),
        ({"Status": "progressing"}, ["d-data"]),
        ({"Status": "Accomplished"}, ["d-sys"]),
        ({"SnapshotName": "first"}, ["d-sys"]),
        ({"SourceDiskType": "System"}, ["d-sys"]),
        ({"Usage": "none"}, ["d-data", "d-sys"]),
        ({"Usage": "image"}, []),
        ({"SnapshotType": "auto"}, []),
        ({"Encrypted": "True"}, []),
        ({"Tag.1.Key": "k"}, ["d-data", "d-sys"]),
        ({"Tag.1.Key": "k", "Tag.1.Value": "1"}, ["d-sys"]),
        ({"Tag.1.Key": "k", "Tag.2.Key": "other"}, ["d-data"]),
        (
            {"Filter.1.Key": "CreationStartTime", "Filter.1.Value": "2026-11-22T08:33Z"},
            ["d-data"],
        ),
        ({"Filter.1.Key": "CreationEndTime", "Filter.1.Value": "2026-11-22T08:33Z"}, ["d-sys"]),
        ({"RegionId": "cn-beijing"}, []),
    ],
    ids=lambda value: str(value)[:50],
)
def test_describe_snapshots_with_filter_finds_only_what_fits(
    params: dict[str, str], found: list[str]
) -> None:
    cloud = SocketlessCloud()
    finished(cloud, "d-sys", SnapshotName="first", Tag__1__Key="k", Tag__1__Value="1")
    cloud.made(
        "CreateSnapshot",
        DiskId="d-data",
        **{"Tag.1.Key": "k", "Tag.1.Value": "2", "Tag.2.Key": "other"},
    )
    cloud.pass_time(1)
    assert [snapshot["SourceDiskId"] for snapshot in cloud.snapshots(**params)] == found


def test_delete_of_unknown_snapshot_is_ignored() -> None:
    assert SocketlessCloud().call("DeleteSnapshot", SnapshotId="s-x").status == 200


def test_delete_of_unknown_snapshot_when_strict_is_refused() -> None:
    cloud = SocketlessCloud(replace(TWO_DISKS, loose_delete=False))
    answer = cloud.call("DeleteSnapshot", SnapshotId="s-x")
    assert answer.outcome == (404, "InvalidSnapshotId.NotFound")


def test_delete_before_the_cut_cancels_it() -> None:
    cloud = SocketlessCloud()
    name = cloud.made("CreateSnapshot", DiskId="d-sys")
    assert cloud.call("DeleteSnapshot", SnapshotId=name).status == 200
    cloud.pass_time(1)
    assert cloud.snapshots() == []
    assert cloud.storage.cuts == []


def test_delete_while_another_snapshot_of_the_disk_runs_is_refused() -> None:
    cloud = SocketlessCloud()
    old = finished(cloud)
    cloud.made("CreateSnapshot", DiskId="d-sys")
    answer = cloud.call("DeleteSnapshot", SnapshotId=old)
    assert answer.outcome == (400, "IncorrectDiskStatus.CreatingSnapshot")


def test_delete_of_snapshot_with_a_disk_needs_force() -> None:
    cloud = SocketlessCloud()
    name = finished(cloud)
    disk = {"ZoneId": "cn-hangzhou-i", "DiskCategory": "cloud_essd", "Size": "40"}
    cloud.made("CreateDisk", SnapshotId=name, **disk)
    assert cloud.snapshots()[0]["Usage"] == "disk"
    refused = cloud.call("DeleteSnapshot", SnapshotId=name)
    assert refused.outcome == (403, "SnapshotCreatedDisk")
    assert cloud.call("DeleteSnapshot", SnapshotId=name, Force="true").status == 200


def test_delete_of_snapshot_with_an_image_is_refused_even_with_force() -> None:
    cloud = SocketlessCloud()
    name = finished(cloud)
    cloud.cloud.state.snapshots[name].created_image = True
    answer = cloud.call("DeleteSnapshot", SnapshotId=name, Force="true")
    assert answer.outcome == (403, "SnapshotCreatedImage")


def test_snapshot_at_the_end_of_its_retention_is_gone() -> None:
    cloud = SocketlessCloud()
    finished(cloud, RetentionDays=1)
    cloud.pass_time(86400 - 102)
    assert len(cloud.snapshots()) == 1
    cloud.pass_time(1)
    assert cloud.snapshots() == []


@pytest.mark.parametrize(
    ("params", "outcome"),
    [
        ({}, (400, "NoAttributeToModify")),
        ({"RetentionDays": 6}, (400, "InvalidOperation.DecreaseRetentionDaysUnsupported")),
        ({"RetentionDays": 8}, (200, "")),
        ({"SnapshotName": "9"}, (400, "InvalidSnapshotName.Malformed")),
        ({"Description": ""}, (200, "")),
        ({"SnapshotId": "s-x", "Description": "dd"}, (404, "InvalidSnapshotId.NotFound")),
    ],
    ids=lambda value: str(value)[:50],
)
def test_modify_snapshot_gives_documented_outcome(
    params: dict[str, Any], outcome: tuple[int, str]
) -> None:
    cloud = SocketlessCloud()
    given = {"SnapshotId": finished(cloud, RetentionDays=7), **params}
    assert cloud.call("ModifySnapshotAttribute", **given).outcome == outcome


def test_modify_snapshot_in_progress_is_refused() -> None:
    cloud = SocketlessCloud()
    name = cloud.made("CreateSnapshot", DiskId="d-sys")
    answer = cloud.call("ModifySnapshotAttribute", SnapshotId=name, RetentionDays=9)
    assert answer.outcome == (400, "InvalidSnapshotId.NotReady")


def test_life_times_of_realistic_profile_hide_new_snapshots_for_a_while() -> None:
    cloud = SocketlessCloud(replace(TWO_DISKS, life=None, profile="realistic"))
    assert cloud.cloud.life.visible_lag_s == 0.2
    assert cloud.cloud.life != LifeTimes()


def test_control_deletes_every_snapshot_even_one_that_an_image_needs() -> None:
    controls = Controls(TWO_DISKS)
    name, *_ = controls.add_snapshots("d-sys", 3, tags={})
    controls.mark_image(name)
    controls.delete_snapshots()
    assert controls.dump()["snapshots"] == {}
