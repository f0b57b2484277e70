"""A connection to QEMU's monitor (QMP): commands, one at a time, and the events in between.

Source: QEMU's ``docs/interop/qmp-spec``: a greeting, ``qmp_capabilities``, then one JSON object per
line in each direction.
"""

from __future__ import annotations

import json
import socket
import time
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ecs_simulator.storage.kernel import StorageError

ANSWER_LIMIT_S = 60.0
_EVENTS_KEPT = 200


class Qmp:
    """An open connection; for one thread at a time.

    Raises:
        StorageError: nothing answers there within the limit.
    """

    def __init__(self, path: Path, *, limit_s: float = 10.0) -> None:
        self._socket = _connect(path, limit_s)
        self._buffer = b""
        self._events: deque[dict[str, Any]] = deque(maxlen=_EVENTS_KEPT)
        self._read(time.monotonic() + limit_s)
        self.execute("qmp_capabilities")

    def execute(self, command: str, arguments: Mapping[str, Any] | None = None) -> Any:
        """Run a command and return its result.

        Raises:
            StorageError: it was refused, or the connection ended.
        """
        request: dict[str, Any] = {"execute": command}
        if arguments:
            request["arguments"] = dict(arguments)
        try:
            self._socket.sendall(json.dumps(request).encode() + b"\n")
        except OSError as error:
            raise StorageError(f"{command}: {error}") from error
        deadline = time.monotonic() + ANSWER_LIMIT_S
        while True:
            message = self._read(deadline)
            if "error" in message:
                raise StorageError(f"{command}: {message['error'].get('desc', message['error'])}")
            if "return" in message:
                return message["return"]

    def wait_for(self, event: str, *, device: str, limit_s: float) -> bool:
        """Wait for an event of a device; return False if it does not come within the limit."""
        deadline = time.monotonic() + limit_s
        while True:
            for seen in self._events:
                if seen["event"] == event and seen.get("data", {}).get("device") == device:
                    self._events.remove(seen)
                    return True
            try:
                self._read(deadline)
            except TimeoutError:
                return False

    def close(self) -> None:
        self._socket.close()

    def _read(self, deadline: float) -> dict[str, Any]:
        """Return the next message; an event is kept as well."""
        while b"\n" not in self._buffer:
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                raise TimeoutError("QEMU's monitor gave no answer")
            self._socket.settimeout(left_s)
            try:
                received = self._socket.recv(65536)
            except TimeoutError:
                continue
            except OSError as error:
                raise StorageError(f"QEMU's monitor: {error}") from error
            if not received:
                raise StorageError("QEMU's monitor closed the connection")
            self._buffer += received
        line, _, self._buffer = self._buffer.partition(b"\n")
        message: dict[str, Any] = json.loads(line)
        if "event" in message:
            self._events.append(message)
        return message


def _connect(path: Path, limit_s: float) -> socket.socket:
    deadline = time.monotonic() + limit_s
    while True:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.connect(str(path))
        except OSError as error:
            connection.close()
            if time.monotonic() > deadline:
                raise StorageError(f"{path}: {error}") from error
            time.sleep(0.05)
        else:
            return connection
