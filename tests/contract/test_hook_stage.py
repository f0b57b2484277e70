"""The place of a rehearsal, and the hook below it that leaves a note there."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from snap_self.changes.registration.archives import (
    debian_package,
    pacman_package,
    rpm_package,
)
from snap_self.model.registration import Note
from snap_self.system.managers.outside import stat_of
from snap_self.system.managers.stage import ManagerStage
from snap_self.system.managers.state import ManagerState

NAME = "snap-self-rehearsal"


@pytest.fixture
def state(tmp_path: Path) -> ManagerState:
    """Return the hooks' state in a folder of the test's own."""
    return ManagerState(str(tmp_path / "run"), str(tmp_path / "etc"), str(tmp_path / "limit"))


@pytest.fixture
def stage(state: ManagerState) -> Iterator[ManagerStage]:
    """Open a place."""
    with ManagerStage(state) as opened:
        yield opened


def own_key() -> str:
    """Return this process's key, as a hook below it has it among its ancestors'."""
    facts = stat_of(os.getpid())
    assert facts is not None
    return f"{os.getpid()}:{facts[2]}"


def test_hook_below_the_process_finds_the_place_and_its_note_is_taken_once(
    state: ManagerState, stage: ManagerStage
) -> None:
    place = state.rehearsal_of(["1:0", own_key()])
    assert place == stage.folder
    assert stat.S_IMODE(Path(place).stat().st_mode) == 0o700
    assert stage.note() is None
    state.note_rehearsal(place, "told to\nby somebody", whole=True)
    assert stage.note() == Note(whole=True, skipped="told to by somebody")
    assert stage.note() is None
    state.note_rehearsal(place, "", whole=False)
    assert stage.note() == Note(whole=False, skipped="")


def test_hook_of_another_process_passes_the_place_over(
    state: ManagerState, stage: ManagerStage
) -> None:
    assert stage.folder
    assert state.rehearsal_of([]) == ""
    assert state.rehearsal_of(["1:0", f"{os.getpid()}:1"]) == ""


def test_nothing_is_left_of_the_place(state: ManagerState) -> None:
    with ManagerStage(state) as stage:
        stage.write("deep/file", b"x")
        stage.link("deep/link", "/dev/null")
        assert stage.exists("deep/link")
        assert not stage.exists("other")
        status, said = stage.run([sys.executable, "-c", "print('out'); raise SystemExit(3)"])
        assert (status, said) == (3, "out\n")
    assert not Path(stage.folder).exists()
    assert state.rehearsal_of([own_key()]) == ""


def test_folder_that_others_may_enter_is_not_used(tmp_path: Path, state: ManagerState) -> None:
    (tmp_path / "run/hooks").mkdir(parents=True, mode=0o755)
    with pytest.raises(PermissionError), ManagerStage(state):
        pass


@pytest.mark.parametrize(
    ("program", "arguments", "name", "content"),
    [
        ("dpkg-deb", ("-f",), "x.deb", debian_package(NAME)),
        ("rpm", ("--checksig", "--verbose"), "x.rpm", rpm_package(NAME)),
        ("rpm", ("-qp",), "x.rpm", rpm_package(NAME)),
        ("pacman", ("-Qp",), "x.pkg.tar.gz", pacman_package(NAME)),
    ],
)
def test_package_of_a_rehearsal_is_one_to_its_manager(
    stage: ManagerStage, program: str, arguments: tuple[str, ...], name: str, content: bytes
) -> None:
    path = stage.write(name, content)
    try:
        status, said = stage.run([program, *arguments, path])
    except FileNotFoundError:
        pytest.skip(f"no {program} here")
    assert status == 0, said
    assert NAME in said or "digest: OK" in said
    assert "BAD" not in said


def test_archives_are_the_same_each_time() -> None:
    again = [
        subprocess.run(
            [sys.executable, "-c", CODE.format(call=call)],
            capture_output=True,
            check=True,
            env={"PYTHONPATH": str(Path(__file__).parents[2] / "agent")},
        ).stdout
        for call in ("debian_package", "rpm_package", "pacman_package")
    ]
    assert again == [each(NAME) for each in (debian_package, rpm_package, pacman_package)]


CODE = """
import sys
from snap_self.changes.registration import archives
sys.stdout.buffer.write(archives.{call}("snap-self-rehearsal"))
"""
