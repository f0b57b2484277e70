"""How wide the terminal is that a stream leads to."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TextIO

USUAL_COLUMNS = 80
# Nothing can be read in less.
LEAST_COLUMNS = 20


def columns_of(stream: TextIO | None, env: Mapping[str, str]) -> int | None:
    """Return how many cells a line has; None where the stream is no terminal, or closed.

    ``COLUMNS`` goes before what the terminal tells, which tells nothing on a serial line.
    """
    if stream is None or not stream.isatty():
        return None
    said = env.get("COLUMNS", "")
    try:
        found = int(said) if said.isdigit() else os.get_terminal_size(stream.fileno()).columns
    except (OSError, ValueError):
        found = 0
    return max(found, LEAST_COLUMNS) if found else USUAL_COLUMNS
