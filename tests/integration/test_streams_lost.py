"""Whatever becomes of standard output, a snapshot that was made keeps its status."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from agent_runner import AgentRunner, beside
from ecs_simulator import Simulator
from lost_streams import full, gone
from recorded_job import made_up_options

LIMIT_S = 120.0
NOWHERE = {
    "SNAP_SELF_METADATA_URL": "http://127.0.0.1:1",
    "SNAP_SELF_ECS_ENDPOINT": "http://127.0.0.1:1",
}


@pytest.fixture
def made_up(simulator: Simulator, tmp_path: Path) -> tuple[str, ...]:
    return made_up_options(simulator, tmp_path)


LOSSES = {"full": full, "gone": gone}
# What a command ends with whose output was all that was asked of it.
UNSAID = {"full": 4, "gone": 128 + signal.SIGPIPE}


def _end(agent: AgentRunner, stdout: int, *words: str) -> tuple[int, str]:
    """Run a command with this standard output; return its status and its messages."""
    done = subprocess.run(
        [*beside(), sys.executable, "-m", "snap_self", *words],
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        env=agent.environment(),
        cwd="/",
        check=False,
        timeout=LIMIT_S,
    )
    return done.returncode, done.stderr


@pytest.mark.parametrize("form", [(), ("--json",), ("--quiet",)], ids=["text", "json", "quiet"])
@pytest.mark.parametrize("loss", list(LOSSES))
def test_main_job_when_nobody_takes_its_output_then_keeps_the_status_of_the_snapshot(
    agent: AgentRunner,
    simulator: Simulator,
    made_up: tuple[str, ...],
    loss: str,
    form: tuple[str, ...],
) -> None:
    with LOSSES[loss]() as stdout:
        status, said = _end(agent.against(simulator), stdout, *made_up, *form)
    assert status == 0, said
    assert len(simulator.dump()["snapshots"]) == 2
    assert ("standard output cannot be written" in said) == (loss == "full")
    assert "bug" not in said
    if not form:
        assert "Safe to go on with: x" in said


@pytest.mark.parametrize("ends", [0, 7])
@pytest.mark.parametrize("loss", list(LOSSES))
def test_run_when_nobody_takes_its_object_then_passes_the_commands_status_on(
    agent: AgentRunner, simulator: Simulator, made_up: tuple[str, ...], loss: str, ends: int
) -> None:
    words = ("run", *made_up, "--json", "--", "sh", "-c", f"exit {ends}")
    with LOSSES[loss]() as stdout:
        status, said = _end(agent.against(simulator), stdout, *words)
    assert status == ends, said
    assert "bug" not in said


@pytest.mark.parametrize(
    "words",
    [("--help",), ("--version",), ("list", "--help"), ("hook", "--help"), ("hook", "status")],
    ids=" ".join,
)
@pytest.mark.parametrize("loss", list(LOSSES))
def test_command_that_only_tells_when_nobody_takes_it_then_is_no_success_and_no_bug(
    agent: AgentRunner, loss: str, words: tuple[str, ...]
) -> None:
    with LOSSES[loss]() as stdout:
        status, said = _end(agent.with_env(**NOWHERE), stdout, *words)
    assert status == UNSAID[loss], said
    assert "bug" not in said
    assert not (agent.state / "bugs").exists()


def test_closed_output_is_told_as_closed(agent: AgentRunner) -> None:
    closed = agent.with_wrapper("sh", "-c", 'exec "$@" >&-', "sh")
    result = closed.run("--version")
    assert result.status == 4
    assert result.err == "snap-self: standard output cannot be written: it is closed\n"


def test_closed_input_is_no_terminal_to_show_a_dry_run_on(agent: AgentRunner) -> None:
    closed = agent.with_wrapper("sh", "-c", 'exec "$@" <&-', "sh")
    result = closed.run("prune")
    assert result.status == 2, result.err
    assert "no terminal" in result.err


@pytest.mark.parametrize(
    "words",
    [
        ("run", "--bogus", "--", "true"),
        ("run",),
        ("run", "--before", "x", "--wait", "never", "--", "true"),
        ("run", "--", "true"),
        ("--before", "x", "run", "--", "true"),
        ("run", "--before", "x", "--", "true"),
    ],
    ids=" ".join,
)
@pytest.mark.parametrize("form", [(), ("--json",)], ids=["text", "json"])
def test_failure_of_run_itself_is_125_in_words_and_object(
    agent: AgentRunner, words: tuple[str, ...], form: tuple[str, ...]
) -> None:
    at = words.index("run") + 1
    result = agent.with_env(**NOWHERE).run(*words[:at], *form, *words[at:])
    assert result.status == 125, result.err
    if form:
        assert result.json["exit_status"] in (4, 125)
