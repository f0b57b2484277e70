"""A run lock in memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from snap_self.errors import LockHeld
from snap_self.ports import Clock


class FakeLock:
    """The memory twin of ``FileLock``.

    Args:
        free_after_s: held by somebody else until so much of the clock's time has passed.
    """

    def __init__(self, clock: Clock, *, free_after_s: float = 0.0) -> None:
        self._clock = clock
        self._free_at = clock.monotonic() + free_after_s
        self._holder = "somebody else"
        self._held = False
        self.purposes: list[str] = []

    @property
    def held(self) -> bool:
        """Tell whether it is held by this process."""
        return self._held

    @contextmanager
    def hold(self, *, timeout_s: float, purpose: str) -> Iterator[None]:
        """Hold the lock inside the block, after waiting at most that long."""
        end = self._clock.monotonic() + timeout_s
        while not self._take(purpose):
            if self._clock.monotonic() >= end:
                raise LockHeld(f"another run of snap-self holds the lock: {self._holder}")
            self._clock.sleep(min(1.0, end - self._clock.monotonic()))
        try:
            yield
        finally:
            self._held = False

    @contextmanager
    def attempt(self, *, purpose: str) -> Iterator[bool]:
        """Hold the lock inside the block if it is free now."""
        taken = self._take(purpose)
        try:
            yield taken
        finally:
            if taken:
                self._held = False

    def _take(self, purpose: str) -> bool:
        if self._held or self._clock.monotonic() < self._free_at:
            return False
        self._held = True
        self._holder = purpose
        self.purposes.append(purpose)
        return True
