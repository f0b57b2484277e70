"""What a package manager is about to do, as one value for all of them.

A hook decides "not risky" before every transaction of the machine, so this module and what else it
needs for that import nothing slow: no dataclasses, no typing, no json at import time.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

MANAGERS = ("apt", "dnf", "zypper", "pacman")

INSTALL = "install"
UPGRADE = "upgrade"
DOWNGRADE = "downgrade"
REINSTALL = "reinstall"
REMOVE = "remove"
# Installed or upgraded: the manager does not say which.
CHANGE = "change"
ACTIONS = (INSTALL, UPGRADE, DOWNGRADE, REINSTALL, REMOVE, CHANGE)


class Package:
    """One package of a transaction; what the manager did not say is None, never guessed.

    Args:
        action: one of ``ACTIONS``.
        old: version that is installed now.
        new: version that is to be installed.
    """

    __slots__ = ("action", "arch", "name", "new", "old")

    def __init__(
        self,
        name: str,
        action: str,
        *,
        arch: str | None = None,
        old: str | None = None,
        new: str | None = None,
    ) -> None:
        self.name = name
        self.action = action
        self.arch = arch
        self.old = old
        self.new = new

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Package) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def __repr__(self) -> str:
        return f"Package{self._key()}"

    def _key(self) -> tuple[str | None, ...]:
        return (self.name, self.action, self.arch, self.old, self.new)


class Transaction:
    """What one call of a package manager's hook announces.

    Args:
        manager: one of ``MANAGERS``; dnf 4, dnf 5 and yum are all ``dnf``.
        program: what really calls, for messages: ``apt``, ``dnf5``, ``yum``, ``zypper``…
        packages: each package once.
        command: what the person typed, where the manager tells; else an empty string.
        skip: why the manager itself was told that no snapshot is wanted; else an empty string.
        root: the root that the packages go to.
        truncated: the list was cut off or could not be read to its end.
        release_upgrade: the whole system goes to another release.
        essential: names of removed packages that the manager itself calls essential or protected.
    """

    __slots__ = (
        "command",
        "essential",
        "manager",
        "packages",
        "program",
        "release_upgrade",
        "root",
        "skip",
        "truncated",
    )

    def __init__(
        self,
        manager: str,
        packages: Sequence[Package],
        *,
        program: str = "",
        command: str = "",
        skip: str = "",
        root: str = "/",
        truncated: bool = False,
        release_upgrade: bool = False,
        essential: Sequence[str] = (),
    ) -> None:
        self.manager = manager
        self.program = program or manager
        self.packages = tuple(packages)
        self.command = command
        self.skip = skip
        self.root = root
        self.truncated = truncated
        self.release_upgrade = release_upgrade
        self.essential = tuple(essential)
