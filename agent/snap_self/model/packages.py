"""Every package manager with a hook, and what one is about to do, as one value for all of them.

A hook decides "not risky" before every transaction of the machine, so this module and what else it
needs for that import nothing slow: no dataclasses, no typing, no json at import time.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


class ManagerHook:
    """A hook that one package manager calls.

    Code is named as ``module:name``, so that a hook loads no other manager's.

    Args:
        name: what the hook calls itself, and its folder in ``packaging/hooks``.
        manager: its name in the configuration, which several hooks may share.
        conversation: the subclass of ``changes.conversation.Conversation``.
        integration: the ``changes.registration.integration.Integration``.
    """

    __slots__ = ("conversation", "integration", "manager", "name")

    def __init__(self, name: str, manager: str, *, conversation: str, integration: str) -> None:
        self.name = name
        self.manager = manager
        self.conversation = f"snap_self.changes.{conversation}"
        self.integration = f"snap_self.changes.registration.{integration}"


# The first hook of a manager also answers to the manager's name.
HOOKS = (
    ManagerHook("apt", "apt", conversation="apt:AptConversation", integration="apt:APT"),
    ManagerHook("dnf4", "dnf", conversation="dnf:DnfConversation", integration="dnf4:DNF4"),
    ManagerHook("dnf5", "dnf", conversation="dnf5:Dnf5Conversation", integration="dnf5:DNF5"),
    ManagerHook("yum", "dnf", conversation="yum:YumConversation", integration="yum:YUM"),
    ManagerHook(
        "zypper", "zypper", conversation="zypper:ZypperConversation", integration="zypper:ZYPPER"
    ),
    ManagerHook(
        "pacman", "pacman", conversation="pacman:PacmanConversation", integration="pacman:PACMAN"
    ),
)
MANAGERS = tuple(dict.fromkeys(hook.manager for hook in HOOKS))

# The one package of a rehearsal by `snap-self hook status`; nobody else has one of this name.
REHEARSAL = "snap-self-rehearsal"

INSTALL = "install"
UPGRADE = "upgrade"
DOWNGRADE = "downgrade"
REINSTALL = "reinstall"
REMOVE = "remove"
# Installed or upgraded: the manager does not say which.
CHANGE = "change"
ACTIONS = (INSTALL, UPGRADE, DOWNGRADE, REINSTALL, REMOVE, CHANGE)


def find_hook(name: str) -> ManagerHook | None:
    """Return the hook of a name; of a manager's name, by which older plugins call, its first."""
    by_manager = {hook.manager: hook for hook in reversed(HOOKS)}
    return {**by_manager, **{hook.name: hook for hook in HOOKS}}.get(name)


def hook_named(name: str) -> ManagerHook:
    """Return the hook of a name that is known to be one."""
    return next(hook for hook in HOOKS if hook.name == name)


def hooks_of(wanted: str) -> tuple[ManagerHook, ...]:
    """Return the hooks that the name of a hook or of a manager stands for; all for none."""
    return tuple(hook for hook in HOOKS if wanted in ("", hook.name, hook.manager))


def known_managers() -> str:
    """Return all managers with what else each stands for, for people."""
    others = [
        f"{manager} is also {' and '.join(names[1:])}"
        for manager in MANAGERS
        if len(names := [hook.name for hook in HOOKS if hook.manager == manager]) > 1
    ]
    return ", ".join(MANAGERS) + (f" ({'; '.join(others)})" if others else "")


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
        unasked: names of removed packages of which that could not be found out.
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
        "unasked",
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
        unasked: Sequence[str] = (),
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
        self.unasked = tuple(unasked)
