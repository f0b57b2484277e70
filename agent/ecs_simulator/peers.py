"""Finds who is at the other end of a connection: only the simulator's user and root may ask.

A TCP connection does not tell its user. Both ends are on this machine, so the kernel also knows the
other end and the user that made it. The kernel is asked about this pair of ends (sock_diag(7)),
which takes 20 µs. If that is not possible, its table of all connections is read (proc_pid_net(5)),
which takes milliseconds. An end that its process has closed is shown as root's, but without an
inode, and counts for nobody.
"""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
End = tuple[Address, int]
_TABLES = {4: Path("/proc/thread-self/net/tcp"), 6: Path("/proc/thread-self/net/tcp6")}
# The kernel writes a table in pieces; an entry is missed if an earlier one goes away meanwhile.
_LOOKS = 3
_UID_FIELD, _INODE_FIELD = 7, 9
# linux/netlink.h, linux/sock_diag.h, linux/inet_diag.h
_NETLINK_SOCK_DIAG, _SOCK_DIAG_BY_FAMILY, _NLM_F_REQUEST, _ANY = 4, 20, 1, 0xFFFFFFFF
_HEADER = struct.Struct("=IHHII")
_QUESTION = struct.Struct("=BBBxI 2s2s 16s16s III")
_ANSWER = struct.Struct("=4B 48s 5I")


class Peers:
    """Decides who may ask the simulator.

    Args:
        outside: networks whose machines may ask, such as ``192.0.2.0/24``; this machine never
            counts as outside.
        uids: users of this machine who may ask; by default the simulator's own and root.
    """

    def __init__(self, outside: Sequence[str] = (), *, uids: frozenset[int] | None = None) -> None:
        self._outside = tuple(ipaddress.ip_network(text, strict=False) for text in outside)
        self._uids = frozenset((0, os.geteuid())) if uids is None else uids

    def admits(self, connection: socket.socket) -> bool:
        """Return whether the other end of a new connection may ask anything."""
        if connection.family == socket.AF_UNIX:
            return _user_of(connection) in self._uids
        try:
            theirs, ours = _end(connection.getpeername()), _end(connection.getsockname())
        except OSError:  # already gone
            return False
        if any(theirs[0] in network for network in self._outside) and not _is_here(theirs[0]):
            return True
        if not _is_here(theirs[0]):
            return False
        found = users_of(theirs, ours)
        return bool(found) and found <= self._uids


def users_of(theirs: End, ours: End) -> frozenset[int]:
    """Return the users of the connection's other end; empty if it is gone."""
    user = _asked(theirs, ours)
    if user is not None:
        return user
    for _ in range(_LOOKS):
        found = in_tables(theirs, ours)
        if found:
            return found
    return frozenset()


def _asked(theirs: End, ours: End) -> frozenset[int] | None:
    """Return what the kernel says about this pair of ends; None if it cannot tell."""
    family = socket.AF_INET if theirs[0].version == 4 else socket.AF_INET6
    ports = (end[1].to_bytes(2, "big") for end in (theirs, ours))
    addresses = (end[0].packed for end in (theirs, ours))
    question = _QUESTION.pack(
        *(family, socket.IPPROTO_TCP, 0, _ANY, *ports, *addresses, 0, _ANY, _ANY)
    )
    length = _HEADER.size + len(question)
    header = _HEADER.pack(length, _SOCK_DIAG_BY_FAMILY, _NLM_F_REQUEST, 0, 0)
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_SOCK_DIAG) as kernel:
            kernel.send(header + question)
            answer = kernel.recv(4096)
    except OSError:  # a kernel without it, or a sandbox that forbids it
        return None
    if _HEADER.unpack_from(answer)[1] != _SOCK_DIAG_BY_FAMILY:
        return None
    user, inode = _ANSWER.unpack_from(answer, _HEADER.size)[-2:]
    return frozenset((user,) if inode else ())


def in_tables(theirs: End, ours: End) -> frozenset[int]:
    """Return what ``users_of`` does, by the kernel's tables."""
    return frozenset(
        uid
        for version, table in _TABLES.items()
        if (key := _key(theirs, ours, version))
        for uid in listed_users(_content(table), key)
    )


def listed_users(table: bytes, key: bytes) -> Iterator[int]:
    """Yield the user of each entry with this pair of ends that a process still has."""
    place = table.find(key)
    while place >= 0:
        begin, end = table.rfind(b"\n", 0, place) + 1, table.find(b"\n", place)
        fields = table[begin : end if end >= 0 else len(table)].split()
        if len(fields) > _INODE_FIELD and fields[_INODE_FIELD] != b"0":
            yield int(fields[_UID_FIELD])
        place = table.find(key, place + 1)


def _content(table: Path) -> bytes:
    try:
        return table.read_bytes()
    except FileNotFoundError:  # a kernel without IPv6
        return b""


def _key(theirs: End, ours: End, version: int) -> bytes:
    """Return the two ends as a table writes them; empty if they cannot be in it."""
    if version < theirs[0].version:
        return b""
    return f" {_listed(theirs, version)} {_listed(ours, version)} ".encode()


def _listed(end: End, version: int) -> str:
    address = end[0]
    packed = address.packed
    if version > address.version:  # a socket of IPv6's family that speaks IPv4
        packed = bytes(10) + b"\xff\xff" + packed
    words = struct.unpack(f"={len(packed) // 4}I", packed)
    return "".join(f"{word:08X}" for word in words) + f":{end[1]:04X}"


def _end(name: tuple[str, int]) -> End:
    address = ipaddress.ip_address(name[0].partition("%")[0])
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address, name[1]


def _user_of(connection: socket.socket) -> int:
    """Return the user that connected to a Unix socket (``SO_PEERCRED``, unix(7))."""
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return int(struct.unpack("3i", raw)[1])


def _is_here(address: Address) -> bool:
    """Tell whether an address is one of this machine's own: only such a one can be bound to."""
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((str(address), 0))
        except OSError as error:
            return error.errno != errno.EADDRNOTAVAIL
    return True
