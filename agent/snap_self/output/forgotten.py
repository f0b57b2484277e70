"""What `reset` removes or has removed, as text and as JSON (schema 1; fields are only added)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from snap_self.model.kept_state import KeptState, TextfileEnd
from snap_self.output.jsonform import envelope, write_json
from snap_self.output.streams import Streams, Style
from snap_self.output.text import write_paragraph
from snap_self.usecases.reset import Forgotten

# Named in a note; JSON has all.
SHOWN = 3


def kept_lines(kept: KeptState, *, textfile: str = "") -> tuple[str, ...]:
    """Return what is to go, for whoever is asked.

    Args:
        textfile: the key ``metrics.textfile``.
    """
    metrics = f" The metrics in {textfile} go too." if textfile else ""
    return (
        f"In {kept.folder}: {_counted(kept)}.{metrics}",
        "The snapshots and the configuration stay. What became of earlier runs, manifests to "
        "compare with, and the way back of restores (`restore --undo`) are gone then.",
    )


def write_declined(streams: Streams) -> None:
    """Say that nobody agreed."""
    streams.message("Nothing was forgotten.")


def write_forgotten(
    streams: Streams, forgotten: Forgotten, *, mapped: Sequence[str], textfile: str = ""
) -> None:
    """Write what was removed and what stays.

    Args:
        mapped: the keys of ``disks.map``.
        textfile: the key ``metrics.textfile``.
    """
    notes = tuple(_notes(forgotten, mapped, textfile))
    if streams.json:
        write_json(streams, forgotten_json(forgotten, notes))
        return
    kept = forgotten.kept
    text = f"Forgotten: {_counted(kept)}." if kept.parts else "Nothing is kept of this instance."
    write_paragraph(streams, text, style=Style.GOOD)
    streams.message(*(f"Note: {note}" for note in notes))


def forgotten_json(forgotten: Forgotten, notes: Sequence[str]) -> dict[str, Any]:
    """Return the same as a JSON object."""
    kept = forgotten.kept
    return {
        **envelope("reset"),
        "state_dir": str(kept.folder),
        "forgotten": [{"part": part.name, "files": len(part.files)} for part in kept.parts],
        "strange": [str(path) for path in kept.strange],
        "asides": list(forgotten.asides),
        "notes": list(notes),
    }


def _counted(kept: KeptState) -> str:
    return ", ".join(f"{part.words} ({len(part.files)})" for part in kept.parts)


def _notes(forgotten: Forgotten, mapped: Sequence[str], textfile: str) -> Iterator[str]:
    if forgotten.kept.strange:
        yield f"not written by snap-self, and left: {_some(forgotten.kept.strange)}"
    if forgotten.asides:
        yield (
            "files that restores have replaced are still there, and will be in an image: "
            f"{_some(forgotten.asides)}"
        )
    if forgotten.textfile is TextfileEnd.REMOVED:
        yield f"the metrics in {textfile} (metrics.textfile) were removed too"
    if forgotten.textfile is TextfileEnd.LEFT:
        yield (
            f"{textfile} (metrics.textfile) is still there, and will be in an image: it does not "
            "begin as snap-self writes it, or could not be removed"
        )
    if mapped:
        yield (
            f"disks.map stays in the configuration ({_some(mapped)}): on other machines it is "
            "wrong, unless their disks have the same ids"
        )


def _some(names: Sequence[str | Path]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(map(str, names[:SHOWN])) + more
