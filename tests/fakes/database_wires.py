"""Servers that speak just enough of MySQL's and MongoDB's wire protocols, on local sockets.

No server of either can be had from the distribution, so the drivers' real client libraries meet
these. Sources: MySQL's "Client/Server Protocol" (handshake v10, COM_QUERY, text result sets) and
MongoDB's "Wire Protocol" (OP_MSG, OP_QUERY for the first hello).
"""

from __future__ import annotations

import contextlib
import socketserver
import struct
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

Rows = Sequence[tuple[str, ...]]


class SqlRefusal(Exception):
    """An error packet: number and text."""


class FakeMySql:
    """A MySQL server.

    Args:
        answer: statement to rows; raises ``SqlRefusal``.
        version: as the handshake tells it.
        plugin: it asks for this way to log in, instead of letting everybody in.
        raw: what it answers to every statement, whatever that is.
    """

    def __init__(
        self,
        answer: Callable[[str], Rows],
        version: str = "8.0.36",
        *,
        plugin: bytes = b"",
        raw: bytes = b"",
    ) -> None:
        self._answer = answer
        self._version = version
        self._plugin = plugin
        self._raw = raw
        self.statements: list[str] = []
        self.log_ins: list[bytes] = []
        self.ended = threading.Event()

    def serve(self, stream: Any) -> None:
        """Speak with one client until it goes."""
        self._send(stream, 0, self._greeting())
        self.log_ins.append(self._receive(stream))
        if self._plugin:
            self._send(stream, 2, b"\xfe" + self._plugin + b"\0" + b"x" * 20 + b"\0")
            self.log_ins.append(self._receive(stream))
            self.ended.set()
            return
        self._send(stream, 2, _OK)
        while (packet := self._receive(stream)) and packet[0] == _COM_QUERY:
            statement = packet[1:].decode()
            self.statements.append(statement)
            for number, part in enumerate(self._replies(statement), 1):
                self._send(stream, number, part)
        self.ended.set()

    def _greeting(self) -> bytes:
        secret = b"abcdefgh", b"ijklmnopqrst\0"
        return (
            b"\x0a"
            + self._version.encode()
            + b"\0"
            + struct.pack("<I", 7)
            + secret[0]
            + b"\0"
            + struct.pack("<HBHHB", _CAPABILITIES & 0xFFFF, 45, 2, _CAPABILITIES >> 16, 21)
            + bytes(10)
            + secret[1]
            + b"mysql_native_password\0"
        )

    def _replies(self, statement: str) -> Iterator[bytes]:
        if self._raw:
            yield self._raw
            return
        try:
            rows = self._answer(statement)
        except SqlRefusal as refusal:
            number, text = refusal.args
            yield b"\xff" + struct.pack("<H", number) + b"#HY000" + text.encode()
            return
        if not rows:
            yield _OK
            return
        yield bytes([len(rows[0])])
        for _ in rows[0]:
            names = (b"def", b"", b"", b"", b"c", b"c")
            yield b"".join(map(_lenenc, names)) + struct.pack("<BHIBHBH", 12, 45, 99, 253, 0, 0, 0)
        yield _EOF
        for row in rows:
            yield b"".join(_lenenc(value.encode()) for value in row)
        yield _EOF

    def _send(self, stream: Any, number: int, payload: bytes) -> None:
        stream.write(struct.pack("<I", len(payload))[:3] + bytes([number]) + payload)
        stream.flush()

    def _receive(self, stream: Any) -> bytes:
        head = stream.read(4)
        return stream.read(int.from_bytes(head[:3], "little")) if len(head) == 4 else b""


class FakeMongoDb:
    """A MongoDB server that counts its locks.

    Args:
        version: as ``buildInfo`` tells it.
        refusal: what ``fsync`` answers instead of locking.
    """

    def __init__(self, version: str = "7.1.0", refusal: str = "") -> None:
        self._version = version
        self._refusal = refusal
        self._changed = threading.Condition()
        self.locks = 0
        self.stuck = False
        self.commands: list[Mapping[str, Any]] = []

    def wait_for_locks(self, count: int) -> bool:
        """Wait until so many locks are held; tell whether it came to that."""
        with self._changed:
            return self._changed.wait_for(lambda: self.locks == count, timeout=20)

    def serve(self, stream: Any) -> None:
        """Speak with one client until it goes."""
        from bson import decode, encode

        while len(head := stream.read(16)) == 16:
            length, request, _, code = struct.unpack("<iiii", head)
            body = stream.read(length - 16)
            if code == _OP_QUERY:
                document = decode(body[4:].partition(b"\0")[2][8:])
                prefix, back = struct.pack("<iqii", 8, 0, 0, 1), 1
            else:
                document = decode(body[5:])
                prefix, back = struct.pack("<iB", 0, 0), _OP_MSG
            payload = prefix + encode(self._answer(document))
            stream.write(struct.pack("<iiii", 16 + len(payload), 1, request, back) + payload)
            stream.flush()

    def _answer(self, command: Mapping[str, Any]) -> dict[str, Any]:
        name = next(iter(command))
        if name.lower() in ("hello", "ismaster"):
            return _HELLO
        with self._changed:
            self.commands.append(command)
            self._changed.notify_all()
            return {"ok": 1, **self._result(name)}

    def _result(self, name: str) -> dict[str, Any]:
        if name == "buildInfo":
            return {"version": self._version}
        if name == "fsync":
            if self._refusal:
                return {"ok": 0, "code": 13, "errmsg": self._refusal}
            self.locks += 1
            return {"lockCount": self.locks}
        if name == "fsyncUnlock":
            if self.stuck:
                return {"ok": 0, "code": 1, "errmsg": "internal error"}
            if not self.locks:
                return {"ok": 0, "code": 20, "errmsg": "fsyncUnlock called when not locked"}
            self.locks -= 1
            return {"lockCount": self.locks}
        return {"fsyncLock": True} if name == "currentOp" and self.locks else {}


@contextlib.contextmanager
def listening(path: Path, serve: Callable[[Any], None]) -> Iterator[None]:
    """Serve every client on a local socket, each in a thread of its own."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with contextlib.suppress(OSError), self.request.makefile("rwb") as stream:
                serve(stream)

    class Server(socketserver.ThreadingUnixStreamServer):
        daemon_threads = True

    with Server(str(path), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        try:
            yield
        finally:
            server.shutdown()


def _lenenc(value: bytes) -> bytes:
    return bytes([len(value)]) + value


_OK = bytes([0, 0, 0, 2, 0, 0, 0])
_EOF = bytes([0xFE, 0, 0, 2, 0])
_COM_QUERY = 3
# PROTOCOL_41, SECURE_CONNECTION, PLUGIN_AUTH, CONNECT_WITH_DB, LONG_PASSWORD, TRANSACTIONS.
_CAPABILITIES = 0x200 | 0x8000 | 0x80000 | 8 | 1 | 0x2000
_OP_QUERY, _OP_MSG = 2004, 2013
_HELLO = {
    "ok": 1,
    "ismaster": True,
    "isWritablePrimary": True,
    "minWireVersion": 0,
    "maxWireVersion": 21,
    "maxBsonObjectSize": 16 << 20,
    "maxMessageSizeBytes": 48_000_000,
    "maxWriteBatchSize": 100_000,
}
