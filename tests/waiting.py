"""Waits for a state that something else brings about."""

from __future__ import annotations

import time
from collections.abc import Callable

LIMIT_S = 30.0


def wait_until(true: Callable[[], object], *, limit_s: float = LIMIT_S) -> None:
    """Return when it is true.

    Raises:
        AssertionError: it is not within the limit.
    """
    end = time.monotonic() + limit_s
    while not true():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.02)
