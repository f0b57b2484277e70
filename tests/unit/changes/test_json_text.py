"""JSON read without ``json``: the same values, the same refusals."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snap_self.changes.dnf5 import ATTRIBUTES, LISTING
from snap_self.changes.json_text import parse_json, scan_json

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


def outcome(parse: Callable[[str], object], text: str) -> str:
    """Return what a parser makes of a text, or says against it."""
    try:
        return repr(parse(text))
    except ValueError as error:
        return f"refused: {error}"


@given(value=VALUES, around=st.sampled_from(["", " ", "\r\n\t"]), ascii_only=st.booleans())
def test_parse_json_when_json_wrote_it_then_gives_the_value(
    value: object, around: str, ascii_only: bool
) -> None:
    assert parse_json(around + json.dumps(value, ensure_ascii=ascii_only) + around) == value


@given(text=st.text(alphabet='{}[]",:\\tnu0.1-eN \ufeff', max_size=12))
def test_parse_json_when_it_may_be_no_json_then_does_as_json_does(text: str) -> None:
    assert outcome(parse_json, text) == outcome(json.loads, text)


def test_parse_json_when_it_is_nested_too_deeply_then_refuses_as_json_does() -> None:
    with pytest.raises(RecursionError):
        parse_json("[" * 1_000_000)


def test_scan_json_when_more_follows_then_tells_where() -> None:
    assert scan_json(' {"a": 1} {') == ({"a": 1}, 9)
    assert scan_json('{"a": ') is None


def test_listing_when_read_as_json_then_asks_for_each_attribute() -> None:
    asked = {"op": "get", "domain": "trans_packages", "args": {"output": list(ATTRIBUTES)}}
    assert json.loads(LISTING) == asked
