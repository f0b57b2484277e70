"""The short way back that every run ends with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from snap_self.model.ids import DiskId, InstanceId, RegionId, SnapshotId
from snap_self.usecases.undo import ways_back

PAIRS = {DiskId("d-1"): SnapshotId("s-1"), DiskId("d-2"): SnapshotId("s-2")}


def lines(pairs: Mapping[DiskId, SnapshotId]) -> Sequence[str]:
    """Return the way back of an instance."""
    return ways_back(instance_id=InstanceId("i-1"), region=RegionId("cn-x"), pairs=pairs, disks=())


def test_disks_are_reset_between_the_stop_and_the_start_each_waited_for() -> None:
    calls = [line.split()[2] for line in lines(PAIRS) if line.startswith("aliyun ecs ")]
    assert calls == [
        *("StopInstance", "DescribeInstances", "ResetDisk", "ResetDisk"),
        *("DescribeDisks", "StartInstance"),
    ]


def test_nothing_to_go_back_to_is_no_way_back() -> None:
    assert lines({}) == ()
