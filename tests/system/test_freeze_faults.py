"""Whatever dies, stops or is told to end: the filesystems are writable again in time."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from freeze_rig import Agent, Rig, rig, skip_reason, traced_and_stopped

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(bool(skip_reason()), reason=skip_reason() or "-"),
]

HOLD_S = 2.0
IN_TIME_S = HOLD_S + 1.0
STEPS = ("prepare", "freeze", "check", "thaw")


@pytest.fixture
def loops(tmp_path: Path) -> Iterator[Rig]:
    with rig(tmp_path) as made:
        made.disk()
        made.disk()
        yield made


def held(loops: Rig) -> Agent:
    """Return an agent that holds all disks frozen."""
    agent = loops.agent(*loops.disks, hold_s=HOLD_S)
    assert agent.do("prepare").startswith("ok")
    assert agent.do("freeze") == "ok"
    assert not loops.writable(loops.disks[0], within_s=0.2)
    return agent


@pytest.mark.parametrize("last", range(len(STEPS)), ids=STEPS)
def test_kill_of_agent_after_each_step_leaves_nothing_frozen(loops: Rig, last: int) -> None:
    agent = loops.agent(*loops.disks, hold_s=HOLD_S)
    for step in STEPS[: last + 1]:
        assert not agent.do(step).startswith("error")
    agent.kill()
    assert loops.all_writable(within_s=IN_TIME_S)
    assert loops.gone(loops.marker, within_s=1)


def test_kill_of_agent_between_marker_and_freeze_leaves_no_marker(loops: Rig) -> None:
    agent = loops.agent(*loops.disks, hold_s=HOLD_S)
    agent.do("prepare")
    assert agent.do("mark") == "ok"
    assert loops.marker.exists()
    agent.kill()
    assert loops.all_writable(within_s=IN_TIME_S)
    assert loops.gone(loops.marker, within_s=1)


def test_marker_of_another_run_outlives_a_run_that_it_stops(loops: Rig) -> None:
    loops.marker.write_text('{"schema": 1,\n "guardian_pid": 1,\n}')
    agent = loops.agent(*loops.disks, hold_s=HOLD_S)
    agent.do("prepare")
    assert "marker of an earlier freeze" in agent.do("freeze")
    agent.close()
    assert loops.marker.exists()


# The warm-up, which freezes for the first time, takes about the first 20 to 60 ms of a freeze.
DELAYS_MS = [0, 1, 2, 4, 8, 16, 32, 48, 64]


@pytest.mark.parametrize("delay_ms", DELAYS_MS)
@pytest.mark.parametrize("victim", ["guardian", "understudy", "both"])
def test_kill_of_a_guardians_process_in_the_midst_of_a_freeze_leaves_nothing_frozen(
    loops: Rig, victim: str, delay_ms: int
) -> None:
    agent = loops.agent(*loops.disks, hold_s=HOLD_S)
    agent.do("prepare")
    victims = [agent.guardian, agent.understudy]
    agent.tell("freeze")
    time.sleep(delay_ms / 1000)
    for pid in victims[victim == "understudy" : 1 + (victim != "guardian")]:
        os.kill(pid, signal.SIGKILL)
    agent.answer()
    agent.do("thaw")
    assert loops.all_writable(within_s=IN_TIME_S)
    agent.settle()
    assert loops.all_writable(within_s=1)
    assert loops.gone(loops.marker, within_s=1)


@pytest.mark.parametrize("delay_ms", DELAYS_MS)
@pytest.mark.parametrize("step", ["freeze", "thaw"])
def test_kill_of_agent_in_the_midst_of_a_step_leaves_nothing_frozen(
    loops: Rig, step: str, delay_ms: int
) -> None:
    agent = loops.agent(*loops.disks, hold_s=HOLD_S)
    agent.do("prepare")
    if step == "thaw":
        agent.do("freeze")
    agent.tell(step)
    time.sleep(delay_ms / 1000)
    agent.kill()
    assert loops.all_writable(within_s=IN_TIME_S)
    agent.settle()  # killed before the first freeze call, it might have come after the look
    assert loops.all_writable(within_s=1)
    assert loops.gone(loops.marker, within_s=1)


def test_kill_of_guardian_while_held_thaws_at_once_and_is_told(loops: Rig) -> None:
    agent = held(loops)
    os.kill(agent.guardian, signal.SIGKILL)
    assert loops.all_writable(within_s=1)
    assert "held=False frozen=[]" in (answer := agent.do("thaw"))
    assert "guardian was killed" in answer
    assert loops.gone(loops.marker, within_s=1)


def test_kill_of_understudy_while_held_thaws_at_once_and_is_told(loops: Rig) -> None:
    agent = held(loops)
    os.kill(agent.understudy, signal.SIGKILL)
    assert loops.all_writable(within_s=1)
    assert "second process was killed" in agent.do("thaw")
    assert loops.gone(loops.marker, within_s=1)


def test_kill_of_agent_and_guardian_leaves_the_understudy_to_thaw(loops: Rig) -> None:
    agent = held(loops)
    os.kill(agent.guardian, signal.SIGKILL)
    agent.kill()
    assert loops.all_writable(within_s=IN_TIME_S)
    assert loops.gone(loops.marker, within_s=1)


def test_kill_of_guardian_and_understudy_leaves_the_agent_to_thaw(loops: Rig) -> None:
    agent = held(loops)
    os.kill(agent.understudy, signal.SIGSTOP)  # so that it cannot act on the guardian's death
    os.kill(agent.guardian, signal.SIGKILL)
    os.kill(agent.understudy, signal.SIGKILL)
    assert not loops.writable(loops.disks[1], within_s=0.2)
    assert agent.do("check") == "False"
    assert "held=False frozen=[]" in agent.do("thaw")
    assert loops.all_writable(within_s=1)
    assert loops.gone(loops.marker, within_s=1)


def test_kill_of_all_three_leaves_a_marker_by_which_the_next_run_thaws(loops: Rig) -> None:
    agent = held(loops)
    for pid in (agent.understudy, agent.guardian, agent.process.pid):
        os.kill(pid, signal.SIGSTOP)
    for pid in (agent.understudy, agent.guardian, agent.process.pid):
        os.kill(pid, signal.SIGKILL)
    assert not loops.writable(loops.disks[1], within_s=0.2)
    assert loops.marker.exists()
    answer = loops.agent(*loops.disks).do("recover")
    assert answer.count("THAWED") == 2
    assert loops.all_writable(within_s=1)
    assert loops.gone(loops.marker, within_s=1)


@pytest.mark.parametrize("agent_too", [False, True], ids=["both", "agent too"])
def test_recovery_while_guardian_and_understudy_are_stopped_ends_the_freeze(
    loops: Rig, agent_too: bool
) -> None:
    agent = held(loops)
    for pid in (agent.understudy, agent.guardian, *([agent.process.pid] * agent_too)):
        os.kill(pid, signal.SIGSTOP)
    assert not loops.writable(loops.disks[1], within_s=0.2)
    try:
        answer = loops.agent(*loops.disks).do("recover")
    finally:
        os.kill(agent.process.pid, signal.SIGCONT)
    assert answer.startswith("its guardian was alive and thawed everything"), answer
    assert loops.all_writable(within_s=1)
    assert loops.gone(loops.marker, within_s=1)
    assert "held=False frozen=[]" in agent.do("thaw")


def test_recovery_while_a_debugger_holds_the_guardian_ends_the_freeze(loops: Rig) -> None:
    agent = held(loops)
    with traced_and_stopped(agent.guardian, agent.understudy):
        assert not loops.writable(loops.disks[1], within_s=0.2)
        answer = loops.agent(*loops.disks).do("recover")
        assert answer.count("THAWED") == 2, answer
        assert loops.all_writable(within_s=1)
    assert loops.gone(loops.marker, within_s=1)


def test_recovery_while_the_guardian_lives_lets_it_thaw(loops: Rig) -> None:
    held(loops)
    assert "guardian was alive" in loops.agent(*loops.disks).do("recover")
    assert loops.all_writable(within_s=1)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_ending_signal_to_guardian_thaws_first(loops: Rig, number: signal.Signals) -> None:
    agent = held(loops)
    os.kill(agent.guardian, number)
    assert loops.all_writable(within_s=1)
    answer = agent.do("thaw")
    assert "held=False frozen=[]" in answer
    assert f"by process {os.getpid()} " in answer


def test_ending_signal_to_understudy_is_left_to_the_guardian(loops: Rig) -> None:
    agent = held(loops)
    os.kill(agent.understudy, signal.SIGTERM)
    assert agent.do("check") == "True"
    assert "held=True" in agent.do("thaw")


def test_terminate_to_process_group_of_agent_thaws(loops: Rig) -> None:
    agent = held(loops)
    os.killpg(agent.process.pid, signal.SIGTERM)
    assert loops.all_writable(within_s=IN_TIME_S)
    assert loops.gone(loops.marker, within_s=1)


def test_stopped_agent_meets_the_deadline_and_is_told_later(loops: Rig) -> None:
    agent = held(loops)
    os.kill(agent.process.pid, signal.SIGSTOP)
    assert loops.all_writable(within_s=IN_TIME_S)
    os.kill(agent.process.pid, signal.SIGCONT)
    assert agent.do("check") == "False"
    assert "time limit" in agent.do("thaw")


@pytest.mark.parametrize("agent_too", [False, True], ids=["guardian", "guardian and agent"])
def test_stopped_guardian_is_replaced_behind_the_deadline(loops: Rig, agent_too: bool) -> None:
    agent = held(loops)
    os.kill(agent.guardian, signal.SIGSTOP)
    if agent_too:
        os.kill(agent.process.pid, signal.SIGSTOP)
    assert loops.all_writable(within_s=IN_TIME_S)
    os.kill(agent.process.pid, signal.SIGCONT)
    assert "replaced" in agent.do("thaw")
    assert loops.gone(loops.marker, within_s=1)


def test_deadline_ends_the_hold_when_nothing_is_asked(loops: Rig) -> None:
    agent = held(loops)
    assert loops.all_writable(within_s=IN_TIME_S)
    assert "held=False frozen=[]" in (answer := agent.do("thaw"))
    assert "time limit" in answer


def test_error_in_the_agent_while_held_thaws_on_leaving(loops: Rig) -> None:
    agent = held(loops)
    assert agent.process.stdin is not None
    agent.process.stdin.close()  # its loop ends without a thaw asked
    assert loops.all_writable(within_s=1)
    assert agent.process.wait(5) == 0
    assert loops.gone(loops.marker, within_s=1)
