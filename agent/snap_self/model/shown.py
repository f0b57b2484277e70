"""How a value that somebody typed is shown in a message."""

from __future__ import annotations

import re

MAX_SHOWN = 60

# What moves a terminal's cursor, ends a line or turns the writing direction, and what UTF-8 cannot
# carry. Joiners, which emoji need, and characters newer than this Python's tables pass.
UNPRINTABLE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u061c\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)


def shown(text: str) -> str:
    """Return the text in quotes, on one line, printable and at most 60 characters long."""
    cut = text if len(text) <= MAX_SHOWN else text[: MAX_SHOWN - 1] + "…"
    return f"'{UNPRINTABLE.sub(_escaped, cut)}'"


def _escaped(match: re.Match[str]) -> str:
    return match[0].encode("unicode_escape", "surrogatepass").decode("ascii")
