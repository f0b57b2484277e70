"""One machine, one lock: a freeze that is alive is ended by no command with another state."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hold_rig import Machine, Scene, level_of, machine, scene

from agent_runner import AgentRunner

pytestmark = pytest.mark.root

CUT_S = 1.0


@pytest.fixture(scope="module")
def one_machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    with machine(tmp_path_factory.mktemp("machine"), "ext4") as found:
        yield found


@pytest.fixture
def frozen(
    agent: AgentRunner, one_machine: Machine, request: pytest.FixtureRequest
) -> Iterator[Scene]:
    with scene(agent, one_machine, request.node.name) as found:
        found.cloud.life(cut_s=CUT_S, available_s=CUT_S)
        yield found


@pytest.mark.parametrize("command", [("list",), ("doctor",), ("prune", "--dry-run")], ids=" ".join)
def test_command_with_another_state_leaves_a_living_freeze_alone(
    frozen: Scene, tmp_path: Path, command: tuple[str, ...]
) -> None:
    with frozen.start(level="filesystem") as running:
        frozen.wait_frozen(running)
        frozen.agent.with_env(SNAP_SELF_STATE_DIR=str(tmp_path / "other")).run(*command)
        done = running.wait()
    assert (done.status, level_of(done)) == (0, "filesystem"), done.out


def test_run_with_another_state_waits_for_the_one_that_is_going_on(
    frozen: Scene, tmp_path: Path
) -> None:
    other = frozen.agent.with_env(SNAP_SELF_STATE_DIR=str(tmp_path / "other"))
    with frozen.start(level="filesystem") as running:
        frozen.wait_frozen(running)
        second = other.run(*frozen.job(level="filesystem"))
        first = running.wait()
    assert (first.status, level_of(first)) == (0, "filesystem"), first.err
    assert (second.status, level_of(second)) == (0, "filesystem"), second.err
    assert first.json["run"]["finished"] <= second.json["run"]["finished"]


def test_run_on_a_machine_whose_run_folder_cannot_be_written_is_made_all_the_same(
    agent: AgentRunner, one_machine: Machine
) -> None:
    read_only = 'mount -t tmpfs -o ro,mode=0700 tmpfs /run/snap-self && exec "$0" "$@"'
    runner = agent.against(one_machine.cloud).with_wrapper(
        "unshare", "--mount", "sh", "-c", read_only
    )
    done = runner.run("--before", "x", "--json")
    assert (done.status, level_of(done)) == (0, "flush"), done.out
