"""What the hooks' guard left is told once, by the command that counts it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from fakes.clock import FakeClock
from fakes.records import STARTED
from fakes.watching import Watchers
from snap_self.errors import StateUnusable
from snap_self.model.occurrences import Left, Occasion, Occurrence
from snap_self.model.summary import Holdings, Tally
from snap_self.usecases.watching import Watch, refresh
from snap_self.watching.journal import MESSAGES

GUARDED = Occurrence(
    kind=Occasion.UNPROTECTED,
    at=STARTED - timedelta(hours=5),
    text="apt went on without a snapshot to rely on: its hook for apt is broken (status 1)",
    trigger="apt",
    code="hook-broken",
    hint="snap-self hook status",
)
PRUNED = Occurrence(kind=Occasion.PRUNED, at=STARTED, text="snapshots deleted")
KNOWN = Tally(instance_id="i-1", region="cn-hangzhou")


@pytest.fixture
def watchers() -> Watchers:
    return Watchers(tally=KNOWN, left=[Left(occurrence=GUARDED)])


def a_command(watchers: Watchers) -> None:
    watch = Watch(watchers.tools(FakeClock()))
    watch.tell(PRUNED)
    watch.close()


def a_look(watchers: Watchers) -> None:
    watch = Watch(watchers.tools(FakeClock()))
    watch.saw(Holdings(instance_id="i-1", counts={}, shown=None))
    watch.close()


def a_refresh(watchers: Watchers) -> None:
    refresh(watchers.tools(FakeClock()))


Counting = Callable[[Watchers], None]
COUNTS = pytest.mark.parametrize("count", [a_command, a_look, a_refresh])
WORLD = replace(GUARDED, instance_id="i-1", region="cn-hangzhou")


def told(watchers: Watchers) -> tuple[list[str], list[Occurrence]]:
    """Return what the journal and people were told of unprotected changes."""
    unprotected = MESSAGES[Occasion.UNPROTECTED].message_id
    logged = [one["MESSAGE"] for one in watchers.logged if one["MESSAGE_ID"] == unprotected]
    every = [one for each in watchers.notified for one in each]
    return logged, [one for one in every if one.kind is Occasion.UNPROTECTED]


@COUNTS
def test_what_nobody_was_told_of_is_told_by_who_counts_it(
    count: Counting, watchers: Watchers
) -> None:
    count(watchers)
    (logged,), notified = told(watchers)
    # Of the time of the change, not of the message.
    assert logged == f"at 2026-11-22 03:32 UTC {GUARDED.text} -> {GUARDED.hint}"
    assert notified == [WORLD]
    (fields,) = (one for one in watchers.logged if one["MESSAGE"] == logged)
    assert fields["SNAP_SELF_AT"] == "2026-11-22T03:32:25Z"
    assert (fields["SNAP_SELF_TRIGGER"], fields["SNAP_SELF_CODE"]) == ("apt", "hook-broken")
    assert fields["SNAP_SELF_INSTANCE"] == "i-1"
    assert watchers.tally.counts.unprotected == {"apt": 1}
    count(watchers)
    assert told(watchers) == ([logged], notified)


@COUNTS
def test_what_was_told_when_it_happened_is_counted_alone(
    count: Counting, watchers: Watchers
) -> None:
    watchers.left = [Left(occurrence=GUARDED, told=True)]
    count(watchers)
    assert told(watchers) == ([], [])
    assert watchers.tally.counts.unprotected == {"apt": 1}


@pytest.mark.parametrize("count", [a_command, a_look])
@pytest.mark.parametrize("hinders", ["frozen", "uncounted"])
def test_what_cannot_be_counted_yet_is_told_later(
    count: Counting, hinders: str, watchers: Watchers
) -> None:
    full = StateUnusable("the disk is full")
    watchers.frozen, watchers.uncounted = hinders == "frozen", full
    count(watchers)
    assert told(watchers) == ([], [])
    watchers.frozen, watchers.uncounted = False, None
    a_refresh(watchers)
    logged, notified = told(watchers)
    assert (len(logged), notified) == (1, [WORLD])


def test_summary_that_cannot_be_shown_hides_and_doubles_nothing(watchers: Watchers) -> None:
    watchers.unshown = StateUnusable("the disk is full")
    with pytest.raises(StateUnusable):
        a_refresh(watchers)
    a_command(watchers)
    watchers.unshown = None
    a_refresh(watchers)
    logged, notified = told(watchers)
    assert (len(logged), notified) == (1, [WORLD])


def test_own_news_follow_what_was_left(watchers: Watchers) -> None:
    a_command(watchers)
    # One message for a robot, in the order of time.
    assert watchers.notified == [(WORLD, PRUNED)]
