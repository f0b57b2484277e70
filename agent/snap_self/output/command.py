"""What ``run`` says around the user's command; its own words all go to standard error."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from snap_self.errors import ExitStatus, UsageError
from snap_self.model.command import Ended, NotStartable, lasted
from snap_self.model.report import Report
from snap_self.model.shown import shown
from snap_self.output.jsonform import fault_json, report_json
from snap_self.output.streams import Streams
from snap_self.output.text import write_error, write_report
from snap_self.usecases.changing import Changed


def write_before(streams: Streams, report: Report, *, starting: bool) -> None:
    """Write the main job's report, and whether the command is started now.

    Standard output is the command's alone.
    """
    if not streams.json:
        write_report(replace(streams, out=streams.err), report, started=starting)
    if not starting:
        streams.fault("snap-self: the command was not started")
        return
    if report.error:
        why = f"the snapshot was not made as asked ({report.error.message})"
        streams.fault(f"Warning: {why}; the command is started all the same, as was asked")
    elif report.exit_status is ExitStatus.WEAKER:
        streams.fault("Warning: the snapshot is weaker than asked; the command is started")
    elif report.exit_status is ExitStatus.LEFT_OUT:
        streams.fault("Warning: the snapshot lacks a disk; the command is started")


def write_after(streams: Streams, argv: Sequence[str], changed: Changed) -> None:
    """Write how the command ended, and after a failure how to go back."""
    program, ending = shown(argv[0]), changed.ending
    if isinstance(ending, Ended):
        line = f"snap-self: {program}: {ending.words()} after {lasted(changed.seconds or 0.0)}"
        if not ending.failed:
            streams.message(line)
            return
        streams.fault(line)
    elif ending is not None:
        write_error(streams, not_startable(argv, ending))
    undo = changed.report.undo if changed.report else ()
    for text in ("How to go back:", *(f"  {each}" for each in undo)) if undo else ():
        streams.fault(text)


def not_startable(argv: Sequence[str], why: NotStartable) -> UsageError:
    """Return the error of a command that cannot be started."""
    said = {NotStartable.NOT_FOUND: "not found", NotStartable.NOT_EXECUTABLE: "not executable"}
    return UsageError(
        f"the command {shown(argv[0])} cannot be started: {said[why]}",
        hint="name a program, with its path if it does not lie in PATH",
    )


def changed_json(argv: Sequence[str], changed: Changed) -> dict[str, Any]:
    """Return the main job's report with what became of the command."""
    report: dict[str, Any] = {}
    if isinstance(changed.ending, NotStartable):
        report = fault_json(not_startable(argv, changed.ending))
    report = report_json(changed.report) if changed.report else report
    return {**report, "command": command_json(argv, changed)}


def command_json(argv: Sequence[str], changed: Changed) -> Mapping[str, Any]:
    """Return what became of the command; nothing but its words if it was not started."""
    ended = changed.ending if isinstance(changed.ending, Ended) else None
    return {
        "argv": list(argv),
        "status": ended.status if ended else None,
        "signal": ended.signal if ended else None,
        "seconds": changed.seconds if ended else None,
    }
