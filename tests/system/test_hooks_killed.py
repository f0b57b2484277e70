"""Agent and keeper killed at every step: what was begun is posted, after the thaw."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hook_rig import HookRig, eventually

from snap_self.quiesce.hooks.aftermath import interrupted_hooks
from snap_self.system.state.journal import Journal

pytestmark = pytest.mark.root

WAITS = "while [ ! -e {root}/go ]; do sleep 0.02; done"
SESSION = "echo READY; cat; echo released >>{log}"
# Both of its processes name the rig's folder, so that what is left of them is seen.
SLEEPS = "sh -c 'sleep 60; :' {root} & sh -c 'sleep 61; :' {root}"


@pytest.fixture
def rig() -> Iterator[HookRig]:
    """Return a folder for hooks."""
    rig = HookRig()
    try:
        yield rig
    finally:
        rig.close()


def told(rig: HookRig) -> tuple[tuple[str, str], ...]:
    """Return what the keeper noted for the next command."""
    found = eventually(lambda: interrupted_hooks(Journal(rig.state)))
    assert found.run_id == "run-7"
    return tuple(found.hooks)


def test_agent_killed_before_any_hook_leaves_nothing_to_do(rig: HookRig) -> None:
    rig.hook("10-a")
    agent = rig.agent()
    assert agent.ask("check", 0) == "it was not started"
    agent.kill()
    eventually(lambda: rig.living() == [])
    assert rig.noted() == []
    assert not rig.state.exists()


def test_agent_killed_in_a_pre_part_ends_it_and_posts_it(rig: HookRig) -> None:
    rig.hook("10-a")
    rig.hook("20-b", SLEEPS.format(root=rig.root))
    agent = rig.agent(timeout_s=60)
    assert agent.ask("start", 0) == "ok"
    agent.send("start", 1)
    eventually(lambda: "20-b pre" in rig.noted())
    agent.kill()
    assert told(rig) == (("hook 20-b", ""), ("hook 10-a", ""))
    assert rig.noted()[2:] == ["20-b post interrupted", "10-a post interrupted"]
    assert rig.living() == []


def test_agent_killed_between_two_pre_parts_posts_the_first_only(rig: HookRig) -> None:
    rig.hook("10-a")
    rig.hook("20-b")
    agent = rig.agent()
    assert agent.ask("start", 0) == "ok"
    agent.kill()
    assert told(rig) == (("hook 10-a", ""),)
    assert rig.noted() == ["10-a pre", "10-a post interrupted"]


def test_agent_killed_while_a_session_holds_releases_and_posts_it(rig: HookRig) -> None:
    rig.hook("10-a", SESSION.format(log=rig.log))
    agent = rig.agent()
    assert agent.ask("start", 0) == "ok"
    agent.kill()
    assert told(rig) == (("hook 10-a", ""),)
    assert rig.noted() == ["10-a pre", "released", "10-a post interrupted"]


def test_agent_killed_while_frozen_posts_only_after_the_thaw(rig: HookRig) -> None:
    rig.hook(
        "10-a", f"if [ -e {rig.marker} ]; then echo still frozen >>{rig.log}; fi", phase="post"
    )
    rig.hook("20-b", SESSION.format(log=rig.log))
    agent = rig.agent()
    assert agent.ask("start", 0) == "ok"
    assert agent.ask("start", 1) == "ok"
    keeper = agent.keeper()
    rig.marker.write_text("{}")
    agent.kill()
    agent.process.wait()
    # Long enough for a keeper that does not wait: it needs some 50 ms for both.
    with pytest.raises(AssertionError):
        eventually(lambda: len(rig.noted()) > 2, limit_s=0.5)
    os.kill(keeper, 0)
    rig.marker.unlink()
    assert told(rig) == (("hook 20-b", ""), ("hook 10-a", ""))
    after = ["released", "20-b post interrupted", "10-a post interrupted"]
    assert rig.noted() == ["10-a pre", "20-b pre", *after]


def test_marker_that_is_never_removed_is_waited_for_only_so_long(rig: HookRig) -> None:
    rig.hook("10-a")
    agent = rig.agent()
    assert agent.ask("start", 0) == "ok"
    rig.marker.write_text("{}")
    agent.kill()
    assert told(rig) == (("hook 10-a", ""),)  # the rig's freeze may last 0.1 s: 5.1 s in all


def test_agent_killed_in_a_post_part_lets_it_and_the_others_run(rig: HookRig) -> None:
    rig.hook("10-a")
    rig.hook("20-b", f"{WAITS.format(root=rig.root)}; echo finished >>{rig.log}", phase="post")
    agent = rig.agent()
    assert agent.ask("start", 0) == "ok"
    assert agent.ask("start", 1) == "ok"
    agent.send("stop", 1)
    eventually(lambda: "20-b post cut" in rig.noted())
    agent.kill()
    (rig.root / "go").touch()
    assert told(rig) == (("hook 10-a", ""),)
    assert rig.noted()[2:] == ["20-b post cut", "finished", "10-a post interrupted"]


def test_agent_killed_after_every_post_part_leaves_nothing_to_do(rig: HookRig) -> None:
    rig.hook("10-a")
    agent = rig.agent()
    assert agent.ask("start", 0) == "ok"
    assert agent.ask("stop", 0) == "ok"
    keeper = agent.keeper()
    agent.kill()
    eventually(lambda: not is_running(keeper))
    assert rig.noted() == ["10-a pre", "10-a post cut"]
    assert not rig.state.exists()


def test_post_part_that_fails_alone_is_told_to_the_next_command(rig: HookRig) -> None:
    rig.hook("10-a", "exit 5", phase="post")
    agent = rig.agent()
    assert agent.ask("start", 0) == "ok"
    agent.kill()
    assert told(rig) == (("hook 10-a", "ended with status 5"),)


def is_running(pid: int) -> bool:
    """Tell whether a process is there and not only uncollected."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT])
