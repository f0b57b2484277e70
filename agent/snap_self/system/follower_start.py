"""Start the follower where no end of a session, terminal or cgroup ends it too soon."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from snap_self.model.ids import RunId
from snap_self.model.report import UploadWatch
from snap_self.ports import Clock
from snap_self.system.environment import program_environment
from snap_self.system.inhibitor import SYSTEMD, why_none
from snap_self.system.let_go import let_go
from snap_self.system.python_child import child_command

UNIT = "snap-self-follow@{}.service"
UNIT_FOLDERS = ("/etc/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system")
# A unit does not see the caller's environment, and everybody can read what a unit is given.
OWN_VARIABLES = ("SNAP_SELF_", "ALIBABA_CLOUD_", "ALICLOUD_")
SYSTEMCTL_S = 3.0


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
            why = "only root can be sure to hold a reboot back"
        until = self.clock.now() + timedelta(seconds=self.limit_s)
        return UploadWatch(held=not why, until=until, why=why)

    def _as_unit(self, run_id: RunId) -> bool:
        """Start the unit; the end of a session or another unit does not end it."""
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
                env=program_environment(),
                check=False,
            )
            return done.returncode == 0
        return False

    def _detached(self, run_id: RunId) -> bool:
        """Start it without our terminal, group, streams or other descriptors.

        A package manager waits for every process that still holds the pipes of its hooks.
        """
        try:
            process = subprocess.Popen(
                child_command(("follow", run_id)),
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
        let_go(process)
        return True


def _nobody(why: str) -> UploadWatch:
    return UploadWatch(held=False, until=None, why=why)
