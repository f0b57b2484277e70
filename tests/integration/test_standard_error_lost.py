"""Whatever becomes of standard error, a command does the same and ends with the same status."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from agent_runner import AgentRunner, beside
from ecs_simulator import Simulator
from lost_streams import full, gone, unread
from recorded_job import made_up_options

LIMIT_S = 60.0
# What the agent may wait for a reader, and its own work.
IN_TIME_S = 20.0


@pytest.fixture
def made_up(simulator: Simulator, tmp_path: Path) -> tuple[str, ...]:
    """Return the options of a main job on a machine that has the simulated disks."""
    return (*made_up_options(simulator, tmp_path), "-v")


LOSSES = {"full": full, "gone": gone, "unread": unread}


def _end(agent: AgentRunner, stderr: int, *words: str) -> tuple[int, bytes, float]:
    """Run a command with this standard error; return status, output and how long it took."""
    began = time.monotonic()
    done = subprocess.run(
        [*beside(), sys.executable, "-m", "snap_self", *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=stderr,
        env=agent.environment(),
        cwd="/",
        check=False,
        timeout=LIMIT_S,
    )
    return done.returncode, done.stdout, time.monotonic() - began


@pytest.mark.parametrize("loss", list(LOSSES))
def test_main_job_when_nobody_takes_its_messages_then_makes_what_was_asked(
    agent: AgentRunner, simulator: Simulator, made_up: tuple[str, ...], loss: str
) -> None:
    with LOSSES[loss]() as stderr:
        status, out, took_s = _end(agent.against(simulator), stderr, *made_up)
    assert status == 0
    assert [line.split()[0] for line in out.decode().splitlines()] == ["Snapshot", "Snapshot"]
    assert len(simulator.dump()["snapshots"]) == 2
    assert took_s < IN_TIME_S


@pytest.mark.parametrize("loss", list(LOSSES))
def test_command_of_run_when_nobody_takes_messages_then_is_started_and_passed_on(
    agent: AgentRunner, simulator: Simulator, made_up: tuple[str, ...], loss: str
) -> None:
    words = ("run", *made_up, "--", "sh", "-c", "echo started; exit 7")
    with LOSSES[loss]() as stderr:
        status, out, _ = _end(agent.against(simulator), stderr, *words)
    assert (status, out) == (7, b"started\n")


@pytest.mark.parametrize("loss", list(LOSSES))
@pytest.mark.parametrize(
    ("words", "status"),
    [(("plan", "--recorded", "/nowhere"), 2), (("--bogus",), 2), (("list", "--json"), 4)],
    ids=lambda words: words[0] if isinstance(words, tuple) else str(words),
)
def test_failure_when_nobody_takes_messages_then_keeps_its_status(
    agent: AgentRunner, loss: str, words: tuple[str, ...], status: int
) -> None:
    nowhere = agent.with_env(
        SNAP_SELF_METADATA_URL="http://127.0.0.1:1", SNAP_SELF_ECS_ENDPOINT="http://127.0.0.1:1"
    )
    with LOSSES[loss]() as stderr:
        ended, out, _ = _end(nowhere, stderr, *words)
    assert ended == status
    if "--json" in words:
        assert json.loads(out)["exit_status"] == status


def test_closed_standard_error_changes_nothing(
    agent: AgentRunner, simulator: Simulator, made_up: tuple[str, ...]
) -> None:
    closed = agent.against(simulator).with_wrapper("sh", "-c", 'exec "$@" 2>&-', "sh")
    result = closed.run(*made_up)
    assert result.status == 0
    assert len(simulator.dump()["snapshots"]) == 2