def test_keeper_outlives_a_signal_that_can_be_caught(rig: HookRig, number: signal.Signals) -> None:
    rig.hook("10-a")
    agent = rig.agent()
    assert agent.ask("start", 0) == "ok"
    os.kill(agent.keeper(), number)
    assert agent.ask("stop", 0) == "ok"
    assert rig.noted() == ["10-a pre", "10-a post cut"]


def test_interrupt_of_the_agent_in_a_pre_part_posts_what_was_begun(rig: HookRig) -> None:
    rig.hook("10-a")
    rig.hook("20-b", SLEEPS.format(root=rig.root))
    agent = rig.agent(timeout_s=60)
    agent.send("session")
    eventually(lambda: "20-b pre" in rig.noted())
    agent.kill(signal.SIGINT)
    assert agent.answer() == "interrupted"
    assert rig.noted()[2:] == ["20-b post failed", "10-a post failed"]
    assert agent.ask("close") == "closed"
    assert rig.living() == [agent.process.pid]


def test_keeper_killed_in_a_pre_part_is_a_failure_and_posts_follow(rig: HookRig) -> None:
    rig.hook("10-a")
    rig.hook("20-b", SLEEPS.format(root=rig.root))
    agent = rig.agent(timeout_s=60)
    agent.send("session")
    eventually(lambda: "20-b pre" in rig.noted())
    os.kill(agent.keeper(), signal.SIGKILL)
    assert agent.answer() == "failed: hook 20-b: the keeper of hooks was killed"
    assert rig.noted()[2:] == ["20-b post failed", "10-a post failed"]
    assert rig.living() == [agent.process.pid]


