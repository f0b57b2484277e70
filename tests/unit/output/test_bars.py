"""Bars that never take more room than the terminal has."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snap_self.model.ids import DiskId
from snap_self.output.bars import SPARE_ROWS, Bar, Part, Row, bar_rows
from snap_self.output.cells import cell_width


def drawn(*bars: Bar, columns: int = 80, rows: int = 24, now_s: float = 0.0) -> Sequence[Row]:
    """Return the rows of bars that began at 0."""
    named = {DiskId(f"d-{number}"): bar for number, bar in enumerate(bars)}
    return bar_rows(named, columns=columns, rows=rows, began_s=0.0, now_s=now_s)


def text(row: Row) -> str:
    """Return a row without its looks."""
    return "".join(piece for piece, _ in row)


@given(
    st.lists(st.tuples(st.text("vd/ 升", max_size=40), st.integers(0, 100)), max_size=40),
    st.integers(min_value=20, max_value=200),
    st.integers(min_value=4, max_value=60),
)
def test_bars_when_there_are_many_then_none_is_too_wide_and_all_fit(
    disks: list[tuple[str, int]], columns: int, rows: int
) -> None:
    bars = [Bar(name=name, percent=percent, state="available") for name, percent in disks]
    found = drawn(*bars, columns=columns, rows=rows)
    assert max((cell_width(text(row)) for row in found), default=0) <= columns
    assert len(found) <= max(rows - SPARE_ROWS, 2)


def test_bars_when_they_do_not_all_fit_then_the_slowest_are_shown() -> None:
    bars = [Bar(name=f"vd{number}", percent=number) for number in range(16)]
    rows = [text(row) for row in drawn(*bars, rows=14)]
    assert [row.split()[0] for row in rows[:4]] == ["vd0", "vd1", "vd2", "vd3"]
    assert rows[4] == "and 12 more disks, each at least 4 % uploaded"


def test_bars_when_some_are_equal_then_each_is_counted_once() -> None:
    rows = [text(row) for row in drawn(*[Bar(name="vda")] * 4, rows=11)]
    assert [row.split()[0] for row in rows] == ["vda", "and", "0:00"]
    assert rows[1].startswith("and 3 more disks")


def test_bar_when_half_is_uploaded_then_half_of_it_is_full() -> None:
    (row, _) = drawn(Bar(name="vda /", percent=50, state="available"))
    parts = {part: piece for piece, part in row}
    assert parts[Part.DONE] == "━" * 15
    assert parts[Part.TO_DO] == "─" * 15
    assert text(row).endswith(" 50 %  usable")


def test_bar_when_the_snapshot_failed_then_that_is_marked() -> None:
    (row, _) = drawn(Bar(name="vda", state="failed"))
    assert ("failed", Part.BAD) in row


@pytest.mark.parametrize(
    ("bar", "now_s", "said"),
    [
        (Bar(name="a"), 5.0, "0:05 so far"),
        (Bar(name="a", percent=50, seen_s=60.0), 60.0, "1:00 so far, about 1:00 left to upload"),
        (Bar(name="a", percent=50, seen_s=60.0), 90.0, "1:30 so far, about 0:30 left to upload"),
        # The cloud's own guess goes before ours.
        (
            Bar(name="a", percent=50, remaining_s=7200, seen_s=60.0),
            120.0,
            "2:00 so far, about 1:59:00 left to upload",
        ),
        (Bar(name="a", percent=1, remaining_s=5, seen_s=0.0), 60.0, "1:00 so far, about 0:00 left"),
        (Bar(name="a", percent=100, state="accomplished"), 60.0, "1:00 so far"),
    ],
)
def test_times_when_drawn_then_are_what_it_took_and_what_is_left(
    bar: Bar, now_s: float, said: str
) -> None:
    assert text(drawn(bar, now_s=now_s)[-1]).startswith(said)
    assert ("left" in text(drawn(bar, now_s=now_s)[-1])) == ("left" in said)
