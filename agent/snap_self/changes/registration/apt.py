"""apt: its configuration names our hook, and ``apt-config dump`` tells whether it is read."""

from __future__ import annotations

from snap_self.changes.registration.archives import debian_package
from snap_self.changes.registration.integration import Integration
from snap_self.changes.registration.machine import GUARD, Machine, Stage
from snap_self.changes.registration.registered import registered
from snap_self.changes.registration.rehearsal import played
from snap_self.model.packages import REHEARSAL
from snap_self.model.registration import Loaded, Registration, Rehearsal

FILE = "/etc/apt/apt.conf.d/65snap-self"
ENTRY = "DPkg::Pre-Install-Pkgs::snap-self "
# Read after all of apt's own configuration. Where our entry comes first in it nothing is before it.
CONFIG = """\
#clear DPkg::Pre-Install-Pkgs;
#clear DPkg::Pre-Invoke;
#clear DPkg::Post-Invoke;
#clear AptCli::Hooks;
DPkg::Pre-Install-Pkgs {{ snap-self "{entry}"; }};
DPkg::Use-Pty "0";
Dir::State "{folder}/state";
Dir::State::status "{folder}/status";
Dir::Cache "{folder}/cache";
Dir::Log "{folder}/log";
Dir::Bin::dpkg "/bin/true";
Debug::NoLocking "1";
APT::Sandbox::User "root";
"""
FOLDERS = ("state/lists/partial", "cache/archives/partial", "log")


def probe(machine: Machine) -> Registration | None:
    """Ask apt-config which hooks apt has."""
    if not machine.which("apt-get"):
        return None
    files = (machine.compare(FILE, machine.source("apt/65snap-self")),)
    dump = machine.ask("apt-config", "dump")
    loaded = Loaded.UNKNOWN
    if dump is not None:
        line = next((one for one in dump.splitlines() if one.startswith(ENTRY)), "")
        loaded = Loaded.YES if GUARD in line else Loaded.NO
    return registered(
        "apt",
        machine.version_of("apt-get", "--version"),
        files,
        (loaded, "apt-config dump"),
        mend="look for Clear or another DPkg::Pre-Install-Pkgs::snap-self in /etc/apt",
    )


def rehearse(machine: Machine, stage: Stage) -> Rehearsal:
    """Install with a dpkg that does nothing; so apt ends well where nothing stopped it."""
    dump = machine.ask("apt-config", "dump") or ""
    lines = [line for line in dump.split("\n") if line.startswith(ENTRY)]
    entry = lines[0].removeprefix(ENTRY).removesuffix(";") if lines else '""'
    if '"' in entry[1:-1]:
        return Rehearsal(reached=None, why="our entry in apt's configuration cannot be copied")
    for name in FOLDERS:
        stage.write(f"{name}/.empty", b"")
    stage.write("status", b"")
    text = CONFIG.format(entry=entry[1:-1], folder=stage.folder)
    config = stage.write("apt.conf", text.encode())
    package = stage.write(f"{REHEARSAL}_1_all.deb", debian_package(REHEARSAL))
    return played(stage, ("apt-get", "-c", config, "-y", "install", package), changed="")


APT = Integration(probe=probe, mark=("apt-get", FILE), rehearse=rehearse)
