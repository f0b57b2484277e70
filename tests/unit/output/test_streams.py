"""What is written, and what becomes of a stream that takes no more."""

from __future__ import annotations

import io

import pytest

from snap_self.output.streams import OutputLost, make_streams


def test_character_that_the_locale_lacks_is_escaped() -> None:
    raw = io.BytesIO()
    latin = io.TextIOWrapper(raw, encoding="latin-1")
    streams = make_streams(latin, io.StringIO(), env={}, verbosity=0, json=False)
    streams.data("vor dem Upgrade: \u5347\u7ea7", "\u00fc")
    assert raw.getvalue() == b"vor dem Upgrade: \\u5347\\u7ea7\n\xfc\n"


def test_no_lines_are_nothing_written() -> None:
    out = io.StringIO()
    make_streams(out, io.StringIO(), env={}, verbosity=0, json=False).data()
    assert out.getvalue() == ""


def test_closed_output_is_lost() -> None:
    out = io.StringIO()
    out.close()
    with pytest.raises(OutputLost, match="it is closed"):
        make_streams(out, io.StringIO(), env={}, verbosity=0, json=False).data("x")
