"""ClientToken: a repeated request gets the first one's result.

Source: "How to ensure idempotence" of the ECS API documentation. It does not say for how long; a
token that is forgotten is as good as a new one.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from math import inf
from typing import Any

from ecs_simulator.clock import Clock, SystemClock
from ecs_simulator.errors import ApiError

TokenKey = tuple[str, str, str]


@dataclass(slots=True)
class _Entry:
    fingerprint: tuple[tuple[str, str], ...]
    begun: float
    answer: dict[str, Any] | None = None


class IdempotencyStore:
    """Answers by (account, action, ClientToken).

    Args:
        memory_s: for how long after the first call.
    """

    def __init__(self, clock: Clock | None = None, *, memory_s: float = inf) -> None:
        self._clock = clock or SystemClock()
        self.memory_s = memory_s
        self._lock = threading.Lock()
        self._entries: dict[TokenKey, _Entry] = {}

    def begin(
        self, key: TokenKey, fingerprint: tuple[tuple[str, str], ...]
    ) -> dict[str, Any] | None:
        """Return the answer of an equal earlier call, or None and count this one as running.

        Raises:
            ApiError: the earlier call had other parameters, or still runs.
        """
        with self._lock:
            entry = self._entries.get(key)
            now = self._clock.monotonic()
            if entry is None or (entry.answer is not None and now - entry.begun >= self.memory_s):
                self._entries[key] = _Entry(fingerprint, now)
                return None
            if entry.fingerprint != fingerprint:
                raise ApiError("IdempotentParameterMismatch")
            if entry.answer is None:
                raise ApiError("IdempotentProcessing")
            return entry.answer

    def finish(self, key: TokenKey, answer: dict[str, Any] | None) -> None:
        """End a running call; without an answer its token is free again."""
        with self._lock:
            if answer is None:
                self._entries.pop(key, None)
            else:
                self._entries[key].answer = answer
