"""dnf 5: a line for its plugin ``actions``, which itself does not tell what it reads."""

from __future__ import annotations

from snap_self.changes.registration.integration import Integration
from snap_self.changes.registration.machine import Machine
from snap_self.changes.registration.registered import registered
from snap_self.model.registration import Loaded, ManagerFault, Registration

FILE = "/etc/dnf/libdnf5-plugins/actions.d/snap-self.actions"
PLUGIN = "libdnf5-plugin-actions"


def probe(machine: Machine) -> Registration | None:
    """Look at the file of dnf 5's actions plugin, which itself tells nothing."""
    program = machine.which("dnf5")
    if not program:
        return None
    wanted = machine.helper("dnf5/actions-line")
    files = (machine.compare(FILE, wanted),)
    faults = []
    if wanted is None:
        faults.append(
            ManagerFault(
                text=f"{PLUGIN} is missing, or older than 5.2",
                mend=f"dnf5 install {PLUGIN}, then: snap-self hook enable dnf",
            )
        )
    can_veto = "raise_error=1" in (wanted or "")
    return registered(
        "dnf5",
        machine.version_of(program, "--version"),
        files,
        (Loaded.NO if wanted is None else Loaded.UNKNOWN, "dnf 5 does not tell"),
        mend=f"install {PLUGIN}",
        can_veto=can_veto,
        veto="" if can_veto else f"{PLUGIN} before 5.2.11 cannot stop a change",
        faults=faults,
    )


DNF5 = Integration(probe=probe, mark=("dnf5", FILE))
