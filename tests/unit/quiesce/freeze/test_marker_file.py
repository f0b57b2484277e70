"""The marker on a real directory, and what tells one process from another."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from snap_self.system.freeze.launch import MarkerFile, ProcBootFacts


def test_marker_is_read_back_and_gone_after_removal(tmp_path: Path) -> None:
    store = MarkerFile(tmp_path / "run")
    store.write("text")
    assert store.read() == "text"
    store.remove()
    assert store.read() is None


def test_second_marker_is_refused_and_the_first_kept(tmp_path: Path) -> None:
    store = MarkerFile(tmp_path)
    store.write("first")
    with pytest.raises(FileExistsError):
        store.write("second")
    assert store.read() == "first"
    assert [path.name for path in tmp_path.iterdir()] == ["frozen.json"]


def test_marker_and_its_directory_are_for_their_owner_only(tmp_path: Path) -> None:
    store = MarkerFile(tmp_path / "run")
    store.write("text")
    assert store.path.stat().st_mode & 0o777 == 0o600
    assert store.path.parent.stat().st_mode & 0o777 == 0o700


def test_marker_that_a_link_stands_in_for_is_not_written_through(tmp_path: Path) -> None:
    store = MarkerFile(tmp_path)
    store.path.symlink_to(tmp_path / "victim")
    with pytest.raises(FileExistsError):
        store.write("text")
    assert not (tmp_path / "victim").exists()


def test_removing_no_marker_is_no_fault(tmp_path: Path) -> None:
    MarkerFile(tmp_path).remove()
    assert MarkerFile(tmp_path).read() is None


def test_living_process_has_the_same_start_each_time_and_an_unknown_one_none() -> None:
    facts = ProcBootFacts()
    assert facts.started(os.getpid()) == facts.started(os.getpid()) is not None
    assert facts.started(2**22 + 1) is None


def test_boot_id_is_the_same_within_a_boot() -> None:
    assert len(ProcBootFacts().boot_id()) == 36
    assert ProcBootFacts().boot_id() == ProcBootFacts().boot_id()
