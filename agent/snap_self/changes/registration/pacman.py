"""pacman: its folders of hooks, what overrides our hook, and whether hooks have the network."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from snap_self.changes.registration.archives import pacman_package
from snap_self.changes.registration.integration import Integration
from snap_self.changes.registration.machine import QUIET_S, Machine, Stage, listed_after
from snap_self.changes.registration.registered import registered
from snap_self.changes.registration.rehearsal import played
from snap_self.model.packages import REHEARSAL
from snap_self.model.registration import Loaded, ManagerFault, Registration, Rehearsal
from snap_self.model.shell import command

NAME = "05-snap-self.hook"
# Where packages put theirs; the folders of the configuration come after it.
FOLDER = "/usr/share/libalpm/hooks"
OWN = f"{FOLDER}/{NAME}"
NETWORK = "NetworkAccess"


def probe(machine: Machine) -> Registration | None:
    """Ask pacman for its folders of hooks; a later one overrides by a file's name."""
    program = machine.which("pacman")
    if not program:
        return None
    folders = hook_folders(machine)
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


def hook_folders(machine: Machine) -> list[str]:
    """Return the folders of hooks that pacman itself names, in the order in which it reads them."""
    said = machine.ask(machine.which("pacman"), "-Tv", limit_s=QUIET_S) or ""
    return [each.rstrip("/") for each in listed_after(said, "Hook Dirs :") or () if each]


def with_network(hook: str) -> str:
    """Return our hook as it must be where hooks are kept away from the network."""
    return hook.rstrip("\n") + f"\n{NETWORK} = allowed\n"


def _override(machine: Machine, folders: Iterable[str]) -> str:
    paths = [f"{folder}/{NAME}" for folder in folders if folder != FOLDER]
    found = [path for path in paths if machine.link(path) or machine.text(path) is not None]
    return found[-1] if found else ""


def _faults(machine: Machine, override: str, *, isolated: bool) -> list[ManagerFault]:
    if override and machine.link(override):
        text = f"the link {override} switches our hook off"
        return [ManagerFault(text=text, mend=command("rm", override))]
    allowed = NETWORK in ((machine.text(override) if override else None) or "")
    if isolated and not allowed:
        return [
            ManagerFault(
                text="this pacman keeps hooks away from the network: no snapshot can be made",
                mend="snap-self hook enable pacman, which writes a hook that is allowed it",
            )
        ]
    if allowed and not isolated:
        return [
            ManagerFault(
                text=f"this pacman does not know {NETWORK} in {override} and refuses to work",
                mend=command("rm", override),
            )
        ]
    return []


def rehearse(machine: Machine, stage: Stage) -> Rehearsal:
    """Install into an empty database with our hook alone; without it too where pacman refuses."""
    folders = hook_folders(machine)
    ours = _play(machine, stage, folders, "play", masked=False)
    if ours.reached is not None:
        return ours
    # It refused to work. Whether our file is why, the same without our file tells.
    if _play(machine, stage, folders, "control", masked=True).reached is False:
        return Rehearsal(reached=False, why=ours.why)
    return ours


def _play(
    machine: Machine, stage: Stage, folders: Sequence[str], name: str, *, masked: bool
) -> Rehearsal:
    others = {hook for folder in (FOLDER, *folders) for hook in machine.names(folder)}
    for hook in sorted(others | {NAME} if masked else others - {NAME}):
        stage.link(f"{name}/masks/{hook}", "/dev/null")
    folder = f"{stage.folder}/{name}"
    own = [each for each in folders if each != FOLDER]
    hook_dirs = "".join(f"HookDir = {each}/\n" for each in (*own, f"{folder}/masks"))
    text = f"[options]\nArchitecture = auto\nSigLevel = Never\n{hook_dirs}"
    config = stage.write(f"{name}/pacman.conf", text.encode())
    stage.write(f"{name}/db/.empty", b"")
    package = stage.write(f"{name}/{REHEARSAL}-1-1-any.pkg.tar.gz", pacman_package(REHEARSAL))
    argv = (
        *(machine.which("pacman"), "-U", "--noconfirm", "--config", config),
        *("--dbpath", f"{folder}/db", "--logfile", f"{folder}/log"),
        *("--cachedir", f"{folder}/cache", package),
    )
    return played(stage, argv, changed=f"{name}/db/local/{REHEARSAL}-1-1")


PACMAN = Integration(probe=probe, mark=("pacman", OWN), rehearse=rehearse)
