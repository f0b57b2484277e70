"""Reaches one proved server, and nobody else: whoever answers is known before anything is sent."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, TypeVar

from snap_self.errors import QuiesceFailed, UsageError
from snap_self.model.identity import ROOT, ExpectedPeer, Peer
from snap_self.model.shown import shown
from snap_self.model.trust import judge_way
from snap_self.ports import PinnedSocket
from snap_self.quiesce.applications.base import Limit, Server, Tools

Made = TypeVar("Made")


class Access:
    """The ways to one server."""

    def __init__(self, server: Server, tools: Tools) -> None:
        self._server = server
        self._tools = tools
        self._expected: ExpectedPeer | None = None

    @property
    def paths(self) -> Sequence[str]:
        """Return the paths of its local sockets: the one configured, or those it listens on."""
        configured = self._server.settings.socket
        process = self._server.process
        begin = "" if process.contained else process.cwd
        found = (posixpath.join(begin, path) for path in process.sockets)
        return (configured,) if configured else tuple(dict.fromkeys(found))

    @property
    def expected(self) -> ExpectedPeer:
        """Return who has to listen on its sockets.

        Raises:
            QuiesceFailed: its data directory cannot be looked at.
        """
        if self._expected is None:
            process = self._server.process
            identity = process.identity
            self._expected = ExpectedPeer(
                pid=identity.pid,
                parent=identity.pid if process.contained else identity.parent,
                uid=identity.uid,
                owner=self._owner(),
                root_too=not process.contained,
            )
        return self._expected

    def _owner(self) -> int:
        data = self._server.data_dir
        what = f"its data directory {shown(data)} cannot be looked at"
        if not self._server.process.contained:
            with _told(what):
                return self._tools.sockets.owner(data, root=self._server.root)
        try:
            owner = self._tools.locate(self._server.process.pid, data).owner
        except UsageError as error:
            raise QuiesceFailed(error.message, hint=error.hint) from error
        if owner is None:
            raise QuiesceFailed(what)
        return owner

    def reach(self, paths: Sequence[str], attempt: Callable[[str], Made]) -> Made:
        """Return what the first path gives that leads to the server.

        Args:
            attempt: is given a path; raises ``QuiesceFailed`` where it leads to somebody else.

        Raises:
            QuiesceFailed: none does.
        """
        failures = []
        for path in paths:
            try:
                return attempt(path)
            except QuiesceFailed as error:
                failures.append(error)
        if failures:
            raise failures[0]
        raise QuiesceFailed(
            "it listens on no local socket",
            hint=f"name it: applications.{self._server.label}.socket",
        )

    def link(self, path: str, limit: Limit) -> Any:
        """Return a socket that is connected to the server; nothing was sent.

        Raises:
            QuiesceFailed: somebody else listens there, or could.
        """
        pinned = self.pin(path, limit)
        try:
            return self._link(pinned, path, limit)
        finally:
            pinned.close()

    def pin(self, path: str, limit: Limit) -> PinnedSocket:
        """Return the socket at a path that nobody but root and the server's account can exchange.

        Raises:
            QuiesceFailed: others can, or there is none, or no time is left.
        """
        limit.left()
        configured = bool(self._server.settings.socket)
        with _told(f"its socket {shown(path)} cannot be reached"):
            pinned = self._pin(path, configured=configured)
        identity = self._server.process.identity
        # A socket in a folder like /tmp cannot be exchanged while it is there (unlink(2), EPERM),
        # and a group of the account's own is how some servers let their clients in.
        found = judge_way(
            pinned.way, owners={ROOT, identity.uid}, groups={identity.gid}, sticky=True
        )
        if found is not None:
            pinned.close()
            raise QuiesceFailed(f"its socket cannot be trusted: {found.why}", hint=found.hint)
        return pinned

    def _pin(self, path: str, *, configured: bool) -> PinnedSocket:
        if configured:
            return self._tools.sockets.pin(path, root="")
        if self._server.process.contained:
            return self._tools.sockets.pin_inside(self._server.process.pid, path)
        return self._tools.sockets.pin(path, root=self._server.root)

    def prove(self, pinned: PinnedSocket, path: str, limit: Limit) -> None:
        """Make sure that the server listens on a pinned socket.

        Raises:
            QuiesceFailed: somebody else does.
        """
        self._link(pinned, path, limit).close()

    def loopback(self, port: int, limit: Limit) -> Any:
        """Return a socket connected to a port of loopback on which the server alone listens.

        Raises:
            QuiesceFailed: it does not.
        """
        with _told(f"port {port} of loopback does not lead to it"):
            pid = self._server.process.pid
            if not self._server.process.contained:
                return self._tools.sockets.connect_loopback(pid, port, limit.left())
            link, peer = self._tools.sockets.connect_inside(pid, port, limit.left())
        with ExitStack() as unless_proved:
            unless_proved.callback(link.close)
            self.judge(peer, f"port {port}")
            unless_proved.pop_all()
        return link

    def judge(self, peer: Peer, path: str) -> None:
        """Make sure that it is the server that listens on a socket.

        Raises:
            QuiesceFailed: it is not.
        """
        if why := self.expected.stranger(peer):
            raise QuiesceFailed(
                f"its socket {shown(path)} does not lead to it: {why}; nothing was sent",
                hint=f"name its own: applications.{self._server.label}.socket",
            )

    def _link(self, pinned: PinnedSocket, path: str, limit: Limit) -> Any:
        with _told(f"its socket {shown(path)} cannot be reached"):
            link, peer = pinned.connect(limit.left())
        with ExitStack() as unless_proved:
            unless_proved.callback(link.close)
            self.judge(peer, path)
            unless_proved.pop_all()
        return link


@contextmanager
def _told(what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise QuiesceFailed(
            f"{what}: {error.strerror or error}", hint="nothing is held now; is it running?"
        ) from error
