"""Checks whose process answers at an address of this machine before anything is sent to it.

Any local user may listen on a free loopback port. TLS would show who answers; plain HTTP does not,
and the requests carry keys, tokens and signatures.
"""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Iterator
from ipaddress import IPv6Address, ip_address
from typing import Any

from snap_self.model.addresses import is_loopback

TABLES = ("/proc/self/net/tcp", "/proc/self/net/tcp6")
LONGEST_WAIT_S = 5.0
FIRST_PAUSE_S = 0.0005
LAST_PAUSE_S = 0.02

# Address in its shortest form, and port.
Place = tuple[str, int]


class PeerRefused(Exception):
    """Nothing is sent over a connection that is not known to lead to root or to our own user.

    Args:
        reason: a sentence without secrets.
        lasting: trying again cannot help.
    """

    def __init__(self, reason: str, *, lasting: bool) -> None:
        super().__init__(reason)
        self.reason = reason
        self.lasting = lasting


def check_peer(connection: socket.socket) -> None:
    """Refuse a connection to this machine if its other end belongs to another user.

    The check looks at the other end of this very connection once it has been accepted, so other
    listeners on the port, also ones that come or go meanwhile, make no difference. Until then the
    kernel shows the other end as root's, without an inode.

    Raises:
        PeerRefused: it belongs to another user, or nobody accepted the connection in time.
    """
    here, there = _place(connection.getsockname()), _place(connection.getpeername())
    if not is_loopback(there[0]):
        return
    owner = _owner(here, there, connection.gettimeout() or LONGEST_WAIT_S)
    own = os.geteuid()
    if owner in (0, own):
        return
    whose = "by root" if own == 0 else f"by root nor by user id {own}"
    raise PeerRefused(
        f"{_shown(there)} is served by user id {owner}, {'not' if own == 0 else 'neither'} {whose}",
        lasting=True,
    )


def checked_pool(pools: Any) -> Any:
    """Return a pool class for plain HTTP whose connections are checked before a byte is sent.

    Args:
        pools: the module ``connectionpool`` of urllib3, the one of requests or the SDK's copy.
    """

    class CheckedConnection(pools.HTTPConnection):  # type: ignore[misc]
        def connect(self) -> None:
            super().connect()
            try:
                check_peer(self.sock)
            except PeerRefused:
                self.close()
                raise

    class CheckedPool(pools.HTTPConnectionPool):  # type: ignore[misc]
        ConnectionCls = CheckedConnection

    return CheckedPool


def _owner(here: Place, there: Place, limit_s: float) -> int:
    end, pause_s = time.monotonic() + min(limit_s, LONGEST_WAIT_S), FIRST_PAUSE_S
    while True:
        try:
            for local, remote, uid, inode in _rows():
                if (local, remote) == (there, here) and inode:
                    return uid
        except OSError as error:
            raise PeerRefused(
                f"the owner of {_shown(there)} cannot be found out: {error.strerror}", lasting=True
            ) from None
        if time.monotonic() >= end:
            raise PeerRefused(f"{_shown(there)} accepts no connection", lasting=False)
        time.sleep(pause_s)
        pause_s = min(2 * pause_s, LAST_PAUSE_S)


def _rows() -> Iterator[tuple[Place, Place, int, int]]:
    """Yield both ends, owner and inode of every TCP socket of this network namespace.

    Source: Linux, Documentation/networking/proc_net_tcp.rst.
    """
    for table in TABLES:
        try:
            with open(table, encoding="ascii") as file:  # noqa: PTH123
                lines = file.readlines()[1:]
        except FileNotFoundError:
            if table == TABLES[0]:
                raise
            continue  # a kernel without IPv6
        for line in lines:
            fields = line.split()
            yield _parsed(fields[1]), _parsed(fields[2]), int(fields[7]), int(fields[9])


def _parsed(text: str) -> Place:
    """Parse an end as the tables write it: each four bytes of the address as one number."""
    address, _, port = text.partition(":")
    words = (int(address[at : at + 8], 16) for at in range(0, len(address), 8))
    raw = b"".join(word.to_bytes(4, sys.byteorder) for word in words)
    return _shortest(raw), int(port, 16)


def _place(name: tuple[Any, ...]) -> Place:
    host = str(name[0]).partition("%")[0]  # an IPv6 address may name its interface
    return _shortest(ip_address(host).packed), int(name[1])


def _shortest(raw: bytes) -> str:
    address = ip_address(raw)
    # A listener for both families has IPv4 connections under mapped addresses.
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return str(mapped or address)


def _shown(place: Place) -> str:
    host, port = place
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
