"""Ask whoever sits at the terminal, where there is one."""

from __future__ import annotations

import select
import sys
from io import UnsupportedOperation

from snap_self.cli.session import Session
from snap_self.errors import UsageError
from snap_self.model.progress import Event, EventKind
from snap_self.output.streams import Streams

YES = frozenset({"y", "yes"})
# A disk may exist while it is asked, and others may wait for their turn.
ANSWER_S = 600.0


def refuse_empty(**values: str | None) -> None:
    """Refuse what was given with nothing in it, as by a variable that is not set.

    Args:
        values: by the name of the option; None for what was not given.

    Raises:
        UsageError: one of them is empty.
    """
    for name, value in values.items():
        if value is not None and not value.strip():
            raise UsageError(
                f"{name if name.isupper() else f'--{name}'} is empty",
                hint="a variable may not be set where the command was written",
            )


def may_ask(streams: Streams) -> bool:
    """Tell whether there is somebody who reads a question and can answer."""
    return not streams.json and streams.err.isatty() and sys.stdin.isatty()


def refuse_unasked(
    streams: Streams, *, yes: bool, command: str, does: str, hint: str = "give --yes to agree"
) -> None:
    """Refuse a command that makes something when nobody can be asked and nobody agreed.

    Args:
        does: what it does, a clause.

    Raises:
        UsageError: before anything is called.
    """
    if not yes and not may_ask(streams):
        why = "with --json nobody is asked" if streams.json else "there is no terminal to ask on"
        raise UsageError(f"{command} {does}, and {why}", hint=hint)


def note(session: Session, *lines: str) -> None:
    """Write lines for people in the place of what is drawn of the progress."""
    for line in lines:
        session.adapters.gate(Event(kind=EventKind.NOTE, text=line))


def agreed(session: Session, question: str, *lines: str) -> bool:
    """Show some lines, ask, and tell whether the answer is yes; none within 10 minutes is no."""
    streams = session.streams
    note(session, *lines)
    streams.fault(f"{question} [y/N]")
    if not _answers(ANSWER_S):
        streams.fault(f"No answer for {ANSWER_S / 60:g} minutes: taken as no.")
        return False
    return sys.stdin.readline().strip().lower() in YES


def _answers(limit_s: float) -> bool:
    """Tell whether a line, or the end of all, comes in that time; a terminal gives whole lines."""
    try:
        return bool(select.select([sys.stdin], [], [], limit_s)[0])
    except (UnsupportedOperation, ValueError):
        return True
