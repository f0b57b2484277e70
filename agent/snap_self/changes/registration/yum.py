"""yum 3, where yum is no name of dnf's: a plugin, and whether yum has loaded it."""

from __future__ import annotations

from snap_self.changes.registration.dnf4 import plugin_loaded
from snap_self.changes.registration.integration import Integration
from snap_self.changes.registration.machine import Machine
from snap_self.changes.registration.registered import registered
from snap_self.model.registration import Registration

FILE = "/usr/lib/yum-plugins/snap_self.py"
CONF = "/etc/yum/pluginconf.d/snap_self.conf"
MAIN = "/etc/yum.conf"


def probe(machine: Machine) -> Registration | None:
    """Ask yum 3, where yum is not a name of dnf's."""
    program = machine.which("yum")
    if not program or machine.link(program):
        return None
    text = machine.text(MAIN)
    if text is None:
        return None
    files = (
        machine.compare(FILE, machine.source("yum/snap_self.py")),
        machine.compare(CONF, machine.source("yum/snap_self.conf")),
    )
    return registered(
        "yum",
        machine.version_of(program, "--version"),
        files,
        (plugin_loaded(machine, program, files), f"{program} -C -v repolist"),
        mend=f"write plugins=1 into {MAIN}, and enabled=1 into {CONF}",
    )


# No mark: dnf 4 has a program of this name too.
YUM = Integration(probe=probe)
