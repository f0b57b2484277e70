"""The main job: a snapshot of this instance's own disks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

from snap_self.cli.boundary import forget_stdout, why_lost
from snap_self.cli.confirming import confirming_of
from snap_self.cli.options import Manner, Typed
from snap_self.cli.requesting import make_request
from snap_self.cli.session import Session, open_session, tell_job
from snap_self.cli.spreading import spread_of
from snap_self.cli.wiring import tools_for
from snap_self.errors import SnapSelfError, UsageError
from snap_self.model.invocation import RUN
from snap_self.model.packages import MANAGERS
from snap_self.model.progress import Event, EventKind
from snap_self.model.report import Report
from snap_self.model.request import CLI, Request
from snap_self.output.report import write_report
from snap_self.output.streams import Streams
from snap_self.system.managers.notices import Notices
from snap_self.usecases.job.spreading import wait_for_turn
from snap_self.usecases.snapshot import take_snapshot
from snap_self.usecases.tools import Tools
from snap_self.watching.happened import Asking


def run_snapshot(typed: Typed, manner: Manner, *, recorded: Path | None, notices: int) -> int:
    """Run the main job; of a recorded machine only against a simulated cloud.

    Args:
        notices: descriptor of the pipe by which a hook is told how it goes; -1 for none.
    """
    told = Notices(notices)
    given = typed.get("--trigger")
    trigger = str(given) if given in MANAGERS else CLI
    # What an earlier command left open is told at the end, not ended: an upgrade waits for this.
    with (
        refusals_told(typed, trigger) as begun,
        open_session(manner, throttled=told.throttled, tell=tell_job) as session,
    ):
        request = make_request(typed, session.config)
        tools = job_tools(session, request, recorded)
        wait_for_turn(tools, spread_of(request, told.delayed))
        told.begun()
        begun()
        report = watched(session, request, lambda: _made(session, request, tools))
        _tell_source(session)
        session.end_progress()
        write_made(session.streams, partial(write_report, report=report))
    return int(report.exit_status)


def _made(session: Session, request: Request, tools: Tools) -> Report:
    confirming = confirming_of(session, request)
    return confirming.take(request, tools) if confirming else take_snapshot(request, tools)


@contextmanager
def refusals_told(typed: Typed, trigger: str) -> Iterator[Callable[[], None]]:
    """Tell those who watch of a run that is refused before it begins.

    Yields what is to be called when it begins: from then on the run tells by itself. Of what
    somebody typed wrong only they are told.
    """
    is_begun: list[bool] = []
    try:
        yield lambda: is_begun.append(True)
    except SnapSelfError as error:
        mistyped = isinstance(error, UsageError) and trigger in (CLI, RUN)
        if not is_begun and not mistyped:
            from snap_self.cli.watching import tell_refused

            tell_refused(Asking(trigger=trigger, before=str(typed["--before"] or "")), error)
        raise


def watched(session: Session, request: Request, make: Callable[[], Report]) -> Report:
    """Do the main job, and tell those who watch this machine."""
    from snap_self.cli.watching import trouble

    with session.adapters.watch.running(request, trouble) as run:
        report = make()
        run.ended(report)
    return report


def write_made(streams: Streams, write: Callable[[Streams], None]) -> None:
    """Write what is told of a deed that is done: that it cannot be written changes nothing of it.

    Whoever looks for the data finds the journal and the cloud; the status tells the deed's end.
    """
    sparing = streams.sparing()
    write(sparing)
    for lost in sparing.lost:
        forget_stdout()
        if not lost.reader_gone:
            streams.fault(
                f"snap-self: standard output cannot be written: {why_lost(lost)}",
                "  -> `snap-self list` shows what was made",
            )


def job_tools(session: Session, request: Request, recorded: Path | None) -> Tools:
    """Return what the main job works with, of this machine or of a recorded one."""
    if recorded is None:
        tools = tools_for(session.adapters, request)
    else:
        from snap_self.cli.recorded import simulated_tools

        tools = simulated_tools(session.adapters, recorded)
    return replace(tools, cut_short=session.note_cut_short)


def _tell_source(session: Session) -> None:
    if session.streams.verbosity > 0:
        for source, verdict in session.adapters.provider.trail:
            session.adapters.gate(
                Event(kind=EventKind.NOTE, text=f"credentials: {source}: {verdict}")
            )
