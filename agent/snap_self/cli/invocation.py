"""Which command was started, read from its line: a failure's JSON object names it.

The line may be one that the parser refuses, so it is read again here, leniently, against the
parser's own table of commands and options.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from snap_self.model.invocation import PLAN, RUN, SNAPSHOT, Invocation

_STARTED: list[tuple[tuple[str, ...], Callable[[], Any]]] = []


def note_start(arguments: Sequence[str], program: Callable[[], Any]) -> None:
    """Keep what the process was started with.

    Args:
        program: returns the parser's table, which only a failure has loaded for this.
    """
    _STARTED[:] = [(tuple(arguments), program)]


def invocation() -> Invocation:
    """Return what the process was started for; the main job where that cannot be told."""
    if not _STARTED:
        return Invocation()
    ((line, program),) = _STARTED
    try:
        table = program()
    except ImportError:  # an upgrade has taken our own files away; that is what will be told
        word = RUN if line[:1] == (RUN,) else SNAPSHOT
        return Invocation(command=word, json="--json" in line)
    return read_invocation(line, table)


def read_invocation(arguments: Sequence[str], program: Any) -> Invocation:
    """Return what a command line asks for, as far as it can be read.

    Args:
        program: the parser's table of the program: its options in ``params``, its ``commands``.
    """
    reading = _Reading(command=program)
    reading.read(list(arguments))
    return reading.read_so_far()


@dataclass(slots=True)
class _Reading:
    """How far a line was read.

    Args:
        command: the parser's table of the command that was reached.
        values: what was given for each option, by its first spelling; empty for a flag.
    """

    command: Any
    words: list[str] = field(default_factory=list)
    values: dict[str, str] = field(default_factory=dict)
    argv: tuple[str, ...] = ()

    def read(self, rest: list[str]) -> None:
        """Read the arguments, to the user's own command if there is one."""
        while rest:
            word = rest.pop(0)
            if word == "--" or (self.words == [RUN] and not word.startswith("-")):
                self.argv = tuple(rest if word == "--" else (word, *rest))
                return
            if word.startswith("-") and word != "-":
                self._read_option(word, rest)
            elif word in (below := getattr(self.command, "commands", {})):
                self.command = below[word]
                self.words.append(word)

    def read_so_far(self) -> Invocation:
        """Return what was read."""
        words = " ".join(self.words) or (PLAN if "--dry-run" in self.values else SNAPSHOT)
        return Invocation(
            command=words,
            before=self.values.get("--before"),
            argv=self.argv if words == RUN else (),
            json="--json" in self.values,
            verbosity=("--verbose" in self.values) - ("--quiet" in self.values),
        )

    def _read_option(self, word: str, rest: list[str]) -> None:
        """Read one option with its value, or several of one letter."""
        options = {each: one for one in self.command.params for each in one.opts}
        name, equals, value = word.partition("=")
        if not word.startswith("--"):
            name, equals, value = word[:2], word[2:], word[2:]
        option = options.get(name)
        if option is not None and not getattr(option, "is_flag", True):
            self.values[option.opts[0]] = value if equals else (rest.pop(0) if rest else "")
            return
        for flag in (name,) if word.startswith("--") else (f"-{letter}" for letter in word[1:]):
            known = options.get(flag)
            self.values[known.opts[0] if known else flag] = ""
