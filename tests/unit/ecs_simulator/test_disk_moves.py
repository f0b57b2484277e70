"""AttachDisk and DetachDisk: what stays of a disk, who lets go, how many at a time."""

from __future__ import annotations

from dataclasses import replace
from math import inf
from typing import Any

import pytest

from ecs_simulator.config import DiskConfig, InstanceConfig, SimulatorConfig
from ecs_simulator.pace import Fate
from fakes.simulated_cloud import TWO_DISKS, Answer, SocketlessCloud

OWN = TWO_DISKS.instances[0]
FREE = DiskConfig(disk_id="d-free", delete_with_instance=False)


def with_disks(*free: DiskConfig, **changes: Any) -> SimulatorConfig:
    return replace(TWO_DISKS, free_disks=free or (FREE,), **changes)


def disk(cloud: SocketlessCloud, name: str) -> dict[str, Any]:
    found = cloud.call("DescribeDisks", DiskIds=f'["{name}"]').body["Disks"]["Disk"]
    return dict(found[0])


def status(cloud: SocketlessCloud, name: str) -> str:
    return str(disk(cloud, name)["Status"])


def attach(cloud: SocketlessCloud, name: str = "d-free", **params: str) -> Answer:
    return cloud.call("AttachDisk", **{"InstanceId": "i-own", "DiskId": name, **params})


def detach(cloud: SocketlessCloud, name: str = "d-data", **params: str) -> Answer:
    return cloud.call("DetachDisk", InstanceId="i-own", DiskId=name, **params)


@pytest.mark.parametrize(
    ("given", "stays"), [({}, False), ({"DeleteWithInstance": "true"}, True)], ids=str
)
def test_attach_without_the_parameter_then_disk_outlives_its_instance(
    given: dict[str, str], stays: bool
) -> None:
    cloud = SocketlessCloud(with_disks(replace(FREE, delete_with_instance=True)))
    attach(cloud, **given)
    assert disk(cloud, "d-free")["DeleteWithInstance"] is stays


@pytest.mark.parametrize(
    ("given", "stays"), [({}, False), ({"DeleteWithInstance": "true"}, True)], ids=str
)
def test_detach_of_a_data_disk_sets_delete_with_instance_false_unless_told(
    given: dict[str, str], stays: bool
) -> None:
    cloud = SocketlessCloud()
    assert disk(cloud, "d-data")["DeleteWithInstance"]
    detach(cloud, **given)
    cloud.pass_time(1)
    assert disk(cloud, "d-data")["DeleteWithInstance"] is stays


def test_detach_of_a_system_disk_leaves_delete_with_instance_true() -> None:
    cloud = SocketlessCloud(replace(TWO_DISKS, instances=(replace(OWN, status="Stopped"),)))
    detach(cloud, "d-sys")
    cloud.pass_time(1)
    assert disk(cloud, "d-sys")["DeleteWithInstance"]


def test_detach_of_a_disk_in_use_then_stays_detaching_until_the_machine_lets_go() -> None:
    cloud = SocketlessCloud()
    cloud.storage.mounted.add("d-data")
    assert detach(cloud).status == 200
    seen = []
    for _ in range(3):
        cloud.pass_time(60)
        seen.append(status(cloud, "d-data"))
    cloud.storage.mounted.clear()
    cloud.pass_time(1)
    seen.append(status(cloud, "d-data"))
    assert seen == ["Detaching", "Detaching", "Detaching", "Available"]


def test_detach_of_a_disk_in_use_is_one_fault_of_the_guest_until_it_lets_go() -> None:
    cloud = SocketlessCloud()
    cloud.storage.mounted.add("d-data")
    detach(cloud)
    for _ in range(3):
        cloud.pass_time(10)
    (fault,) = cloud.cloud.guest_faults
    assert (fault.what, fault.disk_id, fault.over_at) == ("detached-in-use", "d-data", None)
    cloud.storage.mounted.clear()
    cloud.pass_time(1)
    assert (fault.over_at, cloud.cloud.guest_faults) == (cloud.clock.now(), [fault])


def test_machine_that_is_merely_slow_is_at_fault_only_after_half_a_minute() -> None:
    cloud = SocketlessCloud()
    cloud.storage.slow.add("d-data")
    detach(cloud)
    faults = []
    for seconds in (1, 29, 1):
        cloud.pass_time(seconds)
        faults.append(len(cloud.cloud.guest_faults))
    assert (faults, status(cloud, "d-data")) == ([0, 0, 1], "Detaching")


