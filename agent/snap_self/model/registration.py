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
class ManagerFault:
    """What keeps a hook from working as the configuration says.

    Args:
        mend: what to do about it.
    """

    text: str
    mend: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """What a hook leaves behind that was reached in a rehearsal.

    Args:
        whole: it was told all packages.
        skipped: why a change would get no snapshot; empty if it would.
    """

    whole: bool
    skipped: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Rehearsal:
    """What came of a rehearsal by the package manager itself.

    Args:
        reached: our hook was; None if the rehearsal did not come about.
        stopped: the manager heeded the hook's answer; None if the hook was not reached.
        why: why it did not come about, or what the manager said last.
        note: what the hook noted.
    """

    reached: bool | None
    stopped: bool | None = None
    why: str = ""
    note: Note | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """What was found out about one package manager's hook.

    Args:
        hook: the name of one of ``packages.HOOKS``.
        manager: its name in the configuration.
        version: of the package manager; empty where it does not tell.
        loaded_how: who says so.
        veto: how far a change can be stopped, in words; empty for entirely.
        rehearsal: None where none was tried.
    """

    hook: str
    manager: str
    version: str
    files: tuple[RegisteredFile, ...]
    loaded: Loaded
    loaded_how: str
    can_veto: bool
    veto: str = ""
    faults: tuple[ManagerFault, ...] = ()
    rehearsal: Rehearsal | None = None

    @property
    def placed(self) -> Placed:
        """Where the files stand together."""
        found = {file.placed for file in self.files}
        if not found or Placed.MISSING in found:
            return Placed.MISSING
        return Placed.CHANGED if Placed.CHANGED in found else Placed.OURS
