"""Reads which sockets a process listens on, from the kernel's own tables."""

from __future__ import annotations

import socket
import sys
from collections.abc import Collection, Iterator
from typing import NamedTuple

from snap_self.system.kernel_text import read_kernel_text

# A connection to 127.0.0.1 ends at a listener on that address or on any, in IPv4 or IPv6.
_ANYWHERE = ("00000000", "0" * 32)
_LISTEN = "0A"
_ACCEPTS = 0x10000


class Listener(NamedTuple):
    """A TCP socket on which a connection to loopback may end."""

    port: int
    inode: int


def listening_paths(pid: int, inodes: Collection[int]) -> Iterator[str]:
    """Yield the paths of local sockets with these numbers that accept connections.

    In the network namespace of the process, which may be its own. Abstract names are left out.

    Source: proc_net(5), ``unix``; ``__SO_ACCEPTCON`` of the kernel's net.h.
    """
    for row in _rows(f"/proc/{pid}/net/unix", 7):
        is_named = len(row) == 8 and not row[7].startswith("@")
        if is_named and int(row[3], 16) & _ACCEPTS and int(row[6]) in inodes:
            yield row[7]


def listening_ports(inodes: Collection[int], process: str = "self") -> list[int]:
    """Return the ports of loopback, in a process's network namespace, of these sockets."""
    return sorted({each.port for each in _listeners(process) if each.inode in inodes})


def listeners_on(port: int) -> list[int]:
    """Return the numbers of all sockets that a connection to a port of loopback may reach."""
    return [each.inode for each in _listeners() if each.port == port]


def accepted_by(pid: int, port: int, peer_port: int) -> list[tuple[int, int]]:
    """Return number and user id of the sockets at the other end of a loopback connection.

    In the network namespace of a process. The number is 0 until the connection is accepted.
    """
    ends = [
        (f"{address}:{port:04X}", f"{address}:{peer_port:04X}") for address in _loopback_words()
    ]
    return [
        (int(row[9]), int(row[7]))
        for row in _tcp_rows(str(pid))
        if (row[1], row[2]) in ends and row[3] != _LISTEN
    ]


def _loopback_words() -> tuple[str, str]:
    """Return 127.0.0.1 as the tables write it, in the machine's byte order: plain, and mapped."""
    here = int.from_bytes(socket.inet_aton("127.0.0.1"), sys.byteorder)
    mapped = int.from_bytes(b"\0\0\xff\xff", sys.byteorder)
    return f"{here:08X}", f"{0:016X}{mapped:08X}{here:08X}"


def _listeners(process: str = "self") -> Iterator[Listener]:
    ends = {*_ANYWHERE, *_loopback_words()}
    for row in _tcp_rows(process):
        address, _, port = row[1].partition(":")
        if row[3] == _LISTEN and address in ends:
            yield Listener(port=int(port, 16), inode=int(row[9]))


def _tcp_rows(process: str) -> Iterator[list[str]]:
    """Source: proc_net(5), ``tcp`` and ``tcp6``."""
    for table in ("tcp", "tcp6"):
        for row in _rows(f"/proc/{process}/net/{table}", 10):
            if len(row) > 9:
                yield row


def _rows(path: str, parts: int) -> Iterator[list[str]]:
    """Yield the rows of a table without its heading."""
    try:
        lines = read_kernel_text(path).split("\n")
    except OSError:
        return
    for line in lines[1:]:
        yield line.split(None, parts)