def test_detach_of_a_disk_that_is_not_in_use_is_no_fault() -> None:
    cloud = SocketlessCloud()
    detach(cloud)
    cloud.pass_time(1)
    assert (status(cloud, "d-data"), cloud.cloud.guest_faults) == ("Available", [])


def test_detach_from_a_stopped_instance_needs_nobody_to_let_go() -> None:
    cloud = SocketlessCloud(replace(TWO_DISKS, instances=(replace(OWN, status="Stopped"),)))
    cloud.storage.mounted.add("d-data")
    detach(cloud)
    cloud.pass_time(1)
    assert (status(cloud, "d-data"), cloud.storage.log[-1]) == ("Available", ("pull", "d-data"))
    assert cloud.cloud.guest_faults == []


def test_second_detach_of_a_detaching_disk_is_refused() -> None:
    cloud = SocketlessCloud()
    detach(cloud)
    assert detach(cloud).outcome == (403, "InvalidOperation.DiskDetachingFromThisEcs")


def test_attach_of_a_disk_that_is_leaving_answers_success_and_does_nothing() -> None:
    cloud = SocketlessCloud()
    detach(cloud)
    assert attach(cloud, "d-data", DeleteWithInstance="true").outcome == (200, "")
    cloud.pass_time(1)
    found = disk(cloud, "d-data")
    assert (found["Status"], found["DeleteWithInstance"]) == ("Available", False)
    assert cloud.storage.log[-1] == ("detach", "d-data")


def test_attach_to_another_instance_of_a_disk_that_is_leaving_is_refused() -> None:
    other = InstanceConfig(instance_id="i-other")
    cloud = SocketlessCloud(replace(TWO_DISKS, instances=(OWN, other)))
    detach(cloud)
    answer = attach(cloud, "d-data", InstanceId="i-other")
    assert answer.outcome == (403, "IncorrectDiskStatus")


def test_device_does_not_arrive_while_another_disk_is_not_let_go() -> None:
    cloud = SocketlessCloud(with_disks())
    cloud.storage.mounted.add("d-data")
    detach(cloud)
    cloud.pass_time(1)
    attach(cloud)
    cloud.pass_time(1)
    assert status(cloud, "d-free") == "In_use"
    assert ("attach", "d-free") not in cloud.storage.log
    cloud.storage.mounted.clear()
    cloud.pass_time(1)
    cloud.pass_time(1)
    assert cloud.storage.log[-2:] == [("detach", "d-data"), ("attach", "d-free")]


def test_device_arrives_after_its_lag() -> None:
    cloud = SocketlessCloud(with_disks(device_lag_s=20.0))
    attach(cloud)
    cloud.pass_time(1)
    assert (status(cloud, "d-free"), ("attach", "d-free") in cloud.storage.log) == ("In_use", False)
    cloud.pass_time(20)
    assert cloud.storage.log[-1] == ("attach", "d-free")


def test_device_of_a_disk_detached_before_its_lag_never_arrives() -> None:
    cloud = SocketlessCloud(with_disks(device_lag_s=20.0))
    attach(cloud)
    cloud.pass_time(1)
    detach(cloud, "d-free")
    cloud.pass_time(100)
    assert status(cloud, "d-free") == "Available"
    assert ("attach", "d-free") not in cloud.storage.log


def test_device_never_arrives_when_the_lag_has_no_end() -> None:
    cloud = SocketlessCloud(with_disks(device_lag_s=inf))
    attach(cloud)
    cloud.pass_time(1)
    cloud.pass_time(1e6)
    assert (status(cloud, "d-free"), ("attach", "d-free") in cloud.storage.log) == ("In_use", False)


def test_second_attach_at_a_time_is_refused_until_the_first_is_done() -> None:
    cloud = SocketlessCloud(with_disks(FREE, replace(FREE, disk_id="d-more")))
    attach(cloud)
    refused = (400, "OperationConflict.DisksAttachingParallellyExceed")
    assert attach(cloud, "d-more").outcome == refused
    cloud.pass_time(1)
    assert attach(cloud, "d-more").outcome == (200, "")


