"""A clock that stands still until somebody sleeps."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime, timedelta, timezone

START = datetime(2026, 11, 22, 8, 32, 25, tzinfo=timezone.utc)


class FakeClock:
    """The memory twin of ``SystemClock``: a sleep takes no time and moves both clocks on.

    Args:
        on_sleep: called after each sleep, to let the world change meanwhile.
    """

    def __init__(
        self, start: datetime = START, *, on_sleep: Callable[[float], None] | None = None
    ) -> None:
        self._start = start
        self._passed_s = 0.0
        self._on_sleep = on_sleep
        self._lock = threading.Lock()
        self.sleeps: list[float] = []

    def now(self) -> datetime:
        """Return the start plus all time slept."""
        return self._start + timedelta(seconds=self._passed_s)

    def monotonic(self) -> float:
        """Return 1000 plus all time slept."""
        return 1000.0 + self._passed_s

    def sleep(self, seconds: float) -> None:
        """Move on at once."""
        with self._lock:
            self.sleeps.append(seconds)
            self._passed_s += max(0.0, seconds)
        if self._on_sleep is not None:
            self._on_sleep(seconds)

    def advance(self, seconds: float) -> None:
        """Let time pass without anybody sleeping."""
        with self._lock:
            self._passed_s += seconds
