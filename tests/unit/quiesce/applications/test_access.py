"""The ways to a server: what others could exchange is not connected to, no stranger spoken to."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from fakes.applications import NoSockets, fake_tools, process
from fakes.clock import FakeClock
from snap_self.errors import QuiesceFailed
from snap_self.model.applications import ApplicationSettings
from snap_self.model.identity import Peer
from snap_self.model.servers import ProcessFact
from snap_self.model.trust import PathHop, PathKind
from snap_self.ports import PinnedSocket
from snap_self.quiesce.applications.access import Access
from snap_self.quiesce.applications.base import Limit, Server

CLOCK = FakeClock()
REDIS = 102
SERVER = process(7, "redis-server", uid=REDIS, cwd="/data", sockets=("/run/a.sock", "b.sock"))


@dataclass
class Link:
    """A connection; notes that it was closed."""

    closed: bool = False

    def close(self) -> None:
        self.closed = True


@dataclass
class Pinned:
    """A pinned socket."""

    way: tuple[PathHop, ...]
    peer: Peer
    links: list[Link] = field(default_factory=list)
    closed: bool = False

    def connect(self, timeout_s: float) -> tuple[Any, Peer]:
        self.links.append(Link())
        return self.links[-1], self.peer

    def under(self, name: str) -> str:
        raise NotImplementedError

    def close(self) -> None:
        self.closed = True


@dataclass
class Sockets(NoSockets):
    """Sockets by path; notes from which root they were looked for."""

    known: dict[str, Pinned] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)
    data_owner: int = REDIS

    def pin(self, path: str, *, root: str) -> PinnedSocket:
        self.asked.append((path, root))
        if path not in self.known:
            raise FileNotFoundError(2, "No such file or directory", path)
        return self.known[path]

    def owner(self, path: str, *, root: str) -> int:
        return self.data_owner


def pinned(*, owner: int = REDIS, mode: int = 0o755, pid: int = 7, uid: int = REDIS) -> Pinned:
    hops = [
        PathHop(path="/run", kind=PathKind.FOLDER, mode=mode, owner=owner, group=REDIS),
        PathHop(path="/run/s", kind=PathKind.SOCKET, mode=0o777, owner=owner),
    ]
    return Pinned(tuple(hops), Peer(pid=pid, uid=uid))


def access(sockets: Sockets, *, server: ProcessFact = SERVER, socket: str = "") -> Access:
    tools = replace(fake_tools(CLOCK), sockets=sockets)
    known = Server(
        label="redis",
        process=server,
        data_dir="/data",
        settings=ApplicationSettings(socket=socket),
        one_cut=True,
        covers=lambda _: True,
    )
    return Access(known, tools)


def limit() -> Limit:
    return Limit(CLOCK, CLOCK.monotonic() + 5)


def test_found_sockets_are_looked_for_below_the_servers_root_and_where_it_works() -> None:
    sockets = Sockets()
    one = access(sockets)
    assert one.paths == ("/run/a.sock", "/data/b.sock")
    with pytest.raises(QuiesceFailed, match="No such file"):
        one.link(one.paths[0], limit())
    assert sockets.asked == [("/run/a.sock", "/proc/7/root")]


def test_socket_that_is_named_is_looked_for_here_and_alone() -> None:
    sockets = Sockets(known={"/run/named": pinned()})
    one = access(sockets, socket="/run/named")
    assert one.paths == ("/run/named",)
    one.link("/run/named", limit())
    assert sockets.asked == [("/run/named", "")]


@pytest.mark.parametrize(
    ("there", "words"),
    [
        (pinned(owner=65534), "belongs to user id 65534"),
        (pinned(mode=0o777), "can be changed by others"),
    ],
)
def test_socket_that_others_can_exchange_is_not_connected_to(there: Pinned, words: str) -> None:
    with pytest.raises(QuiesceFailed, match=words):
        access(Sockets(known={"/s": there})).link("/s", limit())
    assert (there.links, there.closed) == ([], True)


@pytest.mark.parametrize(
    "there", [pinned(mode=0o2775), pinned(owner=0), pinned(owner=0, mode=0o1777)]
)
def test_socket_of_roots_or_the_servers_own_account_is_reached(there: Pinned) -> None:
    link = access(Sockets(known={"/s": there})).link("/s", limit())
    assert (link.closed, there.closed) == (False, True)


@pytest.mark.parametrize("peer", [{"pid": 8}, {"pid": 8, "uid": 65534}, {"uid": 103}])
def test_connection_to_somebody_else_is_closed_and_nothing_sent(peer: dict[str, int]) -> None:
    there = pinned(**peer)
    with pytest.raises(QuiesceFailed, match=r"does not lead to it: .*; nothing was sent"):
        access(Sockets(known={"/s": there})).link("/s", limit())
    assert [link.closed for link in there.links] == [True]


def test_server_whose_data_belong_to_another_account_is_not_spoken_to() -> None:
    sockets = Sockets(known={"/s": pinned()}, data_owner=1000)
    with pytest.raises(QuiesceFailed, match="its data directory belongs to user id 1000"):
        access(sockets).link("/s", limit())


def test_next_socket_is_tried_where_the_first_leads_to_somebody_else() -> None:
    sockets = Sockets(known={"/run/a.sock": pinned(pid=9), "/data/b.sock": pinned()})
    one = access(sockets)
    assert one.reach(one.paths, lambda path: one.link(path, limit())).closed is False


def test_first_failure_is_told_where_no_socket_leads_to_the_server() -> None:
    one = access(Sockets(known={"/run/a.sock": pinned(pid=9)}))
    with pytest.raises(QuiesceFailed, match="process 9 of user id 102 listens there"):
        one.reach(one.paths, lambda path: one.link(path, limit()))


def test_server_that_listens_on_no_local_socket_is_told_how_to_name_one() -> None:
    one = access(Sockets(), server=replace(SERVER, sockets=()))
    with pytest.raises(QuiesceFailed, match="no local socket") as caught:
        one.reach(one.paths, lambda path: one.link(path, limit()))
    assert "applications.redis.socket" in caught.value.hint


def test_port_on_which_somebody_else_listens_is_told() -> None:
    with pytest.raises(QuiesceFailed, match="port 6379 of loopback does not lead to it"):
        access(Sockets()).loopback(6379, limit())