def test_attaches_at_a_time_may_be_as_many_as_configured() -> None:
    disks = [replace(FREE, disk_id=f"d-{name}") for name in "abc"]
    cloud = SocketlessCloud(with_disks(*disks, attaching_limit=2))
    codes = [attach(cloud, each.disk_id).code for each in disks]
    assert codes == ["", "", "OperationConflict.DisksAttachingParallellyExceed"]


def test_second_detach_at_a_time_is_refused_until_the_first_is_done() -> None:
    more = DiskConfig(disk_id="d-more")
    own = replace(OWN, disks=(*OWN.disks, more))
    cloud = SocketlessCloud(replace(TWO_DISKS, instances=(own,)))
    detach(cloud)
    assert detach(cloud, "d-more").outcome == (400, "DisksDetachingOnEcsExceeded")
    cloud.pass_time(1)
    assert detach(cloud, "d-more").outcome == (200, "")


def test_disk_on_its_way_counts_among_what_the_instance_carries() -> None:
    own = replace(OWN, disk_quantity=3)
    two = (FREE, replace(FREE, disk_id="d-more"))
    cloud = SocketlessCloud(with_disks(*two, instances=(own,), attaching_limit=5))
    attach(cloud)
    assert attach(cloud, "d-more").outcome == (403, "InstanceDiskLimitExceeded")


ROOTLESS = replace(OWN, status="Stopped")
KEY = {"Bootable": "true", "KeyPairName": "key"}


def without_system_disk(**changes: Any) -> SocketlessCloud:
    other = InstanceConfig(instance_id="i-other", status="Stopped")
    cloud = SocketlessCloud(with_disks(instances=(replace(ROOTLESS, **changes), other)))
    detach(cloud, "d-sys")
    cloud.pass_time(1)
    return cloud


@pytest.mark.parametrize(
    ("params", "outcome"),
    [
        (KEY, (200, "")),
        ({"Bootable": "true", "Password": "EcsV587!"}, (200, "")),
        ({"Bootable": "true"}, (403, "InvalidParameter.AllEmpty")),
        ({"Bootable": "true", "Password": "short"}, (400, "InvalidPassword.Malformed")),
        ({**KEY, "DiskId": "d-free"}, (400, "InvalidDisk.DiskNotBootable")),
        ({**KEY, "InstanceId": "i-other"}, (400, "InvalidInstance.NotOriginInstance")),
        ({"Force": "true"}, (400, "InvalidParameterForce.DiskCategoryNotSupported")),
        ({}, (200, "")),
    ],
    ids=str,
)
def test_attach_of_a_detached_system_disk_gives_documented_outcome(
    params: dict[str, str], outcome: tuple[int, str]
) -> None:
    cloud = without_system_disk()
    assert attach(cloud, **{"DiskId": "d-sys", **params}).outcome == outcome


def test_system_disk_that_comes_back_is_the_system_disk_again() -> None:
    cloud = without_system_disk()
    assert attach(cloud, "d-sys", **KEY).status == 200
    cloud.pass_time(1)
    found = disk(cloud, "d-sys")
    assert (found["Type"], found["Device"], found["Status"]) == ("system", "/dev/xvda", "In_use")


def test_system_disk_attached_without_bootable_is_a_data_disk() -> None:
    cloud = without_system_disk()
    attach(cloud, "d-sys")
    cloud.pass_time(1)
    found = disk(cloud, "d-sys")
    assert (found["Type"], found["Device"]) == ("data", "/dev/xvdc")


def test_second_system_disk_is_refused() -> None:
    cloud = without_system_disk()
    attach(cloud, "d-sys", **KEY)
    cloud.pass_time(1)
    extra = cloud.cloud.state.disks["d-free"]
    extra.system_of = "i-own"
    assert attach(cloud, "d-free", **KEY).outcome == (403, "InvalidDevice.InUse")


def test_attach_as_system_disk_to_a_running_instance_is_refused() -> None:
    cloud = without_system_disk()
    cloud.cloud.own_instance.status = "Running"
    assert attach(cloud, "d-sys", **KEY).outcome == (400, "IncorrectInstanceStatus")


def regional(**changes: Any) -> SocketlessCloud:
    far = InstanceConfig(instance_id="i-far", zone_id="cn-hangzhou-b", status="Running")
    disk_of = DiskConfig(
        disk_id="d-reg", category="cloud_regional_disk_auto", kind="data", **changes
    )
    own = replace(OWN, disks=(*OWN.disks, disk_of))
    return SocketlessCloud(replace(TWO_DISKS, instances=(own, far)))


