"""A signal ends a run at any moment; what is said is what the cloud was asked for by then."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from agent_runner import AgentResult, AgentRunner, beside
from ecs_simulator import Simulator
from ecs_simulator.faults import Fault
from recorded_job import made_up_options

LIMIT_S = 90.0
NOTHING = "ended by SIGINT; nothing was asked of the cloud, no snapshot was made"
CREATE = "CreateSnapshotGroup"


# The process's own entry; the signal comes as soon as one is waited for.
EARLY = """
import os, signal, sys
from snap_self.cli import entry
note = entry._note_signals
def noted():
    found = note()
    os.kill(os.getpid(), signal.SIGINT)
    return found
entry._note_signals = noted
sys.argv = ["snap-self", *sys.argv[1:]]
entry.main()
"""


def wait_until(true: Callable[[], object]) -> None:
    """Return when ``true`` is, or fail."""
    end = time.monotonic() + LIMIT_S
    while not true():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.01)


@dataclass
class Scene:
    """A main job that can be held at a moment, and ended there."""

    agent: AgentRunner
    simulator: Simulator
    options: tuple[str, ...]

    def hold(self, action: str, when: str = "") -> None:
        """Have the next call of it get no answer."""
        self.simulator.inject(Fault(kind="hang", action=action, when=when))

    def is_held(self) -> bool:
        """Tell whether that call has arrived."""
        return not self.simulator.api.faults.waiting()

    def records(self) -> list[dict[str, Any]]:
        """Return what the journal has."""
        return [json.loads(p.read_text()) for p in (self.agent.state / "runs").glob("*.json")]

    def is_created(self) -> bool:
        """Tell whether the journal knows the cloud's answer."""
        return any(record["stage"] == "created" for record in self.records())

    def end_when(self, true: Callable[[], object], *form: str) -> AgentResult:
        """Start it, send SIGINT when ``true`` is, and return how it ended."""
        with self.agent.start(*self.options, *form) as running:
            wait_until(lambda: true() or running.process.poll() is not None)
            assert running.process.poll() is None, running.out + running.err
            running.signal(signal.SIGINT)
            return running.wait(30.0)


@pytest.fixture
def scene(agent: AgentRunner, simulator: Simulator, tmp_path: Path) -> Scene:
    options = made_up_options(simulator, tmp_path)
    return Scene(agent.against(simulator), simulator, options)


@pytest.mark.parametrize("action", ["metadata:", "DescribeDisks"])
def test_signal_before_the_create_says_that_nothing_was_asked(scene: Scene, action: str) -> None:
    scene.hold(action)
    ended = scene.end_when(scene.is_held, "--json")
    assert ended.status == 130, ended.err
    assert NOTHING in ended.err
    assert "goes on" not in ended.err
    assert ended.json["interrupted"] == {"signal": "SIGINT", "asked": "nothing"}
    assert (ended.json["exit_status"], ended.json["snapshots"]) == (130, [])
    assert not scene.simulator.dump()["snapshots"]


@pytest.mark.parametrize("when", ["before", "after"])
def test_signal_while_the_create_is_under_way_says_that_it_is_not_known(
    scene: Scene, when: str
) -> None:
    scene.hold(CREATE, when)
    ended = scene.end_when(scene.is_held, "--json")
    assert ended.status == 130, ended.err
    (record,) = scene.records()
    assert "whether it makes one is not known" in ended.err
    assert f"`snap-self show {record['run_id']}`" in ended.err
    assert ended.json["interrupted"]["asked"] == "not-known"
    assert (ended.json["result"], ended.json["run"]["id"]) == ("asked", record["run_id"])
    assert bool(scene.simulator.dump()["snapshots"]) == (when == "after")


