"""Columns measured in cells of a terminal."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snap_self.model.shown import is_printable, printable
from snap_self.output.cells import cell_width, fitted, padded
from snap_self.output.text import table


@pytest.mark.parametrize(
    ("text", "cells"), [("", 0), ("abc", 3), ("升级", 4), ("é", 1), ("e\u0301", 1), ("カ", 2)]
)
def test_width_of_a_text_is_in_cells(text: str, cells: int) -> None:
    assert cell_width(text) == cells


@pytest.mark.parametrize(
    ("text", "cells"),
    [
        ("👍", 2),
        ("👍🏽", 2),  # a skin tone
        ("👩\u200d🚀", 2),  # a woman, a rocket: an astronaut
        ("👨\u200d👩\u200d👧", 2),
        ("❤", 1),
        ("❤\ufe0f", 2),
        ("1\ufe0f\u20e3", 2),  # a keycap
        ("🇨🇳", 2),
        ("🇨🇳🇩🇪", 4),
        ("각", 2),
        ("\u1100\u1161\u11a8", 2),  # the same syllable, letter by letter
        ("क\u094d\u200dष", 2),  # a joiner between letters joins no cells
        ("é\u0301\u0302", 1),
    ],
)
def test_width_of_what_is_drawn_as_one_is_that_of_one(text: str, cells: int) -> None:
    assert cell_width(text) == cells


@pytest.mark.parametrize("control", ["\u202e", "\u200f", "\u2066"])
def test_writing_direction_is_shown_and_takes_the_cells_of_that(control: str) -> None:
    told = fitted(f"a{control}b", 40)
    assert (told, cell_width(told)) == (f"a\\u{ord(control):04x}b", 8)


@pytest.mark.parametrize("cells", range(1, 9))
def test_text_is_never_cut_within_what_is_drawn_as_one(cells: int) -> None:
    told = fitted("👩\u200d🚀🇨🇳❤\ufe0fe\u0301升级", cells)
    whole = ("👩\u200d🚀", "🇨🇳", "❤\ufe0f", "e\u0301", "升", "级")
    assert told.removesuffix("…") in ["".join(whole[:count]) for count in range(len(whole) + 1)]
    assert told.endswith("…")
    assert cell_width(told) <= cells


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("os upgrade", "os upgrade"),
        ("before the os upgrade", "before th…"),
        ("升级升级升级", "升级升级…"),
        ("升级升级升", "升级升级升"),
        ("a\x1b[2Jbcde", r"a\x1b[2Jb…"),
    ],
)
def test_text_too_wide_for_its_column_is_cut_and_says_so(text: str, told: str) -> None:
    assert fitted(text, 10) == told


@given(st.text(), st.integers(1, 50))
def test_text_that_is_fitted_and_padded_fills_its_column(text: str, cells: int) -> None:
    told = padded(fitted(text, cells), cells)
    assert cell_width(told) == cells
    assert is_printable(printable(told))


def test_columns_stay_below_each_other_whatever_stands_in_them() -> None:
    rows = [("升级", "1"), ("a\nb\x1b[2J", "2"), ("x", "3")]
    head, *lines = table(("BEFORE", "N"), rows)
    places = {cell_width(line[: -len("1")]) for line in lines}
    assert places == {cell_width(head[: -len("N")])}
