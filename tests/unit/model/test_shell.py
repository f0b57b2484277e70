"""Words of commands that are pasted; what a shell makes of them is tested with a real one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snap_self.model.shell import command, quoted
from snap_self.model.shown import is_printable


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("/srv/data", "/srv/data"),
        ("", "''"),
        ("/srv/a b", "'/srv/a b'"),
        ("$(touch X)", "'$(touch X)'"),
        ("/daten/ü", "'/daten/ü'"),
        ("x\n    rm y   # ", r"$'x\x0a    rm y   # '"),
        ("\x1b[2J'\\\u202e\udcff", r"$'\x1b[2J\x27\\\xe2\x80\xae\xff'"),
        ("\ud800", r"$'\xed\xa0\x80'"),
    ],
)
def test_word_is_quoted_as_far_as_it_needs(word: str, told: str) -> None:
    assert quoted(word) == told


@given(st.text(st.characters(codec=None)))
def test_quoted_word_is_one_printable_line(word: str) -> None:
    assert is_printable(quoted(word))


def test_command_has_its_remark_behind_the_words() -> None:
    line = command("umount", "/srv/a b", remark="on the instance")
    assert line == "umount '/srv/a b'   # on the instance"
