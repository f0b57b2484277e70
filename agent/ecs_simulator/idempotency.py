"""ClientToken: a repeated request gets the first one's result.

Source: "How to ensure idempotence" of the ECS API documentation.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

from ecs_simulator.errors import ApiError

TokenKey = tuple[str, str, str]


@dataclass(slots=True)
class _Entry:
    fingerprint: tuple[tuple[str, str], ...]
    answer: dict[str, Any] | None = None


class IdempotencyStore:
    """Answers by (account, action, ClientToken)."""

    def __init__(self) -> None:
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
            if entry is None:
                self._entries[key] = _Entry(fingerprint)
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
