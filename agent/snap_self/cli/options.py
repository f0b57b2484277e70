"""The options of the main job and its relatives, and the request they make with the config."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import typer

Before = Annotated[
    str | None,
    typer.Option("--before", metavar="TEXT", help='The risky change, e.g. "os upgrade".'),
]
Paths = Annotated[
    list[str] | None,
    typer.Option(
        "--path",
        metavar="P",
        help="Only the disks that carry this path (repeatable).",
    ),
]
Disks = Annotated[
    list[str] | None,
    typer.Option(
        "--disk", metavar="X", help="Only this disk: id, device or mount point (repeatable)."
    ),
]
Exclude = Annotated[
    list[str] | None,
    typer.Option(
        "--exclude", metavar="X", help="Not this disk: id, device or mount point (repeatable)."
    ),
]
Level = Annotated[
    str | None,
    typer.Option(
        "--consistency",
        metavar="LEVEL",
        help="crash, flush, filesystem or application. [default: flush]",
    ),
]
OnQuiesceFailure = Annotated[
    str | None,
    typer.Option(
        "--on-quiesce-failure",
        metavar="WHAT",
        help="continue (one level weaker) or abort. [default: continue]",
    ),
]
Wait = Annotated[
    str | None,
    typer.Option(
        "--wait",
        metavar="UNTIL",
        help="none, cut, available or accomplished. [default: available]",
    ),
]
Timeout = Annotated[
    str | None,
    typer.Option(
        "--timeout",
        metavar="DURATION",
        help="For that wait; the snapshot is kept when it runs out. [default: 30m]",
    ),
]
Keep = Annotated[
    str | None,
    typer.Option("--keep", metavar="DURATION", help="Retention, or forever. [default: 14d]"),
]
Name = Annotated[
    str | None, typer.Option("--name", metavar="NAME", help="Snapshot name. [generated]")
]
Tags = Annotated[
    list[str] | None,
    typer.Option("--tag", metavar="K=V", help="A tag on everything made (repeatable)."),
]
Description = Annotated[
    str | None,
    typer.Option("--description", metavar="TEXT", help="Snapshot description. [generated]"),
]
Reuse = Annotated[
    str | None,
    typer.Option(
        "--reuse",
        metavar="DURATION",
        help="Be content with a good snapshot of the same disks at most so old. [off]",
    ),
]
OnSnapshotFailure = Annotated[
    str | None,
    typer.Option(
        "--on-snapshot-failure",
        metavar="WHAT",
        help="stop (CMD is not started, status 125) or run it all the same. [default: stop]",
    ),
]
Json = Annotated[
    bool, typer.Option("--json", help="One JSON object on standard output, nothing else.")
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Only data and faults.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="More about each decision.")]


@dataclass(frozen=True, slots=True, kw_only=True)
class JobOptions:
    """The main job's options as typed; None means not given."""

    before: str | None
    paths: Sequence[str]
    disks: Sequence[str]
    exclude: Sequence[str]
    consistency: str | None
    on_quiesce_failure: str | None
    wait: str | None
    timeout: str | None
    keep: str | None
    name: str | None
    tags: Sequence[str]
    description: str | None
    reuse: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Manner:
    """How to speak."""

    json: bool
    quiet: bool
    verbose: bool

    @property
    def verbosity(self) -> int:
        """-1 quiet, 0 usual, 1 verbose."""
        return int(self.verbose) - int(self.quiet)
