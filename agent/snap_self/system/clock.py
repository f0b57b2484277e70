"""The machine's clocks."""

from __future__ import annotations

import time
from datetime import datetime, timezone


class SystemClock:
    """Implement ``ports.Clock`` with the kernel's clocks."""

    def now(self) -> datetime:
        """Return the wall clock, UTC-aware."""
        return datetime.now(timezone.utc)

    def monotonic(self) -> float:
        """Return seconds since boot; unlike ``time.monotonic`` they go on during suspend.

        Source: clock_gettime(2), CLOCK_BOOTTIME.
        """
        return time.clock_gettime(time.CLOCK_BOOTTIME)

    def sleep(self, seconds: float) -> None:
        """Wait that long; not at all for what is not positive."""
        if seconds > 0:
            time.sleep(seconds)
