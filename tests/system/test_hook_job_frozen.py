"""A hook's limit while filesystems are frozen: the change goes on over thawed ones."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from freeze_rig import skip_reason
from hold_rig import Machine, Scene, machine, scene
from main_job_rig import wait_until

from agent_runner import AgentRunner, RunningAgent

WHY_NOT = skip_reason(("ext4", "xfs"))
pytestmark = [pytest.mark.root, pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT or "-")]

CREATE = "CreateSnapshotGroup"
PROGRAM = str(Path(__file__).with_name("hook_job_program.py"))
# Less than the freeze's own limit, so that it is the hook's that ends it.
HOOK_LIMIT_S = 8.0
FREEZE_LIMIT = "20s"


@pytest.fixture(scope="module")
def running_machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    with machine(tmp_path_factory.mktemp("hook"), "ext4", "xfs") as made:
        yield made


@pytest.fixture
def one(
    agent: AgentRunner, running_machine: Machine, request: pytest.FixtureRequest
) -> Iterator[Scene]:
    with scene(agent, running_machine, request.node.name) as made:
        hook = (*made.agent.wrapper, sys.executable, PROGRAM, str(HOOK_LIMIT_S))
        made.agent = made.agent.with_wrapper(*hook).with_env(SNAP_SELF_FREEZE_LIMIT=FREEZE_LIMIT)
        yield made


def children(pid: int) -> list[int]:
    """Return the processes that a process started."""
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def job_of(hook: RunningAgent) -> int:
    """Return the main job that a hook waits for."""
    (job,) = children(hook.pid)
    assert b"--consistency" in Path(f"/proc/{job}/cmdline").read_bytes()
    return job


def held_up_no_longer(one: Scene, hook: RunningAgent) -> None:
    done = hook.wait()
    word, _, took = done.out.rpartition(" ")
    assert word == "TIMED_OUT", done.err
    assert float(took) <= HOOK_LIMIT_S + 1
    one.wait_thawed()
    assert max(probe.longest_s for probe in one.probes) <= HOOK_LIMIT_S + 1


def test_job_that_waits_for_the_cloud_while_frozen_is_ended_and_thawed(one: Scene) -> None:
    one.hang(CREATE)
    with one.start(level="filesystem") as hook:
        one.wait_frozen(hook)
        held_up_no_longer(one, hook)
    assert one.was_frozen()


def test_job_that_does_not_heed_is_killed_whole_and_its_guardians_thaw(one: Scene) -> None:
    one.hang(CREATE)
    with one.start(level="filesystem") as hook:
        one.wait_frozen(hook)
        job = job_of(hook)
        os.kill(job, signal.SIGSTOP)
        held_up_no_longer(one, hook)
    wait_until(lambda: not Path(f"/proc/{job}").exists(), "the job's end")
    assert one.was_frozen()


def test_hook_that_is_interrupted_while_frozen_ends_its_job_which_thaws(one: Scene) -> None:
    one.hang(CREATE)
    with one.start(level="filesystem") as hook:
        one.wait_frozen(hook)
        job = job_of(hook)
        hook.signal(signal.SIGINT)
        assert hook.wait().out.startswith("SIGNALLED ")
        one.wait_thawed()
    wait_until(lambda: not Path(f"/proc/{job}").exists(), "the job's end")
