"""Where output goes: data to standard output, messages and progress to standard error."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TextIO


class OutputLost(Exception):
    """Standard output takes nothing any more. Not an OSError, which the parser would end on.

    Args:
        reader_gone: whoever read it has gone, as ``head`` does.
    """

    def __init__(self, why: str, *, reader_gone: bool = False) -> None:
        super().__init__(why)
        self.why = why
        self.reader_gone = reader_gone


@dataclass(frozen=True, slots=True, kw_only=True)
class Streams:
    """The two streams and how much to say.

    Args:
        terminal: standard error is a terminal that can redraw lines.
        colour: colours are welcome there.
        verbosity: -1 quiet, 0 usual, 1 verbose.
        json: standard output carries one JSON object and nothing else.
    """

    out: TextIO
    err: TextIO
    terminal: bool
    colour: bool
    verbosity: int
    json: bool

    def data(self, text: str) -> None:
        """Write a line of data at once.

        Raises:
            OutputLost: it could not be written.
        """
        try:
            print(text, file=self.out, flush=True)
        except BrokenPipeError:
            raise OutputLost("its reader has gone", reader_gone=True) from None
        except (OSError, ValueError) as error:
            raise OutputLost(getattr(error, "strerror", "") or "it is closed") from error

    def message(self, text: str) -> None:
        """Write a line for people, unless they asked for quiet."""
        if self.verbosity >= 0:
            print(text, file=self.err, flush=True)

    def fault(self, text: str) -> None:
        """Write a line that is said even when quiet."""
        print(text, file=self.err, flush=True)


def make_streams(
    out: TextIO, err: TextIO, *, env: Mapping[str, str], verbosity: int, json: bool
) -> Streams:
    """Return streams that honour ``NO_COLOR`` and ``TERM=dumb``.

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
    )
