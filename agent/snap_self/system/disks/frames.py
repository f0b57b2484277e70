"""Messages between the agent and a process beside it, over a pipe.

A message is its length in four bytes and a value written by ``marshal``. Both ends run the same
interpreter. This loads next to nothing, since each such process waits for it.
"""

from __future__ import annotations

import marshal
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_LENGTH = 4


def pack(value: Any) -> bytes:
    """Return a message."""
    body = marshal.dumps(value)
    return len(body).to_bytes(_LENGTH, "big") + body


def unpack(buffer: bytearray) -> list[Any]:
    """Take every whole message from the front of a buffer; return their values."""
    values = []
    while len(buffer) >= _LENGTH:
        end = _LENGTH + int.from_bytes(buffer[:_LENGTH], "big")
        if len(buffer) < end:
            break
        values.append(marshal.loads(bytes(buffer[_LENGTH:end])))  # nosec B302  # noqa: S302 - our own process
        del buffer[:end]
    return values


def write_whole(fd: int, data: bytes) -> None:
    """Write all of it.

    Raises:
        OSError: nobody reads it.
    """
    while data:
        data = data[os.write(fd, data) :]
