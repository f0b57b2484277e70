"""Which command a line asks for, also one that the parser refuses."""

from __future__ import annotations

import pytest

from snap_self.cli.app import program
from snap_self.cli.invocation import read_invocation
from snap_self.model.invocation import Invocation


@pytest.mark.parametrize(
    ("line", "asked"),
    [
        ("", Invocation()),
        ("--before x", Invocation(before="x")),
        ("--before=x --json", Invocation(before="x", json=True)),
        ("--before --json", Invocation(before="--json")),
        ("--bogus --before x --json -v", Invocation(before="x", json=True, verbosity=1)),
        ("--before os upgrade --json", Invocation(before="os", json=True)),
        ("--before x --dry-run", Invocation(command="plan", before="x")),
        ("--keep --dry-run --before x", Invocation(before="x")),
        ("--path list --before x", Invocation(before="x")),
        ("plan --json", Invocation(command="plan", json=True)),
        ("list --json -q", Invocation(command="list", json=True, verbosity=-1)),
        ("list --json -qv", Invocation(command="list", json=True)),
        ("list --bogus --json", Invocation(command="list", json=True)),
        ("--json list", Invocation(command="list", json=True)),
        ("show list --json", Invocation(command="show", json=True)),
        ("prune --dry-run --keep-last 3 --json", Invocation(command="prune", json=True)),
        ("hook", Invocation(command="hook")),
        ("hook status apt --json", Invocation(command="hook status", json=True)),
        ("demo --json", Invocation(command="demo", json=True)),
        (
            "run --before x --json -- list --json",
            Invocation(command="run", before="x", argv=("list", "--json"), json=True),
        ),
        (
            "run --before x true --json",
            Invocation(command="run", before="x", argv=("true", "--json")),
        ),
        ("run --json", Invocation(command="run", json=True)),
        ("run --before", Invocation(command="run", before="")),
    ],
)
def test_line_is_read_as_the_parser_reads_it(line: str, asked: Invocation) -> None:
    assert read_invocation(line.split(), program()) == asked
