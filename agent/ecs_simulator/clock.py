"""The simulator's time: a wall clock that tests may shift, and the cloud's written forms of it."""

from __future__ import annotations

import time
from datetime import datetime, timezone
from typing import Protocol


class Clock(Protocol):
    """The time as the simulated cloud sees it."""

    def now(self) -> float:
        """Return seconds since 1970 UTC."""
        ...

    def monotonic(self) -> float:
        """Return seconds that never go back; due times use them."""
        ...


class SystemClock:
    """The machine's clock, moved forward by tests or wrong by a constant.

    Args:
        offset_s: how far time was moved forward; everything that waits comes earlier by it.
        skew_s: how wrong the wall clock is; nothing gets older by it.
    """

    def __init__(self) -> None:
        self.offset_s = 0.0
        self.skew_s = 0.0

    def now(self) -> float:
        return time.time() + self.offset_s + self.skew_s

    def monotonic(self) -> float:
        """Return the machine's monotonic clock plus the offset."""
        return time.monotonic() + self.offset_s


def iso_second(instant: float | None) -> str:
    """Return ``2026-11-22T08:32:25Z``, or an empty string for no instant."""
    if instant is None:
        return ""
    return datetime.fromtimestamp(int(instant), timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def iso_minute(instant: float | None) -> str:
    """Return ``2026-11-22T08:32Z``, or an empty string for no instant."""
    if instant is None:
        return ""
    return datetime.fromtimestamp(int(instant), timezone.utc).strftime("%Y-%m-%dT%H:%MZ")


def parse_iso(text: str) -> float | None:
    """Return seconds since 1970 of a UTC text with or without seconds, or None."""
    for form in ("%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%dT%H:%MZ"):
        try:
            return datetime.strptime(text, form).replace(tzinfo=timezone.utc).timestamp()
        except ValueError:
            continue
    return None
