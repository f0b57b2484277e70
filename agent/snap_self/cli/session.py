"""What every command begins with: streams, configuration, progress, adapters, and their end."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from snap_self.cli.adapters import Adapters
from snap_self.cli.boundary import Interrupted, leave, note_session, tell_interrupted
from snap_self.cli.console import console
from snap_self.cli.left import see_to_left, watch_left
from snap_self.cli.options import Manner
from snap_self.cli.wiring import load_settings, make_tools
from snap_self.config.settings import Config
from snap_self.output.interrupted import what_was_asked
from snap_self.output.progress import ProgressView, progress_view
from snap_self.output.streams import Streams
from snap_self.usecases.tools import Tools

if TYPE_CHECKING:
    from snap_self.model.report import Report
    from snap_self.usecases.watching import Watch

# Tells that a signal ended the command, with the report of the run that it cut short; returns the
# exit status.
TellInterrupted = Callable[[Streams, int, "Report | None"], int]


@dataclass(slots=True, kw_only=True)
class Session:
    """What a command works with.

    Args:
        cut_short: the report of a run that has asked the cloud for something, from its end on or
            when a signal came.
    """

    streams: Streams
    adapters: Adapters
    progress: ExitStack
    cut_short: Report | None = None

    @property
    def config(self) -> Config:
        """The configuration."""
        return self.adapters.config

    def tools(self) -> Tools:
        """Return what the use cases work with."""
        return make_tools(self.adapters)

    def note_cut_short(self, report: Report) -> None:
        """Keep the report of a run that has asked the cloud, for when a signal ends it."""
        self.cut_short = report

    def tell_watchers(self, *, last: bool = True) -> None:
        """Tell those who watch what this command has to tell them.

        Args:
            last: the command has nothing more to do.
        """
        if self.adapters.has_news:
            from snap_self.cli.watching import close_watch

            close_watch(self.adapters.watch, last=last)

    def end_progress(self) -> None:
        """Give the terminal back before the session ends."""
        self.progress.close()


def _make_watch(adapters: Adapters) -> Watch:
    from snap_self.cli.watching import make_watch

    return make_watch(adapters)


def streams_of(manner: Manner) -> Streams:
    """Return the process's streams, spoken to in this manner."""
    return console(verbosity=manner.verbosity, json=manner.json)


def _tell(streams: Streams, number: int, cut_short: Report | None) -> int:
    asked = None if cut_short is None else what_was_asked(cut_short)
    return tell_interrupted(streams, number, asked=asked, cut_short=cut_short)


def tell_job(streams: Streams, number: int, cut_short: Report | None) -> int:
    """Tell of a signal that ended the main job: what it had asked the cloud for, or that nothing.

    Returns the exit status.
    """
    asked = what_was_asked(cut_short)
    return tell_interrupted(streams, number, asked=asked, cut_short=cut_short)


@contextmanager
def open_session(
    manner: Manner,
    *,
    load: Callable[[Mapping[str, str]], Config] = load_settings,
    view: Callable[[Streams], ProgressView] = progress_view,
    throttled: Callable[[], None] | None = None,
    tell: TellInterrupted = _tell,
    sweeps: bool = False,
) -> Iterator[Session]:
    """Give a command its session; a signal in it is told, and ends the process.

    Args:
        sweeps: when it has written its answer, what earlier commands left open is ended, as far as
            that takes no waiting.
        throttled: is told of each call that the cloud refuses as one too many.

    Raises:
        ConfigError: the configuration has faults.
    """
    streams = streams_of(manner)
    session: Session | None = None
    note_session()
    try:
        config = load(os.environ)
        watch_left(config.state.dir)
        with ExitStack() as progress:
            listener = progress.enter_context(view(streams))
            adapters = Adapters(
                config=config,
                env=os.environ,
                listener=listener,
                throttled=throttled,
                watching=_make_watch,
            )
            session = Session(streams=streams, adapters=adapters, progress=progress)
            yield session
            if sweeps:
                see_to_left(adapters, session.tools())
    except Interrupted as interrupt:
        status = tell(streams, interrupt.number, session.cut_short if session else None)
        if session:
            session.tell_watchers()
        leave(status)
    finally:
        if session:
            session.tell_watchers()
