"""What a command line asks for, as the JSON form of a failure repeats it."""

from __future__ import annotations

from dataclasses import dataclass

# What the JSON form calls the main job and its rehearsal; every other command has its own words.
SNAPSHOT = "snapshot"
PLAN = "plan"
RUN = "run"
# A monitoring plugin: its own failures are one line on standard output, too.
CHECK = "check"


@dataclass(frozen=True, slots=True, kw_only=True)
class Invocation:
    """One start of the program, as far as its command line could be read.

    Args:
        command: ``snapshot`` for the main job, else the command's words (``hook status``).
        before: the text of ``--before``; None where it was not given.
        argv: the user's own command, of ``run`` alone.
        json: whether ``--json`` was given.
        verbosity: -1 quiet, 0 usual, 1 verbose.
    """

    command: str = SNAPSHOT
    before: str | None = None
    argv: tuple[str, ...] = ()
    json: bool = False
    verbosity: int = 0
