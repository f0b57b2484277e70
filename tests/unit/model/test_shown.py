"""Foreign text on one line, nothing in it acting on a terminal."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snap_self.model.shown import MAX_SHOWN, is_printable, printable, shown

ANY = st.text(st.characters(codec=None))


@pytest.mark.parametrize(
    "text",
    [
        *("", "os upgrade", "/srv/mit Leerzeichen", "升级", "é", "a\u3000b", "\u2764\ufe0f"),
        *("\U0001f468\u200d\U0001f469", "\u0645\u06cc\u200c\u062e"),  # a family; Persian
    ],
)
def test_text_that_is_seen_whole_is_left_as_it_is(text: str) -> None:
    assert is_printable(text)
    assert printable(text) == text


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a\nb", r"a\nb"),
        ("a\r\tb", r"a\r\tb"),
        ("\x1b[2J", r"\x1b[2J"),
        ("\x07\x7f", r"\x07\x7f"),
        ("\x9b1m\x85", r"\x9b1m\x85"),
        ("a\u2028b\u2029", r"a\u2028b\u2029"),
        ("\u202etxt\u2066\u2069\u200e\u061c", r"\u202etxt\u2066\u2069\u200e\u061c"),
        ("a\u200bb\ufeff\u00ad", r"a\u200bb\ufeff\xad"),
        ("/srv\u3164", r"/srv\u3164"),
        ("\U000e0041", r"\U000e0041"),
        ("\ue000\U0010fffd", r"\ue000\U0010fffd"),
        ("caf\udcc3", r"caf\xc3"),
        ("\ud800", r"\ud800"),
    ],
    ids=ascii,
)
def test_text_that_would_not_be_seen_so_is_escaped(text: str, told: str) -> None:
    assert not is_printable(text)
    assert printable(text) == told


@pytest.mark.parametrize(
    "text", ["/da\u200dta", "\u200cdata", "é\u200d", "é\u200d\u202eé", "a\u200dé"], ids=ascii
)
def test_joiner_that_joins_nothing_is_escaped(text: str) -> None:
    assert "\u200d" not in printable(text)
    assert "\u200c" not in printable(text)


@given(ANY)
def test_printable_text_of_anything_is_one_line_and_stays_so(text: str) -> None:
    told = printable(text)
    assert is_printable(told)
    assert printable(told) == told
    assert len(told.splitlines()) <= 1


@given(ANY)
def test_shown_text_is_quoted_and_cut(text: str) -> None:
    told = shown(text)
    assert is_printable(told)
    assert told[0] == told[-1] == ('"' if "'" in told[1:-1] and '"' not in told[1:-1] else "'")
    assert len(told) <= 2 + MAX_SHOWN * len(r"\U00000000")
