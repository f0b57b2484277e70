"""Servers of applications: what is known of a running one, and whether it came to rest.

Apart from what is configured, which every command loads.
"""

from __future__ import annotations

from dataclasses import dataclass

from snap_self.model.identity import ProcessIdentity
from snap_self.model.shown import shown


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessFact:
    """A running server.

    Args:
        identity: by which it was proved to be one.
        executable: what it runs, as it sees it.
        distrust: why what it runs, or where, is not this machine's own; empty if it is.
        cwd: working directory as the process sees it; empty if unknown.
        sockets: local sockets it listens on, as it named them.
        ports: TCP ports it listens on where loopback leads to.
        files: regular files it has open.
        contained: it runs in a container; all it says, and all its files say, is a stranger's word.
            Relative paths begin at its working directory, the others at its root directory.
    """

    identity: ProcessIdentity
    executable: str = ""
    distrust: str = ""
    cwd: str = ""
    sockets: tuple[str, ...] = ()
    ports: tuple[int, ...] = ()
    files: tuple[str, ...] = ()
    contained: bool = False

    @property
    def pid(self) -> int:
        """Return its process id."""
        return self.identity.pid

    @property
    def name(self) -> str:
        """Return its name as the kernel has it (``mariadbd``)."""
        return self.identity.name


@dataclass(frozen=True, slots=True, kw_only=True)
class RestedServer:
    """Which server it was that was asked to come to rest.

    Args:
        account: the name of its user id; empty if it has none.
    """

    kind: str
    data_dir: str
    pid: int
    uid: int
    account: str
    executable: str
    contained: bool = False

    @property
    def described(self) -> str:
        """For people: by what it was known."""
        account = f"{self.account}, user id {self.uid}" if self.account else f"user id {self.uid}"
        where = " in a container" if self.contained else ""
        return f"process {self.pid}{where} of {account}, {shown(self.executable)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RestedApplication:
    """A server and whether it came to rest, and stayed so.

    Args:
        why: why it did not; empty if it did.
    """

    server: RestedServer
    at_rest: bool
    why: str
