"""Faults, throttling windows, latencies, client tokens under way, due actions."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ecs_simulator.errors import ApiError
from ecs_simulator.faults import Fault, FaultQueue, Latencies, Throttle, Throttles
from ecs_simulator.idempotency import IdempotencyStore
from ecs_simulator.life import Agenda
from fakes.simulated_cloud import HandClock, SocketlessCloud


def send(cloud: SocketlessCloud, action: str = "CreateSnapshot", **params: Any) -> Any:
    given = {"Action": action, "RegionId": "cn-hangzhou", "DiskId": "d-sys", **params}
    return cloud.send(cloud.signer.sign(given, at=cloud.clock.time))


@pytest.mark.parametrize(
    ("kind", "status", "send_bytes", "made"),
    [
        ("lost_reply", 0, -1, 1),
        ("reset", 0, -1, 0),
        ("html_502", 502, None, 0),
        ("empty_body", 200, None, 1),
        ("not_json", 200, None, 1),
        ("error:ServiceUnavailable:503", 503, None, 0),
    ],
)
def test_fault_strikes_on_its_side_of_the_effect(
    kind: str, status: int, send_bytes: int | None, made: int
) -> None:
    cloud = SocketlessCloud()
    cloud.api.faults.add(Fault(kind=kind))
    reply = send(cloud)
    assert (reply.status, reply.send) == (status, send_bytes)
    assert len(cloud.cloud.state.snapshots) == made


@pytest.mark.parametrize("kind", ["html_502", "error", "reset"])
def test_fault_told_to_strike_after_the_effect_leaves_it(kind: str) -> None:
    cloud = SocketlessCloud()
    cloud.api.faults.add(Fault(kind=kind, when="after"))
    send(cloud)
    assert len(cloud.cloud.state.snapshots) == 1


def test_call_struck_during_its_run_goes_on_for_a_while() -> None:
    cloud = SocketlessCloud()
    fault = Fault(kind="lost_reply", action="CreateSnapshot", when="during", seconds=5)
    cloud.api.faults.add(fault)
    lost = send(cloud, ClientToken="t")
    early = json.loads(send(cloud, ClientToken="t").body)
    cloud.pass_time(5)
    late = json.loads(send(cloud, ClientToken="t").body)
    assert (lost.send, early["Code"]) == (-1, "IdempotentProcessing")
    assert [late["SnapshotId"]] == list(cloud.cloud.state.snapshots)


def test_truncated_answer_promises_more_than_it_sends() -> None:
    cloud = SocketlessCloud()
    cloud.api.faults.add(Fault(kind="truncated"))
    reply = send(cloud)
    assert reply.send == len(reply.body) // 2 > 0


def test_injected_error_has_the_shape_of_a_real_one() -> None:
    cloud = SocketlessCloud()
    cloud.api.faults.add(Fault(kind="error", code="Throttling.User", status=429))
    reply = send(cloud)
    assert (reply.status, json.loads(reply.body)["Code"]) == (429, "Throttling.User")


def test_injected_error_carries_the_headers_it_was_given() -> None:
    cloud = SocketlessCloud()
    headers = {"x-ratelimit-user": "TimeLeft:500"}
    cloud.api.faults.add(Fault(kind="error:Throttling:400", headers=headers))
    assert send(cloud).headers == headers


def test_fault_strikes_only_its_action_and_count() -> None:
    queue = FaultQueue()
    queue.add(Fault(kind="reset", action="CreateSnapshot", count=2))
    calls = ("DescribeDisks", "CreateSnapshot", "CreateSnapshot", "CreateSnapshot")
    assert [queue.take(action) is not None for action in calls] == [False, True, True, False]


def test_fault_lets_calls_pass_before_it_strikes() -> None:
    queue = FaultQueue()
    queue.add(Fault(kind="reset", skip=2))
    assert [queue.take("Any") is not None for _ in range(4)] == [False, False, True, False]


def test_fault_for_any_action_spares_the_metadata_service() -> None:
    queue = FaultQueue()
    queue.add(Fault(kind="reset"))
    assert queue.take("metadata:/latest/") is None


def test_fault_of_metadata_strikes_paths_that_begin_so() -> None:
    queue = FaultQueue()
    queue.add(Fault(kind="reset", action="metadata:/latest/meta-data/ram"))
    assert queue.take("metadata:/latest/meta-data/disks/") is None
    assert queue.take("metadata:/latest/meta-data/ram/security-credentials/") is not None


@pytest.mark.parametrize(
    "fault",
    [
        Fault(kind="earthquake"),
        Fault(kind="hang", when="never"),
    ],
)
def test_unknown_fault_is_refused(fault: Fault) -> None:
    with pytest.raises(ValueError, match="no such fault"):
        FaultQueue().add(fault)


def test_call_log_tells_what_was_answered_and_which_fault_struck() -> None:
    cloud = SocketlessCloud()
    cloud.api.faults.add(Fault(kind="lost_reply"))
    send(cloud)
    send(cloud)
    first, second = cloud.api.calls.all()
    assert (first.status, first.fault) == (0, "lost_reply")
    assert (second.status, second.code) == (403, "IncorrectDiskStatus.CreatingSnapshot")
    assert second.params["DiskId"] == "d-sys"


def test_throttle_refuses_what_is_over_the_limit_of_a_minute() -> None:
    cloud = SocketlessCloud()
    cloud.api.throttles.set([Throttle(action="DescribeDisks", limit=2)])
    outcomes = [cloud.call("DescribeDisks").outcome for _ in range(3)]
    assert outcomes == [(200, ""), (200, ""), (400, "Throttling")]
    assert cloud.call("DescribeInstances").status == 200


def test_throttle_ends_with_the_minute_it_began_in() -> None:
    cloud = SocketlessCloud()  # it is 25 seconds past the minute
    cloud.api.throttles.set([Throttle(limit=0, code="Throttling.User", status=429)])
    cloud.pass_time(34)
    assert cloud.call("DescribeDisks").outcome == (429, "Throttling.User")
    cloud.api.throttles.set([Throttle(limit=1)])
    cloud.call("DescribeDisks")
    assert cloud.call("DescribeDisks").code == "Throttling"
    cloud.pass_time(1)
    assert cloud.call("DescribeDisks").status == 200


@pytest.mark.parametrize(("past_s", "left_ms"), [(0, 35_000), (34.5, 500), (35, 60_000)])
def test_throttled_answer_tells_in_both_headers_how_long_the_window_lasts(
    past_s: float, left_ms: int
) -> None:
    cloud = SocketlessCloud()  # it is 25 seconds past the minute
    cloud.api.throttles.set([Throttle(limit=1)])
    cloud.pass_time(past_s)
    cloud.call("DescribeDisks")
    reset = int((cloud.clock.now() // 60 + 1) * 60)
    headers = cloud.call("DescribeDisks").headers
    told = f"Limit:1,Remain:0,TimeLeft:{left_ms},Reset:{reset}"
    assert (headers["x-ratelimit-user-api"], headers["x-ratelimit-user"]) == (told, told)


def test_throttled_answer_of_a_cloud_that_does_not_tell_has_no_such_header() -> None:
    cloud = SocketlessCloud()
    cloud.api.throttles.set([Throttle(limit=0, told=False)])
    assert list(cloud.call("DescribeDisks").headers) == ["x-acs-request-id"]


def test_throttle_counts_each_region_by_itself() -> None:
    throttles = Throttles(HandClock())
    throttles.set([Throttle(limit=1)])
    throttles.check("DescribeDisks", "cn-hangzhou")
    throttles.check("DescribeDisks", "cn-beijing")
    with pytest.raises(ApiError):
        throttles.check("DescribeDisks", "cn-hangzhou")


def test_latency_of_an_action_goes_over_its_profile() -> None:
    latencies = Latencies("realistic", {"DescribeDisks": 0.5})
    assert latencies.of("DescribeDisks") == 0.5
    assert latencies.of("CreateSnapshotGroup") == 0.32
    assert latencies.of("DeleteSnapshot") == 0.1
    assert Latencies("fast", {}).of("CreateSnapshotGroup") == 0.0


KEY = ("account", "CreateSnapshot", "token")
SAME = (("DiskId", "d-1"),)


def test_client_token_of_a_call_under_way_is_being_processed() -> None:
    store = IdempotencyStore()
    assert store.begin(KEY, SAME) is None
    with pytest.raises(ApiError, match="IdempotentProcessing"):
        store.begin(KEY, SAME)


def test_client_token_of_a_call_that_ended_gives_its_answer() -> None:
    store = IdempotencyStore()
    store.begin(KEY, SAME)
    store.finish(KEY, {"SnapshotId": "s-1"})
    assert store.begin(KEY, SAME) == {"SnapshotId": "s-1"}


def test_client_tokens_of_two_actions_do_not_meet() -> None:
    store = IdempotencyStore()
    store.begin(KEY, SAME)
    assert store.begin(("account", "CreateDisk", "token"), SAME) is None


def test_agenda_runs_what_is_due_in_order_of_time() -> None:
    clock = HandClock()
    agenda = Agenda(clock)
    done: list[str] = []
    agenda.after(2, lambda: done.append("second"))
    agenda.after(1, lambda: done.append("first"))
    agenda.after(9, lambda: done.append("later"))
    clock.time += 3
    assert (agenda.run_due(), done) == (2, ["first", "second"])


def test_agenda_goes_on_after_an_action_that_failed() -> None:
    agenda = Agenda(HandClock())
    done: list[str] = []

    def fail() -> None:
        raise OSError("no space left")

    agenda.after(0, fail)
    agenda.after(0, lambda: done.append("next"))
    agenda.run_due()
    assert (done, agenda.failures) == (["next"], ["OSError: no space left"])
