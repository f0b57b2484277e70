"""Where output goes: data to standard output, messages and progress to standard error.

This is the border that every text passes. Each argument is one line: whatever else in it would end
the line or act on the terminal is foreign, and shown escaped. So a caller who forgets what a text
may hold gets an ugly line, never a forged one.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from enum import Enum
from typing import TextIO

from snap_self.model.shown import printable


class OutputLost(Exception):
    """Standard output takes nothing any more. Not an OSError, which the parser would end on.

    Args:
        reader_gone: whoever read it has gone, as ``head`` does.
    """

    def __init__(self, why: str, *, reader_gone: bool = False) -> None:
        super().__init__(why)
        self.why = why
        self.reader_gone = reader_gone


@contextmanager
def lost_if_refused() -> Iterator[None]:
    """Turn what standard output refuses into ``OutputLost``."""
    try:
        yield
    except BrokenPipeError:
        raise OutputLost("its reader has gone", reader_gone=True) from None
    except (OSError, ValueError) as error:
        raise OutputLost(getattr(error, "strerror", "") or "it is closed") from error


class DataStream(io.TextIOWrapper):
    """Standard output for whoever writes to it directly, as the parser does its help."""

    def write(self, text: str, /) -> int:
        """Write it, or say that it is lost."""
        with lost_if_refused():
            return super().write(text)

    def flush(self) -> None:
        """Flush it, or say that what is in it is lost."""
        with lost_if_refused():
            super().flush()


class Style(Enum):
    """Weight and colour of a line, as the terminal is told them (ECMA-48, SGR)."""

    LACK = "33"
    GOOD = "1;32"
    DOUBT = "1;33"
    BAD = "1;31"


@dataclass(frozen=True, slots=True, kw_only=True)
class Streams:
    """The two streams and how much to say.

    Args:
        terminal: standard error is a terminal that can redraw lines.
        colour: weight and colours are welcome there.
        verbosity: -1 quiet, 0 usual, 1 verbose.
        json: standard output carries one JSON object and nothing else.
        columns: how many cells a line of standard error has; None where it is no terminal.
        out_columns: the same of standard output.
    """

    out: TextIO
    err: TextIO
    terminal: bool
    colour: bool
    verbosity: int
    json: bool
    columns: int | None = None
    out_columns: int | None = None

    def data(self, *lines: str) -> None:
        """Write lines of data at once, all in one call of the system.

        Raises:
            OutputLost: they could not be written.
        """
        with lost_if_refused():
            _write(self.out, lines)

    def sparing(self) -> SparingStreams:
        """Return the same streams for a report that goes on where its data are not taken."""
        names = [field.name for field in fields(self)]
        return SparingStreams(**{name: getattr(self, name) for name in names})

    def message(self, *lines: str, style: Style | None = None) -> None:
        """Write lines for people, unless they asked for quiet."""
        if self.verbosity >= 0:
            self.fault(*lines, style=style)

    def fault(self, *lines: str, style: Style | None = None) -> None:
        """Write lines that are said even when quiet."""
        begin, end = (f"\x1b[{style.value}m", "\x1b[0m") if style and self.colour else ("", "")
        _write(self.err, lines, begin, end)

    def redraw(self, line: str) -> None:
        """Write a line in place of the one that the cursor stands in, and stay there.

        Only on a terminal that can; empty for no line.
        """
        self.err.write(f"\r\x1b[2K{printable(line)}")
        self.err.flush()


@dataclass(frozen=True, slots=True, kw_only=True)
class SparingStreams(Streams):
    """Streams of a command whose deed is done: lost output changes nothing of it.

    Args:
        lost: the first loss of data; nothing more is tried then.
    """

    lost: list[OutputLost] = field(default_factory=list)

    def data(self, *lines: str) -> None:
        """Write lines of data as long as they are taken."""
        if self.lost:
            return
        try:
            Streams.data(self, *lines)
        except OutputLost as lost:
            self.lost.append(lost)


def _write(stream: TextIO, lines: Sequence[str], begin: str = "", end: str = "") -> None:
    text = "".join(f"{begin}{printable(line)}{end}\n" for line in lines)
    try:
        stream.write(text)
    except UnicodeEncodeError:  # the locale's encoding has not all of it
        encoding = stream.encoding or "ascii"
        stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
    stream.flush()


def make_streams(
    out: TextIO,
    err: TextIO,
    *,
    env: Mapping[str, str],
    verbosity: int,
    json: bool,
    columns: int | None = None,
    out_columns: int | None = None,
) -> Streams:
    """Return streams that honour ``NO_COLOR`` and ``TERM=dumb``.

    Args:
        columns: of standard error's terminal; None where it is none.
        out_columns: of standard output's.

    Source: https://no-color.org
    """
    terminal = err.isatty() and env.get("TERM", "") not in ("", "dumb")
    return Streams(
        out=out,
        err=err,
        terminal=terminal,
        colour=terminal and not env.get("NO_COLOR"),
        verbosity=verbosity,
        json=json,
        columns=columns,
        out_columns=out_columns,
    )
