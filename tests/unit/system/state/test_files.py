"""Replacing files in one step, and the words for what can go wrong."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from snap_self.errors import ExitStatus, StateUnusable
from snap_self.system.state.files import replace_file, state_faults


def test_replaced_file_has_the_new_content_and_no_neighbour(tmp_path: Path) -> None:
    target = tmp_path / "a.json"
    replace_file(target, "one")
    replace_file(target, "zwölf")
    assert target.read_text(encoding="utf-8") == "zwölf"
    assert list(tmp_path.iterdir()) == [target]


def test_failed_replacement_leaves_the_old_content_and_no_neighbour(tmp_path: Path) -> None:
    target = tmp_path / "a.json"
    replace_file(target, "one")
    with pytest.raises(UnicodeEncodeError):
        replace_file(target, "\udcff")
    assert target.read_text() == "one"
    assert list(tmp_path.iterdir()) == [target]


def test_replacement_that_cannot_take_the_name_leaves_no_neighbour(tmp_path: Path) -> None:
    target = tmp_path / "folder"
    target.mkdir()
    with pytest.raises(OSError):
        replace_file(target, "x")
    assert list(tmp_path.iterdir()) == [target]


def test_readers_keep_the_old_content_while_it_is_replaced(tmp_path: Path) -> None:
    target = tmp_path / "a.json"
    replace_file(target, "one")
    with target.open() as reader:
        replace_file(target, "two")
        assert reader.read() == "one"


@pytest.mark.parametrize(
    ("number", "hint"),
    [
        (errno.ENOSPC, "free some space"),
        (errno.EDQUOT, "free some space"),
        (errno.EACCES, "run it as root"),
        (errno.EPERM, "run it as root"),
        (errno.EROFS, "read-only"),
        (errno.EIO, "dmesg"),
        (errno.ELOOP, "doctor"),
    ],
)
def test_fault_of_the_disk_is_state_unusable_with_a_hint(number: int, hint: str) -> None:
    with pytest.raises(StateUnusable) as caught, state_faults(Path("/s/x"), doing="written"):
        raise OSError(number, os.strerror(number))
    assert caught.value.message == f"/s/x cannot be written: {os.strerror(number)}"
    assert hint in caught.value.hint
    assert caught.value.exit_status is ExitStatus.ENVIRONMENT


def test_other_errors_pass_unchanged() -> None:
    with pytest.raises(KeyError), state_faults(Path("/s/x"), doing="read"):
        raise KeyError
