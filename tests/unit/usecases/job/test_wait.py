"""When the cloud is asked how far a snapshot is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from fakes.clock import FakeClock
from fakes.rpc import KEYS, FakeRpc, refusal
from snap_self.cloud.client import EcsClient
from snap_self.model.ids import DiskId, GroupId, RegionId, SnapshotId
from snap_self.model.run import OrderRecord
from snap_self.model.snapshots import SnapshotOrder, WaitFor
from snap_self.ports import RpcFailed
from snap_self.usecases.job.wait import HELD, SPARING, Looks, Settled, Waiter

DISK, SNAPSHOT = DiskId("d-1"), SnapshotId("s-1")
ORDER = OrderRecord(
    order=SnapshotOrder(
        disk_ids=(DISK,),
        grouped=False,
        name="before-upgrade",
        description="",
        tags={},
        retention_days=14,
        client_token="token-1",
    ),
    sent=True,
    snapshot_ids={DISK: SNAPSHOT},
)
NEVER = 1e9


class Upload:
    """A snapshot that is cut and finished so long after it was asked for."""

    def __init__(self, *, cut_s: float, done_s: float = NEVER, refused_s: float = 0.0) -> None:
        self.clock = FakeClock()
        self.looks: list[float] = []
        self._cut_s = cut_s
        self._done_s = done_s
        self._refused_s = refused_s

    def until(
        self,
        wait: WaitFor = WaitFor.CUT,
        *,
        chance: float = 0.0,
        timeout_s: float = 600.0,
        asked_s: float | None = 0.0,
        looks: Looks = SPARING,
    ) -> Settled:
        """Wait, so many seconds after it was asked for; None if that is not known."""
        cloud = EcsClient(
            FakeRpc(answering=self._answer),
            region=RegionId("cn-hangzhou"),
            credentials=lambda _force: KEYS,
            clock=self.clock,
            random=lambda: 0.5,
        )
        waiter = Waiter(cloud, self.clock, lambda _event: None, random=lambda: chance, looks=looks)
        asked = None if asked_s is None else 1000.0 - asked_s
        return waiter.until([ORDER], wait, timeout_s=timeout_s, asked=asked)

    def _answer(self, action: str, params: Mapping[str, str]) -> Mapping[str, Any] | RpcFailed:
        passed_s = self.clock.monotonic() - 1000.0
        self.looks.append(round(passed_s, 3))
        if passed_s < self._refused_s:
            return refusal("Throttling")
        done = passed_s >= self._done_s
        shot = {
            "SnapshotId": SNAPSHOT,
            "SourceDiskId": DISK,
            "Status": "accomplished" if done else "progressing",
            "CreationTime": "2026-11-22T08:32:26Z" if passed_s >= self._cut_s else "",
        }
        return {"Snapshots": {"Snapshot": [shot]}, "NextToken": ""}


@pytest.mark.parametrize(
    ("chance", "looks"),
    [(0.0, [1.2, 1.7, 2.5, 3.78, 5.828]), (1.0, [1.6, 2.1, 2.9, 4.18, 6.228])],
)
def test_first_look_comes_when_a_cut_can_be_there_and_later_ones_ever_further_apart(
    chance: float, looks: list[float]
) -> None:
    upload = Upload(cut_s=5.0)
    upload.until(chance=chance)
    assert upload.looks == looks


@pytest.mark.parametrize(("cut_s", "looks"), [(1.0, [1.2]), (1.2, [1.2]), (1.21, [1.2, 1.7])])
def test_cut_is_seen_with_the_first_look_that_can_show_it(cut_s: float, looks: list[float]) -> None:
    upload = Upload(cut_s=cut_s)
    upload.until()
    assert upload.looks == looks


def test_long_wait_has_looks_ten_seconds_apart_at_most() -> None:
    upload = Upload(cut_s=1.0, done_s=3600.0)
    upload.until(WaitFor.ACCOMPLISHED, timeout_s=7200.0)
    pauses = [b - a for a, b in zip(upload.looks, upload.looks[1:], strict=False)]
    assert max(pauses) == pytest.approx(10.0)
    assert sum(pause < 9.99 for pause in pauses) == 7


@pytest.mark.parametrize(
    ("asked_s", "first_s"), [(0.0, 1.4), (1.0, 0.4), (1.4, 0.0), (30.0, 0.0), (None, 0.0)]
)
def test_first_look_is_earlier_by_how_long_ago_the_snapshot_was_asked_for(
    asked_s: float | None, first_s: float
) -> None:
    upload = Upload(cut_s=0.0)
    upload.until(chance=0.5, asked_s=asked_s)
    assert upload.looks == [first_s]


def test_held_freeze_looks_at_once_and_often() -> None:
    upload = Upload(cut_s=1.3)
    upload.until(asked_s=None, looks=HELD)
    assert upload.looks == [0.0, 0.2, 0.48, 0.872, 1.421]


def test_caller_that_waits_for_nothing_is_not_kept() -> None:
    upload = Upload(cut_s=NEVER)
    settled = upload.until(WaitFor.NONE)
    assert (upload.looks, settled.timed_out) == ([0.0], False)


@pytest.mark.parametrize("timeout_s", [0.1, 1.0, 2.0])
def test_short_time_to_wait_does_not_pass_without_a_look(timeout_s: float) -> None:
    upload = Upload(cut_s=NEVER)
    settled = upload.until(chance=1.0, timeout_s=timeout_s)
    assert upload.looks[0] == timeout_s / 2
    assert settled.timed_out
    assert upload.clock.monotonic() - 1000.0 <= timeout_s


def test_throttled_look_waits_for_the_limits_next_window() -> None:
    upload = Upload(cut_s=1.0, refused_s=34.0)
    assert not upload.until().timed_out
    # It was 25 s past the minute when the snapshot was asked for.
    assert upload.looks == [1.2, pytest.approx(35.0 + 24.0)]


def test_throttled_look_that_cannot_wait_so_long_is_the_only_one() -> None:
    upload = Upload(cut_s=1.0, refused_s=34.0)
    settled = upload.until(timeout_s=30.0)
    assert upload.looks == [1.2]
    assert settled.timed_out
    assert "Throttling" in settled.unseen


def test_member_that_was_no_longer_looked_for_is_asked_for_before_it_counts_as_left_out() -> None:
    other = {"SnapshotId": "s-2", "SourceDiskId": "d-2"}
    members = [{"SnapshotId": SNAPSHOT, "SourceDiskId": DISK}, other]
    shown = {"Status": "accomplished", "CreationTime": "2026-11-22T08:32:26Z"}

    def answer(action: str, params: Mapping[str, str]) -> Mapping[str, Any]:
        if action == "DescribeSnapshotGroups":
            group = {"SnapshotGroupId": "ssg-1", "Snapshots": {"Snapshot": members}}
            return {"SnapshotGroups": {"SnapshotGroup": [group]}}
        return {"Snapshots": {"Snapshot": [{**each, **shown} for each in members]}}

    clock = FakeClock()
    cloud = EcsClient(
        FakeRpc(answering=answer),
        region=RegionId("cn-hangzhou"),
        credentials=lambda _force: KEYS,
        clock=clock,
        random=lambda: 0.5,
    )
    both = replace(ORDER.order, disk_ids=(DISK, DiskId("d-2")), grouped=True)
    order = replace(ORDER, order=both, group_id=GroupId("ssg-1"), members_final=True)
    waiter = Waiter(cloud, clock, lambda _event: None, random=lambda: 0.0)
    settled = waiter.until([order], WaitFor.CUT, timeout_s=60.0)
    assert settled.missing == ()
    assert set(settled.snapshots) == {DISK, "d-2"}
