"""Actions that are due at a time; one thread runs them, or a test does."""

from __future__ import annotations

import heapq
import threading
from collections.abc import Callable

from ecs_simulator.clock import Clock


class Agenda:
    """Runs actions when they are due, in order, one at a time."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._changed = threading.Condition()
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0
        self._running = False
        self._thread: threading.Thread | None = None
        self.failures: list[str] = []

    def now(self) -> float:
        """Return the cloud's time, in seconds since 1970."""
        return self._clock.now()

    def after(self, delay_s: float, action: Callable[[], None]) -> None:
        """Have ``action`` run once, ``delay_s`` from now."""
        with self._changed:
            self._count += 1
            due = self._clock.monotonic() + max(0.0, delay_s)
            heapq.heappush(self._due, (due, self._count, action))
            self._changed.notify()

    def run_due(self) -> int:
        """Run all actions that are due by now; return how many."""
        done = 0
        while True:
            with self._changed:
                if not self._due or self._due[0][0] > self._clock.monotonic():
                    return done
                action = heapq.heappop(self._due)[2]
            try:
                action()
            except (OSError, ValueError, LookupError, RuntimeError) as error:
                # One failure of the storage must not stop the later actions.
                self.failures.append(f"{type(error).__name__}: {error}")
            done += 1

    def start(self) -> None:
        """Run due actions in a separate thread until :meth:`stop`."""
        self._running = True
        self._thread = threading.Thread(target=self._loop, name="agenda", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """Look again for due actions after the clock was moved."""
        with self._changed:
            self._changed.notify()

    def stop(self) -> None:
        """Run nothing more; returns when the running action has ended."""
        with self._changed:
            self._running = False
            self._changed.notify()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _loop(self) -> None:
        while True:
            with self._changed:
                if not self._running:
                    return
                wait_s = self._due[0][0] - self._clock.monotonic() if self._due else None
                if wait_s is None or wait_s > 0:
                    self._changed.wait(wait_s)
                    continue
            self.run_due()
