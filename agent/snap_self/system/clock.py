"""The machine's clocks."""

from __future__ import annotations

import time
from datetime import datetime, timezone


class SystemClock:
    """Implement ``ports.Clock`` with the kernel's clocks."""

    def now(self) -> datetime:
        return datetime.now(timezone.utc)

    def monotonic(self) -> float:
        """Return seconds since boot; unlike ``time.monotonic`` they count suspend.

        Source: clock_gettime(2), CLOCK_BOOTTIME.
        """
        return time.clock_gettime(time.CLOCK_BOOTTIME)

    def sleep(self, seconds: float) -> None:
        """Wait that long; not at all if it is not positive."""
        if seconds > 0:
            time.sleep(seconds)
