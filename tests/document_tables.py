"""Make the tables of the documents from the code: which stands where, and what it says."""

from __future__ import annotations

import ast
import inspect
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

ROOT = Path(__file__).resolve().parent.parent
PRODUCT = ROOT / "agent/snap_self"
PACKAGING = ROOT / "packaging"
Tables = Mapping[str, Callable[[], str]]

if str(PACKAGING) not in sys.path:
    sys.path.append(str(PACKAGING))

if TYPE_CHECKING:
    from generator.commandline import Argument, Command


def the_program() -> Command:
    """Return the command line as it is."""
    from generator.commandline import read_command_line

    return read_command_line()


def commands() -> str:
    """Return the table of commands, with the first sentence of each one's help."""
    program = the_program()
    rows = [
        (f"`{_typed(command)}`", command.summary)
        for command in program.walk()
        if not command.commands or command is program
    ]
    return table(("command", "does"), rows)


def _typed(command: Command) -> str:
    """Return how a command is typed, its arguments as placeholders."""
    words = list(command.path)
    if command.runs_command or len(words) == 1:
        words.append("--before TEXT")
    words += ["--"] * command.runs_command
    words += [_placeholder(argument) for argument in command.arguments]
    return " ".join(words)


def _placeholder(argument: Argument) -> str:
    word = argument.metavar + "…" * argument.repeatable
    return word if argument.required else f"[{word}]"


def options() -> str:
    """Return the table of the main job's options, also those of ``run`` alone."""
    program = the_program()
    run = next(command for command in program.commands if command.name == "run")
    own = [option for option in run.options if option.long not in {o.long for o in program.options}]
    rows = [
        (
            ", ".join(f"`{f'{name} {option.metavar}'.strip()}`" for name in option.names),
            option.help,
        )
        for option in (*program.options, *own)
    ]
    return table(("option", "meaning"), rows)


def error_codes() -> str:
    """Return the table of error codes, in the order of the error tree."""
    from snap_self import errors
    from snap_self.cli.boundary import ENDED_BY_SIGNAL

    kinds = [
        each
        for each in vars(errors).values()
        if inspect.isclass(each) and issubclass(each, errors.SnapSelfError) and "code" in vars(each)
    ]
    rows = [
        (f"`{each.code}`", str(int(each.exit_status)), summary(each))
        for each in kinds
        if each is not errors.SnapSelfError
    ]
    bug = (f"`{errors.SnapSelfError.code}`", "1", "A bug in snap-self.")
    told = "Signal n ended the command; its message tells what the cloud was asked for by then."
    signal = (f"`{ENDED_BY_SIGNAL}`", "128+n", told)
    return table(("code", "status", "when"), [bug, *rows, signal])


def configuration() -> str:
    """Return the table of configuration keys, and which variables set them."""
    from snap_self.config.keys import KEYS

    rows = [(f"`{key.dotted}`", f"`{toml(key.default)}`", key.accepted, key.doc) for key in KEYS]
    short = ", ".join(f"`{key.env}` for `{key.dotted}`" for key in KEYS if key.scalar and key.env)
    return (
        table(("key", "default", "accepted", "meaning"), rows)
        + "\nEvery key that is not a list or a table can be set by a variable named after it, and "
        + "`disks.exclude` too, with commas between the names or as an array: "
        + f"`SNAP_SELF_SNAPSHOT_KEEP` for `snapshot.keep`. Shorter names: {short}.\n"
    )


def applications() -> str:
    """Return the table of applications that can be brought to rest."""
    from snap_self.quiesce.applications.registry import KINDS

    rows = [
        (
            kind.title,
            kind.how,
            kind.worth,
            "; ".join(f"`{each}`" for each in kind.grants.split("; ")),
        )
        for kind in KINDS
    ]
    return table(("application", "brought to rest by", "started from the snapshot", "needs"), rows)


def risky_packages() -> str:
    """Return the table of packages whose change is risky."""
    from snap_self.changes.risk import KINDS, KINDS_IF_THERE

    rows = [
        (kind, when, ", ".join(f"`{each}`" for each in patterns))
        for kinds, when in ((KINDS, "any change"), (KINDS_IF_THERE, "not when new"))
        for kind, patterns in kinds.items()
    ]
    return table(("kind", "risky", "packages"), rows)


def findings() -> str:
    """Return the table of what `check` finds, worst first."""
    from snap_self.output.checked import MEANING
    from snap_self.watching.check import WORST_FIRST, Kind

    rows = [
        (f"`{kind.value}`", status.name, MEANING[kind])
        for status in WORST_FIRST
        for kind in Kind
        if kind.status is status
    ]
    return table(("kind", "status", "when"), rows)


