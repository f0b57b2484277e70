"""Manual pages in roff: written text from a template, the rest from the code and the documents."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from generator import schemas
from generator.commandline import Argument, Command, Option

HERE = Path(__file__).resolve().parent
STATUSES = HERE.parent / "docs/statuses-and-errors.md"
# Options of the main job, told once; `plan` and `run` refer to them.
RELATIVES = ("plan", "run")


def program_page(program: Command) -> str:
    """Return snap-self(8)."""
    parts = {
        "COMMANDS": _commands(program),
        "JOB OPTIONS": _options(program.options),
        "EXIT STATUSES": _exit_statuses(),
        "ERROR CODES": _error_codes(),
        "SCHEMAS": _schemas(),
        "SHORT VARIABLES": _short_variables(),
    }
    return _filled("snap-self.8.in", parts)


def configuration_page() -> str:
    """Return snap-self.toml(5)."""
    return _filled("snap-self.toml.5.in", {"KEYS": _keys()})


def roff(text: str) -> str:
    """Return text as a line of roff: what roff or a terminal would take for more is escaped."""
    text = text.replace("\\", "\\e").replace("-", "\\-").replace("…", "...").replace("'", "\\(aq")
    text = re.sub(r"\*\*(.+?)\*\*", r"\\fB\1\\fR", text)
    text = re.sub(r"`([^`]+)`", r"\\fB\1\\fR", text)
    return "\\&" + text if text.startswith((".", "'", "\\(aq")) else text


def _filled(name: str, parts: Mapping[str, Iterable[str]]) -> str:
    """Return a template with its marker lines replaced, each part being used exactly once."""
    from snap_self import __version__

    used = []
    lines: list[str] = []
    for line in (HERE / name).read_text(encoding="utf-8").splitlines():
        marker = re.fullmatch(r"@(.+)@", line)
        if marker:
            used.append(marker[1])
            lines += parts[marker[1]]
        else:
            lines.append(line.replace("@VERSION@", __version__))
    if sorted(used) != sorted(parts):
        message = f"{name} has the markers {used}, not {sorted(parts)}"
        raise ValueError(message)
    return "\n".join([*lines, ""])


def _commands(program: Command) -> Iterator[str]:
    for command in program.walk():
        if command is program or command.commands:
            continue
        yield ".TP"
        yield f".B {roff(' '.join(command.path))} {_synopsis(command)}".rstrip()
        for place, paragraph in enumerate(command.help):
            if place:
                yield ".IP"
            yield roff(paragraph)
        own = _own_options(program, command)
        if own:
            yield ".RS"
            yield from _options(own)
            yield ".RE"
        if command.example:
            yield ".IP"
            yield f"Example: \\fB{roff(command.example)}\\fR"


def _synopsis(command: Command) -> str:
    arguments = " ".join(_placeholder(argument) for argument in command.arguments)
    dashes = "\\-\\- " if command.runs_command else ""
    return f"\\fR[\\fIOPTION\\fR...] {dashes}{arguments}".rstrip()


def _placeholder(argument: Argument) -> str:
    shown = f"\\fI{roff(argument.metavar)}\\fR" + ("..." if argument.repeatable else "")
    return shown if argument.required else f"[{shown}]"


def _own_options(program: Command, command: Command) -> list[Option]:
    """Return the options that are not those of every command, or of the main job."""
    common = {"--json", "--quiet", "--verbose", "--help"}
    if command.name in RELATIVES:
        common |= {option.long for option in program.options}
    return [option for option in command.options if option.long not in common]


def _options(options: Iterable[Option]) -> Iterator[str]:
    for option in options:
        names = ", ".join(f"\\fB{roff(name)}\\fR" for name in option.names)
        value = f" \\fI{roff(option.metavar)}\\fR" if option.metavar else ""
        yield ".TP"
        yield f"{names}{value}"
        yield roff(option.help)


def _exit_statuses() -> Iterator[str]:
    text = STATUSES.read_text(encoding="utf-8")
    begin = text.index("## Exit statuses")
    for status, meaning in re.findall(
        r"^\| ([0-9+n]+) \| (.+) \|$", text[begin : text.index("\n## ", begin + 1)], re.MULTILINE
    ):
        yield ".TP"
        yield f".B {status}"
        yield roff(meaning)


def _error_codes() -> Iterator[str]:
    text = STATUSES.read_text(encoding="utf-8")
    begin = text.index("<!-- error codes: begin -->")
    for code, status, when in re.findall(
        r"^\| `([a-z-]+)` \| ([0-9+n]+) \| (.+) \|$",
        text[begin : text.index("<!-- error codes: end -->")],
        re.MULTILINE,
    ):
        yield ".TP"
        yield f"\\fB{roff(code)}\\fR ({status})"
        yield roff(when)


def _schemas() -> Iterator[str]:
    """Yield the names of the schemas' files, but of what the hooks alone start."""
    yield roff(", ".join(f"`{schemas.file_of(command)}`" for command in schemas.described()) + ".")


def _short_variables() -> Iterator[str]:
    from snap_self.config.keys import KEYS

    for key in KEYS:
        if key.scalar and key.env:
            yield ".TP"
            yield f".B {roff(key.env)}"
            yield f"The same as \\fB{roff(key.env_names[0])}\\fR."


def _keys() -> Iterator[str]:
    from snap_self.config.keys import KEYS

    section = ""
    for key in KEYS:
        if key.section != section:
            section = key.section
            yield f".SS [{roff(section)}]"
        yield ".TP"
        default = "{}" if key.default == {} else json.dumps(key.default)
        yield f"\\fB{roff(key.name)}\\fR = {roff(default)}"
        yield roff(key.doc)
        yield ".br"
        yield f"Accepted: {roff(key.accepted)}."
