"""What comes after the cut keeps nobody waiting."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fakes.clock import FakeClock
from fakes.records import order_record
from fakes.rpc import KEYS, FakeRpc, no_answer, refusal
from snap_self.cloud.client import EcsClient
from snap_self.model.ids import DiskId, RegionId, SnapshotId
from snap_self.model.snapshots import Consistency
from snap_self.ports import RpcFailed
from snap_self.usecases.aftercare.interrupted import AFTERCARE_S, tag_level
from snap_self.usecases.job.wait import Settled

MADE = replace(order_record(sent=True), snapshot_ids={DiskId("d-1"): SnapshotId("s-1")})
CUT = Settled(records=(MADE,), snapshots={}, missing=(), timed_out=False, unseen="")


@pytest.mark.parametrize(
    "failure",
    [refusal("Throttling.User"), no_answer(), refusal("OperationConflict")],
    ids=["throttled", "unreachable", "busy"],
)
def test_level_that_cannot_be_tagged_keeps_nobody_waiting(failure: RpcFailed) -> None:
    clock, rpc = FakeClock(), FakeRpc(failure)
    cloud = EcsClient(
        rpc,
        region=RegionId("cn-hangzhou"),
        credentials=lambda _force: KEYS,
        clock=clock,
        random=lambda: 1.0,
    )
    tag_level(cloud, CUT, Consistency.APPLICATION)
    assert [call.action for call in rpc.calls][:1] == ["TagResources"]
    assert sum(clock.sleeps) <= AFTERCARE_S
