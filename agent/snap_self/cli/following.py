"""`follow`: the background process that watches uploads; started by the agent itself.

All that it needs is imported before it waits: an upgrade may replace the agent's files meanwhile.
"""

from __future__ import annotations

import os
import sys

from snap_self.cli.connecting import connect as _connect  # noqa: F401  (imported beforehand)
from snap_self.cli.options import Manner
from snap_self.cli.wiring import Wiring, load_settings
from snap_self.output.progress import PlainView
from snap_self.output.streams import make_streams
from snap_self.system.inhibitor import LogindInhibitor
from snap_self.system.lock import FileLock
from snap_self.usecases.following import Watching, follow

LOCK = "follow.lock"


def run_follower(manner: Manner) -> int:
    """Watch every upload that goes on, to its end."""
    streams = make_streams(
        sys.stdout, sys.stderr, env=os.environ, verbosity=manner.verbosity, json=False
    )
    config = load_settings(os.environ)
    wiring = Wiring(config=config, env=os.environ, listener=PlainView(streams))
    tools = wiring.tools()
    tools.warm()
    watching = Watching(
        inhibitor=LogindInhibitor(),
        lock=FileLock(config.state.dir, wiring.clock, name=LOCK),
        limit_s=config.follow.limit_s,
    )
    streams.message(f"snap-self follow: {follow(tools, watching)}")
    return 0
