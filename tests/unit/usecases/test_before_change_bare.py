"""Who watches is told of each risky change that goes on without a snapshot, and of no other."""

from __future__ import annotations

import pytest

from fakes.hook_call import RUN_ID, FakeJob, FakeManagerMachine, ManagerCall, made_report
from snap_self.errors import CloudRefused
from snap_self.model.job_end import Ending, JobEnd
from snap_self.model.manager_settings import ABORT, ManagerSettings
from snap_self.model.packages import UPGRADE, Package, Transaction
from snap_self.output.jsonform import dumps, fault_json

RISKY = Transaction("apt", [Package("libc6", UPGRADE, old="1", new="2")])
HARMLESS = Transaction("apt", [Package("hello", UPGRADE, old="1", new="2")])
ABORTS = ManagerSettings(on_failure={"apt": ABORT})
REFUSED = JobEnd(
    Ending.EXITED, status=9, out=dumps(fault_json(CloudRefused("no", hint="allow it"))).encode()
)
UNSEEN = JobEnd(
    Ending.EXITED,
    status=12,
    out=made_report(result="asked", unseen={"reason": "throttled", "why": "busy"}),
)


def call(end: JobEnd, settings: ManagerSettings | None = None, **env: str) -> ManagerCall:
    return ManagerCall(job=FakeJob(ended=end), settings=settings or ManagerSettings(), env=env)


@pytest.mark.parametrize(
    ("end", "code"),
    [
        (REFUSED, CloudRefused("").code),
        (JobEnd(Ending.EXITED, status=1), "status-1"),
        (JobEnd(Ending.TIMED_OUT), "timed-out"),
        (JobEnd(Ending.KILLED), "killed"),
        (JobEnd(Ending.NOT_STARTED), "not-started"),
    ],
)
def test_change_that_goes_on_after_a_failure_is_told_with_its_code(end: JobEnd, code: str) -> None:
    made = call(end)
    assert made.answer(RISKY)[0] == 0
    assert made.bare == [("apt", code, "")]


def test_next_call_of_the_action_is_told_again() -> None:
    made = call(REFUSED)
    made.answer(RISKY)
    made.answer(RISKY)
    assert [code for _, code, _ in made.bare] == [CloudRefused("").code, "paused"]


def test_snapshot_that_was_not_seen_is_told_with_its_run() -> None:
    made = call(UNSEEN)
    assert made.answer(RISKY)[0] == 0
    assert made.bare == [("apt", "cut-not-seen", RUN_ID)]


@pytest.mark.parametrize("end", [REFUSED, UNSEEN, JobEnd(Ending.TIMED_OUT)])
def test_change_that_is_stopped_is_not_told(end: JobEnd) -> None:
    made = call(end, ABORTS)
    assert made.answer(RISKY)[0] != 0
    assert made.bare == []


def test_change_that_must_go_on_in_spite_of_abort_is_told() -> None:
    made = call(REFUSED, ABORTS, RELEASE_UPGRADE_IN_PROGRESS="1")
    assert made.answer(RISKY)[0] == 0
    assert len(made.bare) == 1


def test_snapshot_that_was_made_or_is_not_needed_tells_nothing() -> None:
    made = call(FakeJob().ended)
    made.answer(HARMLESS)
    made.answer(RISKY)
    less = call(JobEnd(Ending.EXITED, status=101, out=made_report()))
    less.answer(RISKY)
    assert made.bare + less.bare == []


@pytest.mark.parametrize(("sure", "told"), [(True, []), (False, [("apt", "maybe-container", "")])])
def test_what_only_may_be_a_container_is_told(sure: bool, told: list[tuple[str, str, str]]) -> None:
    machine = FakeManagerMachine(container="/.dockerenv", sure=sure)
    made = ManagerCall(machine=machine)
    made.answer(RISKY)
    assert made.bare == told


def test_change_that_somebody_asked_to_be_left_alone_is_not_told() -> None:
    made = ManagerCall()
    made.answer(Transaction("apt", RISKY.packages, skip="told to by SnapSelf::Skip"))
    assert made.bare == []
