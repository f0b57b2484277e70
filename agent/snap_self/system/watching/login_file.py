"""What somebody who logs in is told, in files that cost a log-in next to nothing.

Debian and Ubuntu run a script of ours at each log-in, which prints the lines that are due.
Elsewhere pam_motd(8) shows texts as they are, over links from /etc/motd.d.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from snap_self.system.state.files import replace_file, state_faults

LINES = "login-message"
TEXT = "motd"
_PUBLIC = 0o644


def write_login_lines(state: Path, lines: str, *, now: datetime) -> None:
    """Put the lines, and as a text those due now, in place of those before.

    Args:
        state: the state directory.
        lines: ``FROM<tab>UNTIL<tab>TEXT``, seconds since 1970.

    Raises:
        StateUnusable: they could not be written.
    """
    for name, text in ((LINES, lines), (TEXT, due(lines, now))):
        with state_faults(state / name, doing="written"):
            replace_file(state / name, text, mode=_PUBLIC)


def show_frozen_text(run: Path, text: str) -> None:
    """Show a text beside the marker of a freeze, on tmpfs; an empty one takes it away.

    Raises:
        StateUnusable: it could not be written.
    """
    path = run / TEXT
    with state_faults(path, doing="written"):
        if text:
            replace_file(path, text, mode=_PUBLIC)
        else:
            path.unlink(missing_ok=True)


def due(lines: str, now: datetime) -> str:
    """Return the texts that are true at that time, each on its line."""
    at = now.timestamp()
    rows = (line.split("\t", 2) for line in lines.split("\n") if line)
    return "".join(f"{text}\n" for begin, until, text in rows if int(begin) <= at < int(until))
