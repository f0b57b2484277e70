"""The system's journal: messages with fields, over its own socket.

Source: the native protocol (systemd.io/JOURNAL_NATIVE_PROTOCOL) and systemd.journal-fields(7).
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping

SOCKET = "/run/systemd/journal/socket"
# A datagram that does not fit goes by a sealed memory file.
_SEALS = 0xF  # seal, shrink, grow, write
_F_ADD_SEALS = 1033


def journal_datagram(fields: Mapping[str, str]) -> bytes:
    """Return the fields as the journal takes them.

    Args:
        fields: names in capitals to values, which may have several lines.
    """
    return b"".join(_field(name, value) for name, value in fields.items())


def _field(name: str, value: str) -> bytes:
    raw = value.replace("\0", " ").encode("utf-8", "backslashreplace")
    if b"\n" not in raw:
        return name.encode() + b"=" + raw + b"\n"
    return name.encode() + b"\n" + len(raw).to_bytes(8, "little") + raw + b"\n"


def send_to_journal(fields: Mapping[str, str], *, path: str = SOCKET) -> bool:
    """Send a message to the journal; return whether there is one that has taken it.

    It never waits: a journal that is full, or whose disk is frozen, loses the message.
    """
    datagram = journal_datagram(fields)
    flags = socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
    try:
        made = socket.socket(socket.AF_UNIX, flags)
    except OSError:  # no descriptor is left, or a sandbox allows no such socket
        return False
    with made as sender:
        try:
            sender.connect(path)
        except OSError:
            return False
        try:
            sender.send(datagram)
        except BlockingIOError:
            return False
        except OSError:
            return _send_large(sender, datagram)
        return True


def _send_large(sender: socket.socket, datagram: bytes) -> bool:
    import fcntl

    try:
        memory = os.memfd_create("snap-self", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        with os.fdopen(memory, "wb", buffering=0) as file:
            file.write(datagram)
            fcntl.fcntl(memory, _F_ADD_SEALS, _SEALS)
            socket.send_fds(sender, [b""], [memory])
    except OSError:
        return False
    return True
