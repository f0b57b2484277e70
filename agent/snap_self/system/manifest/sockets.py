"""The sockets that others can reach, and the programs that hold them."""

from __future__ import annotations

import os
import sys

# ``socket`` loads much that the reading process has no use for.
from _socket import AF_INET, AF_INET6, inet_ntop

from snap_self.system.manifest.plain_files import Faults, read_file, text_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

Row = tuple[str, str, int, str]
"""Protocol, address, port, program."""

# TCP_LISTEN; a UDP socket without a peer stays in TCP_CLOSE (net/tcp_states.h).
_WAITING = {"tcp": "0A", "tcp6": "0A", "udp": "07", "udp6": "07"}
_SOCKET = "socket:["


def read_listening(faults: Faults, *, processes: str = "/proc") -> list[Row]:
    """Return them in order, each once. What listens in a network namespace of its own is not seen.

    Source: proc_net(5); proc_pid_fd(5).
    """
    waiting = [
        (proto, *each)
        for proto in _WAITING
        for each in parse_sockets(text_of(f"{processes}/net/{proto}", faults), _WAITING[proto])
    ]
    programs = _programs({inode for *_, inode in waiting if inode}, processes)
    return sorted({(p, a, port, programs.get(inode, "")) for p, a, port, inode in waiting})


def parse_sockets(table: str, state: str) -> Iterator[tuple[str, int, int]]:
    """Yield address, port and inode of the table's sockets in a state, which are at a port."""
    for line in table.split("\n")[1:]:
        fields = line.split(None, 10)
        if len(fields) > 9 and fields[3] == state:
            address, _, port = fields[1].partition(":")
            if int(port, 16):
                yield address_of(address), int(port, 16), int(fields[9])


def address_of(words: str) -> str:
    """Return an address in its usual notation; the table's words are in the machine's order."""
    packed = b"".join(
        int(words[at : at + 8], 16).to_bytes(4, sys.byteorder) for at in range(0, len(words), 8)
    )
    return inet_ntop(AF_INET if len(packed) == 4 else AF_INET6, packed)


def _programs(inodes: set[int], processes: str) -> dict[int, str]:
    """Return the names of the programs that hold these sockets, as far as they can be seen.

    A socket may be held by many, as by a server's workers; the oldest process counts.
    """
    found: dict[int, str] = {}
    pids = sorted(int(name) for name in os.listdir(processes) if name.isdigit())  # noqa: PTH208
    for pid in pids:
        if len(found) == len(inodes):
            break
        held = [inode for inode in _held_by(f"{processes}/{pid}/fd") if inode in inodes]
        new = [inode for inode in held if inode not in found]
        if new:
            found.update(dict.fromkeys(new, _name(f"{processes}/{pid}")))
    return found


def _name(process: str) -> str:
    try:
        return read_file(f"{process}/comm").removesuffix("\n")
    except OSError:  # it has ended
        return ""


def _held_by(folder: str) -> Iterator[int]:
    """Yield the inodes of a process's sockets; none of one that ended or is not ours to look at."""
    try:
        names = os.listdir(folder)  # noqa: PTH208
    except OSError:
        return
    for name in names:
        try:
            target = os.readlink(f"{folder}/{name}")  # noqa: PTH115
        except OSError:
            continue
        if target.startswith(_SOCKET):
            yield int(target[len(_SOCKET) : -1])
