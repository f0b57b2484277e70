"""The command line as it was typed, for what is said of it; the parser carries it along."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A command line.

    Args:
        words: those after the program's name.
        table: gives the parser's table of all commands; the line's own may have one alone.
    """

    words: tuple[str, ...]
    table: Callable[[], Any]


def typed_in(context: Any) -> tuple[str, ...]:
    """Return the whole command line after the program's name; empty where there is none."""
    line: Line | None = context.obj if context else None
    return line.words if line else ()


def table_of(context: Any) -> Any:
    """Return the table of all commands; None where there is none."""
    line: Line | None = context.obj if context else None
    return line.table() if line else None
