"""One message in ten minutes; what is not told is counted, and the next one tells of it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from fakes.clock import START
from snap_self.model.notifying import Pace
from snap_self.notifying.pacing import GAP, take_turn, turn_lost

NEVER = Pace()
SECOND = timedelta(seconds=1)


def test_first_message_is_sent_at_once() -> None:
    turn = take_turn(NEVER, ["failed"], START)
    assert turn.granted
    assert turn.pace == Pace(sent=START)
    assert turn.told.held == {}


def test_second_within_ten_minutes_is_held_back_and_counted() -> None:
    pace = take_turn(NEVER, ["failed"], START).pace
    first = take_turn(pace, ["failed", "asked"], START + SECOND)
    second = take_turn(first.pace, ["failed"], START + GAP - SECOND)
    assert not first.granted
    assert not second.granted
    assert second.pace == Pace(
        sent=START, held={"failed": 2, "asked": 1}, held_since=START + SECOND
    )


def test_next_message_tells_of_those_and_forgets_them() -> None:
    pace = Pace(sent=START, held={"failed": 2}, held_since=START + SECOND)
    turn = take_turn(pace, ["asked"], START + GAP)
    assert turn.granted
    assert (turn.told.held, turn.told.held_since) == ({"failed": 2}, START + SECOND)
    assert turn.pace == Pace(sent=START + GAP)


def test_message_that_did_not_get_there_is_counted_and_takes_no_turn() -> None:
    pace = Pace(held={"failed": 2}, held_since=START)
    turn = take_turn(pace, ["failed", "asked"], START + GAP)
    lost = turn_lost(turn.pace, turn, ["failed", "asked"], START + GAP)
    assert lost == Pace(held={"failed": 3, "asked": 1}, held_since=START)
    assert take_turn(lost, ["failed"], START + GAP + SECOND).granted


def test_grave_message_that_did_not_get_there_leaves_the_next_one_its_turn() -> None:
    pace = take_turn(NEVER, ["failed"], START).pace
    turn = take_turn(pace, ["unprotected"], START + SECOND)
    lost = turn_lost(turn.pace, turn, ["unprotected"], START + 2 * SECOND)
    again = take_turn(lost, ["frozen"], START + 3 * SECOND)
    assert (again.granted, again.told.held) == (True, {"unprotected": 1})
    assert not take_turn(again.pace, ["unprotected"], START + 4 * SECOND).granted


def test_what_others_held_back_meanwhile_is_not_forgotten() -> None:
    turn = take_turn(NEVER, ["failed"], START)
    meanwhile = take_turn(turn.pace, ["asked"], START + SECOND).pace
    lost = turn_lost(meanwhile, turn, ["failed"], START + 2 * SECOND)
    assert lost.held == {"asked": 1, "failed": 1}


def test_robot_that_takes_no_more_is_left_alone_for_ten_minutes() -> None:
    turn = take_turn(NEVER, ["failed"], START)
    muted = turn_lost(turn.pace, turn, ["failed"], START, muted=True)
    assert not take_turn(muted, ["failed"], START + GAP - SECOND).granted
    later = take_turn(muted, ["failed"], START + GAP)
    assert later.granted
    assert later.told.held == {"failed": 1}


@pytest.mark.parametrize("pace", [Pace(sent=START + 2 * GAP), Pace(muted_until=START + 9 * GAP)])
def test_clock_that_was_set_back_keeps_nobody_from_being_told(pace: Pace) -> None:
    assert take_turn(pace, ["failed"], START).granted


@pytest.mark.parametrize("grave", ["unprotected", "frozen", "went-back"])
def test_what_is_grave_is_told_at_once_after_what_is_less_and_once_in_ten_minutes(
    grave: str,
) -> None:
    less = take_turn(NEVER, ["failed"], START).pace
    held = take_turn(less, ["failed"], START + SECOND).pace
    worse = take_turn(held, [grave], START + 2 * SECOND)
    assert (worse.granted, worse.told.held) == (True, {"failed": 1})
    assert not take_turn(worse.pace, [grave], START + 3 * SECOND).granted
    assert take_turn(worse.pace, [grave], START + 2 * SECOND + GAP).granted


def test_what_is_grave_waits_for_a_robot_that_takes_no_more() -> None:
    muted = Pace(sent=START, muted_until=START + GAP)
    assert not take_turn(muted, ["unprotected"], START + SECOND).granted
