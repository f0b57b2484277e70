"""`run`: configuration, wiring, the use case, rendering; the command's exit status is passed on.

Everything that is needed after the command is imported before it: the command may replace the
Python that the agent runs on.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from snap_self.cli.boundary import ENDING_SIGNALS, tell, tell_interrupted
from snap_self.cli.confirming import confirming_of
from snap_self.cli.options import ON_SNAPSHOT_FAILURE, Manner, Typed
from snap_self.cli.requesting import chosen, make_request
from snap_self.cli.session import Session, open_session, streams_of
from snap_self.cli.snapshot import job_tools, refusals_told, watched, write_made
from snap_self.cli.spreading import spread_of
from snap_self.errors import ExitStatus
from snap_self.model.command import Ended, NotStartable
from snap_self.model.invocation import RUN, Invocation
from snap_self.model.looking import Since
from snap_self.model.report import Report
from snap_self.output import command
from snap_self.output.interrupted import what_was_asked
from snap_self.output.jsonform import write_json
from snap_self.output.streams import Streams
from snap_self.output.text import write_error
from snap_self.system.foreground import SystemForeground
from snap_self.system.manifest import packing as _packing  # noqa: F401  (imported beforehand)
from snap_self.usecases.job.spreading import wait_for_turn
from snap_self.usecases.run_command import Change, Changed, run_change


@dataclass(frozen=True, slots=True, kw_only=True)
class _View:
    """Writes what the use case tells; progress ends where the command begins."""

    session: Session
    argv: Sequence[str]

    def snapshot_ended(self, report: Report, *, starting: bool) -> None:
        self.session.end_progress()
        # The command may take away what it needs.
        self.session.tell_watchers(last=False)
        command.write_before(self.session.streams, report, starting=starting)
        sys.stdout.flush()

    def command_ended(self, changed: Changed) -> None:
        command.write_after(self.session.streams, self.argv, changed)

    def waits(self, changed: Changed) -> None:
        command.write_waits(self.session.streams, changed)

    def machine_changed(self, report: Report, since: Since) -> None:
        command.write_changed(self.session.streams, report, since)


def run_command(
    typed: Typed, manner: Manner, *, argv: tuple[str, ...], recorded: Path | None
) -> int:
    """Make the snapshot, run the command, and return its status.

    A failure of the agent before the command is started is status 125, whatever it was.
    """
    streams, foreground = streams_of(manner), SystemForeground()
    try:
        with (
            refusals_told(typed, RUN) as begun,
            open_session(manner, tell=partial(_tell_not_started, argv)) as session,
        ):
            request = replace(make_request(typed, session.config), trigger=RUN)
            policy = chosen(ON_SNAPSHOT_FAILURE, typed, session.config)
            tools = job_tools(session, request, recorded)
            wait_for_turn(tools, spread_of(request))
            confirming = confirming_of(session, request)
            change = Change(
                request=request,
                argv=argv,
                policy=policy,
                confirming=confirming,
                watched=partial(watched, session, request),
            )
            begun()
            changed = run_change(change, tools, foreground, _View(session=session, argv=argv))
    except Exception as error:  # noqa: BLE001 - a bug must not pass for the command's own status
        started, ending = foreground.started, foreground.ending
        status = tell(streams, error, _told(argv, started=started, ending=ending))
        return status_of_failure(status, started=started, ending=ending)
    before = typed["--before"]
    asked = Invocation(command=RUN, before=str(before) if before else None, argv=argv)
    _conclude(streams, asked, changed)
    return changed.exit_status


def _tell_not_started(
    argv: Sequence[str], streams: Streams, number: int, cut_short: Report | None
) -> int:
    """Tell of a signal; the command's own handlers take over when it starts, so it did not."""
    told = _told(argv, started=False, ending=None)
    if cut_short is not None:
        told["snapshot_exit_status"] = int(cut_short.exit_status)
    asked = what_was_asked(cut_short)
    tell_interrupted(streams, number, told, asked=asked, cut_short=cut_short)
    return int(ExitStatus.NOT_STARTED)


def status_of_failure(status: int, *, started: bool, ending: Ended | None) -> int:
    """Return what ``run`` ends with when the agent failed.

    Args:
        status: the failure's.
        started: the command was.
        ending: how it ended, if it did.
    """
    if not started:
        return int(ExitStatus.NOT_STARTED)
    return (ending.exit_status if ending else 0) or status


def _told(argv: Sequence[str], *, started: bool, ending: Ended | None) -> dict[str, object]:
    """Return what the JSON object of a failure has beyond those of other commands."""
    told: dict[str, object] = {
        "cmd": command.command_json(argv, Changed(report=None, ending=ending)),
    }
    if status := status_of_failure(0, started=started, ending=ending):
        told["exit_status"] = status
    return told


def _conclude(streams: Streams, asked: Invocation, changed: Changed) -> None:
    """Write the JSON object, if it was asked for; its loss does not hide how the command ended."""
    if changed.report is None and isinstance(changed.ending, NotStartable):
        write_error(streams, command.not_startable(asked.argv, changed.ending))
    if streams.json:
        _end_on_signals(changed.exit_status)
        write_made(streams, partial(write_json, value=command.changed_json(asked, changed)))


def _end_on_signals(status: int) -> None:
    """Let a signal end the process while nobody reads the object; the command's status stays."""
    for number in ENDING_SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, lambda *_: os._exit(status))
