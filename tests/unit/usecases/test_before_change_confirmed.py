"""Package managers' changes that go back by themselves unless somebody confirms them."""

from __future__ import annotations

import pytest

from fakes.hook_call import FakeJob, ManagerCall, made_report
from snap_self.errors import RollbackNotArmed
from snap_self.model.job_end import Ending, JobEnd
from snap_self.model.manager_settings import ManagerSettings, parse_settings, settings_text
from snap_self.model.packages import UPGRADE, Package, Transaction
from snap_self.output.jsonform import dumps, fault_json

RISKY = Transaction("apt", [Package("libc6", UPGRADE, old="1", new="2")])
CONFIRMED = ManagerSettings(confirm_within_s=1800)
ARMED = {"run": "r", "deadline": "2026-11-22T09:02:25Z", "execution_id": "exec-1"}
UNARMED = JobEnd(
    Ending.EXITED,
    status=23,
    out=dumps(fault_json(RollbackNotArmed("no rollback is armed", hint="mend"))).encode(),
)


def test_it_is_armed_before_the_transaction_is_let_go_and_that_is_said() -> None:
    end = JobEnd(Ending.EXITED, status=0, out=made_report(armed=ARMED))
    call = ManagerCall(settings=CONFIRMED, job=FakeJob(ended=end))
    _, talk = call.answer(RISKY)
    (asked,) = call.job.asked
    assert (asked["--confirm-within"], asked["--wait"]) == ("1800s", "available")
    assert talk.answers == ["proceed"]
    assert talk.told[-1] == (
        "this machine goes back by itself at 2026-11-22T09:02:25Z, unless you say: "
        "snap-self confirm"
    )


def test_interruption_tells_where_to_look_whether_it_is_armed() -> None:
    ended = JobEnd(Ending.SIGNALLED, number=15)
    _, talk = ManagerCall(settings=CONFIRMED, job=FakeJob(ended=ended)).answer(RISKY)
    assert "whether a rollback waits all the same: snap-self list; the change" in talk.told[-1]
    _, talk = ManagerCall(job=FakeJob(ended=ended)).answer(RISKY)
    assert "rollback" not in talk.told[-1]


def test_without_the_setting_nothing_of_it_is_asked_or_said() -> None:
    call = ManagerCall()
    _, talk = call.answer(RISKY)
    assert "--confirm-within" not in call.job.asked[0]
    assert not any("by itself" in line for line in talk.told)


@pytest.mark.parametrize(
    "end",
    [UNARMED, JobEnd(Ending.EXITED, status=22), JobEnd(Ending.TIMED_OUT)],
    ids=["not armed", "not called off", "too slow"],
)
def test_change_that_is_not_armed_does_not_go_on_whatever_the_policy(end: JobEnd) -> None:
    call = ManagerCall(settings=CONFIRMED, job=FakeJob(ended=end))
    _, talk = call.answer(RISKY)
    assert [answer.partition(":")[0] for answer in talk.answers] == ["stop"]
    assert "snap-self list" in talk.told[-1]


def test_settings_are_kept_with_it() -> None:
    for within_s in (None, 1800):
        kept = parse_settings(settings_text(ManagerSettings(confirm_within_s=within_s)))
        assert kept is not None
        assert kept.confirm_within_s == within_s
