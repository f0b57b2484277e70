"""The window of a limit on calls: until when it refuses them, and where in the next to call again.

A limit counts the calls of one operation in one region, of everybody in the account together, in
fixed windows of a minute. Once it is reached every further call is refused until the window turns.
Whoever then calls again at once finds all the others who waited, so each takes a random place in
the next window.

Sources: ECS developer guide, API throttling; for the headers, the OpenAPI utilities of Alibaba
Cloud's SDKs, which take the larger ``TimeLeft``, in milliseconds.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from snap_self.ports import RpcFailed

WINDOW_S = 60.0
# The last part of a window is left to those who come anew.
PLACES = 0.8
# After a second refusal there are more callers than one window takes.
MOST_WINDOWS = 2
HEADERS = ("x-ratelimit-user-api", "x-ratelimit-user")
# Sleeps may end a little early.
SLACK_S = 0.05

_TIME_LEFT = re.compile(r"\s*timeleft\s*:\s*(\d{1,15})(\.\d*)?\s*", re.IGNORECASE | re.ASCII)


def told_s(headers: Mapping[str, str]) -> float | None:
    """Return how many seconds the window lasts on, as an answer's headers tell; None if not.

    A time longer than a window is no time the API documents, and counts as a whole window.
    """
    pairs = (
        pair
        for name, value in headers.items()
        if name.lower() in HEADERS
        for pair in value.split(",")
    )
    times = [int(found[1]) / 1000 for pair in pairs if (found := _TIME_LEFT.fullmatch(pair))]
    return min(max(times), WINDOW_S) if times else None


def full_minute_s(now: datetime) -> float:
    """Return how many seconds it is to the next full minute, when windows turn.

    A clock that is wrong makes the wait wrong by less than a minute.
    """
    return WINDOW_S - now.timestamp() % WINDOW_S


def place_s(*, turn_s: float, times: int, chance: float, left_s: float) -> float | None:
    """Return how long to wait before the call is sent again; None if it must be sent before that.

    Args:
        turn_s: until the window turns.
        times: how many windows in a row refused the call.
        chance: 0 to 1, evenly.
        left_s: the call must be sent within this time. Where it ends inside the next windows, the
            place is taken before it.
    """
    if turn_s > left_s:
        return None
    places_s = PLACES * WINDOW_S * min(times, MOST_WINDOWS)
    return turn_s + chance * min(places_s, left_s - turn_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """An operation's limit that is reached.

    Args:
        turns: when its window turns, on the monotonic clock.
        times: how many windows in a row refused the operation.
        failure: the last refusal.
    """

    turns: float
    times: int
    failure: RpcFailed


class Refusals:
    """Which operations are refused until when: one refusal tells every thread of a client."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[str, Refused] = {}

    def note(self, action: str, failure: RpcFailed, *, now: float, turn_s: float) -> Refused:
        """Take in a refusal, and return what is known by now."""
        turns, times = now + turn_s, 1
        with self._lock:
            if known := self._known.get(action):
                same = _stands(known, now)
                times = known.times if same else known.times + 1
                turns = max(turns, known.turns) if same else turns
            refused = Refused(turns=turns, times=times, failure=failure)
            self._known[action] = refused
        return refused

    def standing(self, action: str, *, now: float) -> Refused | None:
        """Return why the operation would be refused now, None if it may not be."""
        with self._lock:
            known = self._known.get(action)
        return known if known and _stands(known, now) else None

    def forget(self, action: str, *, now: float) -> None:
        """Take in that a call was answered; one sent before the refusal says nothing."""
        with self._lock:
            if (known := self._known.get(action)) and not _stands(known, now):
                del self._known[action]


def _stands(known: Refused, now: float) -> bool:
    return now < known.turns - SLACK_S