def metrics() -> str:
    """Return the table of metrics."""
    from snap_self.watching.metrics import METRICS

    rows = [
        (
            f"`{metric.name}`",
            metric.kind,
            ", ".join(f"`{label}`" for label in metric.labels),
            metric.help,
        )
        for metric in METRICS
    ]
    return table(("metric", "type", "labels", "meaning"), rows)


def journal_messages() -> str:
    """Return the table of what the system's journal is told."""
    from snap_self.watching.journal import MESSAGES, PRIORITIES

    rows = [
        (
            f"`{kind.value}`",
            PRIORITIES[message.priority],
            message.subject,
            f"`{message.message_id}`",
        )
        for kind, message in MESSAGES.items()
    ]
    return table(("SNAP_SELF_EVENT", "priority", "what happened", "MESSAGE_ID"), rows)


def journal_fields() -> str:
    """Return the table of our own fields in the system's journal."""
    from snap_self.watching.journal import FIELDS

    return table(
        ("field", "what it holds"), [(f"`{name}`", doc) for name, (doc, _) in FIELDS.items()]
    )


def alerts() -> str:
    """Return the table of alerts."""
    import yaml

    read_rules = yaml.safe_load(read("packaging/monitoring/snap-self.rules.yml"))
    rows = [
        (f"`{rule['alert']}`", rule["labels"]["severity"], f"`{rule['expr']}`")
        for group in read_rules["groups"]
        for rule in group["rules"]
    ]
    return table(("alert", "severity", "when"), rows)


def rooms() -> str:
    """Return the table of the product's parts, in the order in which they may import."""
    return table(("part", "what is there"), [row for part in PARTS for row in _room(part)])


def _room(part: str) -> Iterator[tuple[str, str]]:
    path = PRODUCT / part
    if not path.is_dir():
        yield f"`{part}.py`", _first_line(path.with_suffix(".py"))
        return
    for init in sorted(path.glob("**/__init__.py")):
        yield f"`{init.parent.relative_to(PRODUCT)}/`", _first_line(init)


def _first_line(path: Path) -> str:
    documented = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return documented.partition("\n")[0]


def toml(value: object) -> str:
    """Return a default as a configuration file would write it."""
    return "{}" if value == {} else json.dumps(value)


def summary(kind: type) -> str:
    """Return the first sentence of a class's docstring."""
    return (inspect.getdoc(kind) or "").partition("\n")[0]


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join("| " + " | ".join(cells) + " |\n" for cells in lines)


# A part may import itself and the parts after it, never one before it.
PARTS = (
    "cli",
    "output",
    "usecases",
    "changes",
    "recovery",
    "access",
    "quiesce",
    "cloud",
    "instance",
    "disks",
    "plan",
    "watching",
    "system",
    "notifying",
    "config",
    "ports_looking_back",
    "ports_going_back",
    "ports_watching",
    "ports",
    "model",
    "errors",
    "threads",
)
DOCUMENTS: Mapping[str, Tables] = {
    "README.md": {"commands": commands},
    "CONTRIBUTING.md": {"rooms": rooms},
    "packaging/docs/commands.md": {"options": options},
    "packaging/docs/configuration.md": {"configuration": configuration},
    "packaging/docs/package-managers.md": {"risky packages": risky_packages},
    "packaging/docs/applications-and-hooks.md": {"applications": applications},
    "packaging/docs/statuses-and-errors.md": {"error codes": error_codes},
    "packaging/docs/watching.md": {
        "findings": findings,
        "metrics": metrics,
        "alerts": alerts,
        "journal messages": journal_messages,
        "journal fields": journal_fields,
    },
}


def read(name: str) -> str:
    """Return a document of the checkout."""
    return (ROOT / name).read_text(encoding="utf-8")


def section(text: str, name: str) -> tuple[int, int]:
    """Return where in a document a generated table begins and ends."""
    begin = text.index(f"<!-- {name}: begin -->\n") + len(f"<!-- {name}: begin -->\n")
    return begin, text.index(f"<!-- {name}: end -->")


def in_document(name: str) -> Iterator[tuple[str, str]]:
    """Yield each generated table's name and what the document has there."""
    text = read(name)
    for each in DOCUMENTS[name]:
        begin, end = section(text, each)
        yield each, text[begin:end]


def rewritten(name: str) -> str:
    """Return the document with every generated table made anew."""
    text = read(name)
    for each, make in DOCUMENTS[name].items():
        begin, end = section(text, each)
        text = text[:begin] + make() + text[end:]
    return text
