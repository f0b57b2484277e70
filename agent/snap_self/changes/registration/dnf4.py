"""dnf 4: a plugin in the folder of its own Python; ``dnf -v repolist`` tells what it has loaded."""

from __future__ import annotations

from snap_self.changes.registration.archives import rpm_package
from snap_self.changes.registration.integration import Integration
from snap_self.changes.registration.machine import Machine, Stage, listed_after
from snap_self.changes.registration.registered import registered
from snap_self.changes.registration.rehearsal import in_own_mounts, played
from snap_self.model.packages import REHEARSAL
from snap_self.model.registration import Loaded, Placed, RegisteredFile, Registration, Rehearsal

CONF = "/etc/dnf/plugins/snap_self.conf"
PLUGIN = "snap_self"
LABEL = "Loaded plugins:"


def probe(machine: Machine) -> Registration | None:
    """Ask dnf which plugins it has loaded; its own Python tells where they lie."""
    folder = (machine.helper("dnf4/plugin-path") or "").strip()
    program = machine.which("dnf-3") or machine.which("dnf")
    if not folder or not program:
        return None
    files = (
        machine.compare(f"{folder}/snap_self.py", machine.source("dnf4/snap_self.py")),
        machine.compare(CONF, machine.source("dnf4/snap_self.conf")),
    )
    return registered(
        "dnf4",
        machine.version_of(program, "--version"),
        files,
        (plugin_loaded(machine, program, files), f"{program} -C -v repolist"),
        mend=f"look for plugins=0 in /etc/dnf/dnf.conf and enabled=0 in {CONF}, and at what "
        f"`{program} -C -v repolist` says",
    )


def plugin_loaded(machine: Machine, program: str, files: tuple[RegisteredFile, ...]) -> Loaded:
    """Return whether dnf or yum itself lists our plugin among those it has loaded."""
    if Placed.MISSING in {file.placed for file in files}:
        return Loaded.NO
    said = machine.ask(program, "-C", "-v", "repolist")
    if said is None:
        return Loaded.UNKNOWN
    # Where none is loaded there is no such line.
    return Loaded.YES if PLUGIN in (listed_after(said, LABEL) or ()) else Loaded.NO


def rehearse(machine: Machine, stage: Stage) -> Rehearsal:
    """Install without repositories and without other plugins, into an empty database."""
    program = machine.which("dnf-3") or machine.which("dnf")
    listed = machine.ask(program, "-C", "-v", "repolist") or ""
    others = [name for name in listed_after(listed, LABEL) or () if name != PLUGIN]
    package = stage.write(f"{REHEARSAL}-1-1.noarch.rpm", rpm_package(REHEARSAL))
    folders = ("cache", "persist", "log")
    options = [f"--setopt={name}dir={stage.folder}/{name}" for name in folders]
    quiet = [f"--disableplugin={','.join(others)}"] if others else []
    argv = (program, "-y", "--disablerepo=*", "--nogpgcheck", *options, *quiet, "install", package)
    return played(stage, in_own_mounts(machine, stage, argv, ("/var/lib/dnf", "/var/log")))


DNF4 = Integration(probe=probe, mark=("dnf-3", CONF), rehearse=rehearse)
