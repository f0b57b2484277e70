"""The window of a limit: what the headers tell, where in the next one, who is held back."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.rpc import refusal
from snap_self.cloud.window import PLACES, SLACK_S, WINDOW_S, Refusals, full_minute_s, place_s
from snap_self.cloud.window import told_s as told

API, USER = "x-ratelimit-user-api", "x-ratelimit-user"
FORM = "Limit:1,Remain:0,TimeLeft:{},Reset:1234"
MINUTE = datetime(2026, 11, 22, 8, 32, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({API: FORM.format(2000)}, 2.0),
        ({USER: FORM.format(2000)}, 2.0),
        ({API: FORM.format(2000), USER: FORM.format(1999)}, 2.0),
        ({API: FORM.format(1999), USER: FORM.format(2000)}, 2.0),
        ({API: FORM.format(0)}, 0.0),
        ({API: FORM.format(1)}, 0.001),
        ({API: "", USER: FORM.format(2000)}, 2.0),
        ({API.upper(): "limit: 1 , timeleft : 2000 "}, 2.0),
        ({"X-RateLimit-User-API": "TIMELEFT:2000.5"}, 2.0),
        # One header sent twice is joined by the HTTP library.
        ({API: f"{FORM.format(2000)}, {FORM.format(3000)}"}, 3.0),
        ({API: FORM.format(60_000)}, 60.0),
        ({API: FORM.format(60_001)}, WINDOW_S),
        ({API: FORM.format("9" * 15)}, WINDOW_S),
    ],
)
def test_headers_when_they_tell_the_time_left_then_the_larger_counts(
    headers: Mapping[str, str], seconds: float
) -> None:
    assert told(headers) == seconds


@pytest.mark.parametrize(
    "value",
    [
        *("", "TimeLeft", "TimeLeft:", "TimeLeft:-5", "TimeLeft:soon", "TimeLeft:nan"),
        *("TimeLeft:1e3", "TimeLeft:1:2", "TimeLeft:٣", "2000", "Remain:0", ",,:,", "\x00"),
        *("TimeLeft:" + "9" * 16, "TimeLeft:" + "9" * 60_000, "NoTimeLeft:2000"),
    ],
)
def test_headers_when_they_are_nonsense_then_they_tell_nothing(value: str) -> None:
    assert told({API: value, USER: value}) is None


def test_headers_when_there_are_others_only_then_they_tell_nothing() -> None:
    assert told({}) is None
    assert told({"x-ratelimit-user-ip": FORM.format(2000), "date": "TimeLeft:2000"}) is None


@given(st.dictionaries(st.sampled_from((API, USER)), st.text()))
def test_headers_whatever_they_hold_tell_a_time_within_a_window_or_none(
    headers: dict[str, str],
) -> None:
    seconds = told(headers)
    assert seconds is None or 0 <= seconds <= WINDOW_S


@pytest.mark.parametrize(
    ("past_s", "left_s"), [(0.0, 60.0), (0.5, 59.5), (25.0, 35.0), (59.75, 0.25)]
)
def test_full_minute_is_the_next_one(past_s: float, left_s: float) -> None:
    assert full_minute_s(MINUTE + timedelta(seconds=past_s)) == left_s


def place(chance: float, *, times: int = 1, turn_s: float = 35.0, left_s: float = 1000.0) -> float:
    found = place_s(turn_s=turn_s, times=times, chance=chance, left_s=left_s)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("times", "last_s"), [(1, 35 + 48), (2, 35 + 96), (3, 35 + 96), (10_000, 35 + 96)]
)
def test_place_is_in_the_first_four_fifths_of_the_next_windows(times: int, last_s: float) -> None:
    assert place(0.0, times=times) == 35.0
    assert place(0.5, times=times) == pytest.approx((35 + last_s) / 2)
    assert place(1.0, times=times) == pytest.approx(last_s)


def test_place_when_the_deadline_comes_in_the_next_window_then_is_before_it() -> None:
    assert place(0.0, left_s=55.0) == 35.0
    assert place(0.5, left_s=55.0) == 45.0
    assert place(1.0, left_s=55.0) == 55.0


def test_place_when_the_window_turns_at_the_deadline_then_is_there() -> None:
    assert place(0.7, turn_s=20.0, left_s=20.0) == 20.0


@pytest.mark.parametrize("chance", [0.0, 1.0])
def test_place_when_the_window_turns_after_the_deadline_then_there_is_none(chance: float) -> None:
    assert place_s(turn_s=20.001, times=1, chance=chance, left_s=20.0) is None
    assert place_s(turn_s=0.0, times=1, chance=chance, left_s=-0.1) is None


@given(st.floats(0, WINDOW_S), st.integers(1, 50), st.floats(0, 1), st.floats(-10, 4000))
def test_place_is_never_before_the_turn_nor_after_the_deadline(
    turn_s: float, times: int, chance: float, left_s: float
) -> None:
    found = place_s(turn_s=turn_s, times=times, chance=chance, left_s=left_s)
    if found is None:
        assert turn_s > left_s
    else:
        assert turn_s <= found <= left_s + 1e-9
        assert found - turn_s <= 2 * PLACES * WINDOW_S


FAILURE = refusal("Throttling")


def test_refusal_stands_until_its_window_turns_and_for_its_own_action_alone() -> None:
    known = Refusals()
    known.note("A", FAILURE, now=100.0, turn_s=10.0)
    standing = known.standing("A", now=109.9)
    assert standing
    assert (standing.turns, standing.times, standing.failure) == (110.0, 1, FAILURE)
    assert known.standing("B", now=100.0) is None
    assert known.standing("A", now=110.0 - SLACK_S) is None
    assert known.standing("A", now=110.0) is None


def test_refusals_in_one_window_count_once_and_its_later_end_holds() -> None:
    known = Refusals()
    known.note("A", FAILURE, now=100.0, turn_s=10.0)
    assert known.note("A", FAILURE, now=101.0, turn_s=5.0).turns == 110.0
    assert known.note("A", FAILURE, now=102.0, turn_s=12.0).turns == 114.0
    assert known.note("A", FAILURE, now=102.0, turn_s=12.0).times == 1


def test_refusals_in_windows_that_follow_each_other_are_counted() -> None:
    known = Refusals()
    times = [
        known.note("A", FAILURE, now=now, turn_s=60.0).times for now in (0.0, 60.0, 120.0, 150.0)
    ]
    assert times == [1, 2, 3, 3]


def test_answer_in_a_later_window_begins_the_count_anew() -> None:
    known = Refusals()
    known.note("A", FAILURE, now=0.0, turn_s=60.0)
    known.forget("A", now=60.0)
    assert known.note("A", FAILURE, now=61.0, turn_s=59.0).times == 1


def test_answer_in_the_same_window_says_nothing() -> None:
    known = Refusals()
    known.note("A", FAILURE, now=0.0, turn_s=60.0)
    known.forget("A", now=1.0)
    known.forget("B", now=1.0)
    assert known.standing("A", now=2.0)
