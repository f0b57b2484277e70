"""Questions to an agent inside a guest, over a virtio port: one line of JSON each way.

Source: QEMU's ``docs/interop/qemu-ga-ref``.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_IDS = itertools.count(int(time.time()))


class Silent(OSError):
    """The agent did not answer: not up yet, gone, or the guest is off."""


class Refused(OSError):
    """The agent answered that it cannot."""


class GuestChannel:
    """A connection to a guest's agent; made anew when the guest was switched off and on.

    Args:
        path: QEMU's socket of the port.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._socket: socket.socket | None = None
        self._in_step = False
        self._buffer = b""

    def hold(self) -> None:
        """Be connected, where that is possible, and ask nothing.

        On a port that nobody holds the agent looks ten times a second whether somebody does.
        """
        if self._socket is not None and _is_alive(self._socket):
            return
        self.close()
        with contextlib.suppress(OSError):
            self._connect(1.0)

    def ask(
        self, command: str, arguments: Mapping[str, Any] | None = None, *, within_s: float = 30.0
    ) -> Any:
        """Run a command of the agent's own and return its result.

        Raises:
            Silent: it did not answer within the limit.
            Refused: it cannot.
        """
        if not self._in_step:
            self.sync(within_s)
        request: dict[str, Any] = {"execute": command}
        if arguments:
            request["arguments"] = {**arguments}
        self._send(json.dumps(request).encode() + b"\n")
        answer = self._line(time.monotonic() + within_s)
        if "error" in answer:
            raise Refused(f"{command}: {answer['error'].get('desc')}")
        return answer.get("return")

    def sync(self, within_s: float) -> None:
        """Connect anew; what it had left unread is dropped.

        Raises:
            Silent: it did not answer within the limit.
        """
        self.close()
        try:
            self._connect(within_s)
            number = next(_IDS)
            asked = {"execute": "guest-sync", "arguments": {"id": number}}
            self._send(b"\xff" + json.dumps(asked).encode() + b"\n")
            deadline = time.monotonic() + within_s
            while self._line(deadline).get("return") != number:
                pass
        except OSError as error:
            self.close()
            raise Silent(f"{self._path}: {error}") from error
        self._in_step = True

    def _connect(self, within_s: float) -> None:
        made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            made.settimeout(within_s)
            made.connect(str(self._path))
        except OSError:
            made.close()
            raise
        self._socket = made

    def close(self) -> None:
        """Close the connection."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        self._in_step = False
        self._buffer = b""

    def _send(self, data: bytes) -> None:
        if self._socket is None:
            raise Silent("not connected")
        try:
            self._socket.sendall(data)
        except OSError as error:
            self.close()
            raise Silent(str(error)) from error

    def _line(self, deadline: float) -> dict[str, Any]:
        """Return the next whole answer, skipping the halves of others."""
        while True:
            line, newline, rest = self._buffer.partition(b"\n")
            if newline:
                self._buffer = rest
                try:
                    answer = json.loads(line.lstrip(b"\xff"))
                except ValueError:
                    continue
                if isinstance(answer, dict):
                    return answer
                continue
            self._receive(deadline)

    def _receive(self, deadline: float) -> None:
        left_s = deadline - time.monotonic()
        if self._socket is None or left_s <= 0:
            self.close()
            raise Silent("no answer in time")
        self._socket.settimeout(left_s)
        try:
            received = self._socket.recv(65536)
        except OSError as error:
            self.close()
            raise Silent(f"no answer: {error}") from error
        if not received:
            self.close()
            raise Silent("the guest was switched off")
        self._buffer += received


def _is_alive(one: socket.socket) -> bool:
    """Tell whether the other side still holds the connection."""
    try:
        return bool(one.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT))
    except BlockingIOError:
        return True
    except OSError:
        return False
