"""What a probe's findings amount to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from snap_self.model.registration import (
    HookFault,
    Loaded,
    Placed,
    RegisteredFile,
    Registration,
)

# Each hook's name in the configuration.
MANAGER_OF: Mapping[str, str] = {
    "apt": "apt",
    "dnf4": "dnf",
    "dnf5": "dnf",
    "yum": "dnf",
    "zypper": "zypper",
    "pacman": "pacman",
}


def registered(
    hook: str,
    version: str,
    files: Iterable[RegisteredFile],
    loaded: tuple[Loaded, str],
    *,
    mend: str,
    can_veto: bool = True,
    veto: str = "",
    faults: Iterable[HookFault] = (),
) -> Registration:
    """Return what was found; what is missing or not read is a fault too.

    Args:
        mend: for files that are in place and are not read.
    """
    files, found = tuple(files), list(faults)
    manager = MANAGER_OF[hook]
    missing = [file.path for file in files if file.placed is Placed.MISSING]
    if missing and not found:
        found.append(
            HookFault(
                text=f"{', '.join(missing)}: not there",
                mend=f"snap-self hook enable {manager}",
            )
        )
    elif loaded[0] is Loaded.NO and not found:
        found.append(HookFault(text=f"{hook} does not read our file ({loaded[1]})", mend=mend))
    return Registration(
        hook=hook,
        manager=manager,
        version=version,
        files=files,
        loaded=Loaded.NO if missing else loaded[0],
        loaded_how=loaded[1],
        can_veto=can_veto,
        veto=veto,
        faults=tuple(found),
    )
