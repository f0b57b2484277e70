"""One probe for each hook: is its manager here, are our files in place, are they really read?"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from snap_self.model.registration import (
    HookFault,
    Loaded,
    Placed,
    RegisteredFile,
    Registration,
)
from snap_self.usecases.registration.machine import GUARD, Machine, listed_after
from snap_self.usecases.registration.pacman import OWN as PACMAN_FILE
from snap_self.usecases.registration.pacman import probe_pacman
from snap_self.usecases.registration.verdict import registered

Probe = Callable[[Machine], Registration | None]

APT_FILE = "/etc/apt/apt.conf.d/65snap-self"
APT_ENTRY = "DPkg::Pre-Install-Pkgs::snap-self "
DNF_CONF = "/etc/dnf/plugins/snap_self.conf"
DNF5_FILE = "/etc/dnf/libdnf5-plugins/actions.d/snap-self.actions"
DNF5_PLUGIN = "libdnf5-plugin-actions"
YUM_FILE = "/usr/lib/yum-plugins/snap_self.py"
YUM_CONF = "/etc/yum/pluginconf.d/snap_self.conf"
YUM_MAIN = "/etc/yum.conf"
ZYPPER_FILE = "/usr/lib/zypp/plugins/commit/snap-self"
DNF_PLUGIN_NAME = "snap_self"
ZYPPER_VETO = "it can be stopped only by ending zypper itself; YaST and PackageKit go on"


def probe_apt(machine: Machine) -> Registration | None:
    """Ask apt-config which hooks apt has."""
    if not machine.which("apt-get"):
        return None
    files = (machine.compare(APT_FILE, machine.source("apt/65snap-self")),)
    dump = machine.ask("apt-config", "dump")
    loaded = Loaded.UNKNOWN
    if dump is not None:
        line = next((one for one in dump.splitlines() if one.startswith(APT_ENTRY)), "")
        loaded = Loaded.YES if GUARD in line else Loaded.NO
    return registered(
        "apt",
        machine.version_of("apt-get", "--version"),
        files,
        (loaded, "apt-config dump"),
        mend="look for Clear or another DPkg::Pre-Install-Pkgs::snap-self in /etc/apt",
    )


def probe_dnf4(machine: Machine) -> Registration | None:
    """Ask dnf which plugins it has loaded; its own Python tells where they lie."""
    folder = (machine.helper("dnf4/plugin-path") or "").strip()
    program = machine.which("dnf-3") or machine.which("dnf")
    if not folder or not program:
        return None
    files = (
        machine.compare(f"{folder}/snap_self.py", machine.source("dnf4/snap_self.py")),
        machine.compare(DNF_CONF, machine.source("dnf4/snap_self.conf")),
    )
    return registered(
        "dnf4",
        machine.version_of(program, "--version"),
        files,
        (_plugin_loaded(machine, program, files), f"{program} -C -v repolist"),
        mend=f"look for plugins=0 in /etc/dnf/dnf.conf and enabled=0 in {DNF_CONF}, and at what "
        f"`{program} -C -v repolist` says",
    )


def probe_dnf5(machine: Machine) -> Registration | None:
    """Look at the file of dnf 5's actions plugin, which itself tells nothing."""
    program = machine.which("dnf5")
    if not program:
        return None
    wanted = machine.helper("dnf5/actions-line")
    files = (machine.compare(DNF5_FILE, wanted),)
    faults = []
    if wanted is None:
        faults.append(
            HookFault(
                text=f"{DNF5_PLUGIN} is missing, or older than 5.2",
                mend=f"dnf5 install {DNF5_PLUGIN}, then: snap-self hook enable dnf",
            )
        )
    can_veto = "raise_error=1" in (wanted or "")
    return registered(
        "dnf5",
        machine.version_of(program, "--version"),
        files,
        (Loaded.NO if wanted is None else Loaded.UNKNOWN, "dnf 5 does not tell"),
        mend=f"install {DNF5_PLUGIN}",
        can_veto=can_veto,
        veto="" if can_veto else f"{DNF5_PLUGIN} before 5.2.11 cannot stop a change",
        faults=faults,
    )


def probe_yum(machine: Machine) -> Registration | None:
    """Ask yum 3, where yum is not a name of dnf's."""
    program = machine.which("yum")
    if not program or machine.link(program):
        return None
    text = machine.text(YUM_MAIN)
    if text is None:
        return None
    files = (
        machine.compare(YUM_FILE, machine.source("yum/snap_self.py")),
        machine.compare(YUM_CONF, machine.source("yum/snap_self.conf")),
    )
    return registered(
        "yum",
        machine.version_of(program, "--version"),
        files,
        (_plugin_loaded(machine, program, files), f"{program} -C -v repolist"),
        mend=f"write plugins=1 into {YUM_MAIN}, and enabled=1 into {YUM_CONF}",
    )


def probe_zypper(machine: Machine) -> Registration | None:
    """Look at the folder of which libzypp starts every executable file."""
    program = machine.which("zypper")
    if not program:
        return None
    files = (machine.compare(ZYPPER_FILE, machine.source("zypper/snap-self")),)
    executable = machine.is_executable(ZYPPER_FILE)
    return registered(
        "zypper",
        machine.version_of(program, "--version"),
        files,
        (Loaded.YES if executable else Loaded.NO, "libzypp starts every executable file there"),
        mend=f"chmod 755 {ZYPPER_FILE}",
        veto=ZYPPER_VETO,
    )


def _plugin_loaded(machine: Machine, program: str, files: tuple[RegisteredFile, ...]) -> Loaded:
    if Placed.MISSING in {file.placed for file in files}:
        return Loaded.NO
    said = machine.ask(program, "-C", "-v", "repolist")
    if said is None:
        return Loaded.UNKNOWN
    # Where none is loaded there is no such line.
    plugins = listed_after(said, "Loaded plugins:") or ()
    return Loaded.YES if DNF_PLUGIN_NAME in plugins else Loaded.NO


PROBES: Mapping[str, Probe] = {
    "apt": probe_apt,
    "dnf4": probe_dnf4,
    "dnf5": probe_dnf5,
    "yum": probe_yum,
    "zypper": probe_zypper,
    "pacman": probe_pacman,
}

# By each hook a program that only its manager has, and a file of ours.
QUICK: Mapping[str, tuple[str, str]] = {
    "apt": ("apt-get", APT_FILE),
    "dnf4": ("dnf-3", DNF_CONF),
    "dnf5": ("dnf5", DNF5_FILE),
    "zypper": ("zypper", ZYPPER_FILE),
    "pacman": ("pacman", PACMAN_FILE),
}
