"""The command line as plain values, read from the agent's own parser."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

# What may follow an option or stand as an argument, beyond the words in ``VALUES``.
FILE, FOLDER, RUN_ID, COMMAND, MANAGER = "file", "folder", "run", "command", "manager"
# The id of an attached disk; with the second one also a device or a mount point.
DISK_ID, DISK = "disk-id", "disk"
KINDS = {
    "--path": FILE,
    "--disk": DISK,
    "--disk ID": DISK_ID,
    "--exclude": DISK,
    "--record": FOLDER,
    "--recorded": FOLDER,
    "ID": RUN_ID,
    "RUN": RUN_ID,
    "PATH": FILE,
    "FILE": FILE,
    "CMD": COMMAND,
    "MANAGER": MANAGER,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One option.

    Args:
        names: all its spellings, the long one first.
        metavar: of its value; empty for a flag.
        values: the words that it takes, as far as these can be listed.
        kind: what else it takes; see ``KINDS``.
    """

    names: tuple[str, ...]
    metavar: str
    help: str
    repeatable: bool
    values: tuple[str, ...] = ()
    kind: str = ""

    @property
    def long(self) -> str:
        """The long spelling."""
        return self.names[0]


# The parser adds it by itself.
HELP = Option(names=("--help", "-h"), metavar="", help="Show help.", repeatable=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Argument:
    """A positional argument."""

    metavar: str
    help: str
    kind: str
    required: bool
    repeatable: bool
    values: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A command with its options; the program itself is one too.

    Args:
        path: its words, the program's name first.
        help: paragraphs; without the example.
        runs_command: everything from the first argument on is another command.
    """

    path: tuple[str, ...]
    help: tuple[str, ...]
    example: str
    options: tuple[Option, ...]
    arguments: tuple[Argument, ...]
    commands: tuple[Command, ...]
    runs_command: bool = False

    @property
    def name(self) -> str:
        """Its last word."""
        return self.path[-1]

    @property
    def summary(self) -> str:
        """The first sentence of its help."""
        return self.help[0].rstrip(".")

    def walk(self) -> Iterator[Command]:
        """Yield this command and all below it."""
        yield self
        for command in self.commands:
            yield from command.walk()


def read_command_line() -> Command:
    """Return the program as its parser has it; what is hidden there stays out."""
    import typer

    from snap_self.cli.app import app

    return _command(typer.main.get_command(app), ("snap-self",))


def option_values() -> dict[str, tuple[str, ...]]:
    """Return the words that an option takes, from the rule of the key behind it."""
    from snap_self.cli.options import JOB_OPTIONS
    from snap_self.config.keys import BY_DOTTED
    from snap_self.config.parsers import Choice

    rules = {option.name: BY_DOTTED[option.key].parse for option in JOB_OPTIONS if option.key}
    values = {name: rule.words for name, rule in rules.items() if isinstance(rule, Choice)}
    return {**values, "--keep": ("7d", "14d", "30d", "forever"), "--reuse": ("30m", "off")}


def _command(parsed: Any, path: tuple[str, ...]) -> Command:
    help_text, example = _help(parsed.help or "")
    shown = [p for p in parsed.params if not getattr(p, "hidden", False)]
    arguments = tuple(_argument(p) for p in shown if p.param_type_name == "argument")
    below = getattr(parsed, "commands", {})
    return Command(
        path=path,
        help=help_text,
        example=example,
        options=(*(_option(p) for p in shown if p.param_type_name == "option"), HELP),
        arguments=arguments,
        commands=tuple(
            _command(each, (*path, name)) for name, each in below.items() if not each.hidden
        ),
        runs_command=any(argument.kind == COMMAND for argument in arguments),
    )


def _option(parsed: Any) -> Option:
    names = tuple(sorted(parsed.opts, key=len, reverse=True))
    return Option(
        names=names,
        metavar="" if parsed.is_flag else parsed.metavar or "VALUE",
        help=parsed.help or "",
        repeatable=parsed.multiple,
        values=option_values().get(names[0], ()),
        kind=KINDS.get(f"{names[0]} {parsed.metavar}", KINDS.get(names[0], "")),
    )


def _argument(parsed: Any) -> Argument:
    metavar = parsed.metavar or parsed.name.upper()
    return Argument(
        metavar=metavar,
        help=parsed.help or "",
        kind=KINDS.get(metavar, ""),
        required=parsed.required,
        repeatable=parsed.nargs == -1,
        values=_managers() if metavar == "MANAGER" else (),
    )


def _managers() -> tuple[str, ...]:
    from snap_self.model.packages import MANAGERS

    return tuple(MANAGERS)


def _help(text: str) -> tuple[tuple[str, ...], str]:
    """Return the paragraphs of a docstring, and the command of its example."""
    paragraphs: list[str] = []
    example = ""
    for paragraph in re.split(r"\n\s*\n", text.replace("\f", "").strip()):
        joined = " ".join(paragraph.split())
        if joined.startswith("Example: "):
            example = joined.removeprefix("Example: ")
        elif joined:
            paragraphs.append(joined)
    return tuple(paragraphs), example


def words(options: Sequence[Option]) -> list[str]:
    """Return every spelling of the options."""
    return [name for option in options for name in option.names]


def valued(program: Command) -> list[str]:
    """Return every spelling that takes a value somewhere."""
    return sorted({n for c in program.walk() for o in c.options if o.metavar for n in o.names})


def flags_elsewhere(program: Command) -> list[tuple[str, str]]:
    """Return the command and the spelling where one of ``valued`` takes none."""
    spellings = set(valued(program))
    return [
        (" ".join(command.path[1:]), name)
        for command in program.walk()
        for option in command.options
        if not option.metavar
        for name in option.names
        if name in spellings
    ]
