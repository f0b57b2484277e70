"""What `diff` is about to make to show contents, and what came of it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from snap_self.model.looking import DiffReport
from snap_self.model.restored import Intent
from snap_self.output.restored import MOST_LINES, disk_sentence, gone_words
from snap_self.output.streams import Streams, Style
from snap_self.output.text import ago_words, short_instant, write_error, write_paragraph


def intent_lines(intent: Intent, now: datetime) -> Iterator[str]:
    """Yield what is about to be made, and what for."""
    age = f"{short_instant(intent.cut_time)}{ago_words(intent.cut_time, now)}"
    yield (
        f"Look into {intent.source} ({intent.fstype}) as it is in "
        f"{', '.join(intent.snapshot_ids)}, cut {age}, before: {intent.before or '-'}"
    )
    yield from (f"  {path}" for path in intent.paths[:MOST_LINES])
    if len(intent.paths) > MOST_LINES:
        yield f"  and {len(intent.paths) - MOST_LINES} more"
    yield disk_sentence(intent)


def write_end(streams: Streams, report: DiffReport) -> None:
    """Write what became of the disk that was made for it."""
    if report.left is not None:
        write_error(streams, report.left)
    elif report.copy is not None:
        write_paragraph(streams, gone_words(report.copy), style=Style.GOOD)
