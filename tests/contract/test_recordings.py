"""Recordings of a machine on a real disk."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from snap_self.errors import UsageError
from snap_self.system.disks.recorded import DISKS, MACHINE, read_recorded, write_recorded

ANSWER: Mapping[str, Any] = {"Disks": {"Disk": []}}


def modes(folder: Path) -> list[int]:
    return [path.stat().st_mode & 0o777 for path in (folder, folder / MACHINE, folder / DISKS)]


@pytest.mark.parametrize("umask", [0, 0o022])
def test_recording_is_for_its_owner_alone_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        write_recorded(tmp_path / "above/here", "text", ANSWER)
    finally:
        os.umask(before)
    assert read_recorded(tmp_path / "above/here") == ("text", ANSWER)
    assert modes(tmp_path / "above/here") == [0o700, 0o600, 0o600]
    assert (tmp_path / "above").stat().st_mode & 0o777 == 0o755


def test_recording_may_be_written_again_in_the_same_place(tmp_path: Path) -> None:
    write_recorded(tmp_path / "here", "one", ANSWER)
    write_recorded(tmp_path / "here", "two", ANSWER)
    assert read_recorded(tmp_path / "here")[0] == "two"


def test_link_in_place_of_a_file_is_replaced_and_not_followed(tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("keep")
    (tmp_path / "here").mkdir(mode=0o700)
    (tmp_path / "here" / MACHINE).symlink_to(tmp_path / "victim")
    write_recorded(tmp_path / "here", "text", ANSWER)
    assert (tmp_path / "victim").read_text() == "keep"
    assert not (tmp_path / "here" / MACHINE).is_symlink()


def test_folder_that_holds_other_things_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir(mode=0o755)
    (tmp_path / "mine/thesis\x1b[2J").touch()
    with pytest.raises(UsageError, match=r"it holds 'thesis") as caught:
        write_recorded(tmp_path / "mine", "text", ANSWER)
    assert caught.value.message.isprintable()
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["thesis\x1b[2J"]
    assert (tmp_path / "mine").stat().st_mode & 0o777 == 0o755


def test_file_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="cannot be written"):
        write_recorded(tmp_path / "file", "text", ANSWER)