def test_keeper_killed_while_at_rest_lets_the_agent_run_the_posts(rig: HookRig) -> None:
    rig.hook("10-a")
    rig.hook("20-b")
    agent = rig.agent()
    assert [agent.ask("start", 0), agent.ask("start", 1)] == ["ok", "ok"]
    os.kill(agent.keeper(), signal.SIGKILL)
    assert [agent.ask("stop", 1), agent.ask("stop", 0)] == ["ok", "ok"]
    assert rig.noted()[2:] == ["20-b post cut", "10-a post cut"]


def test_keeper_killed_while_a_session_holds_is_told_by_check(rig: HookRig) -> None:
    rig.hook("10-a", SESSION.format(log=rig.log))
    agent = rig.agent()
    assert [agent.ask("start", 0), agent.ask("check", 0)] == ["ok", "ok"]
    os.kill(agent.keeper(), signal.SIGKILL)
    assert "which ended its session" in agent.ask("check", 0)
    assert agent.ask("stop", 0) == "ok"
    assert rig.noted()[-1] == "10-a post cut"


def test_keeper_killed_in_a_post_part_has_it_run_again_by_the_agent(rig: HookRig) -> None:
    rig.hook("10-a", WAITS.format(root=rig.root), phase="post")
    agent = rig.agent()
    assert agent.ask("start", 0) == "ok"
    agent.send("stop", 0)
    eventually(lambda: "10-a post cut" in rig.noted())
    os.kill(agent.keeper(), signal.SIGKILL)
    (rig.root / "go").touch()
    assert agent.answer() == "ok"
    assert rig.noted() == ["10-a pre", "10-a post cut", "10-a post cut"]


def test_keeper_that_is_stopped_does_not_stop_the_agent_for_ever(rig: HookRig) -> None:
    rig.hook("10-a", SESSION.format(log=rig.log))
    agent = rig.agent()
    assert agent.ask("start", 0) == "ok"
    os.kill(agent.keeper(), signal.SIGSTOP)
    assert "which ended its session" in agent.ask("check", 0)
    assert agent.ask("stop", 0) == "ok"
    assert rig.noted()[-1] == "10-a post cut"


def test_agent_stopped_while_frozen_has_its_hooks_posted_after_the_thaw(rig: HookRig) -> None:
    rig.hook("10-a", SESSION.format(log=rig.log))
    agent = rig.agent()
    assert agent.ask("start", 0) == "ok"
    rig.marker.write_text("{}")
    agent.kill(signal.SIGSTOP)
    with pytest.raises(AssertionError):
        eventually(lambda: len(rig.noted()) > 1, limit_s=1.5)
    rig.marker.unlink()
    eventually(lambda: rig.noted() == ["10-a pre", "released", "10-a post interrupted"])
    agent.kill(signal.SIGCONT)
    told_twice = "it was released, since nothing was heard of the agent any more"
    assert [agent.ask("check", 0), agent.ask("stop", 0)] == [told_twice] * 2
    assert rig.noted()[1:] == ["released", "10-a post interrupted"]


def test_stopped_agent_that_reads_no_long_answer_has_its_hooks_posted_all_the_same(
    rig: HookRig,
) -> None:
    # What it prints is six times as long in JSON.
    flood = "dd if=/dev/zero bs=1024 count=64 2>/dev/null | tr '\\0' '\\1'"
    rig.hook("10-a", f"while [ ! -e {rig.root}/go ]; do sleep 0.02; done; {flood}")
    agent = rig.agent(timeout_s=20)
    agent.send("start", 0)
    eventually(lambda: rig.noted() == ["10-a pre"])
    rig.marker.write_text("{}")
    agent.kill(signal.SIGSTOP)
    (rig.root / "go").touch()
    # The keeper has to see the marker, which is of before the answer, only after it.
    with pytest.raises(AssertionError):
        eventually(lambda: len(rig.noted()) > 1, limit_s=6)
    rig.marker.unlink()
    eventually(lambda: rig.noted() == ["10-a pre", "10-a post interrupted"])
    agent.kill(signal.SIGCONT)
    assert agent.answer() == "ok"
    assert "nothing was heard of the agent" in agent.ask("stop", 0)
