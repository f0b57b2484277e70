"""The main job's options, each one entry of ``JOB_OPTIONS``; the manual is made from it too.

Where an entry needs the code of a rule, it is imported when the option was typed: ``--help`` is not
to wait for it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from inspect import Parameter
from typing import Any

import typer

from snap_self.cli.spelling import Group
from snap_self.errors import UsageError

# What was typed for one option: None, no entry or False where it was not given.
TypedValue = str | Sequence[str] | bool | None
# By the option's name ("--keep"); only those that the command takes.
Typed = Mapping[str, TypedValue]
Check = Callable[[Any, str], Any]

JOB, PLAN, RUN = "job", "plan", "run"
ALL = (JOB, PLAN, RUN)


def _as_typed(typed: Any, option: str) -> Any:
    del option
    return typed


def _before(typed: str, option: str) -> str:
    del option
    from snap_self.model.rules import check_before

    return check_before(typed)


def _description(typed: str, option: str) -> str:
    del option
    from snap_self.model.rules import check_description

    return check_description(typed)


def _disks(typed: Sequence[str], option: str) -> tuple[str, ...]:
    if any(not value.strip() for value in typed):
        raise UsageError(f"{option} is empty", hint="leave it out to mean all attached disks")
    return tuple(typed)


def _within(typed: str, option: str) -> int:
    from snap_self.config.parsers import confirm_within

    return confirm_within(typed, option)


def _command(typed: str, option: str) -> str:
    if not typed.strip():
        raise UsageError(f"{option} is empty", hint="name the command whose success confirms")
    return typed


def _trigger(typed: str, option: str) -> str:
    from snap_self.model.packages import MANAGERS

    if typed not in MANAGERS:
        raise UsageError(f"{option} names a package manager", hint=", ".join(MANAGERS))
    return typed


def _spread(typed: str, option: str) -> int:
    from snap_self.config.parsers import spread

    return spread(typed, option)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobOption:
    """One option of the main job.

    Args:
        metavar: what its value is called in the help; a flag has none.
        field: the field of the request, or of its selection, that it fills; empty where its
            command reads it itself.
        key: the configuration's key that it goes before ("snapshot.keep"), whose rule it obeys.
        check: returns what was typed as a value, or for the key's rule; gets the option's name.
        many: may be given several times.
        commands: those that take it.
    """

    name: str
    metavar: str = ""
    help: str = ""
    field: str = ""
    key: str = ""
    check: Check = _as_typed
    many: bool = False
    hidden: bool = False
    commands: tuple[str, ...] = ALL

    @property
    def word(self) -> str:
        """The name of the parameter that gets its value."""
        return self.name.removeprefix("--").replace("-", "_")

    def parameter(self) -> Parameter:
        """Return the parameter from which the parser makes the option."""
        kind: Any = bool
        if self.metavar:
            kind = list[str] | None if self.many else str | None
        option = typer.Option(
            None if self.metavar else False,
            self.name,
            metavar=self.metavar or None,
            help=self.help,
            hidden=self.hidden,
        )
        return Parameter(self.word, Parameter.KEYWORD_ONLY, default=option, annotation=kind)


ON_SNAPSHOT_FAILURE = JobOption(
    name="--on-snapshot-failure",
    metavar="WHAT",
    help="stop (CMD is not started, status 125) or run it all the same. [default: stop]",
    key="run.on_snapshot_failure",
    commands=(RUN,),
)
# In the order of the help.
JOB_OPTIONS: tuple[JobOption, ...] = (
    JobOption(
        name="--before",
        metavar="TEXT",
        help='The risky change, e.g. "os upgrade".',
        field="before",
        check=_before,
    ),
    JobOption(
        name="--path",
        metavar="P",
        help="Only the disks that carry this path (repeatable).",
        field="paths",
        check=_disks,
        many=True,
    ),
    JobOption(
        name="--disk",
        metavar="X",
        help="Only this disk: id, device or mount point (repeatable).",
        field="disks",
        check=_disks,
        many=True,
    ),
    JobOption(
        name="--exclude",
        metavar="X",
        help="Not this disk: id, device or mount point (repeatable).",
        field="exclude",
        key="disks.exclude",
        check=_disks,
        many=True,
    ),
    JobOption(
        name="--consistency",
        metavar="LEVEL",
        help="crash, flush, filesystem or application. [default: flush]",
        field="consistency",
        key="snapshot.consistency",
    ),
    JobOption(
        name="--on-quiesce-failure",
        metavar="WHAT",
        help="continue (one level weaker) or abort. [default: continue]",
        field="on_quiesce_failure",
        key="snapshot.on_quiesce_failure",
    ),
    ON_SNAPSHOT_FAILURE,
    JobOption(
        name="--wait",
        metavar="UNTIL",
        help="none, cut, available or accomplished. [default: available]",
        field="wait",
        key="snapshot.wait",
    ),
    JobOption(
        name="--timeout",
        metavar="DURATION",
        help="For that wait; the snapshot is kept when it runs out. [default: 30m]",
        field="timeout_s",
        key="snapshot.timeout",
    ),
    JobOption(
        name="--keep",
        metavar="DURATION",
        help="Retention, or forever. [default: 14d]",
        field="keep_s",
        key="snapshot.keep",
    ),
    JobOption(
        name="--name",
        metavar="NAME",
        help="Snapshot name. [generated]",
        field="name",
        key="snapshot.name",
    ),
    JobOption(
        name="--tag",
        metavar="K=V",
        help="A tag on everything made (repeatable).",
        field="tags",
        key="snapshot.tags",
        many=True,
    ),
    JobOption(
        name="--description",
        metavar="TEXT",
        help="Snapshot description. [generated]",
        field="description",
        check=_description,
    ),
    JobOption(
        name="--reuse",
        metavar="DURATION",
        help="Be content with a good snapshot of the same disks at most so old. [off]",
        field="reuse_s",
        key="snapshot.reuse",
    ),
    JobOption(
        name="--spread",
        metavar="DURATION",
        help="Without a terminal, begin later by less than that, fixed for each machine. [off]",
        field="spread_s",
        check=_spread,
        commands=(JOB, RUN),
    ),
    JobOption(
        name="--confirm-within",
        metavar="DURATION",
        help="Go back from outside unless `snap-self confirm` is said by then. [off]",
        field="confirm_within_s",
        check=_within,
    ),
    JobOption(
        name="--check",
        metavar="CMD",
        help="With it: a shell command whose success confirms, also after a reboot.",
        field="check",
        check=_command,
    ),
    JobOption(
        name="--change-of", metavar="PROCESS", field="change_of", hidden=True, commands=(JOB,)
    ),
    JobOption(
        name="--trigger",
        metavar="NAME",
        field="trigger",
        check=_trigger,
        hidden=True,
        commands=(JOB,),
    ),
    JobOption(name="--waited-for", field="waited_for", hidden=True, commands=(JOB,)),
)


def job_options(command: str) -> Group:
    """Return those of the main job's options that a command takes."""
    taken = tuple(option for option in JOB_OPTIONS if command in option.commands)
    return Group(
        parameters=tuple(option.parameter() for option in taken),
        collect=lambda values: {option.name: values[option.word] for option in taken},
    )


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


def _flag(*names: str, text: str) -> Parameter:
    word = names[0].removeprefix("--")
    option = typer.Option(False, *names, help=text)
    return Parameter(word, Parameter.KEYWORD_ONLY, default=option, annotation=bool)


_JSON = _flag("--json", text="One JSON object on standard output, nothing else.")
_SPEECH = (
    _flag("--quiet", "-q", text="Only data and faults."),
    _flag("--verbose", "-v", text="More about each decision."),
)
MANNER = Group(parameters=(_JSON, *_SPEECH), collect=lambda values: Manner(**values))
# Of commands that have one form alone.
SPEECH = Group(parameters=_SPEECH, collect=lambda values: Manner(json=False, **values))
