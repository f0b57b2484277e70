"""The probe of pacman: its folders of hooks, what overrides ours, and the hooks' network."""

from __future__ import annotations

from collections.abc import Iterable

from snap_self.model.registration import HookFault, Loaded, Registration
from snap_self.usecases.registration.machine import QUIET_S, Machine, listed_after
from snap_self.usecases.registration.verdict import registered

NAME = "05-snap-self.hook"
# Where packages put theirs; the folders of the configuration come after it.
FOLDER = "/usr/share/libalpm/hooks"
OWN = f"{FOLDER}/{NAME}"
NETWORK = "NetworkAccess"


def probe_pacman(machine: Machine) -> Registration | None:
    """Ask pacman for its folders of hooks; a later one overrides by a file's name."""
    program = machine.which("pacman")
    if not program:
        return None
    said = machine.ask(program, "-Tv", limit_s=QUIET_S) or ""
    folders = [each.rstrip("/") for each in listed_after(said, "Hook Dirs :") or ()]
    override = _override(machine, folders)
    isolated = machine.helper("pacman/isolates") is not None
    wanted = machine.source(f"pacman/{NAME}") or ""
    files = [machine.compare(OWN, wanted)]
    if override and not machine.link(override):
        allowed = NETWORK in (machine.text(override) or "")
        files.append(machine.compare(override, with_network(wanted) if allowed else wanted))
    loaded = Loaded.UNKNOWN
    if folders:
        loaded = Loaded.YES if FOLDER in folders and not machine.link(override) else Loaded.NO
    return registered(
        "pacman",
        machine.version_of(program, "--version"),
        files,
        (loaded, "pacman -Tv"),
        mend=f"this pacman reads {', '.join(folders)}; put our file there",
        faults=_faults(machine, override, isolated=isolated),
    )


def with_network(hook: str) -> str:
    """Return our hook as it must be where hooks are kept away from the network."""
    return hook.rstrip("\n") + f"\n{NETWORK} = allowed\n"


def _override(machine: Machine, folders: Iterable[str]) -> str:
    paths = [f"{folder}/{NAME}" for folder in folders if folder != FOLDER]
    found = [path for path in paths if machine.link(path) or machine.text(path) is not None]
    return found[-1] if found else ""


def _faults(machine: Machine, override: str, *, isolated: bool) -> list[HookFault]:
    if override and machine.link(override):
        text = f"the link {override} switches our hook off"
        return [HookFault(text=text, mend=f"rm {override}")]
    allowed = NETWORK in ((machine.text(override) if override else None) or "")
    if isolated and not allowed:
        return [
            HookFault(
                text="this pacman keeps hooks away from the network: no snapshot can be made",
                mend="snap-self hook enable pacman, which writes a hook that is allowed it",
            )
        ]
    if allowed and not isolated:
        return [
            HookFault(
                text=f"this pacman does not know {NETWORK} in {override} and refuses to work",
                mend=f"rm {override}",
            )
        ]
    return []
