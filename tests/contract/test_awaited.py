"""Which changes are waited for, on disk and in memory."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

import pytest

from fakes.looking import MemoryAwaited
from snap_self.errors import StateUnusable
from snap_self.model.awaited import AwaitedChange, process_of
from snap_self.model.ids import RunId
from snap_self.ports_looking_back import AwaitedChanges
from snap_self.system.state.awaited import FOLDER, AwaitedFiles

CHANGE = AwaitedChange(
    run_id=RunId("20261122t083225z-000001"),
    pid=4711,
    pid_started=99,
    boot_id="boot",
    since=datetime(2026, 11, 22, 8, 32, 25, tzinfo=timezone.utc),
)
OTHER = replace(CHANGE, pid=4712)


@pytest.fixture(params=["files", "memory"])
def awaited(request: pytest.FixtureRequest, tmp_path: Path) -> AwaitedChanges:
    """Return the real one and its twin."""
    return AwaitedFiles(tmp_path / "state") if request.param == "files" else MemoryAwaited()


def test_nothing_is_waited_for_at_first(awaited: AwaitedChanges) -> None:
    assert list(awaited.all()) == []
    awaited.forget(CHANGE)


def test_change_is_kept_as_it_was_told(awaited: AwaitedChanges) -> None:
    awaited.add(CHANGE)
    assert list(awaited.all()) == [CHANGE]


def test_two_changes_of_one_run_are_two(awaited: AwaitedChanges) -> None:
    awaited.add(CHANGE)
    awaited.add(OTHER)
    awaited.add(replace(OTHER, boot_id="other"))
    awaited.forget(CHANGE)
    assert list(awaited.all()) == [replace(OTHER, boot_id="other")]


def test_reading_creates_nothing(tmp_path: Path) -> None:
    AwaitedFiles(tmp_path / "state").all()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("held", ["", "no json", "[]", '{"run_id": 7}'])
def test_file_that_cannot_be_read_counts_as_none(tmp_path: Path, held: str) -> None:
    files = AwaitedFiles(tmp_path)
    files.add(CHANGE)
    (path,) = (tmp_path / FOLDER).iterdir()
    path.write_text(held)
    assert list(files.all()) == []


def test_state_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / FOLDER).write_text("no folder")
    with pytest.raises(StateUnusable):
        AwaitedFiles(tmp_path).add(CHANGE)


@pytest.mark.parametrize(
    ("key", "process"),
    [
        ("4711:99", (4711, 99)),
        ("", None),
        ("4711", None),
        ("0:1", None),
        ("-1:1", None),
        ("1:1x", None),
        ("../1:1", None),
        ("１:1", None),
    ],
)
def test_process_is_told_by_its_id_and_start(key: str, process: object) -> None:
    assert process_of(key) == process
