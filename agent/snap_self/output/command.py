"""What ``run`` says around the user's command; its own words all go to standard error."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from snap_self.errors import ExitStatus, UsageError
from snap_self.model.command import Ended, NotStartable, lasted
from snap_self.model.invocation import RUN, Invocation
from snap_self.model.looking import Since
from snap_self.model.report import Report
from snap_self.model.shell import command
from snap_self.model.shown import MAX_SHOWN, shown
from snap_self.output.cells import fitted
from snap_self.output.differences import summary
from snap_self.output.jsonform import fault_json
from snap_self.output.report import how_to_go_back, report_json, write_report
from snap_self.output.screen import how_in_short, waits_words, where_to_go_back
from snap_self.output.streams import Streams, Style
from snap_self.output.text import write_error, write_error_report, write_paragraph
from snap_self.usecases.run_command import Changed

# Between our own words and the command.
HYPHENS = "--"


def write_before(streams: Streams, report: Report, *, starting: bool) -> None:
    """Write the main job's report, and whether the command is started now.

    Standard output is the command's alone.
    """
    if not streams.json:
        all_to_err = replace(streams, out=streams.err, out_columns=streams.columns)
        write_report(all_to_err, report, started=starting)
    if not starting:
        if streams.json and report.error:  # the object comes last, and may have no reader
            write_error_report(streams, report.error)
        streams.fault("snap-self: the command was not started", style=Style.BAD)
    elif doubt := _doubt(report):
        write_paragraph(streams, f"Warning: {doubt}", style=Style.DOUBT, loud=True)
    else:
        text = f"Safe to go on; the command is started: {report.before}"
        write_paragraph(streams, text, style=Style.GOOD)


def _doubt(report: Report) -> str:
    """Return what the command is started in spite of; empty if all is as asked."""
    if report.error:
        why = f"the snapshot was not made as asked ({report.error.message})"
        return f"{why}; the command is started all the same, as was asked"
    if not report.content_is_fixed:
        return "the snapshot's content is not fixed yet; the command is started"
    if report.exit_status is ExitStatus.WEAKER:
        return "the snapshot is weaker than asked; the command is started"
    if report.exit_status is ExitStatus.LEFT_OUT:
        what = "a disk" if any(not each.asked for each in report.skipped) else "a filesystem"
        return f"the snapshot lacks {what}; the command is started"
    return ""


def write_after(streams: Streams, argv: Sequence[str], changed: Changed) -> None:
    """Write how the command ended, and after a failure how to go back.

    Who ended it by Ctrl-C knows what happened, and is told in one line where to go on.
    """
    program, ending = fitted(argv[0], MAX_SHOWN), changed.ending
    if isinstance(ending, Ended):
        line = f"snap-self: {program}: {ending.words()} after {lasted(changed.seconds or 0.0)}"
        if not ending.failed:
            streams.message(line)
            return
        write_paragraph(streams, line, style=Style.BAD, loud=True)
    elif ending is not None:
        write_error(streams, not_startable(argv, ending))
    if changed.report is None or not changed.report.undo:
        return
    if isinstance(ending, Ended) and ending.interrupted:
        write_paragraph(streams, where_to_go_back(changed.report), loud=True)
    elif streams.columns is None or streams.verbosity > 0:
        streams.fault(*how_to_go_back(changed.report))
    else:
        write_paragraph(streams, *how_in_short(changed.report, streams.columns), loud=True)


def write_waits(streams: Streams, changed: Changed) -> None:
    """Write whether the rollback that was armed is called off; that it is not, also when quiet."""
    armed = changed.report.armed if changed.report else None
    if changed.confirmed:
        write_paragraph(streams, "snap-self: the check succeeded, and the rollback is called off")
        return
    if changed.unconfirmed is not None:
        write_error(streams, changed.unconfirmed)
    if armed is not None:
        write_paragraph(streams, waits_words(armed), style=Style.DOUBT, loud=True)


def write_changed(streams: Streams, report: Report, since: Since) -> None:
    """Write what differs on the machine after the command, in one line."""
    what = f"changed since the snapshot: {summary(since.differences)}"
    more = command("snap-self", "diff", report.run_id or "last")
    write_paragraph(streams, f"snap-self: {what} (`{more}`)")


def not_startable(argv: Sequence[str], why: NotStartable) -> UsageError:
    """Return the error of a command that cannot be started."""
    said = {NotStartable.NOT_FOUND: "not found", NotStartable.NOT_EXECUTABLE: "not executable"}
    hint = "name a program, with its path if it does not lie in PATH"
    if HYPHENS in argv:  # they would have stood before it
        hint = "a text of several words is put in quotes: --before 'os upgrade' -- COMMAND; " + hint
    return UsageError(f"the command {shown(argv[0])} cannot be started: {said[why]}", hint=hint)


def changed_json(asked: Invocation, changed: Changed) -> dict[str, Any]:
    """Return the main job's report with what became of the command.

    ``exit_status`` is the process's, so the command's once it was started;
    ``snapshot_exit_status`` is what the main job alone would have ended with.
    """
    said = report_json(changed.report) if changed.report else {}
    if isinstance(changed.ending, NotStartable):
        fault = fault_json(not_startable(asked.argv, changed.ending), asked)
        said = {**fault, **said, "error": said.get("error") or fault["error"]}
    return {
        **said,
        "command": RUN,
        "exit_status": changed.exit_status,
        "snapshot_exit_status": int(changed.report.exit_status) if changed.report else None,
        "cmd": command_json(asked.argv, changed),
        "confirmed": changed.confirmed if changed.report and changed.report.armed else None,
    }


def command_json(argv: Sequence[str], changed: Changed) -> Mapping[str, Any]:
    """Return what became of the command; nothing but its words if it was not started."""
    ended = changed.ending if isinstance(changed.ending, Ended) else None
    return {
        "argv": list(argv),
        "status": ended.status if ended else None,
        "signal": ended.signal if ended else None,
        "seconds": changed.seconds if ended else None,
    }
