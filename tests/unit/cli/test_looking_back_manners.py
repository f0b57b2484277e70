"""What commands do about copies: in nobody's way, after their own work, and not for ever."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, cast

import pytest

from snap_self.cli import asking, prune, show, snapshot
from snap_self.cli import list as listing
from snap_self.cli.options import Manner
from snap_self.cli.session import Session
from snap_self.cli.wiring import copies_lock, run_lock
from snap_self.system.clock import SystemClock


class Stopped(Exception):
    """The test has seen enough."""


@dataclass
class AnyTools:
    """Tools that nobody uses."""

    manifests: object = None


def no_more(*_: object, **__: object) -> None:
    """Do nothing."""


def run_prune() -> int:
    options = prune.PruneOptions(
        keep_last=None, keep_per_text=None, force=False, yes=True, dry_run=False
    )
    return prune.run_prune(options, cast("Manner", None))


@pytest.mark.parametrize(
    ("module", "use_case", "write", "run"),
    [
        (listing, "list_snapshots", "write_listing", lambda: listing.run_list(cast("Any", None))),
        (show, "show", "write_shown", lambda: show.run_show("last", cast("Any", None))),
        (prune, "prune", "write_pruned", run_prune),
    ],
    ids=["list", "show", "prune"],
)
def test_output_is_written_before_what_is_left_is_ended(
    monkeypatch: pytest.MonkeyPatch,
    module: ModuleType,
    use_case: str,
    write: str,
    run: Callable[[], int],
) -> None:
    done: list[str] = []

    @contextmanager
    def session(_: object, *, sweeps: bool) -> Iterator[object]:
        config = SimpleNamespace(state=SimpleNamespace(dir=Path("/none")))
        yield SimpleNamespace(
            tools=AnyTools,
            adapters=SimpleNamespace(clock=SystemClock()),
            streams=None,
            config=config,
            end_progress=lambda: done.append("progress ends"),
        )
        done.append("sweep" if sweeps else "")

    monkeypatch.setattr(module, "open_session", session)
    monkeypatch.setattr(module, "manifest_tools", no_more, raising=False)
    monkeypatch.setattr(
        module,
        use_case,
        lambda *_, **__: SimpleNamespace(exit_status=0, snapshots=(), outcomes=()),
    )
    monkeypatch.setattr(module, "noted", lambda found, *_: found, raising=False)
    monkeypatch.setattr(module, write, lambda *_, **__: done.append("write"))
    assert run() == 0
    assert done == ["progress ends", "write", "sweep"]


def test_snapshot_ends_nothing_that_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, object]] = []

    def session(*_: object, **how: object) -> None:
        asked.append(how)
        raise Stopped

    monkeypatch.setattr(snapshot, "open_session", session)
    with pytest.raises(Stopped):
        snapshot.run_snapshot({}, cast("Manner", None), recorded=None, notices=-1)
    assert not asked[0].get("sweeps")


def test_copies_and_runs_do_not_wait_for_each_other(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("snap_self.cli.wiring.RUN_DIRECTORY", tmp_path / "run")
    config = SimpleNamespace(state=SimpleNamespace(dir=tmp_path / "state"))
    runs = run_lock(cast("Any", SimpleNamespace(config=config, clock=SystemClock())))
    copies = copies_lock(config.state.dir, SystemClock())
    again = copies_lock(config.state.dir, SystemClock())
    with copies.attempt(purpose="restore") as held, runs.attempt(purpose="job") as free:
        assert (held, free) == (True, True)
        with again.attempt(purpose="mount") as second:
            assert not second


# --- questions -------------------------------------------------------------------------------


class Told(SimpleNamespace):
    """A session whose words are kept."""

    def __init__(self) -> None:
        self.said: list[str] = []
        super().__init__(
            streams=SimpleNamespace(fault=self.said.append),
            adapters=SimpleNamespace(gate=no_more),
        )


def ask(told: Told) -> bool:
    return asking.agreed(cast("Session", told), "Really?")


def test_question_that_nobody_answers_is_taken_as_no(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    with os.fdopen(reading) as silent, os.fdopen(writing, "w"):
        monkeypatch.setattr("sys.stdin", SimpleNamespace(fileno=silent.fileno, readline=no_more))
        monkeypatch.setattr(asking, "ANSWER_S", 0.0)
        told = Told()
        assert not ask(told)
    assert "taken as no" in told.said[-1]


@pytest.mark.parametrize(("answer", "yes"), [("y\n", True), ("Yes\n", True), ("n\n", False)])
def test_answer_is_taken(monkeypatch: pytest.MonkeyPatch, answer: str, *, yes: bool) -> None:
    reading, writing = os.pipe()
    with os.fdopen(reading) as terminal, os.fdopen(writing, "w") as person:
        person.write(answer)
        person.flush()
        monkeypatch.setattr("sys.stdin", terminal)
        assert ask(Told()) is yes


def test_end_of_all_input_is_a_no(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", StringIO(""))
    assert not ask(Told())
