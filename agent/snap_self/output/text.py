"""What the text forms of reports share: errors, tables, instants."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from snap_self.errors import SnapSelfError
from snap_self.model.report import ErrorReport
from snap_self.model.shown import printable
from snap_self.model.snapshots import Cut
from snap_self.model.wrapping import GLUE, wrapped
from snap_self.output.cells import cell_width, is_plain, padded
from snap_self.output.streams import Streams, Style

if TYPE_CHECKING:  # the text of one value is not to load what makes the others
    from snap_self.model.listed import ListedSnapshot
    from snap_self.model.report import SnapshotReport


def write_error(streams: Streams, error: SnapSelfError) -> None:
    """Write a failure: what is the matter, and what to do."""
    write_error_report(streams, ErrorReport.of(error), error.lines)


def write_error_report(streams: Streams, error: ErrorReport, lines: Sequence[str] = ()) -> None:
    """Write a failure; ``lines`` say it where one message is not enough."""
    first, *others = lines or (error.message,)
    write_paragraph(streams, f"snap-self: {first}", *others, style=Style.BAD, loud=True)
    if error.hint:
        write_paragraph(streams, f"  -> {error.hint}", indent="     ", loud=True)
    if streams.verbosity > 0:
        streams.fault(f"  code: {error.code}", *error.details)


def write_paragraph(
    streams: Streams,
    *texts: str,
    style: Style | None = None,
    indent: str = "  ",
    loud: bool = False,
) -> None:
    """Write texts for people, broken between words where a terminal is too narrow for them.

    Args:
        indent: what the lines begin with that a text goes on in.
        loud: they are said even when quiet.
    """
    write = streams.fault if loud else streams.message
    for text in texts:
        lines: Iterable[str] = (text.replace(GLUE, " "),)
        if streams.columns is not None:
            whole = printable(text)
            lines = wrapped(whole, streams.columns, indent=indent, measure=cell_width)
        write(*lines, style=style)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterable[str]:
    """Return left-aligned columns; the last one is not padded."""
    whole: Sequence[Sequence[str]] = (head, *rows)
    width: Callable[[str], int] = len
    fill: Callable[[str, int], str] = str.ljust
    if not all(is_plain("".join(row)) for row in whole):  # which thousands of rows would be slow in
        whole = [[printable(cell) for cell in row] for row in whole]
        width, fill = cell_width, padded
    widths = [max(map(width, column)) for column in zip(*whole, strict=True)]
    for row in whole:
        yield "  ".join(map(fill, row, widths)).rstrip()


def cut_words(shot: SnapshotReport | ListedSnapshot) -> str:
    """Return when a snapshot was cut; not known is another thing than not made yet."""
    if shot.cut_time is not None:
        return instant_words(shot.cut_time)
    return _UNTIMED[shot.cut]


_UNTIMED = {
    Cut.MADE: "made, when is not known",
    Cut.NOT_YET: "not made yet",
    Cut.NOT_KNOWN: "not known",
}


def instant_words(instant: datetime | None) -> str:
    """Return an instant in UTC, to the second."""
    return f"{instant:%Y-%m-%d %H:%M:%S} UTC" if instant else "not known"


def short_instant(instant: datetime | None) -> str:
    """Return an instant in UTC, to the minute."""
    return f"{instant:%Y-%m-%d %H:%M} UTC" if instant else "not known"


def ago_words(instant: datetime | None, now: datetime) -> str:
    """Return in brackets how long ago an instant was; nothing where it is not known."""
    return f" ({age_words(instant, now)} ago)" if instant else ""


def age_words(instant: datetime | None, now: datetime) -> str:
    """Return how long ago an instant was, in its largest whole unit."""
    if instant is None:
        return "-"
    seconds = max(0, int((now - instant).total_seconds()))
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= size:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def in_words(instant: datetime, now: datetime) -> str:
    """Return in brackets how far off an instant is; that it is over, where it is."""
    return f" (in {age_words(now, instant)})" if instant > now else " (which is over)"
