"""Start the follower where neither the session nor the terminal nor a cgroup ends it too soon."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from snap_self.model.ids import RunId
from snap_self.model.report import UploadWatch
from snap_self.ports import Clock
from snap_self.system.inhibitor import SYSTEMD, why_none

UNIT = "snap-self-follow@{}.service"
UNIT_FOLDERS = ("/etc/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system")
# A unit does not see the caller's environment, and what a unit is given can be read by everybody.
OWN_VARIABLES = ("SNAP_SELF_", "ALIBABA_CLOUD_", "ALICLOUD_")
SYSTEMCTL_S = 3.0
# The path of this process goes along: an isolated interpreter finds the agent by nothing else.
_BOOT = (
    "import sys; n = int(sys.argv[1]); sys.path[:] = sys.argv[2:n + 2]; "
    "sys.argv[:] = ['snap-self', *sys.argv[n + 2:]]; "
    "from snap_self.cli.entry import main; main()"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowerStart:
    """Implement ``ports.FollowerStarter``."""

    clock: Clock
    env: Mapping[str, str]
    enabled: bool
    limit_s: float

    def __call__(self, run_id: RunId) -> UploadWatch:
        """Start it and return at once."""
        if not self.enabled:
            return _nobody("follow.enabled is false")
        if not (self._as_unit(run_id) or self._detached(run_id)):
            return _nobody("the follower could not be started")
        why = why_none()
        if not why and os.geteuid():
            why = "only root may surely hold a reboot back"
        until = self.clock.now() + timedelta(seconds=self.limit_s)
        return UploadWatch(held=not why, until=until, why=why)

    def _as_unit(self, run_id: RunId) -> bool:
        """Start the unit, which no end of a session or of another unit takes along."""
        known = any((Path(folder) / UNIT.format("")).exists() for folder in UNIT_FOLDERS)
        if os.geteuid() or not SYSTEMD.is_dir() or not known:
            return False
        if any(name.startswith(OWN_VARIABLES) for name in self.env):
            return False
        argv = ("systemctl", "start", "--no-block", UNIT.format(run_id))
        with suppress(OSError, subprocess.SubprocessError):
            done = subprocess.run(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=SYSTEMCTL_S,
                check=False,
            )
            return done.returncode == 0
        return False

    def _detached(self, run_id: RunId) -> bool:
        """Start it with nothing of ours: no terminal, group, streams or other descriptors.

        A package manager waits for whoever still holds the pipes that it gave its hooks.
        """
        try:
            process = subprocess.Popen(
                command(("follow", run_id)),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                close_fds=True,
                start_new_session=True,
                cwd="/",
                env=dict(self.env),
            )
        except OSError:
            return False
        # It outlives this process, which therefore never waits for it, nor is to be warned of it.
        process.returncode = 0
        return True


def command(arguments: Sequence[str]) -> tuple[str, ...]:
    """Return what starts another agent in the way that this one runs."""
    flags = ("-I", "-S", "-B") if sys.flags.isolated else ("-B",)
    path = [entry for entry in sys.path if entry]
    return (sys.executable, *flags, "-c", _BOOT, str(len(path)), *path, *arguments)


def _nobody(why: str) -> UploadWatch:
    return UploadWatch(held=False, until=None, why=why)
