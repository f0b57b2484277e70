"""What is remembered between two messages of a robot: the file and its twin."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from fakes.clock import START, FakeClock
from fakes.notifying import FakePace
from snap_self.model.notifying import Pace
from snap_self.ports import NoticePace
from snap_self.system.state.files import make_private_folder
from snap_self.system.watching.pace_file import PaceFile

FULL = Pace(sent=START, muted_until=START, held={"failed": 2}, held_since=START)


def file_in(folder: Path) -> PaceFile:
    path = folder / "own" / "notified.json"
    return PaceFile(path=path, clock=FakeClock(), make_folder=make_private_folder)


@pytest.mark.parametrize("make", [file_in, lambda folder: FakePace()], ids=["file", "twin"])
def test_what_is_remembered_is_what_the_last_change_made_of_it(
    make: Callable[[Path], NoticePace], tmp_path: Path
) -> None:
    pace = make(tmp_path)
    seen: list[Pace] = []

    def note(before: Pace) -> Pace:
        seen.append(before)
        return FULL if len(seen) == 1 else replace(before, held={})

    assert pace.change(note) == FULL
    assert pace.change(note) == replace(FULL, held={})
    assert pace.change(note) == replace(FULL, held={})
    assert seen == [Pace(), FULL, replace(FULL, held={})]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"sent": 7}', b"\xff" * 100])
def test_damaged_file_holds_nothing_and_is_written_anew(content: bytes, tmp_path: Path) -> None:
    pace = file_in(tmp_path)
    pace.change(lambda before: FULL)
    pace.path.write_bytes(content)
    seen: list[Pace] = []
    pace.change(lambda before: seen.append(before) or FULL)  # type: ignore[func-returns-value]
    assert seen == [Pace()]
    assert pace.change(lambda before: before) == FULL


def test_file_is_private_and_no_link_is_followed(tmp_path: Path) -> None:
    pace = file_in(tmp_path)
    pace.change(lambda before: FULL)
    assert pace.path.stat().st_mode & 0o777 == 0o600
    pace.path.unlink()
    other = tmp_path / "other"
    other.touch()
    pace.path.symlink_to(other)
    with pytest.raises(OSError, match="symbolic link"):
        pace.change(lambda before: FULL)
    assert other.read_bytes() == b""


def test_lock_that_another_process_holds_is_given_up(tmp_path: Path) -> None:
    import fcntl

    pace = file_in(tmp_path)
    pace.change(lambda before: FULL)
    held = os.open(pace.path, os.O_RDWR)
    try:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(BlockingIOError):
            pace.change(lambda before: Pace())
    finally:
        os.close(held)
    assert pace.change(lambda before: before) == FULL
