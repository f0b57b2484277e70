"""A table fits its terminal, whatever stands in it."""

from __future__ import annotations

import io

from hypothesis import given
from hypothesis import strategies as st

from snap_self.model.shown import is_printable
from snap_self.output.cells import cell_width
from snap_self.output.columns import NO_TERMINAL, Column, columns_of, laid_out

texts = st.one_of(
    st.text(max_size=30),
    st.text(st.sampled_from("升级ｱe\u0301👩\u200d🚀❤\ufe0f🇨🇳👍🏽\u202e\n\t x"), max_size=30),
)


def _columns(texts_of: list[tuple[str, str, str]]) -> list[Column]:
    ids, befores, whys = (list(each) for each in zip(*texts_of, strict=True))
    return [
        Column(head="RUN", cells=ids),
        Column(head="BEFORE", cells=befores, least=5),
        Column(head="WHY", cells=whys, least=3, rank=1),
    ]


@given(st.lists(st.tuples(texts, texts, texts), min_size=1, max_size=5), st.integers(1, 120))
def test_no_line_is_wider_than_the_terminal_or_breaks(
    rows: list[tuple[str, str, str]], width: int
) -> None:
    lines = list(laid_out(_columns(rows), width))
    assert len(lines) == 1 + len(rows)
    assert [line for line in lines if cell_width(line) > width or not is_printable(line)] == []


@given(st.lists(st.tuples(st.just("r"), texts, st.just("y")), min_size=1, max_size=5))
def test_columns_stay_below_each_other(rows: list[tuple[str, str, str]]) -> None:
    head, *lines = laid_out(_columns(rows), 50)
    places = {cell_width(line[: line.rindex("y")]) for line in lines}
    assert places == {head.index("WHY")}


def test_texts_are_cut_before_a_column_is_left_out() -> None:
    rows = [("20261122t083225z-0a1b2c", "a long text of a change", "a long reason")]
    assert list(laid_out(_columns(rows), 40)) == [
        "RUN                      BEFORE    WHY",
        "20261122t083225z-0a1b2c  a long …  a lo…",
    ]
    assert list(laid_out(_columns(rows), 32)) == [
        "RUN                      BEFORE",
        "20261122t083225z-0a1b2c  a long…",
    ]


def test_column_that_needs_little_leaves_the_rest_to_the_others() -> None:
    rows = [("r", "a change of forty characters, not a word", "y")]
    _, line = laid_out(_columns(rows), 50)
    assert line == "r    a change of forty characters, not a word  y"


def test_row_may_say_itself_what_a_cut_cell_shows() -> None:
    column = Column(
        head="DISKS", cells=["/, /srv, /var"], least=5, cut=lambda row, _: f"{row} of 3"
    )
    assert list(laid_out([column], 8)) == ["DISKS", "0 of 3"]


def test_stream_that_is_no_terminal_has_a_hundred_columns() -> None:
    assert columns_of(io.StringIO()) == NO_TERMINAL == 100
