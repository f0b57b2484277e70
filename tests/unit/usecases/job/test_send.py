"""Sending a run's orders: within which time, with which results in the log, and what never is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from fakes.filesystems import FakeFilesystems
from fakes.records import run_record
from fakes.rpc import Outcome, no_answer, refusal
from fakes.taken import ME, Taken
from snap_self.errors import CloudUnreachable, PreconditionRefused
from snap_self.model.ids import DiskId, SnapshotId
from snap_self.model.request import Request
from snap_self.model.run import OrderRecord
from snap_self.model.snapshots import Consistency
from snap_self.usecases.job.create import Made
from snap_self.usecases.job.planning import begin, look_around, plan_run
from snap_self.usecases.job.send import CREATE_LIMIT_S, Sender

BUSY = refusal("IncorrectDiskStatus.CreatingSnapshot")
REQUEST = Request(before="os upgrade", timeout_s=1800.0)


class Sending:
    """The orders of a planned run, about to be sent; each disk has an order of its own.

    Args:
        answer: the outcome of each create, by its parameters.
        job_s: how long every call may take together; None without such a time.
        made: so many of the orders are made already.
    """

    def __init__(
        self,
        request: Request = REQUEST,
        *,
        answer: Callable[[Mapping[str, str]], Outcome] | None = None,
        job_s: float | None = None,
        made: int = 0,
    ) -> None:
        self.taken = Taken(machine="swap", snapshots=[])
        self.filesystems = FakeFilesystems()
        for disk in self.taken.disks:
            disk["Category"] = "cloud_efficiency"
        self.taken.answers["CreateSnapshot"] = answer or _snapshot
        tools = replace(self.taken.tools, filesystems=self.filesystems)
        self.facts = begin(request, tools)
        end = None if job_s is None else self.taken.clock.monotonic() + job_s
        found = look_around(self.facts, tools, job_end=end)
        plan = plan_run(self.facts, tools, found)
        orders = [OrderRecord(order=order, sent=True) for order in plan.orders]
        orders[:made] = [
            replace(order, snapshot_ids={order.order.disk_ids[0]: SnapshotId("s-old")})
            for order in orders[:made]
        ]
        self.facts.record = run_record(orders=tuple(orders))
        self.sender = Sender(self.facts, tools, found, job_end=end)
        self.began = self.taken.clock.monotonic()

    @property
    def disks(self) -> list[str]:
        """Return the disks, in the order of their orders."""
        return [order.order.disk_ids[0] for order in self.facts.need_record().orders]

    @property
    def creates(self) -> list[str]:
        """Return the disk of each create that was called."""
        calls = self.taken.rpc.calls
        return [call.params["DiskId"] for call in calls if call.action == "CreateSnapshot"]

    @property
    def results(self) -> list[str]:
        """Return the result of each create in the log."""
        return [step.result for step in self.facts.steps.steps if step.name == "create"]

    def send(self) -> Made:
        """Send them."""
        return self.sender.send()

    def passed_s(self) -> float:
        """Send them, and return how long that took."""
        self.send()
        return self.taken.clock.monotonic() - self.began


def _snapshot(params: Mapping[str, str]) -> Outcome:
    return {"RequestId": "R", "SnapshotId": f"s-{params['DiskId']}"}


def _silence(_params: Mapping[str, str]) -> Outcome:
    return no_answer()


def _throttled(_params: Mapping[str, str]) -> Outcome:
    return refusal("Throttling.User", 400)


def test_each_order_is_sent_once_and_logged() -> None:
    sending = Sending()
    made = sending.send()
    assert sorted(sending.creates) == sorted(sending.disks)
    assert [record.snapshot_ids for record in made.records] == [
        {DiskId(disk): f"s-{disk}"} for disk in sending.disks
    ]
    assert sending.results == ["done", "done"]
    assert sending.sender.asked == sending.began
    assert sending.filesystems.synced == []


def test_order_that_is_made_is_logged_and_not_sent() -> None:
    sending = Sending(made=1)
    sending.send()
    assert sending.creates == [sending.disks[1]]
    assert sending.results == ["done", "done"]
    assert sending.sender.asked is not None


def test_nothing_counts_as_asked_where_all_was_made() -> None:
    sending = Sending(made=2)
    sending.send()
    assert (sending.creates, sending.sender.asked) == ([], None)
    assert sending.results == ["done", "done"]


def test_refused_order_is_logged_beside_one_that_is_made() -> None:
    sending = Sending()
    refused = sending.disks[1]
    sending.taken.answers["CreateSnapshot"] = lambda params: (
        BUSY if params["DiskId"] == refused else _snapshot(params)
    )
    made = sending.send()
    assert sending.results == ["done", "failed: disk-not-ready"]
    assert [type(error).code for error in made.errors] == ["disk-not-ready"]


@pytest.mark.parametrize(
    ("timeout_s", "job_s", "most_s"),
    [
        (1800.0, None, CREATE_LIMIT_S),
        (40.0, None, 40.0),
        (0.0, None, 1.0),
        (300.0, 300.0, 300.0),
        (300.0, 20.0, 20.0),
    ],
)
def test_order_is_given_up_at_the_earliest_end(
    timeout_s: float, job_s: float | None, most_s: float
) -> None:
    request = replace(REQUEST, timeout_s=timeout_s, waited_for=job_s is not None)
    # One alone: threads that sleep side by side would each move the clock on.
    passed_s = Sending(request, answer=_throttled, job_s=job_s, made=1).passed_s()
    assert passed_s <= most_s
    # A throttled minute is waited out as long as there is time for it.
    assert passed_s > most_s - 61.0


def test_order_gets_a_second_where_nothing_is_waited_for() -> None:
    sending = Sending(replace(REQUEST, timeout_s=0.0), made=1)
    sending.send()
    (call,) = (call for call in sending.taken.rpc.calls if call.action == "CreateSnapshot")
    assert call.timeout_s == 1.0


def test_end_of_the_job_takes_the_place_of_the_limit_of_a_create() -> None:
    request = replace(REQUEST, timeout_s=1000.0, waited_for=True)
    sending = Sending(request, answer=_throttled, job_s=1000.0, made=1)
    assert sending.passed_s() > CREATE_LIMIT_S


def test_silence_is_told_as_such() -> None:
    sending = Sending(answer=_silence)
    made = sending.send()
    assert {type(error) for error in made.errors} == {CloudUnreachable}
    assert sending.results == ["failed: cloud-unreachable"] * 2


@pytest.mark.parametrize("level", [Consistency.FILESYSTEM, Consistency.APPLICATION])
def test_what_is_to_be_held_is_not_sent_unheld(level: Consistency) -> None:
    sending = Sending(replace(REQUEST, consistency=level))
    with pytest.raises(PreconditionRefused, match="nothing can be frozen here"):
        sending.send()
    assert (sending.creates, sending.sender.asked) == ([], None)
    assert sending.results == ["failed: precondition"] * 2


@pytest.mark.parametrize("level", [Consistency.CRASH, Consistency.FLUSH])
def test_what_is_not_held_has_no_freeze_or_thaw_in_its_log(level: Consistency) -> None:
    sending = Sending(replace(REQUEST, consistency=level))
    sending.send()
    names = [step.name for step in sending.facts.steps.steps]
    assert {"create"} == {*names} - {"identify", "map-disks"}


def test_group_names_its_instance() -> None:
    taken = Taken(machine="swap", snapshots=[])
    asked: list[Mapping[str, Any]] = []

    def group(params: Mapping[str, str]) -> Outcome:
        asked.append(params)
        return {"RequestId": "R", "SnapshotGroupId": "ssg-1"}

    taken.answers["CreateSnapshotGroup"] = group
    facts = begin(REQUEST, taken.tools)
    found = look_around(facts, taken.tools)
    plan = plan_run(facts, taken.tools, found)
    facts.record = run_record(orders=tuple(OrderRecord(order=order) for order in plan.orders))
    Sender(facts, taken.tools, found, job_end=None).send()
    assert [params["InstanceId"] for params in asked] == [ME]
