"""Progress while a run goes on: bars on a terminal, plain lines otherwise."""

from __future__ import annotations

from contextlib import AbstractContextManager
from types import TracebackType
from typing import TYPE_CHECKING

from snap_self.model.ids import DiskId
from snap_self.model.progress import Event, EventKind
from snap_self.output.streams import Streams

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

# A plain log gets one line per disk and state, and one per so many percent in between.
LINE_EVERY_PERCENT = 25


class ProgressView(AbstractContextManager["ProgressView"]):
    """Draws events; the base draws nothing but warnings."""

    def __init__(self, streams: Streams) -> None:
        self._streams = streams

    def __call__(self, event: Event) -> None:
        """Draw one event."""
        if event.kind is EventKind.WARNING:
            self._streams.fault(f"Warning: {event.text}")

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the drawing."""


class PlainView(ProgressView):
    """Writes lines, for logs and pipes."""

    def __init__(self, streams: Streams) -> None:
        super().__init__(streams)
        self._last: dict[DiskId, tuple[str, int]] = {}

    def __call__(self, event: Event) -> None:
        """Write one line, unless the event says nothing new."""
        if event.kind is EventKind.DISK and event.disk_id:
            mark = (event.state, event.percent // LINE_EVERY_PERCENT)
            if self._last.get(event.disk_id) == mark:
                return
            self._last[event.disk_id] = mark
            self._streams.message(f"... {event.disk_id}: {event.text}")
        elif event.kind is EventKind.STEP:
            self._streams.message(f"... {event.state}: {event.text}")
        elif event.kind is EventKind.RETRY and self._streams.verbosity > 0:
            self._streams.message(f"... {event.text}")
        elif event.kind is EventKind.NOTE:
            self._streams.message(event.text)
        else:
            super().__call__(event)


class BarView(PlainView):
    """Draws a bar per disk on a terminal."""

    def __init__(self, streams: Streams) -> None:
        super().__init__(streams)
        self._bars: Progress | None = None
        self._tasks: dict[DiskId, TaskID] = {}

    def __call__(self, event: Event) -> None:
        """Move the disk's bar, or write a line above the bars."""
        if event.kind is not EventKind.DISK or event.disk_id is None:
            super().__call__(event)
            return
        bars = self._bars or self._start()
        if event.disk_id not in self._tasks:
            self._tasks[event.disk_id] = bars.add_task(event.disk_id, total=100, state="")
        bars.update(self._tasks[event.disk_id], completed=event.percent, state=event.state)

    def _start(self) -> Progress:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

        console = Console(file=self._streams.err, no_color=not self._streams.colour)
        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[state]}"),
            console=console,
        )
        self._bars.start()
        return self._bars

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave the bars as they are and give the terminal back."""
        if self._bars:
            self._bars.stop()


def progress_view(streams: Streams) -> ProgressView:
    """Return the view that suits the streams."""
    if streams.verbosity < 0 or (streams.json and not streams.terminal):
        return ProgressView(streams)
    return BarView(streams) if streams.terminal else PlainView(streams)
