"""Durations as users write them: ``90s``, ``30m``, ``12h``, ``14d``."""

from __future__ import annotations

import re

from snap_self.errors import RuleError
from snap_self.model.shown import shown

UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86400}
# The longest retention the ECS API takes; nothing else needs to last longer either.
MAX_S = 65536 * 86400
FOREVER = "forever"
OFF = "off"
ACCEPTED = "a whole number and a unit: 90s, 30m, 12h or 14d"

_DURATION = re.compile(r"([0-9]{1,12})([smhd])")


def parse_duration(text: str, *, what: str = "duration", zero_ok: bool = False) -> int:
    """Return the duration in seconds.

    Args:
        what: how messages name the value (``--timeout``).
        zero_ok: accept ``0s``.

    Raises:
        RuleError: it is no duration, zero, or longer than 65536 days.
    """
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise RuleError(f"{what} {shown(text)} is not a duration", hint=f"write {ACCEPTED}")
    seconds = int(match[1]) * UNITS_S[match[2]]
    if seconds == 0 and not zero_ok:
        raise RuleError(f"{what} {shown(text)} is no time at all", hint=f"write {ACCEPTED}")
    if seconds > MAX_S:
        raise RuleError(
            f"{what} {shown(text)} is longer than 65536 days",
            hint="write at most 65536d, the longest retention the ECS API takes",
        )
    return seconds


def parse_duration_or(text: str, word: str, *, what: str = "duration") -> int | None:
    """Return the duration in seconds, or None for ``word`` (``forever``, ``off``).

    Raises:
        RuleError: it is neither.
    """
    if text.strip() == word:
        return None
    try:
        return parse_duration(text, what=what)
    except RuleError as error:
        raise RuleError(error.message, hint=f"{error.hint}, or {word}") from None


def format_duration(seconds: int) -> str:
    """Return the shortest form that :func:`parse_duration` turns back into ``seconds``."""
    unit = next(u for u in "dhms" if seconds % UNITS_S[u] == 0 and (seconds or u == "s"))
    return f"{seconds // UNITS_S[unit]}{unit}"