@pytest.mark.parametrize("life", [{"cut_s": 600.0}, {"available_s": 600.0}], ids=["cut", "use"])
def test_signal_in_the_wait_names_what_goes_on_and_the_run(
    scene: Scene, life: dict[str, float]
) -> None:
    scene.simulator.set_life(**life, accomplished_s=900.0)
    ended = scene.end_when(scene.is_created, "--json")
    assert ended.status == 130, ended.err
    (record,) = scene.records()
    made = ended.json["snapshots"]
    assert ended.json["interrupted"]["asked"] == "made"
    assert len(made) == 2
    for shot in made:
        assert str(shot["snapshot_id"] or shot["group_id"]) in ended.err
    assert "what the cloud was asked for goes on" in ended.err
    assert f"(run {record['run_id']})" in ended.err
    assert f"`snap-self show {record['run_id']}`" in ended.err


@contextmanager
def _unread(scene: Scene, *words: str) -> Iterator[subprocess.Popen[str]]:
    """Run a command whose standard output has a reader that does not read."""
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
    os.write(writing, b"x" * 4096)
    process = subprocess.Popen(
        [*beside(), sys.executable, "-m", "snap_self", *words],
        stdin=subprocess.DEVNULL,
        stdout=writing,
        stderr=subprocess.PIPE,
        env=scene.agent.environment(),
        cwd="/",
        text=True,
    )
    os.close(writing)
    try:
        yield process
    finally:
        process.kill()
        os.close(reading)


def test_signal_while_the_report_is_not_read_names_what_was_made(scene: Scene) -> None:
    with _unread(scene, *scene.options) as process:
        wait_until(lambda: any(one["stage"] == "finished" for one in scene.records()))
        wait_until(lambda: _waits_to_write(process.pid))
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=30)
    assert process.returncode == 130, said
    (record,) = scene.records()
    for shot in scene.simulator.dump()["snapshots"]:
        assert shot in said
    assert f"(run {record['run_id']})" in said


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_while_the_object_of_run_is_not_read_ends_it_with_the_commands_status(
    scene: Scene, number: signal.Signals
) -> None:
    words = ("run", *scene.options, "--json", "--", "sh", "-c", "exit 7")
    with _unread(scene, *words) as process:
        wait_until(lambda: any("status 7" in str(one.get("outcome")) for one in scene.records()))

        def has_ended() -> bool:
            # One that comes before the object is written is heeded less.
            process.send_signal(number)
            return process.poll() is not None

        wait_until(has_ended)
        _, said = process.communicate(timeout=30)
    assert process.returncode == 7, said


def _waits_to_write(pid: int) -> bool:
    """Tell whether the process waits for room in a pipe; as far as the kernel tells it."""
    where = Path(f"/proc/{pid}/wchan").read_text(encoding="ascii")
    return "pipe_w" in where or where in ("", "0")


def test_signal_in_a_command_that_asks_for_nothing_claims_nothing(scene: Scene) -> None:
    scene.hold("DescribeSnapshots")
    with scene.agent.start("list") as running:
        wait_until(lambda: scene.is_held() or running.process.poll() is not None)
        running.signal(signal.SIGINT)
        ended = running.wait(30.0)
    assert ended.status == 130, ended.err
    assert ended.err == "snap-self: ended by SIGINT\n"


@pytest.mark.parametrize(
    ("words", "status"),
    [((), 130), (("run",), 125)],
    ids=["main job", "run"],
)
def test_signal_while_modules_are_loaded_is_told_like_a_later_one(
    scene: Scene, words: tuple[str, ...], status: int
) -> None:
    early = replace(scene.agent, program=(sys.executable, "-c", EARLY))
    command = ("--", "true") if words else ()
    ended = early.run(*words, *scene.options, "--json", *command)
    assert ended.status == status, ended.err
    assert ended.err == f"snap-self: {NOTHING}\n"
    assert ended.json["exit_status"] == status
    assert not scene.simulator.calls


def test_signal_before_the_command_of_run_is_125_in_words_and_object(scene: Scene) -> None:
    scene.hold("DescribeDisks")
    words = ("run", *scene.options, "--json", "--", "true")
    with scene.agent.start(*words) as running:
        wait_until(lambda: scene.is_held() or running.process.poll() is not None)
        running.signal(signal.SIGINT)
        ended = running.wait(30.0)
    assert ended.status == 125, ended.err
    assert NOTHING in ended.err
    assert ended.json["exit_status"] == 125
    assert ended.json["interrupted"]["asked"] == "nothing"
