"""The short way back that every run ends with."""

from __future__ import annotations

from snap_self.model.ids import DiskId, InstanceId, RegionId, SnapshotId
from snap_self.usecases.undo import ways_back


def test_disks_are_reset_between_the_stop_and_the_start_each_waited_for() -> None:
    pairs = {DiskId("d-1"): SnapshotId("s-1"), DiskId("d-2"): SnapshotId("s-2")}
    lines = ways_back(InstanceId("i-1"), RegionId("cn-x"), pairs, ())
    calls = [line.split()[2] for line in lines if line.startswith("aliyun ecs ")]
    assert calls == [
        *("StopInstance", "DescribeInstances", "ResetDisk", "ResetDisk"),
        *("DescribeDisks", "StartInstance"),
    ]


def test_nothing_to_go_back_to_is_no_way_back() -> None:
    assert ways_back(InstanceId("i-1"), RegionId("cn-x"), {}, ()) == ()
