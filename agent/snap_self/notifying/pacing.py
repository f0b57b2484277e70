"""How often a robot is given a message: one in ten minutes, and what was not told is counted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from snap_self.model.notifying import Pace
from snap_self.model.occurrences import Occasion

GAP = timedelta(minutes=10)
# Told at once after a message of less, as that a snapshot failed: once in ten minutes all the same.
GRAVE = frozenset(
    each.value for each in (Occasion.UNPROTECTED, Occasion.FROZEN, Occasion.WENT_BACK)
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """Whether a message may be sent now.

    Args:
        told: what it is to tell of, beside itself.
        pace: what is remembered from now on.
    """

    granted: bool
    told: Pace
    pace: Pace


def take_turn(pace: Pace, events: Iterable[str], now: datetime) -> Turn:
    """Return whether a message about these events may be sent; its turn is taken then."""
    counts = _counts(events)
    grave = not GRAVE.isdisjoint(counts)
    too_soon = _is_near(pace.sent, now) and not (grave and not pace.grave)
    if too_soon or _is_ahead(pace.muted_until, now):
        return Turn(granted=False, told=Pace(), pace=_with_held(pace, counts, now))
    return Turn(granted=True, told=pace, pace=Pace(sent=now, grave=grave))


def turn_lost(
    pace: Pace, turn: Turn, events: Iterable[str], now: datetime, *, muted: bool = False
) -> Pace:
    """Return what is remembered when the message of a turn did not get there.

    Args:
        pace: what is remembered by now: others may have added to it.
        muted: the vendor takes no more for a while.
    """
    missed = _with_held(pace, turn.told.held, turn.told.held_since or now)
    missed = _with_held(missed, _counts(events), now)
    until = now + GAP if muted else None
    before = turn.told
    return replace(missed, sent=before.sent, grave=before.grave, muted_until=until)


def _with_held(pace: Pace, counts: Mapping[str, int], at: datetime) -> Pace:
    if not counts:
        return pace
    names = {**pace.held, **counts}
    held = {name: pace.held.get(name, 0) + counts.get(name, 0) for name in names}
    since = min(pace.held_since, at) if pace.held_since else at
    return replace(pace, held=held, held_since=since)


def _counts(events: Iterable[str]) -> Mapping[str, int]:
    listed = list(events)
    return {event: listed.count(event) for event in listed}


def _is_near(sent: datetime | None, now: datetime) -> bool:
    """Tell whether it was sent less than ten minutes ago; not where the clock was set back."""
    return sent is not None and timedelta(0) <= now - sent < GAP


def _is_ahead(until: datetime | None, now: datetime) -> bool:
    return until is not None and timedelta(0) < until - now <= GAP
