"""The list of what changes by itself, as it comes with the program."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from snap_self.model.differences import Part

LIST = Path(__file__).resolve().parents[1] / "data/usual-changes.txt"


def usual_changes(path: Path = LIST) -> Mapping[Part, tuple[str, ...]]:
    """Return the patterns of names, by part; none where the list cannot be read.

    What is shown is then more, and never less.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError:
        return {}
    found: dict[Part, list[str]] = {}
    for line in text.split("\n"):
        word, _, pattern = line.strip().partition(" ")
        if pattern and not word.startswith("#"):
            found.setdefault(Part(word), []).append(pattern.strip())
    return {part: tuple(patterns) for part, patterns in found.items()}
