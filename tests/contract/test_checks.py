"""Checks, real processes: what succeeds, fails, hangs or is not trusted."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from snap_self.system.checks import passed_over, run_checks

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


@pytest.fixture
def folder() -> Iterator[Path]:
    # Root runs nothing below a folder in which others may make files.
    place = None if os.geteuid() else Path.home()
    with TemporaryDirectory(prefix="checks-", dir=place) as made:
        checks = Path(made) / "checks.d"
        checks.mkdir()
        Path(made).chmod(0o755)
        yield checks


def program(folder: Path, name: str, text: str, mode: int = 0o755) -> Path:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(mode)
    return path


def test_commands_are_the_shells_and_all_that_succeed_are_named() -> None:
    assert list(run_checks(["true && test 1 = 1", "exit 0"], None)) == [
        ("true && test 1 = 1", ""),
        ("exit 0", ""),
    ]


def test_first_that_fails_is_the_last_that_is_run() -> None:
    found = list(run_checks(["echo no >&2; exit 7", "true"], None))
    assert found == [("echo no >&2; exit 7", "status 7: no")]


def test_one_that_is_ended_by_a_signal_fails() -> None:
    ((_, why),) = run_checks(["kill -9 $$"], None)
    assert why == "ended by signal 9"


def test_one_that_hangs_is_ended_and_fails() -> None:
    ((_, why),) = run_checks(["sleep 60"], None, timeout_s=0.2)
    assert why == "it did not end within 0.2 s"


def test_folder_that_is_not_there_has_none(folder: Path) -> None:
    assert list(run_checks([], folder / "nosuch")) == []


def test_programs_are_run_in_the_order_of_their_names_and_other_files_are_not(
    folder: Path,
) -> None:
    program(folder, "20-second", "exit 0")
    program(folder, "10-first", "exit 0")
    program(folder, "README", "exit 1", 0o644)
    program(folder, ".hidden", "exit 1")
    program(folder, "10-first~", "exit 1")
    assert [(Path(name).name, why) for name, why in run_checks([], folder)] == [
        ("10-first", ""),
        ("20-second", ""),
    ]


def test_folder_in_the_folder_is_no_check(folder: Path) -> None:
    (folder / "off").mkdir()
    program(folder, "10-first", "exit 0")
    assert [(Path(name).name, why) for name, why in run_checks([], folder)] == [("10-first", "")]


def test_files_that_are_not_run_are_named(folder: Path) -> None:
    (folder / "off").mkdir()
    program(folder, "10-first", "exit 0")
    program(folder, "20-second", "exit 0", 0o644)
    program(folder, "20-second~", "exit 0", 0o644)
    assert passed_over(folder) == (str(folder / "20-second"),)
    assert passed_over(folder / "nosuch") == ()


@needs_root
def test_program_that_others_can_change_is_not_run_and_fails(folder: Path) -> None:
    ran = folder / "ran"
    program(folder, "10-open", f"touch {ran}", 0o777)
    ((_, why),) = run_checks([], folder)
    assert "it is not run" in why
    assert "chmod go-w" in why
    assert not ran.exists()


def test_link_that_leads_nowhere_fails(folder: Path) -> None:
    (folder / "10-gone").symlink_to(folder / "nosuch")
    ((_, why),) = run_checks([], folder)
    assert why
