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
from snap_self.system.state.left import may_be_left

if TYPE_CHECKING:
    from snap_self.cli.adapters import Adapters
    from snap_self.usecases.listing import Listing
    from snap_self.usecases.tools import Tools


def watch_left(state: Path) -> None:
    """Have the process say at its end what is left then."""
    note_left(partial(_left_lines, state))


def see_to_left(adapters: Adapters, tools: Tools) -> None:
    """End what should have ended, as far as that takes no waiting. Never fails a command.

    It costs one look where nothing is left; where another command is at work, nothing is done.
    """
    if os.geteuid() or not may_be_left(adapters.config.state.dir):
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


def _left_lines(state: Path) -> Sequence[str]:
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
