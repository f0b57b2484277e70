"""What earlier commands left open: ended by later ones, and said on their last line until it is."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from snap_self.cli.boundary import note_left
from snap_self.errors import SnapSelfError
from snap_self.model.progress import Event, EventKind
from snap_self.system.state.left import may_be_half_way, may_be_left, may_have_returned

if TYPE_CHECKING:
    from snap_self.cli.adapters import Adapters
    from snap_self.usecases.listing import Listing
    from snap_self.usecases.tools import Tools


def watch_left(state: Path) -> None:
    """Have the process say at its end what is left then."""
    note_left(partial(_left_lines, state))


def see_to_left(adapters: Adapters, tools: Tools) -> None:
    """End what should have ended, as far as that takes no waiting. Never fails a command.

    It costs two looks where nothing is left; where another command is at work, nothing is done.
    Only disks that were going back are waited for: what lies on them is needed.
    """
    if os.geteuid():
        return
    if may_be_half_way(adapters.config.state.dir):
        from snap_self.cli.rollback_online import go_on_with

        go_on_with(adapters, tools)
    if not may_be_left(adapters.config.state.dir):
        return
    from snap_self.cli.looking_back import brief_looking_back
    from snap_self.usecases.looking_back.sweeping import sweep

    try:
        sweep(tools, brief_looking_back(adapters))
    except SnapSelfError as error:
        text = f"what an earlier command left open was not ended: {error.told}"
        adapters.gate(Event(kind=EventKind.WARNING, text=text))


def with_open(listing: Listing, state: Path) -> Listing:
    """Return a list that tells of which snapshots a copy is open now."""
    if not may_be_left(state):
        return listing
    from dataclasses import replace

    from snap_self.system.state.copies import CopyJournal

    places: dict[str, str] = {}
    with suppress(SnapSelfError):
        for record in CopyJournal(state).unfinished():
            place = record.mounted_at or f"({record.purpose.value})"
            places |= dict.fromkeys((d.order.snapshot_id for d in record.disks), place)
    shots = (replace(shot, open_at=places.get(shot.snapshot_id, "")) for shot in listing.snapshots)
    return replace(listing, snapshots=tuple(shots))


def with_returns(notes: Sequence[str], state: Path, *, run: str = "") -> tuple[str, ...]:
    """Return notes with what is known of disks that went back while the system ran.

    Args:
        run: of the run that they went back to; empty for the last that did, to whatever run.
    """
    if not may_have_returned(state):
        return tuple(notes)
    from snap_self.output.rollback_online import returned_notes
    from snap_self.system.state.returns import ReturnJournal

    with suppress(SnapSelfError):
        return (*notes, *returned_notes(ReturnJournal(state).done(), run))
    return tuple(notes)


def _left_lines(state: Path) -> Sequence[str]:
    return (*_copies_left(state), *_half_way(state))


def _half_way(state: Path) -> Sequence[str]:
    if not may_be_half_way(state):
        return ()
    from snap_self.cli.wiring import copies_lock
    from snap_self.output.rollback_online import half_way_lines
    from snap_self.system.clock import SystemClock
    from snap_self.system.state.returns import ReturnJournal

    journal = ReturnJournal(state)
    with suppress(SnapSelfError), copies_lock(state, SystemClock()).attempt(purpose="look") as free:
        if free:  # else a command is at work on them
            return half_way_lines(journal.unfinished(), journal.damaged())
    return ()


def _copies_left(state: Path) -> Sequence[str]:
    if not may_be_left(state):
        return ()
    from snap_self.cli.wiring import copies_lock
    from snap_self.output.unmounted import left_lines
    from snap_self.system.clock import SystemClock
    from snap_self.system.state.copies import CopyJournal

    journal, clock = CopyJournal(state), SystemClock()
    with suppress(SnapSelfError), copies_lock(state, clock).attempt(purpose="look") as free:
        if free:  # else a command is at work on them
            return left_lines(journal.unfinished(), journal.damaged(), clock.now())
    return ()