def test_regional_disk_that_is_not_let_go_moves_by_force_to_another_zone() -> None:
    cloud = regional()
    cloud.storage.mounted.add("d-reg")
    detach(cloud, "d-reg")
    cloud.pass_time(1)
    assert attach(cloud, "d-reg", InstanceId="i-far").code == "IncorrectDiskStatus"
    assert attach(cloud, "d-reg", InstanceId="i-far", Force="true").outcome == (200, "")
    cloud.pass_time(1)
    assert disk(cloud, "d-reg")["InstanceId"] == "i-far"
    assert [fault.over_at is None for fault in cloud.cloud.guest_faults] == [False]


def test_force_within_a_zone_is_refused() -> None:
    near = InstanceConfig(instance_id="i-near")
    cloud = regional()
    cloud.cloud.add_instance(near)
    answer = attach(cloud, "d-reg", InstanceId="i-near", Force="true")
    assert answer.outcome == (403, "InvalidInstance.ZoneConflict")


@pytest.mark.parametrize(
    ("config", "params", "outcome"),
    [
        ({"multi_attach": "Enabled"}, {}, (200, "")),
        (
            {"multi_attach": "Enabled"},
            {"DeleteWithInstance": "true"},
            (403, "DeleteWithInstance.Conflict"),
        ),
        (
            {"category": "elastic_ephemeral_disk_standard"},
            {},
            (403, "InvalidParameter.DeleteWithInstance"),
        ),
        (
            {"category": "elastic_ephemeral_disk_standard"},
            {"DeleteWithInstance": "true"},
            (200, ""),
        ),
    ],
    ids=str,
)
def test_attach_of_a_disk_whose_category_rules_its_end(
    config: dict[str, str], params: dict[str, str], outcome: tuple[int, str]
) -> None:
    cloud = SocketlessCloud(with_disks(DiskConfig(disk_id="d-free", **config)))  # type: ignore[arg-type]
    assert attach(cloud, **params).outcome == outcome


@pytest.mark.parametrize(
    ("action", "before", "after"),
    [("AttachDisk", "d-free", "Available"), ("DetachDisk", "d-data", "In_use")],
)
def test_operation_that_fails_leaves_the_disk_as_it_was(
    action: str, before: str, after: str
) -> None:
    cloud = SocketlessCloud(with_disks())
    cloud.cloud.pace.befall(Fate(action=action, outcome="fail"))
    assert cloud.call(action, InstanceId="i-own", DiskId=before).status == 200
    cloud.pass_time(1)
    assert status(cloud, before) == after


def test_attach_that_sticks_stays_until_it_is_freed() -> None:
    cloud = SocketlessCloud(with_disks())
    cloud.cloud.pace.befall(Fate(action="AttachDisk", outcome="stick", resource_id="d-free"))
    attach(cloud)
    cloud.pass_time(1e5)
    assert status(cloud, "d-free") == "Attaching"
    cloud.cloud.pace.free("d-free")
    cloud.pass_time(0)
    assert status(cloud, "d-free") == "In_use"


def test_status_is_seen_late_by_readers_and_not_by_operations() -> None:
    cloud = SocketlessCloud(with_disks(sight_lag_s=5.0))
    attach(cloud)
    assert status(cloud, "d-free") == "Available"
    assert attach(cloud).code == "IncorrectDiskStatus"
    cloud.pass_time(5)
    cloud.pass_time(5)
    assert status(cloud, "d-free") == "In_use"


def test_changes_are_seen_in_their_order() -> None:
    cloud = SocketlessCloud(with_disks(sight_lag_s=5.0, operations_s={"AttachDisk": 10.0}))
    attach(cloud)
    seen = []
    for _ in range(100):
        cloud.pass_time(0.2)
        seen.append(status(cloud, "d-free"))
    order = list(dict.fromkeys(seen))
    assert order == ["Available", "Attaching", "In_use"]
    assert seen == sorted(seen, key=order.index)


def test_deleted_disk_is_still_seen_for_a_while() -> None:
    cloud = SocketlessCloud(with_disks(sight_lag_s=5.0, seed=1))
    cloud.call("DeleteDisk", DiskId="d-free")
    assert status(cloud, "d-free") == "Available"
    cloud.pass_time(5)
    assert cloud.call("DescribeDisks", DiskIds='["d-free"]').body["Disks"]["Disk"] == []
