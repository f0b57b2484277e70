"""`list`: this instance's snapshots."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from snap_self.cli.left import with_open, with_returns
from snap_self.cli.options import Manner
from snap_self.cli.session import open_session
from snap_self.output.listing import write_listing
from snap_self.usecases.listing import Listing, Wanted, list_snapshots


def noted(listing: Listing, state: Path) -> Listing:
    """Return the list with what is known of disks that went back."""
    return replace(listing, notes=with_returns(listing.notes, state))


def run_list(
    manner: Manner, *, last: int | None = None, before: str = "", disks: tuple[str, ...] = ()
) -> int:
    """List our snapshots.

    Args:
        last, before, disks: which of them, as for ``Wanted``.
    """
    wanted = Wanted(last=last, before=before, disks=disks)
    with open_session(manner, sweeps=True) as session:
        listing = list_snapshots(session.tools(), wanted)
        state = session.config.state.dir
        listing = with_open(listing, state)
        listing = noted(listing, state)
        session.end_progress()
        write_listing(session.streams, listing, now=session.adapters.clock.now())
    return 0
