"""How long disks existed, and how long operations take."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ecs_simulator.config import SimulatorConfig
from ecs_simulator.life import Agenda
from ecs_simulator.pace import Fate, Pace
from ecs_simulator.usage import DiskUsage, disk_usage
from fakes.simulated_cloud import TWO_DISKS, HandClock, SocketlessCloud

NEW = {"ZoneId": "cn-hangzhou-i", "DiskCategory": "cloud_essd", "Size": "20"}
OWN = {"InstanceId": "i-own"}


def usage(cloud: SocketlessCloud, name: str) -> DiskUsage:
    state = cloud.cloud.state
    every = disk_usage((*state.disks.values(), *state.deleted_disks), cloud.clock.now())
    (found,) = [each for each in every if each.disk_id == name]
    return found


def test_disk_is_charged_from_its_creation_on() -> None:
    cloud = SocketlessCloud()
    name = cloud.made("CreateDisk", **NEW)
    cloud.pass_time(90)
    found = usage(cloud, name)
    assert (found.seconds, found.gib_seconds, found.deleted_at) == (90, 1800, None)


def test_deleted_disk_is_charged_until_its_deletion() -> None:
    cloud = SocketlessCloud()
    name = cloud.made("CreateDisk", **NEW, Tag__1__Key="k", Tag__1__Value="v")
    cloud.pass_time(90)
    cloud.call("DeleteDisk", DiskId=name)
    ended = cloud.clock.now()
    cloud.pass_time(1000)
    found = usage(cloud, name)
    assert (found.seconds, found.deleted_at, found.tags) == (90, ended, {"k": "v"})


def test_time_of_every_attachment_counts_as_attached() -> None:
    cloud = SocketlessCloud(replace(TWO_DISKS, operations_s={"*": 0.0}))
    name = cloud.made("CreateDisk", **NEW)
    for seconds in (10, 30):
        cloud.pass_time(5)
        cloud.call("AttachDisk", **OWN, DiskId=name)
        cloud.pass_time(0)
        cloud.pass_time(seconds)
        assert usage(cloud, name).attached_s == (10 if seconds == 10 else 40)
        cloud.call("DetachDisk", **OWN, DiskId=name)
        cloud.pass_time(0)
    cloud.pass_time(7)
    found = usage(cloud, name)
    assert (found.attached_s, found.seconds) == (40, 57)


def pace(**changes: object) -> Pace:
    return Pace(Agenda(HandClock()), replace(SimulatorConfig(), **changes))  # type: ignore[arg-type]


def test_detach_takes_about_a_minute_in_the_realistic_profile() -> None:
    assert (pace(profile="realistic").of("DetachDisk"), pace().of("DetachDisk")) == (60.0, 0.02)


def test_own_time_of_an_operation_goes_over_its_profile() -> None:
    own = pace(profile="realistic", operations_s={"DetachDisk": 5.0})
    assert (own.of("DetachDisk"), own.of("AttachDisk")) == (5.0, 3.0)


def test_operations_of_disks_and_of_instances_have_their_own_fast_times() -> None:
    fast = pace(disk_operation_s=1.0, instance_operation_s=2.0)
    assert (fast.of("AttachDisk"), fast.of("StopInstance")) == (1.0, 2.0)


@pytest.mark.parametrize(("action", "outcome"), [("AttachDisk", "explode"), ("Attach", "fail")])
def test_fate_that_cannot_befall_is_refused(action: str, outcome: str) -> None:
    with pytest.raises(ValueError, match="no such fate"):
        pace().befall(Fate(action=action, outcome=outcome))


def test_fate_befalls_as_many_operations_as_it_counts() -> None:
    clock = HandClock()
    agenda = Agenda(clock)
    times = Pace(agenda, SimulatorConfig())
    ends: list[str] = []
    times.befall(Fate(action="ResetDisk", outcome="fail", count=2, resource_id="d-1"))
    for name in ("d-2", "d-1", "d-1", "d-1"):
        times.begin("ResetDisk", name, lambda: ends.append("done"), lambda: ends.append("failed"))
    clock.time += 1
    agenda.run_due()
    assert ends == ["done", "failed", "failed", "done"]


def test_operations_are_noted_with_when_they_were_accepted_and_ended() -> None:
    clock = HandClock()
    agenda = Agenda(clock)
    times = Pace(agenda, replace(SimulatorConfig(), operations_s={"AttachDisk": 3.0}))
    begun = clock.now()
    times.begin("AttachDisk", "d-1", lambda: None)
    assert times.ended == []
    clock.time += 3
    agenda.run_due()
    (ended,) = times.ended
    assert (ended.action, ended.resource_id) == ("AttachDisk", "d-1")
    assert (ended.time, ended.ended) == (begun, begun + 3)


def test_nothing_stuck_cannot_be_freed() -> None:
    with pytest.raises(ValueError, match="nothing is stuck"):
        pace().free("d-1")
