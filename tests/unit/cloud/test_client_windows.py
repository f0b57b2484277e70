"""A throttled call and the limit's windows: who waits how long, and who is not sent at all."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from fakes.clock import FakeClock
from fakes.rpc import KEYS, FakeRpc, no_answer, refusal
from snap_self import errors
from snap_self.cloud.client import EcsClient
from snap_self.model.ids import DiskId, InstanceId, RegionId
from snap_self.model.snapshots import SnapshotOrder
from snap_self.ports import RpcFailed

INSTANCE = InstanceId("i-bp1iiiijjjjkkkkllllm")
MINUTE = datetime(2026, 11, 22, 8, 32, tzinfo=timezone.utc)
ORDER = SnapshotOrder(
    disk_ids=(DiskId("d-1"),),
    grouped=False,
    name="before-upgrade",
    description="before upgrade",
    tags={},
    retention_days=14,
    client_token="token-1",
)
ANSWERS: Mapping[str, Mapping[str, Any]] = {
    "CreateSnapshot": {"SnapshotId": "s-1"},
    "DescribeSnapshots": {"Snapshots": {"Snapshot": []}, "NextToken": ""},
    "DescribeDisks": {"Disks": {"Disk": []}, "NextToken": ""},
    "DescribeInstances": {"Instances": {"Instance": []}},
}


class Account:
    """A limit that others use up: an action is refused until so many seconds have passed.

    Args:
        tells: refusals say how long the window lasts on.
        answers_s: how long each answer takes.
    """

    def __init__(
        self,
        until_s: Mapping[str, float],
        *,
        tells: bool = False,
        second: float = 25.0,
        answers_s: float = 0.0,
    ) -> None:
        self.clock = FakeClock(MINUTE + timedelta(seconds=second))
        self.rpc = FakeRpc(answering=self._answer)
        self.told: list[str] = []
        self._until_s = until_s
        self._tells = tells
        self._answers_s = answers_s

    def client(self, chance: float = 0.5) -> EcsClient:
        return EcsClient(
            self.rpc,
            region=RegionId("cn-hangzhou"),
            credentials=lambda _force: KEYS,
            clock=self.clock,
            random=lambda: chance,
            on_retry=self.told.append,
        )

    @property
    def passed_s(self) -> float:
        return self.clock.monotonic() - 1000.0

    def sent(self) -> list[str]:
        return [call.action for call in self.rpc.calls]

    def _answer(self, action: str, params: Mapping[str, str]) -> Mapping[str, Any] | RpcFailed:
        left_s = self._until_s.get(action, 0.0) - self.passed_s
        self.clock.advance(self._answers_s)
        if left_s > 0:
            return refusal("Throttling.User", 400, limited_s=left_s if self._tells else None)
        return ANSWERS[action]


@pytest.mark.parametrize(
    ("tells", "until_s", "second", "turn_s"),
    [
        (True, 12.5, 25.0, 12.5),  # what the cloud tells goes over the machine's own clock
        (False, 12.5, 25.0, 35.0),
        (False, 0.25, 59.75, 0.25),
        (False, 60.0, 0.0, 60.0),
    ],
)
@pytest.mark.parametrize("chance", [0.0, 0.5, 1.0])
def test_throttled_call_is_sent_again_once_at_a_random_place_of_the_next_window(
    tells: bool, until_s: float, second: float, turn_s: float, chance: float
) -> None:
    account = Account({"CreateSnapshot": until_s}, tells=tells, second=second)
    account.client(chance).create_snapshot(ORDER, deadline_s=600)
    assert account.sent() == ["CreateSnapshot"] * 2
    assert account.clock.sleeps == [pytest.approx(turn_s + chance * 48)]


def test_call_throttled_in_two_windows_takes_its_place_in_the_next_two() -> None:
    account = Account({"CreateSnapshot": 95.0})
    account.client(1.0).create_snapshot(ORDER, deadline_s=600)
    # Refused at 0 s and at 83 s; that window turns at 95 s.
    assert account.clock.sleeps == [pytest.approx(35 + 48), pytest.approx(12 + 96)]
    assert len(account.sent()) == 3


def test_window_that_turns_at_once_by_the_clouds_word_is_waited_for_no_longer() -> None:
    clock = FakeClock(MINUTE)
    rpc = FakeRpc(refusal("Throttling", limited_s=0.0), ANSWERS["CreateSnapshot"])
    cloud = EcsClient(
        rpc,
        region=RegionId("cn-hangzhou"),
        credentials=lambda _force: KEYS,
        clock=clock,
        random=lambda: 0.5,
    )
    cloud.create_snapshot(ORDER, deadline_s=600)
    assert clock.sleeps == [24.0]


def test_answer_ends_the_widening_of_places() -> None:
    until_s = {"CreateSnapshot": 35.0}
    account = Account(until_s)
    cloud = account.client(1.0)
    cloud.create_snapshot(ORDER, deadline_s=600)
    until_s["CreateSnapshot"] = 95.0
    cloud.create_snapshot(ORDER, deadline_s=600)
    # Answered at 83 s, refused anew in that minute.
    assert account.clock.sleeps == [pytest.approx(35 + 48), pytest.approx(12 + 48)]


def test_call_throttled_for_long_is_sent_once_in_a_window_at_most() -> None:
    account = Account({"CreateSnapshot": 1800.0})
    account.client(0.9).create_snapshot(ORDER, deadline_s=3600)
    assert len(account.sent()) <= 1 + 1800 / 60
    assert all(pause > 10 for pause in account.clock.sleeps)


@pytest.mark.parametrize("chance", [0.0, 1.0])
def test_call_whose_deadline_comes_in_the_next_window_is_sent_again_before_it(
    chance: float,
) -> None:
    account = Account({"CreateSnapshot": 35.0})
    account.client(chance).create_snapshot(ORDER, deadline_s=55)
    assert 35 <= account.passed_s <= 55


def test_call_whose_deadline_comes_before_the_window_turns_ends_at_once() -> None:
    account = Account({"CreateSnapshot": 35.0})
    with pytest.raises(errors.CloudThrottled):
        account.client().create_snapshot(ORDER, deadline_s=35)
    assert (account.sent(), account.clock.sleeps) == (["CreateSnapshot"], [])


def test_hurried_call_waits_for_no_window() -> None:
    account = Account({"CreateSnapshot": 0.001}, tells=True)
    with pytest.raises(errors.CloudThrottled):
        account.client().create_snapshot(ORDER, deadline_s=600, hurried=True)
    assert (account.sent(), account.clock.sleeps) == (["CreateSnapshot"], [])


def test_waiting_for_a_window_is_told_with_what_is_waited_for_and_how_long() -> None:
    account = Account({"CreateSnapshot": 35.0})
    account.client().create_snapshot(ORDER, deadline_s=600)
    assert account.told == [
        "CreateSnapshot: Throttling.User; the account's calls of this kind are used up until the "
        "limit's next window; trying again in 59.0 s"
    ]


def patient(cloud: EcsClient) -> None:
    cloud.describe_snapshots(deadline_s=600)


def optional(cloud: EcsClient) -> None:
    cloud.describe_snapshots(optional=True)


def short(cloud: EcsClient) -> None:
    cloud.describe_snapshots(deadline_s=5)


def refused_once(account: Account, cloud: EcsClient) -> None:
    with pytest.raises(errors.CloudThrottled):
        short(cloud)
    assert account.sent() == ["DescribeSnapshots"]


def test_later_call_of_a_refused_action_waits_for_the_window_without_being_sent() -> None:
    account = Account({"DescribeSnapshots": 35.0})
    cloud = account.client()
    refused_once(account, cloud)
    account.clock.advance(10)
    patient(cloud)
    assert account.clock.sleeps == [25 + 24]
    assert len(account.sent()) == 2


@pytest.mark.parametrize("call", [optional, short])
def test_later_call_of_a_refused_action_that_cannot_wait_is_not_sent(
    call: Callable[[EcsClient], None],
) -> None:
    account = Account({"DescribeSnapshots": 35.0})
    cloud = account.client()
    refused_once(account, cloud)
    with pytest.raises(errors.CloudThrottled) as caught:
        call(cloud)
    assert caught.value.request_id == "REQ-1"
    assert (len(account.sent()), account.clock.sleeps) == (1, [])
    account.clock.advance(35)
    call(cloud)


def test_refusal_of_an_optional_call_holds_others_of_its_action_back_and_no_other_action() -> None:
    account = Account({"DescribeSnapshots": 35.0})
    cloud = account.client()
    with suppress(errors.CloudThrottled):
        optional(cloud)
    cloud.describe_disks(INSTANCE)
    assert account.clock.sleeps == []
    patient(cloud)
    assert account.sent() == ["DescribeSnapshots", "DescribeDisks", "DescribeSnapshots"]


def test_hurried_call_of_a_refused_action_is_sent_at_once() -> None:
    account = Account({"CreateSnapshot": 5.0})
    cloud = account.client()
    with suppress(errors.CloudThrottled):
        cloud.create_snapshot(ORDER, deadline_s=1)
    account.clock.advance(6)
    assert cloud.create_snapshot(ORDER, deadline_s=1, hurried=True) == "s-1"


def test_warming_is_sent_in_any_case_and_content_with_a_throttled_answer() -> None:
    account = Account({"DescribeInstances": 35.0})
    cloud = account.client()
    cloud.warm(INSTANCE, deadline_s=10)
    cloud.warm(INSTANCE, deadline_s=10)
    assert (account.sent(), account.clock.sleeps) == (["DescribeInstances"] * 2, [])


def test_warming_that_gets_no_answer_is_an_error() -> None:
    account = Account({})
    rpc = FakeRpc(no_answer(lasting=True))
    account.rpc = rpc
    with pytest.raises(errors.CloudUnreachable):
        account.client().warm(INSTANCE, deadline_s=10)


def test_threads_of_one_client_send_one_refused_call_in_a_window() -> None:
    account = Account({"DescribeSnapshots": 35.0})
    cloud = account.client()
    refused_once(account, cloud)
    workers = [threading.Thread(target=patient, args=(cloud,)) for _ in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(account.sent()) == 1 + 8


def test_call_refused_in_the_new_window_holds_back_those_that_wait_for_it() -> None:
    clock = FakeClock(MINUTE)
    outcomes: list[str] = []

    def answering(action: str, params: Mapping[str, str]) -> Mapping[str, Any] | RpcFailed:
        outcomes.append(params["RegionId"])
        return refusal("Throttling") if clock.monotonic() < 1120 else ANSWERS[action]

    cloud = EcsClient(
        FakeRpc(answering=answering),
        region=RegionId("cn-hangzhou"),
        credentials=lambda _force: KEYS,
        clock=clock,
        random=lambda: 0.5,
    )
    with suppress(errors.CloudThrottled):
        short(cloud)
    clock.advance(60)
    with suppress(errors.CloudThrottled):
        short(cloud)
    patient(cloud)
    assert len(outcomes) == 3
    assert clock.sleeps == [60 + 48]


def test_reads_of_a_client_with_a_job_end_go_on_until_then_and_no_longer() -> None:
    account = Account({"DescribeDisks": 300.0})
    until = account.clock.monotonic() + 1000
    account.client().until(until).describe_disks(INSTANCE)
    assert account.passed_s >= 300
    account = Account({"DescribeDisks": 300.0})
    with pytest.raises(errors.CloudThrottled):
        account.client().until(account.clock.monotonic() + 200).describe_disks(INSTANCE)
    assert account.passed_s <= 200


def test_reads_of_a_client_without_a_job_end_have_a_deadline_of_their_own() -> None:
    account = Account({"DescribeDisks": 300.0})
    with pytest.raises(errors.CloudThrottled):
        account.client().describe_disks(INSTANCE)
    assert account.passed_s <= 90


def test_deadline_of_a_call_is_bounded_by_the_job_end() -> None:
    account = Account({"CreateSnapshot": 300.0})
    with pytest.raises(errors.CloudThrottled):
        account.client().until(1055.0).create_snapshot(ORDER, deadline_s=600)
    assert 35 <= account.passed_s <= 55


def test_deadline_of_a_call_is_not_moved_on_to_the_job_end() -> None:
    account = Account({"CreateSnapshot": 300.0})
    with pytest.raises(errors.CloudThrottled):
        account.client().until(5000.0).create_snapshot(ORDER, deadline_s=55)
    assert account.passed_s <= 55


def test_calls_in_passing_are_over_by_one_end() -> None:
    account = Account({}, answers_s=1.0)
    cloud = account.client().in_passing(3.0)
    for _ in range(4):
        patient(cloud)
    assert [call.timeout_s for call in account.rpc.calls] == [2.0, 2.0, 1.0, 0.2]


def test_calls_in_passing_are_optional() -> None:
    account = Account({"DescribeDisks": 0.1}, tells=True)
    with pytest.raises(errors.CloudThrottled):
        account.client().in_passing(600.0).describe_disks(INSTANCE)
    assert (account.sent(), account.clock.sleeps) == (["DescribeDisks"], [])


def test_client_with_a_job_end_knows_what_was_refused_before() -> None:
    account = Account({"DescribeSnapshots": 35.0})
    cloud = account.client()
    refused_once(account, cloud)
    patient(cloud.until(1500.0))
    assert len(account.sent()) == 2
    assert account.clock.sleeps == [35 + 24]


def test_call_after_the_job_end_is_still_sent_once() -> None:
    account = Account({})
    cloud = account.client().until(account.clock.monotonic() - 5)
    assert cloud.describe_disks(INSTANCE) == ()
    assert cloud.until(None).describe_disks(INSTANCE) == ()
    assert [call.timeout_s for call in account.rpc.calls] == [0.2, 15.0]


@pytest.mark.parametrize(
    ("failures", "maybe_done"),
    [
        ([refusal("Throttling.User", 400)], False),
        # A gateway that lets no more through has passed nothing on, whatever its page hides.
        ([no_answer(status=429)], False),
        ([no_answer(), refusal("Throttling.User", 400)], True),
        ([no_answer(), no_answer(status=429)], True),
        ([no_answer(maybe_done=False), refusal("Throttling.User", 400)], False),
        ([no_answer(), refusal("OperationConflict")], True),
        ([refusal("OperationConflict")], False),
        # The token would have named what an earlier try had made.
        ([no_answer(), refusal("Forbidden.RAM"), refusal("Forbidden.RAM")], False),
    ],
)
def test_create_that_ends_with_a_code_tells_whether_an_earlier_try_may_have_made_it(
    failures: list[RpcFailed], maybe_done: bool
) -> None:
    cloud = EcsClient(
        FakeRpc(*failures),
        region=RegionId("cn-hangzhou"),
        credentials=lambda _force: KEYS,
        clock=FakeClock(MINUTE),
        random=lambda: 0.5,
    )
    with pytest.raises(errors.ApiFault) as caught:
        cloud.create_snapshot(ORDER, deadline_s=60)
    assert caught.value.maybe_done is maybe_done
