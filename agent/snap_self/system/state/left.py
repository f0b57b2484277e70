"""Whether anything may be left half done: asked by every command, so it costs two looks."""

from __future__ import annotations

import os
from pathlib import Path

FOLDER = "restores"
"""In the state directory: the records of copies that may have left something."""
RETURNS = "returns"
"""The same of disks that go back while the system runs."""


def may_be_left(state: Path) -> bool:
    """Tell whether the state directory names a copy that is not known to be gone; never raises."""
    return _has_records(state / FOLDER)


def may_be_half_way(state: Path) -> bool:
    """Tell whether it names disks that are not known to have gone back; never raises."""
    return _has_records(state / RETURNS)


def may_have_returned(state: Path) -> bool:
    """Tell whether it names disks that have gone back; never raises."""
    return _has_records(state / RETURNS / "done")


def _has_records(folder: Path) -> bool:
    try:
        with os.scandir(folder) as entries:
            return any(entry.name.endswith(".json") for entry in entries)
    except OSError:
        return False
