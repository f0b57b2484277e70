"""`diff`: what changed on this machine since a run, or between two."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from snap_self.cli.contents import ContentOpener, refuse_contents
from snap_self.cli.looking import looking
from snap_self.cli.options import Manner
from snap_self.cli.session import open_session, streams_of
from snap_self.errors import ExitStatus, UsageError
from snap_self.model.looking import DiffReport
from snap_self.model.shell import command
from snap_self.output.differences import write_differences
from snap_self.recovery.contents import outside
from snap_self.usecases.differences import LAST, Question, find_differences


def run_diff(
    words: Sequence[str], manner: Manner, *, everything: bool, exit_code: bool, yes: bool
) -> int:
    """Show what differs.

    Args:
        words: at most two ids, and paths.
        exit_code: end with a status of its own where anything differs.
        yes: a disk may be made to look at contents.
    """
    question = make_question(words, folder=Path.cwd(), everything=everything)
    streams = streams_of(manner)
    given = {"--all": everything, "--exit-code": exit_code, "--json": streams.json}
    asked = command("snap-self", "diff", *words, *(name for name, on in given.items() if on))
    beyond = outside(question.paths)
    if beyond and not question.other:
        refuse_contents(streams, beyond, asked, yes=yes)
    with open_session(manner) as session:
        tools = session.tools()
        opener = ContentOpener(session, tools, asked, yes=yes)
        report = find_differences(tools, looking(session.adapters, opener), question)
        report = opener.told(report)
    status = _status(report, exit_code=exit_code)
    now = session.adapters.clock.now()
    write_differences(session.streams, report, status=status, now=now)
    return int(status)


def _status(report: DiffReport, *, exit_code: bool) -> ExitStatus:
    """Return what the command ends with; a disk that stays counts more than a difference."""
    if report.left is not None:
        return report.left.exit_status
    return ExitStatus.DIFFERENT if exit_code and report.different else ExitStatus.DONE


def make_question(words: Sequence[str], *, folder: Path, everything: bool) -> Question:
    """Return what the words ask for; one with a ``/`` is a path, as no id has one.

    Args:
        folder: what a path that does not begin with ``/`` begins at.

    Raises:
        UsageError: there are more than two ids.
    """
    ids = [word for word in words if "/" not in word]
    paths = [_absolute(word, folder) for word in words if "/" in word]
    if len(ids) > 2:
        raise UsageError(
            f"{' '.join(ids)} are more than two ids",
            hint="diff compares one run with this machine, or with another run; "
            "a PATH begins with / or ./",
        )
    wanted, other = (*ids, LAST, "")[:2] if not ids else (*ids, "")[:2]
    return Question(
        wanted=wanted,
        other=other,
        paths=tuple(dict.fromkeys(paths)),
        everything=everything,
    )


def _absolute(path: str, folder: Path) -> str:
    """Return a path from the root on, without following a link."""
    words: list[str] = []
    whole = path if path.startswith("/") else f"{folder}/{path}"
    for word in whole.split("/"):
        if word == "..":
            del words[-1:]
        elif word not in ("", "."):
            words.append(word)
    return f"/{'/'.join(words)}"
