"""zypper: libzypp starts every executable file in one folder."""

from __future__ import annotations

from snap_self.changes.registration.archives import rpm_package
from snap_self.changes.registration.integration import Integration
from snap_self.changes.registration.machine import Machine, Stage
from snap_self.changes.registration.registered import registered
from snap_self.changes.registration.rehearsal import in_own_mounts, played
from snap_self.model.packages import REHEARSAL
from snap_self.model.registration import Loaded, Registration, Rehearsal

PLUGINS = "/usr/lib/zypp/plugins"
FILE = f"{PLUGINS}/commit/snap-self"
VETO = "it can be stopped only by ending zypper itself; YaST and PackageKit go on"


def probe(machine: Machine) -> Registration | None:
    """Look at the folder of which libzypp starts every executable file."""
    program = machine.which("zypper")
    if not program:
        return None
    files = (machine.compare(FILE, machine.source("zypper/snap-self")),)
    executable = machine.is_executable(FILE)
    return registered(
        "zypper",
        machine.version_of(program, "--version"),
        files,
        (Loaded.YES if executable else Loaded.NO, "libzypp starts every executable file there"),
        mend=f"chmod 755 {FILE}",
        veto=VETO,
    )


def rehearse(machine: Machine, stage: Stage) -> Rehearsal:
    """Install without repositories and without other plugins, into an empty database."""
    program = machine.which("zypper")
    package = stage.write(f"{REHEARSAL}-1-1.noarch.rpm", rpm_package(REHEARSAL))
    stage.write("repos/.empty", b"")
    places = ("/var/lib/zypp", "/var/cache/zypp", "/var/log", PLUGINS)
    argv = (
        *("env", f"ZYPP_LOCKFILE_ROOT={stage.folder}", program, "--non-interactive"),
        *("--no-refresh", "--no-gpg-checks", "--reposd-dir", f"{stage.folder}/repos"),
        *("install", "--allow-unsigned-rpm", package),
    )
    return played(stage, in_own_mounts(machine, stage, argv, places, plugin=FILE))


ZYPPER = Integration(probe=probe, mark=("zypper", FILE), rehearse=rehearse)
