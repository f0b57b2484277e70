"""A table that fits its terminal: wide texts are cut, and what matters least gives way."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TextIO

from snap_self.model.shown import printable
from snap_self.output.cells import cell_width, fitted, padded

# Where there is no terminal, and where one does not tell its width, as serial lines do not.
NO_TERMINAL, UNTOLD = 100, 80
GAP = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column.

    Args:
        cells: one for each row; any text.
        least: it may be cut to so many cells; None for one that is never cut.
        rank: 0 stays always; of the others the highest gives way first.
        cut: returns a row's text in so many cells; gets the number of the row.
    """

    head: str
    cells: Sequence[str]
    least: int | None = None
    rank: int = 0
    cut: Callable[[int, int], str] | None = None

    def printed(self) -> Column:
        """Return it with every cell printable."""
        return replace(self, cells=[printable(cell) for cell in self.cells])

    def natural(self) -> int:
        """Return how many cells it takes uncut."""
        return max(map(cell_width, (self.head, *self.cells)))

    def texts(self, cells: int) -> Iterator[str]:
        """Yield head and rows in so many cells."""
        yield fitted(self.head, cells)
        for row, cell in enumerate(self.cells):
            fits = cell_width(cell) <= cells
            yield cell if fits else fitted(self.cut(row, cells) if self.cut else cell, cells)


def columns_of(stream: TextIO) -> int:
    """Return how many columns a table on this stream may take."""
    try:
        if not stream.isatty():
            return NO_TERMINAL
        return os.get_terminal_size(stream.fileno()).columns or UNTOLD
    except (OSError, ValueError):
        return NO_TERMINAL


def laid_out(columns: Sequence[Column], width: int) -> Iterator[str]:
    """Yield the lines of a table, the head first, none of more cells than these."""
    shown = [_Measured.of(column) for column in columns]
    while _taken(shown) > width and any(each.column.rank for each in shown):
        shown.remove(max(shown, key=lambda each: each.column.rank))
    too_wide = _taken(shown) > width
    _share(shown, width - _taken(shown))
    texts = [list(each.column.texts(each.cells)) for each in shown]
    for row in zip(*texts, strict=True):
        filled = (padded(text, each.cells) for text, each in zip(row, shown, strict=True))
        line = (" " * GAP).join(filled).rstrip()
        yield fitted(line, width) if too_wide else line


@dataclass(slots=True, eq=False)
class _Measured:
    """A column with the cells that it has got and would take."""

    column: Column
    cells: int
    natural: int

    @classmethod
    def of(cls, column: Column) -> _Measured:
        printed = column.printed()
        natural = printed.natural()
        least = natural if column.least is None else min(natural, column.least)
        return cls(printed, least, natural)


def _taken(shown: Sequence[_Measured]) -> int:
    return sum(each.cells for each in shown) + GAP * (len(shown) - 1)


def _share(shown: Sequence[_Measured], left: int) -> None:
    """Give out the cells that are left; what needs few of them gets all of these."""
    wanting = sorted(shown, key=lambda each: each.natural - each.cells)
    for place, each in enumerate(wanting):
        part = min(each.natural - each.cells, max(left, 0) // (len(wanting) - place))
        each.cells += part
        left -= part
