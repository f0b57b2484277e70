"""Values of how snap-self is registered with a package manager."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Placed(Enum):
    """Where a registration file stands."""

    OURS = "ours"
    CHANGED = "changed"
    MISSING = "missing"


class Loaded(Enum):
    """Whether the package manager really takes notice of it."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisteredFile:
    """One file that a package manager reads or starts."""

    path: str
    placed: Placed


@dataclass(frozen=True, slots=True, kw_only=True)
class HookFault:
    """What keeps a hook from working as the configuration says.

    Args:
        mend: what to do about it.
    """

    text: str
    mend: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """What was found out about one package manager's hook.

    Args:
        hook: apt, dnf4, dnf5, yum, zypper or pacman.
        manager: its name in the configuration.
        version: of the package manager; empty where it does not tell.
        loaded_how: who says so.
        veto: how far a change can be stopped, in words; empty for entirely.
    """

    hook: str
    manager: str
    version: str
    files: tuple[RegisteredFile, ...]
    loaded: Loaded
    loaded_how: str
    can_veto: bool
    veto: str = ""
    faults: tuple[HookFault, ...] = ()

    @property
    def placed(self) -> Placed:
        """Where the files stand together."""
        found = {file.placed for file in self.files}
        if not found or Placed.MISSING in found:
            return Placed.MISSING
        return Placed.CHANGED if Placed.CHANGED in found else Placed.OURS
