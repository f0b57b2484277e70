"""A hook gives its job longer where nobody waits at a terminal, and says so."""

from __future__ import annotations

import pytest

from fakes.hook_call import FakeJob, FakeManagerMachine, ManagerCall
from snap_self.model.job_end import DELAYED, THROTTLED, Ending, JobEnd
from snap_self.model.manager_settings import ManagerSettings
from snap_self.model.packages import INSTALL, Package, Transaction

RISKY = Transaction("apt", [Package("libc6", INSTALL, new="2")])
SPREAD = ManagerSettings(spread_s=600)


def call(
    settings: ManagerSettings | None = None, *, terminal: bool = False, **env: str
) -> ManagerCall:
    notices = ((DELAYED, 77.0), (THROTTLED, 0.0))
    return ManagerCall(
        settings=settings or ManagerSettings(),
        machine=FakeManagerMachine(terminal=terminal),
        job=FakeJob(notices=notices),
        env=env,
    )


def extension(one: ManagerCall) -> tuple[float, float]:
    (longer,) = one.job.longer
    assert longer is not None
    return longer.throttled_s, longer.spread_s


def test_without_a_terminal_a_throttled_job_may_take_longer_and_that_is_said() -> None:
    one = call()
    _, talk = one.answer(RISKY)
    (longer,) = one.job.longer
    assert longer is not None
    assert (one.job.limits, longer.throttled_s, longer.spread_s) == ([60.0], 300.0, 0.0)
    assert one.job.asked[0]["--timeout"] == "295s"
    assert "for at most 60 s" in talk.told[0]
    assert any("too many calls in this account" in line and "300 s" in line for line in talk.told)


def test_at_a_terminal_it_may_not() -> None:
    one = call(SPREAD, terminal=True)
    _, talk = one.answer(RISKY)
    assert not any("nobody waits" in line for line in talk.told if "beginning" not in line)
    assert (one.job.limits, extension(one)) == ([60.0], (60.0, 0.0))
    assert one.job.asked[0]["--timeout"] == "55s"
    assert "--spread" not in one.job.asked[0]


def test_spread_goes_before_and_is_said() -> None:
    one = call(SPREAD)
    _, talk = one.answer(RISKY)
    (longer,) = one.job.longer
    assert longer is not None
    assert (longer.spread_s, one.job.asked[0]["--spread"]) == (600.0, "600s")
    assert any("beginning in 77 s" in line for line in talk.told)


def test_while_the_system_is_shut_down_nothing_is_longer() -> None:
    one = call(SPREAD)
    one.machine.stopping = True
    one.answer(RISKY)
    assert (one.job.limits, extension(one)) == ([20.0], (20.0, 0.0))


@pytest.mark.parametrize(
    ("env", "throttled_s"),
    [
        ({"SNAP_SELF_HOOK_LIMIT": "65", "SNAP_SELF_HOOK_LONGEST": "305"}, 300.0),
        ({"SNAP_SELF_HOOK_LIMIT": "65", "SNAP_SELF_HOOK_LONGEST": "105"}, 100.0),
        # A guard of an earlier version, or at a terminal.
        ({"SNAP_SELF_HOOK_LIMIT": "65"}, 60.0),
        ({"SNAP_SELF_HOOK_LIMIT": "65", "SNAP_SELF_HOOK_LONGEST": "65"}, 60.0),
    ],
)
def test_guard_bounds_how_much_longer(env: dict[str, str], throttled_s: float) -> None:
    one = call(**env)
    one.answer(RISKY)
    assert extension(one)[0] == throttled_s


def test_action_that_was_spread_once_is_not_delayed_again() -> None:
    one = call(SPREAD)
    one.job.ended = JobEnd(Ending.EXITED, status=8, out=b"", took_s=20.0)
    one.answer(RISKY)
    one.machine.up_s += 500.0
    one.answer(RISKY)
    assert ["--spread" in asked for asked in one.job.asked] == [True, False]
    assert [longer and longer.spread_s for longer in one.job.longer] == [600.0, 0.0]


def test_action_that_is_another_one_is_spread_too() -> None:
    one = call(SPREAD)
    one.answer(RISKY)
    one.machine.above += 1
    one.answer(RISKY)
    assert ["--spread" in asked for asked in one.job.asked] == [True, True]
