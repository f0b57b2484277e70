"""Progress while a run goes on: bars on a terminal, few plain lines otherwise."""

from __future__ import annotations

from contextlib import AbstractContextManager
from types import TracebackType
from typing import TYPE_CHECKING

from snap_self.model.ids import DiskId
from snap_self.model.progress import Event, EventKind
from snap_self.model.shown import printable
from snap_self.output.bars import Bar, Part, bar_rows
from snap_self.output.cells import fitted
from snap_self.output.streams import Streams, Style
from snap_self.output.text import write_paragraph

if TYPE_CHECKING:
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

# A plain log gets a line when the slowest of all uploads has come so much further.
LINE_EVERY_PERCENT = 25
ALL_PERCENT = 100
# Colours of the bars: red is for what went wrong.
STYLES = {Part.TEXT: "", Part.DONE: "cyan", Part.TO_DO: "dim", Part.BAD: "bold red"}


class ProgressView(AbstractContextManager["ProgressView"]):
    """Draws events; the base draws nothing but warnings."""

    def __init__(self, streams: Streams) -> None:
        self._streams = streams

    def __call__(self, event: Event) -> None:
        """Draw one event."""
        if event.kind is EventKind.WARNING:
            text = f"Warning: {event.text}"
            write_paragraph(self._streams, text, style=Style.DOUBT, loud=True)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the drawing."""


class PlainView(ProgressView):
    """Writes lines, for logs and pipes: without ``-v`` only of what takes long or is odd."""

    def __init__(self, streams: Streams) -> None:
        super().__init__(streams)
        self._last: dict[DiskId, tuple[str, int]] = {}
        self._percents: dict[DiskId, int] = {}
        self._told = 0

    def __call__(self, event: Event) -> None:
        """Write one line, unless the event says nothing new."""
        verbose = self._streams.verbosity > 0
        if event.kind is EventKind.TARGET and event.disk_id:
            self._percents.setdefault(event.disk_id, 0)
        elif event.kind is EventKind.DISK and event.disk_id:
            self._percents[event.disk_id] = event.percent
            (self._tell_disk if verbose else self._tell_all)(event)
        elif event.kind is EventKind.STEP and verbose:
            self._streams.message(f"... {event.state}: {event.text}")
        elif event.kind is EventKind.RETRY and verbose:
            self._streams.message(f"... {event.text}")
        elif event.kind is EventKind.NOTE:
            write_paragraph(self._streams, event.text)
        else:
            super().__call__(event)

    def _tell_disk(self, event: Event) -> None:
        assert event.disk_id is not None
        mark = (event.state, event.percent // LINE_EVERY_PERCENT)
        if self._last.get(event.disk_id) != mark:
            self._last[event.disk_id] = mark
            self._streams.message(f"... {event.disk_id}: {event.text}")

    def _tell_all(self, event: Event) -> None:
        """Tell how far the slowest is; the end is told by the report."""
        del event
        least = min(self._percents.values())
        step = least // LINE_EVERY_PERCENT
        if self._told < step and least < ALL_PERCENT:
            self._told = step
            self._streams.message(f"... {least} % uploaded")


class BarView(PlainView):
    """Draws a bar per disk on a terminal, and before that the step that takes its time.

    What is drawn is taken away at the end: the report tells how far all came.
    """

    def __init__(self, streams: Streams) -> None:
        super().__init__(streams)
        self._live: Live | None = None
        self._console: Console | None = None
        self._bars: dict[DiskId, Bar] = {}
        self._began_s = 0.0
        self._has_step = False

    def __call__(self, event: Event) -> None:
        """Move the disk's bar, or write a line above the bars."""
        if event.kind is EventKind.TARGET and event.disk_id:
            self._bars.setdefault(event.disk_id, Bar(name=printable(event.text)))
        elif event.kind is EventKind.DISK and event.disk_id:
            self._move(event, event.disk_id)
        elif event.kind is EventKind.STEP and self._streams.verbosity <= 0:
            self._show_step(f"{event.text} …")
        elif event.kind is not EventKind.RETRY or self._streams.verbosity > 0:
            self._write_above(event)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Take away what was drawn and give the terminal back."""
        self._clear_step()
        if self._live:
            self._live.stop()
            self._live = None

    def _write_above(self, event: Event) -> None:
        self._clear_step()
        if self._live is None:
            super().__call__(event)
            return
        self._live.stop()
        super().__call__(event)
        self._live.start(refresh=True)

    def _show_step(self, text: str) -> None:
        if self._live is None:
            # The last column stays free: a terminal would go to the next line.
            self._streams.redraw(fitted(text, (self._streams.columns or 80) - 1))
            self._has_step = True

    def _clear_step(self) -> None:
        if self._has_step:
            self._streams.redraw("")
            self._has_step = False

    def _move(self, event: Event, disk_id: DiskId) -> None:
        console = self._start()
        known = self._bars.setdefault(disk_id, Bar(name=disk_id))
        self._bars[disk_id] = known.moved(
            percent=event.percent,
            state=printable(event.state),
            remaining_s=event.remaining_s,
            now_s=console.get_time(),
        )

    def _start(self) -> Console:
        if self._console is None:
            from rich.console import Console
            from rich.live import Live

            self._clear_step()
            self._console = Console(file=self._streams.err, no_color=not self._streams.colour)
            self._began_s = self._console.get_time()
            self._live = Live(
                console=self._console,
                get_renderable=self._drawn,
                transient=True,
                redirect_stdout=False,
                redirect_stderr=False,
            )
            self._live.start(refresh=True)
        return self._console

    def _drawn(self) -> Text:
        from rich.text import Text

        console = self._console
        assert console is not None
        rows = bar_rows(
            dict(self._bars),
            columns=console.size.width - 1,
            rows=console.size.height,
            began_s=self._began_s,
            now_s=console.get_time(),
            plain=not console.encoding.startswith("utf"),
        )
        lines = [Text.assemble(*((text, STYLES[part]) for text, part in row)) for row in rows]
        return Text("\n", no_wrap=True, overflow="crop").join(lines)


def progress_view(streams: Streams) -> ProgressView:
    """Return the view that suits the streams."""
    if streams.verbosity < 0 or (streams.json and not streams.terminal):
        return ProgressView(streams)
    return BarView(streams) if streams.terminal else PlainView(streams)
