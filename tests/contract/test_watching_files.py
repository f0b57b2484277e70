"""Counters and summary as files: whole, private or for everybody, and read with suspicion."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from fakes.records import STARTED
from snap_self.errors import LockHeld, StateUnusable
from snap_self.model.occurrences import Left, Occasion, Occurrence
from snap_self.model.snapshots import Consistency
from snap_self.model.summary import (
    UNTOLD,
    Counts,
    DiskSummary,
    LastRun,
    Summary,
    Tally,
    Unprotected,
)
from snap_self.system.clock import SystemClock
from snap_self.system.state.lock import FileLock
from snap_self.system.watching.summary_file import NAME, read_summary, write_summary
from snap_self.system.watching.tally import LOCK, TallyFile
from snap_self.system.watching.untold import MAX_BYTES, UntoldFile, is_untold

COUNTS = Counts(
    runs={"apt": {"done": 2, "failed": 1}}, unprotected={"apt": 1}, calls={"CreateSnapshot": 3}
)
LAST = LastRun(trigger="apt", started=STARTED, exit_status=0, result="done", seconds=1.5)
TALLY = Tally(
    instance_id="i-1",
    counts=COUNTS,
    last={"apt": LAST},
    unprotected=Unprotected(at=STARTED, manager="apt", code="paused"),
    seen={"d-1": 7},
    gone=("s-1",),
)
BARE = Occurrence(kind=Occasion.UNPROTECTED, at=STARTED, text="bare", trigger="apt", code="paused")
KEPT = Left(occurrence=BARE, told=True)
SUMMARY = Summary(
    written=STARTED,
    version="1",
    disks=(DiskSummary(disk_id="d-1", cut=STARTED, consistency=Consistency.FLUSH),),
    runs=(LAST,),
    went_back=STARTED,
    counts=COUNTS,
)


@pytest.fixture
def state(tmp_path: Path) -> Path:
    folder = tmp_path / "state"
    folder.mkdir(mode=0o700)
    return folder


def test_tally_is_read_as_it_was_written(state: Path) -> None:
    file = TallyFile(state, SystemClock())
    assert (file.is_there(), file.read()) == (False, Tally())
    after: list[Tally] = []
    file.change(lambda before: replace(TALLY, seen={**before.seen, "d-1": 7}), after.append)
    assert after == [TALLY]
    assert (file.is_there(), file.read()) == (True, TALLY)
    assert (state / "watch").stat().st_mode & 0o777 == 0o700


def test_tally_that_is_damaged_is_begun_anew(state: Path) -> None:
    file = TallyFile(state, SystemClock())
    file.change(lambda _: TALLY)
    (state / "watch/tally.json").write_text("{", encoding="utf-8")
    assert file.read() == Tally()
    file.change(lambda before: replace(before, instance_id="i-2"))
    assert file.read().instance_id == "i-2"


def test_tally_is_changed_by_one_at_a_time(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("snap_self.system.watching.tally.LOCK_WAIT_S", 0.05)
    file = TallyFile(state, SystemClock())
    other = FileLock(state, SystemClock(), name=LOCK)
    with other.hold(timeout_s=0.0, purpose="a test"), pytest.raises(LockHeld):
        file.change(lambda _: TALLY)
    assert file.read() == Tally()


def test_summary_is_read_as_it_was_written(state: Path) -> None:
    assert read_summary(state) is None
    write_summary(state, SUMMARY)
    assert read_summary(state) == SUMMARY
    assert (state / NAME).stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("text", ["", "{", "[]", '{"schema": 1}', '{"schema": 99}'])
def test_damaged_summary_is_told_with_its_mend(state: Path, text: str) -> None:
    (state / NAME).write_text(text, encoding="utf-8")
    with pytest.raises(StateUnusable) as raised:
        read_summary(state)
    assert "metrics" in raised.value.hint


def test_summary_that_others_could_have_written_is_not_believed(state: Path) -> None:
    write_summary(state, SUMMARY)
    (state / NAME).chmod(0o666)
    with pytest.raises(StateUnusable):
        read_summary(state)


@pytest.mark.root
def test_summary_of_another_user_is_not_believed(state: Path) -> None:
    write_summary(state, SUMMARY)
    os.chown(state / NAME, 65534, 65534)
    with pytest.raises(StateUnusable):
        read_summary(state)


def test_what_could_not_be_counted_is_kept_until_it_is_dropped(tmp_path: Path) -> None:
    file = UntoldFile(tmp_path / "run")
    assert file.take() == ()
    file.keep([BARE])
    file.keep([BARE])
    with (tmp_path / "run" / UNTOLD).open("a", encoding="utf-8") as lines:
        lines.write("\n{\n[]\n")
    file.keep([BARE])
    assert is_untold(tmp_path / "run")
    assert tuple(file.take()) == (KEPT,) * 3
    # A command that took it was killed before it was counted.
    assert tuple(UntoldFile(tmp_path / "run").take()) == (KEPT,) * 3
    assert is_untold(tmp_path / "run")
    file.drop()
    file.drop()
    assert file.take() == ()
    assert not is_untold(tmp_path / "run")


def test_what_came_while_it_was_counted_stays(tmp_path: Path) -> None:
    file = UntoldFile(tmp_path / "run")
    file.keep([BARE, BARE])
    assert len(file.take()) == 2
    late = replace(BARE, trigger="dnf")
    UntoldFile(tmp_path / "run").keep([late])
    file.drop()
    assert tuple(file.take()) == (Left(occurrence=late, told=True),)
    file.drop()
    assert not list((tmp_path / "run").iterdir())
    # Nothing is there to be taken, and then something is.
    assert file.take() == ()
    file.keep([late])
    file.drop()
    assert tuple(file.take()) == (Left(occurrence=late, told=True),)


@pytest.mark.parametrize("fault", ["too long", "of others"])
def test_what_cannot_be_taken_does_not_stay_for_ever(tmp_path: Path, fault: str) -> None:
    file = UntoldFile(tmp_path / "run")
    file.keep([BARE])
    path = tmp_path / "run" / UNTOLD
    if fault == "too long":
        path.write_bytes(path.read_bytes() * (2 * MAX_BYTES // path.stat().st_size + 2))
    else:
        path.chmod(0o666)
    taken = file.take()
    assert (set(taken) == {KEPT}) if fault == "too long" else (taken == ())
    file.drop()
    # The rest of what is too long for once.
    file.take()
    file.drop()
    assert not is_untold(tmp_path / "run")


def test_what_lies_in_the_guards_place_is_taken_too(tmp_path: Path) -> None:
    UntoldFile(tmp_path / "run").keep([BARE])
    file = UntoldFile(tmp_path / "state", tmp_path / "run")
    file.keep([BARE])
    assert tuple(file.take()) == (KEPT, KEPT)
    file.drop()
    assert not any(is_untold(tmp_path / name) for name in ("run", "state"))


def test_what_cannot_be_kept_either_is_no_fault(tmp_path: Path) -> None:
    (tmp_path / "run").touch()
    UntoldFile(tmp_path / "run").keep([BARE])
    assert UntoldFile(tmp_path / "run").take() == ()


def test_what_is_kept_has_an_end(tmp_path: Path) -> None:
    file = UntoldFile(tmp_path / "run")
    for _ in range(40):
        file.keep([replace(BARE, text="x" * 10_000)])
    assert 0 < (tmp_path / "run" / "untold.jsonl").stat().st_size < 300_000


def test_line_without_the_mark_was_told_to_nobody(tmp_path: Path) -> None:
    file = UntoldFile(tmp_path / "run")
    file.keep([BARE])
    (line,) = (tmp_path / "run" / UNTOLD).read_text(encoding="utf-8").splitlines()
    unmarked = {name: value for name, value in json.loads(line).items() if name != "told"}
    lines = (unmarked, {**unmarked, "told": False}, {**unmarked, "told": "yes"})
    with (tmp_path / "run" / UNTOLD).open("a", encoding="utf-8") as added:
        added.writelines(f"{json.dumps(each)}\n" for each in lines)
    assert tuple(file.take()) == (KEPT, Left(occurrence=BARE), Left(occurrence=BARE))
