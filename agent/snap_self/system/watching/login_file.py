"""What somebody who logs in is told, in files that cost a log-in next to nothing."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path

from snap_self.system.state.files import replace_file, state_faults

NAME = "login-message"
# Debian and Ubuntu run what lies there at each log-in; elsewhere pam_motd(8) shows a ready text.
DYNAMIC = Path("/etc/update-motd.d/95-snap-self")
READY = Path("/run/motd.d/snap-self")
_PUBLIC = 0o644


def write_login_lines(state: Path, lines: str) -> None:
    """Put the lines in place of those before.

    Args:
        state: the state directory.
        lines: ``FROM<tab>UNTIL<tab>TEXT``, seconds since 1970.

    Raises:
        StateUnusable: they could not be written.
    """
    path = state / NAME
    with state_faults(path, doing="written"):
        replace_file(path, lines, mode=_PUBLIC)


def show_ready(lines: str, *, now: datetime, dynamic: Path = DYNAMIC, ready: Path = READY) -> None:
    """Put what is due now where it is shown as it is, unless a script prints the lines.

    Raises:
        StateUnusable: it could not be written.
    """
    text = "" if os.path.lexists(dynamic) else due(lines, now)
    with state_faults(ready, doing="written"):
        if text:
            ready.parent.mkdir(mode=0o755, exist_ok=True)
            replace_file(ready, text, mode=_PUBLIC)
        else:
            ready.unlink(missing_ok=True)


def due(lines: str, now: datetime) -> str:
    """Return the texts that are true at that time, each on its line."""
    at = now.timestamp()
    rows = (line.split("\t", 2) for line in lines.split("\n") if line)
    return "".join(f"{text}\n" for begin, until, text in rows if int(begin) <= at < int(until))
