"""What the border says when a command does not come to its end."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator

import pytest

from snap_self.cli.app import program
from snap_self.cli.boundary import tell, tell_interrupted
from snap_self.cli.invocation import _STARTED, note_start
from snap_self.cli.run import status_of_failure
from snap_self.errors import ConfigError, EnvironmentFault
from snap_self.model.command import Ended
from snap_self.output.streams import Streams, make_streams


def _streams(*, as_json: bool) -> Streams:
    return make_streams(io.StringIO(), io.StringIO(), env={}, verbosity=0, json=as_json)


@pytest.mark.parametrize(("number", "status"), [(2, 130), (15, 143)])
def test_signal_when_json_is_asked_for_then_there_is_one_object_with_the_status(
    number: int, status: int
) -> None:
    streams = _streams(as_json=True)
    assert tell_interrupted(streams, number) == status
    said = json.loads(streams.out.getvalue())  # type: ignore[attr-defined]
    assert (said["exit_status"], said["error"]["code"]) == (status, "ended-by-signal")


def test_signal_when_text_is_asked_for_then_stdout_stays_empty() -> None:
    streams = _streams(as_json=False)
    tell_interrupted(streams, 15)
    assert streams.out.getvalue() == ""  # type: ignore[attr-defined]
    assert "SIGTERM" in streams.err.getvalue()  # type: ignore[attr-defined]


def test_fault_when_json_is_asked_for_then_the_object_has_what_the_command_adds() -> None:
    streams = _streams(as_json=True)
    status = tell(streams, EnvironmentFault("no"), {"cmd": {"argv": ["true"]}})
    said = json.loads(streams.out.getvalue())  # type: ignore[attr-defined]
    assert (status, said["exit_status"], said["cmd"]) == (4, 4, {"argv": ["true"]})


def test_memory_that_runs_out_is_the_machines_fault_and_no_bug() -> None:
    streams = _streams(as_json=True)
    assert tell(streams, MemoryError()) == 4
    assert json.loads(streams.out.getvalue())["error"]["code"] == "environment"  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("started", "ending", "status"),
    [
        (False, None, 125),
        (True, None, 1),
        (True, Ended(status=7), 7),
        (True, Ended(status=0), 1),
    ],
    ids=["not started", "not ended", "failed", "done"],
)
def test_bug_in_run_is_125_only_if_the_command_was_not_started(
    started: bool, ending: Ended | None, status: int
) -> None:
    assert status_of_failure(1, started=started, ending=ending) == status


@pytest.fixture
def started_as_plugin() -> Iterator[None]:
    """Have the process started as a monitoring plugin."""
    note_start(("check",), program)
    yield
    _STARTED.clear()


@pytest.mark.usefixtures("started_as_plugin")
def test_plugin_that_fails_or_is_ended_says_one_line_on_standard_output() -> None:
    for say, told in (
        (lambda to: tell(to, EnvironmentFault("no", hint="mend")), "no (mend)"),
        (lambda to: tell(to, ConfigError("2 faults:", faults=("a", "b"))), "2 faults: a b"),
        (lambda to: tell_interrupted(to, 15), "ended by SIGTERM"),
    ):
        streams = _streams(as_json=False)
        say(streams)
        assert streams.out.getvalue() == f"SNAP-SELF UNKNOWN - {told}\n"  # type: ignore[attr-defined]
        assert streams.err.getvalue() == ""  # type: ignore[attr-defined]
