"""What a log gets of a run's progress, and what stands on a terminal meanwhile."""

from __future__ import annotations

import io

import pytest

from snap_self.model.ids import DiskId
from snap_self.model.progress import Event, EventKind
from snap_self.output.progress import BarView, PlainView, ProgressView, progress_view
from snap_self.output.streams import Streams

STEP = Event(kind=EventKind.STEP, text="ask the cloud", state="create")
NOTE = Event(kind=EventKind.NOTE, text="still syncing /srv")
WARNING = Event(kind=EventKind.WARNING, text="the clock is wrong")
RETRY = Event(kind=EventKind.RETRY, text="once more")


def streams(*, terminal: bool = False, verbosity: int = 0, json: bool = False) -> Streams:
    """Return streams whose messages can be read back."""
    return Streams(
        out=io.StringIO(),
        err=io.StringIO(),
        terminal=terminal,
        colour=False,
        verbosity=verbosity,
        json=json,
        columns=40 if terminal else None,
    )


def told(view: ProgressView, to: Streams, *events: Event) -> str:
    """Return what is written of these events."""
    with view:
        for event in events:
            view(event)
    assert isinstance(to.err, io.StringIO)
    return to.err.getvalue()


def target(disk: str) -> Event:
    """Return the event that names a disk."""
    return Event(kind=EventKind.TARGET, text=f"vda {disk}", disk_id=DiskId(disk))


def moved(disk: str, percent: int) -> Event:
    """Return the event of an upload that has come so far."""
    return Event(
        kind=EventKind.DISK,
        text=f"s-1: available, {percent} % uploaded",
        disk_id=DiskId(disk),
        percent=percent,
        state="available",
    )


def test_log_when_uploads_go_on_then_has_a_line_as_the_slowest_comes_on_and_none_at_its_end() -> (
    None
):
    to = streams()
    events = [moved(d, p) for p in (0, 10, 30, 60, 100) for d in ("d-1", "d-2")]
    assert told(PlainView(to), to, target("d-1"), target("d-2"), *events).splitlines() == [
        "... 30 % uploaded",
        "... 60 % uploaded",
    ]


def test_log_when_a_disk_has_not_been_seen_yet_then_it_counts_as_not_begun() -> None:
    to = streams()
    assert told(PlainView(to), to, target("d-1"), target("d-2"), moved("d-1", 90)) == ""


def test_log_when_details_are_wanted_then_has_steps_repeats_and_each_disk() -> None:
    to = streams(verbosity=1)
    assert told(
        PlainView(to), to, STEP, RETRY, moved("d-1", 30), moved("d-1", 31)
    ).splitlines() == [
        "... create: ask the cloud",
        "... once more",
        "... d-1: s-1: available, 30 % uploaded",
    ]


def test_log_when_something_is_odd_then_has_that_alone() -> None:
    to = streams()
    assert told(PlainView(to), to, STEP, RETRY, NOTE, WARNING).splitlines() == [
        "still syncing /srv",
        "Warning: the clock is wrong",
    ]


def test_terminal_when_a_step_takes_its_time_then_shows_it_in_place_and_takes_it_away() -> None:
    to = streams(terminal=True)
    said = told(BarView(to), to, STEP, RETRY, NOTE, STEP)
    assert said == (
        "\r\x1b[2Kask the cloud …\r\x1b[2Kstill syncing /srv\n\r\x1b[2Kask the cloud …\r\x1b[2K"
    )


def test_terminal_when_a_step_is_longer_than_a_line_then_it_is_cut() -> None:
    to = streams(terminal=True)
    said = told(BarView(to), to, Event(kind=EventKind.STEP, text="long " * 20, state="flush"))
    assert len(said.split("\x1b[2K")[1].rstrip("\r")) == 39


@pytest.mark.parametrize(
    ("to", "view"),
    [
        (streams(terminal=True), BarView),
        (streams(), PlainView),
        (streams(verbosity=-1), ProgressView),
        (streams(json=True), ProgressView),
        (streams(json=True, terminal=True), BarView),
    ],
)
def test_view_when_chosen_then_suits_the_streams(to: Streams, view: type[ProgressView]) -> None:
    assert type(progress_view(to)) is view
