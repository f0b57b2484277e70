"""The journal's files: damage, pruning, privacy, faults of the disk."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fakes.records import run_record
from snap_self.errors import StateUnusable
from snap_self.model.ids import RunId
from snap_self.model.run import Stage
from snap_self.system.state.journal import Journal


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def journal(state: Path) -> Journal:
    return Journal(state)


def file_of(state: Path, number: int = 1) -> Path:
    return state / "runs" / f"{run_record(number).run_id}.json"


def test_reading_an_absent_journal_makes_nothing(journal: Journal, state: Path) -> None:
    assert journal.all() == journal.unfinished() == ()
    assert not state.exists()


def test_files_and_folders_are_private(journal: Journal, state: Path) -> None:
    journal.save(run_record())
    journal.remember("endpoint", {"a": "b"})
    modes = {p.relative_to(state): p.stat().st_mode & 0o777 for p in state.rglob("*")}
    assert {mode for path, mode in modes.items() if path.suffix} == {0o600}
    assert {mode for path, mode in modes.items() if not path.suffix} == {0o700}
    assert state.stat().st_mode & 0o777 == 0o700


def test_file_carries_its_schema(journal: Journal, state: Path) -> None:
    journal.save(run_record())
    assert json.loads(file_of(state).read_text())["schema"] == 1


def test_record_with_fields_of_a_later_version_is_read(journal: Journal, state: Path) -> None:
    journal.save(run_record())
    form = json.loads(file_of(state).read_text())
    file_of(state).write_text(json.dumps(form | {"later": {"x": 1}}))
    assert journal.all() == (run_record(),)


def test_result_that_is_no_word_of_this_version_is_read_and_stays(
    journal: Journal, state: Path
) -> None:
    journal.save(run_record())
    form = json.loads(file_of(state).read_text())
    file_of(state).write_text(json.dumps(form | {"result": "rolled-back"}))
    (record,) = journal.all()
    journal.save(record)
    assert json.loads(file_of(state).read_text())["result"] == "rolled-back"


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "not JSON"),
        (b'{"schema": 1', "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"1" * 5000, "not JSON"),
        (b"[]", "not a file of the journal"),
        (b'{"schema": true}', "not a file of the journal"),
        (b'{"schema": 2}', "written by a newer snap-self"),
        (b'{"schema": 1}', "run.run_id is missing"),
        (b" " * (2 << 20), "longer than 1 MiB"),
    ],
    ids=lambda value: value[:12].decode("latin-1") if isinstance(value, bytes) else "",
)
def test_damaged_record_is_reported_and_harms_no_other(
    journal: Journal, state: Path, content: bytes, why: str
) -> None:
    journal.save(run_record(1))
    journal.save(run_record(2))
    file_of(state, 1).write_bytes(content)
    assert journal.damaged() == (f"{file_of(state, 1)} ({why})",)
    assert journal.all() == journal.unfinished() == (run_record(2),)
    assert journal.load(run_record(1).run_id) is None


def test_folder_in_place_of_a_record_is_reported(journal: Journal, state: Path) -> None:
    journal.save(run_record(2))
    file_of(state, 1).mkdir()
    assert journal.damaged() == (f"{file_of(state, 1)} (Is a directory)",)
    assert journal.all() == (run_record(2),)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_cut_off_record_is_never_read_as_another(
    journal: Journal, state: Path, data: st.DataObject
) -> None:
    journal.save(run_record())
    whole = file_of(state).read_bytes()
    length = data.draw(st.integers(0, len(whole) - 2))
    file_of(state).write_bytes(whole[:length])
    assert (journal.all(), len(journal.damaged())) == ((), 1)


def test_foreign_files_are_passed_over(journal: Journal, state: Path) -> None:
    journal.save(run_record())
    for name in ("notes.txt", ".hidden.json", "a b.json"):
        (state / "runs" / name).write_text("x")
    assert journal.all() == (run_record(),)
    assert journal.damaged() == ()


def test_oldest_finished_records_are_dropped_beyond_the_number_kept(state: Path) -> None:
    journal = Journal(state, keep=3)
    for number in range(1, 7):
        journal.save(run_record(number, stage=Stage.FINISHED))
    kept = {record.run_id for record in journal.all()}
    assert kept == {run_record(number).run_id for number in (4, 5, 6)}


def test_unfinished_and_damaged_records_are_never_dropped(state: Path) -> None:
    journal = Journal(state, keep=1)
    journal.save(run_record(1))
    journal.save(run_record(2))
    file_of(state, 2).write_text("x")
    for number in (3, 4):
        journal.save(run_record(number, stage=Stage.FINISHED))
    assert [record.run_id for record in journal.all()] == [
        run_record(4).run_id,
        run_record(1).run_id,
    ]
    assert len(journal.damaged()) == 1


def test_half_written_file_of_a_dead_process_is_removed(journal: Journal, state: Path) -> None:
    journal.save(run_record())
    runs = state / "runs"
    dead, alive = runs / ".a.json.4999999-0.tmp", runs / f".a.json.{os.getpid()}-99.tmp"
    dead.touch()
    alive.touch()
    journal.save(replace(run_record(), stage=Stage.FINISHED))
    assert (dead.exists(), alive.exists()) == (False, True)


def test_run_id_that_is_no_file_name_cannot_be_saved(journal: Journal) -> None:
    with pytest.raises(ValueError, match="cannot be a file name"):
        journal.save(replace(run_record(), run_id=RunId("../x")))


@pytest.mark.parametrize("content", ["", "[]", '{"schema": 1, "facts": {"a": 1}}', '{"schema": 9}'])
def test_facts_that_cannot_be_read_are_forgotten(
    journal: Journal, state: Path, content: str
) -> None:
    journal.remember("endpoint", {"a": "b"})
    (state / "facts/endpoint.json").write_text(content)
    assert journal.recall("endpoint") == {}


def test_state_directory_below_a_file_is_unusable(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StateUnusable, match="cannot be written: Not a directory"):
        Journal(tmp_path / "file/state").save(run_record())


@pytest.mark.parametrize("mode", [0o777, 0o1777])
def test_state_directory_open_to_everybody_is_refused(
    journal: Journal, state: Path, mode: int
) -> None:
    state.mkdir()
    state.chmod(mode)
    for use in (lambda: journal.save(run_record()), journal.unfinished, journal.all):
        with pytest.raises(StateUnusable, match="what it holds cannot be trusted") as caught:
            use()
        assert "chmod" in caught.value.hint
    assert journal.recall("endpoint") == {}
    assert list(state.iterdir()) == []


@pytest.mark.parametrize("name", ["runs", "facts"])
def test_link_in_place_of_a_folder_is_not_followed(
    journal: Journal, state: Path, tmp_path: Path, name: str
) -> None:
    (tmp_path / "elsewhere").mkdir()
    state.mkdir()
    (state / name).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StateUnusable, match=f"{name} is a symbolic link"):
        _ = journal.save(run_record()) if name == "runs" else journal.remember("x", {})
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_link_in_place_of_a_record_is_damage_and_not_followed(
    journal: Journal, state: Path, tmp_path: Path
) -> None:
    journal.save(run_record())
    file_of(state).rename(tmp_path / "elsewhere")
    file_of(state).symlink_to(tmp_path / "elsewhere")
    assert journal.all() == ()
    assert journal.damaged() == (f"{file_of(state)} (it is a symbolic link)",)


def test_folders_above_are_made_without_write_permission_for_others(tmp_path: Path) -> None:
    deep = tmp_path / "a/b/state"
    before = os.umask(0)
    try:
        Journal(deep).save(run_record())
    finally:
        os.umask(before)
    modes = [path.stat().st_mode & 0o777 for path in (tmp_path / "a", tmp_path / "a/b", deep)]
    assert modes == [0o755, 0o755, 0o700]
