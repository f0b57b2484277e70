"""`follow`: the background process that watches uploads; started by the agent itself.

All that it needs is imported before it waits: an upgrade may replace the agent's files meanwhile.
"""

from __future__ import annotations

from dataclasses import replace

from snap_self.cli.boundary import tell_interrupted as _told  # noqa: F401  (imported beforehand)
from snap_self.cli.connecting import connect as _connect  # noqa: F401
from snap_self.cli.manifests import manifest_tools
from snap_self.cli.options import Manner
from snap_self.cli.session import open_session
from snap_self.model.notifying import WAIT_S
from snap_self.output.progress import PlainView
from snap_self.output.report import report_json as _json  # noqa: F401
from snap_self.system.inhibitor import LogindInhibitor
from snap_self.system.state.lock import FileLock
from snap_self.usecases.follow import Watching, follow

LOCK = "follow.lock"


def run_follower(manner: Manner) -> int:
    """Watch every upload that goes on, to its end."""
    with open_session(manner, view=PlainView) as session:
        config = session.config
        tools = replace(session.tools(), manifests=manifest_tools(session.adapters))
        tools.warm()
        # An upload takes hours; its end is told when it is seen.
        session.adapters.watch.at_once = True
        watching = Watching(
            inhibitor=LogindInhibitor(),
            lock=FileLock(config.state.dir, session.adapters.clock, name=LOCK),
            limit_s=config.follow.limit_s,
            pause_s=config.follow.pause_s,
        )
        session.streams.message(f"snap-self follow: {follow(tools, watching)}")
        session.tell_watchers()
        # Its unit ends with it, and whoever tells people in it a few seconds later.
        session.adapters.watch.tools.wait_notified(WAIT_S)
    return 0
