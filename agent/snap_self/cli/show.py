"""`show`: one run's snapshots in full."""

from __future__ import annotations

from dataclasses import replace

from snap_self.cli.left import with_returns
from snap_self.cli.manifests import manifest_tools
from snap_self.cli.options import Manner
from snap_self.cli.session import open_session
from snap_self.model.listed import run_of
from snap_self.output.shown import write_shown
from snap_self.usecases.show import show


def run_show(wanted: str, manner: Manner) -> int:
    """Show one run in full.

    Args:
        wanted: the id of a snapshot, a group or a run, or ``last``.
    """
    with open_session(manner, sweeps=True) as session:
        tools = replace(session.tools(), manifests=manifest_tools(session.adapters))
        shown = show(tools, wanted)
        if shown.snapshots:
            state, run = session.config.state.dir, run_of(shown.snapshots[0])
            shown = replace(shown, notes=with_returns(shown.notes, state, run=run))
        session.end_progress()
        write_shown(session.streams, shown, now=session.adapters.clock.now())
    return 0
