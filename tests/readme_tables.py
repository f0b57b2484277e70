"""Make the README's tables from the code; run as a script, write them into it."""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

README = Path(__file__).resolve().parent.parent / "README.md"


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
    signal = (f"`{ENDED_BY_SIGNAL}`", "128+n", "Signal n ended the command; the snapshot goes on.")
    return table(("code", "status", "when"), [bug, *rows, signal])


def configuration() -> str:
    """Return the table of configuration keys, and which variables set them."""
    from snap_self.config.keys import KEYS

    rows = [(f"`{key.dotted}`", f"`{toml(key.default)}`", key.accepted, key.doc) for key in KEYS]
    short = ", ".join(f"`{key.env}` for `{key.dotted}`" for key in KEYS if key.scalar and key.env)
    return (
        table(("key", "default", "accepted", "meaning"), rows)
        + "\nEvery key that is not a list or a table can be set by a variable named after it: "
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


TABLES = {
    "risky packages": risky_packages,
    "applications": applications,
    "configuration": configuration,
    "error codes": error_codes,
}


def section(text: str, name: str) -> tuple[int, int]:
    """Return where in the README a generated table begins and ends."""
    begin = text.index(f"<!-- {name}: begin -->\n") + len(f"<!-- {name}: begin -->\n")
    return begin, text.index(f"<!-- {name}: end -->")


def in_readme(text: str) -> Iterator[tuple[str, str]]:
    """Yield each generated table's name and what the README has there."""
    for name in TABLES:
        begin, end = section(text, name)
        yield name, text[begin:end]


def rewritten(text: str) -> str:
    """Return the README with every generated table made anew."""
    for name, make in TABLES.items():
        begin, end = section(text, name)
        text = text[:begin] + make() + text[end:]
    return text


if __name__ == "__main__":
    sys.path.insert(0, str(README.parent / "agent"))
    README.write_text(rewritten(README.read_text(encoding="utf-8")), encoding="utf-8")
