"""A shutdown inhibitor of systemd-logind, held by systemd's own program.

Source: systemd-inhibit(1); https://systemd.io/INHIBITOR_LOCKS.
"""

from __future__ import annotations

import os
import select
import shutil
import subprocess
from contextlib import suppress
from pathlib import Path

from snap_self.system.environment import program_environment

PROGRAM = "systemd-inhibit"
# What libsystemd's sd_booted(3) looks for.
SYSTEMD = Path("/run/systemd/system")
# logind creates this folder when it starts.
SEATS = Path("/run/systemd/seats")
ANSWER_S = 5.0
END_S = 2.0
HELD = b"held\n"
# It holds the lock while the other end of its standard input is open, so a killed follower holds
# nothing back.
HOLDER = ("sh", "-c", "echo held; exec cat")
MOST_WHY = 400


def why_none() -> str:
    """Return why no reboot can be held back on this machine; empty if it may be possible."""
    if shutil.which(PROGRAM) is None:
        return f"{PROGRAM} is not installed"
    if not SYSTEMD.is_dir():
        return "this system was not started by systemd, so there is no logind"
    if not SEATS.is_dir():
        return "logind does not run here"
    return ""


class LogindInhibitor:
    """Implement ``ports.Inhibitor``."""

    def __init__(self) -> None:
        self._holder: subprocess.Popen[bytes] | None = None

    def hold(self, why: str) -> str:
        """Hold with this reason; the hold before is released only afterwards."""
        if none := why_none():
            return none
        before = self._holder
        try:
            self._holder = _start(why)
        except OSError as error:
            return f"{PROGRAM} cannot be started: {error.strerror}"
        refused = _refusal(self._holder)
        if refused:
            _end(self._holder)
            self._holder = before
            return refused
        if before is not None:
            _end(before)
        return ""

    def release(self) -> None:
        if self._holder is not None:
            _end(self._holder)
            self._holder = None


def _start(why: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [
            PROGRAM,
            "--what=shutdown",
            "--mode=block",
            "--who=snap-self",
            f"--why={why[:MOST_WHY]}",
            *HOLDER,
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd="/",
        env=program_environment("C.UTF-8"),
    )


def _refusal(holder: subprocess.Popen[bytes]) -> str:
    """Return why the program holds nothing; empty if it does hold."""
    assert holder.stdout is not None
    assert holder.stderr is not None
    ready, _, _ = select.select([holder.stdout], [], [], ANSWER_S)
    if not ready:
        return "logind did not answer"
    if os.read(holder.stdout.fileno(), len(HELD)) == HELD:
        return ""
    said = holder.stderr.read(1000).decode("utf-8", "replace").strip()
    return " ".join(said.split()) or "logind refused it"


def _end(holder: subprocess.Popen[bytes]) -> None:
    for stream in (holder.stdin, holder.stdout, holder.stderr):
        if stream is not None:
            with suppress(OSError):
                stream.close()
    try:
        holder.wait(END_S)
    except subprocess.TimeoutExpired:
        holder.kill()
        holder.wait()
