"""Durations as users write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snap_self.errors import ExitStatus, RuleError
from snap_self.model.duration import (
    FOREVER,
    MAX_S,
    OFF,
    format_duration,
    parse_duration,
    parse_duration_or,
)
from snap_self.model.shown import is_printable


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("30m", 1800), ("12h", 43200), ("14d", 1209600), (" 1d ", 86400)],
)
def test_duration_with_unit_is_seconds(text: str, seconds: int) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text",
    ["", "14", "d", "14 d", "1.5h", "-1d", "+1d", "14D", "1w", "1h30m", "٣d", "1d\n2d", "forever"],
)
def test_what_is_no_duration_is_refused_with_the_accepted_form(text: str) -> None:
    with pytest.raises(RuleError) as caught:
        parse_duration(text, what="--timeout")
    assert caught.value.message.startswith("--timeout '")
    assert "90s, 30m, 12h or 14d" in caught.value.hint
    assert caught.value.exit_status is ExitStatus.USAGE


def test_zero_is_refused() -> None:
    with pytest.raises(RuleError, match="'0s' is no time at all"):
        parse_duration("0s")


def test_zero_where_allowed_is_zero() -> None:
    assert parse_duration("0s", zero_ok=True) == 0


def test_longest_retention_is_the_longest_duration() -> None:
    assert parse_duration("65536d") == MAX_S


@pytest.mark.parametrize("text", ["65537d", "999999999999s"])
def test_longer_than_the_longest_retention_is_refused(text: str) -> None:
    with pytest.raises(RuleError, match="longer than 65536 days"):
        parse_duration(text)


def test_digits_without_end_are_refused_quickly_and_shortened() -> None:
    with pytest.raises(RuleError) as caught:
        parse_duration("9" * 100_000 + "d")
    assert len(caught.value.message) < 120


@pytest.mark.parametrize("word", [FOREVER, OFF])
def test_word_where_allowed_is_none(word: str) -> None:
    assert parse_duration_or(word, word) is None


def test_wrong_value_where_a_word_is_allowed_names_the_word() -> None:
    with pytest.raises(RuleError) as caught:
        parse_duration_or("always", FOREVER, what="--keep")
    assert caught.value.hint.endswith("or forever")


def test_duration_where_a_word_is_allowed_is_seconds() -> None:
    assert parse_duration_or("2h", FOREVER) == 7200


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (90, "90s"), (1800, "30m"), (7200, "2h"), (1209600, "14d"), (86401, "86401s")],
)
def test_format_takes_the_largest_unit_that_fits(seconds: int, text: str) -> None:
    assert format_duration(seconds) == text


@given(st.integers(0, MAX_S))
def test_format_and_parse_are_each_others_inverse(seconds: int) -> None:
    assert parse_duration(format_duration(seconds), zero_ok=True) == seconds


def outcome(text: str) -> int | RuleError:
    try:
        return parse_duration(text)
    except RuleError as error:
        return error


@given(st.text(alphabet=st.characters()))
def test_any_text_is_a_duration_or_a_one_line_rule_error(text: str) -> None:
    result = outcome(text)
    if isinstance(result, RuleError):
        assert is_printable(result.message)
    else:
        assert 0 < result <= MAX_S
