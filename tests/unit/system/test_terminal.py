"""How wide a stream's terminal is."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping

import pytest

from snap_self.system.terminal import columns_of


class TerminalText(io.StringIO):
    """Says that it is a terminal, and has no descriptor that could tell its size."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("env", "columns"),
    [({}, 80), ({"COLUMNS": "132"}, 132), ({"COLUMNS": "x"}, 80), ({"COLUMNS": "3"}, 20)],
)
def test_terminal_when_it_tells_no_size_then_the_variable_or_the_usual_counts(
    env: Mapping[str, str], columns: int
) -> None:
    assert columns_of(TerminalText(), env) == columns


def test_stream_when_it_is_no_terminal_or_closed_then_has_no_width() -> None:
    assert columns_of(io.StringIO(), {"COLUMNS": "80"}) is None
    assert columns_of(None, {}) is None


def test_terminal_when_it_has_a_size_then_that_counts() -> None:
    ours, theirs = os.openpty()
    try:
        with os.fdopen(theirs, "w", closefd=False) as stream:
            assert columns_of(stream, {}) == 80  # a new one has no size: 0
    finally:
        os.close(ours)
        os.close(theirs)
