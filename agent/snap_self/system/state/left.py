"""Whether anything may be left of a copy: asked by every command, so it costs one look."""

from __future__ import annotations

import os
from pathlib import Path

FOLDER = "restores"
"""In the state directory: the records of what may have left something."""


def may_be_left(state: Path) -> bool:
    """Tell whether the state directory names a copy that is not known to be gone; never raises."""
    try:
        with os.scandir(state / FOLDER) as entries:
            return any(entry.name.endswith(".json") for entry in entries)
    except OSError:
        return False
