"""Which process counts as a server of this machine, and who speaks for it: pure rules.

A name proves nothing: a process may call itself anything (prctl(2), ``PR_SET_NAME``). What it
cannot choose is its account, its control group and its namespaces; what listens on a socket the
kernel tells whoever connects (unix(7), ``SO_PEERCRED``).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

ROOT = 0
NOBODY = 65534
# Slices in which users and containers have services of their own.
_SLICES_OF_OTHERS = ("user.slice", "machine.slice")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessIdentity:
    """What the kernel says of a process that it cannot say of itself.

    Args:
        name: as the kernel has it; anybody's choice.
        uids: real, effective, saved and file system user id, as seen from here.
        gid: its group id.
        cgroup: its control group, as the system manager named it.
        own_users, own_pids: it has a user namespace or process ids other than the agent's.
    """

    pid: int
    name: str
    uids: tuple[int, ...] = (ROOT,)
    gid: int = 0
    parent: int = 1
    cgroup: str = "/"
    own_users: bool = False
    own_pids: bool = False

    @property
    def uid(self) -> int:
        """Return the user id that it acts with."""
        return self.uids[-1]


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountRules:
    """What tells system accounts from people's on this machine.

    Args:
        first_ordinary: the lowest user id of an ordinary account (login.defs(5), ``UID_MIN``).
        has_manager: systemd runs the services.
    """

    first_ordinary: int = 1000
    has_manager: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """Who listens on a socket, as the kernel says to whoever connects."""

    pid: int
    uid: int
    parent: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedPeer:
    """Who has to listen on a server's socket.

    Args:
        pid: the server's.
        parent: the process that started it: systemd, where it listens for the server.
        uid: the server's account.
        owner: whom its data directory belongs to.
        root_too: root may listen for it, as systemd does; not in a container, which has a root.
    """

    pid: int
    parent: int
    uid: int
    owner: int
    root_too: bool = True

    def stranger(self, peer: Peer) -> str:
        """Return why somebody else listens; empty when it is the server."""
        related = peer.pid in (self.pid, self.parent) or peer.parent == self.pid
        if not peer.pid or not related:
            return f"process {peer.pid} of user id {peer.uid} listens there, not process {self.pid}"
        if peer.uid == ROOT and self.root_too:
            return ""
        if peer.uid != self.uid:
            return f"it is listened on as user id {peer.uid}, and the server runs as {self.uid}"
        if peer.uid != self.owner:
            return f"its data directory belongs to user id {self.owner}, and it runs as {self.uid}"
        return ""


def unproved(
    process: ProcessIdentity,
    rules: AccountRules,
    *,
    account: int | None,
    usual: Collection[int] = (),
) -> str:
    """Return why a process does not count as a server of this machine; empty when it does.

    Args:
        account: the user id that the configuration names for it. With it the account alone
            decides; without it only root and the usual ones count, as long as they are system
            accounts, where there is systemd in a service.
        usual: the user ids that packages set such a server up with.
    """
    if process.own_pids:
        return "it runs in a container"
    if len(set(process.uids)) > 1:
        listed = ", ".join(map(str, process.uids))
        return f"it runs with several user ids ({listed}), as programs do that a user started"
    if account is not None and process.uid != account:
        return f"it does not run as the user named for it (user id {account})"
    if account is None and (process.uid >= rules.first_ordinary or process.uid == NOBODY):
        return "it does not run as a system account"
    # A web server's account is a system account too, and what runs as it may be anybody's code.
    if account is None and process.uid not in (ROOT, *usual):
        return "it runs as no account that such a server has, and server_user names none for it"
    in_service = rules.has_manager and is_system_service(process.cgroup)
    if account is None and rules.has_manager and not in_service:
        return "it does not run in a service of the system, and server_user names no account for it"
    # A service's, as ``PrivateUsers=`` makes it (systemd.exec(5)); any user can make one.
    if process.own_users and not in_service:
        return "it has a user namespace of its own"
    return ""


def unproved_inside(process: ProcessIdentity, rules: AccountRules, *, account: int | None) -> str:
    """Return why a process in a container does not count as a server; empty when it does.

    Which accounts there are is the image's affair, so none is the usual one. What counts is that
    root set the container up: whoever else does needs a user namespace for it (namespaces(7)).

    Args:
        account: the user id that the configuration names for it.
    """
    if len(set(process.uids)) > 1:
        listed = ", ".join(map(str, process.uids))
        return f"it runs in a container with several user ids ({listed})"
    if account is not None and process.uid != account:
        return f"it runs in a container, not as the user named for it (user id {account})"
    if account is None and (process.uid >= rules.first_ordinary or process.uid == NOBODY):
        return "it runs in a container as no system account, and server_user names none for it"
    if process.own_users:
        return "it runs in a container with a user namespace of its own, which any user can make"
    return ""


def is_system_service(cgroup: str) -> bool:
    """Tell whether a control group lies in a service that the system manager started.

    Containers have scopes of their own, whatever slice those lie in; services of users lie in
    ``user.slice`` (systemd.special(7)).
    """
    parts = [part for part in cgroup.split("/") if part]
    above = 0
    while above < len(parts) and parts[above].endswith(".slice"):
        above += 1
    is_service = above < len(parts) and parts[above].endswith(".service")
    return is_service and above > 0 and parts[0] not in _SLICES_OF_OTHERS
