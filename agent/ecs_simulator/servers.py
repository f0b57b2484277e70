"""HTTP/1.1 listeners with keep-alive: the sockets under the API, metadata and control services.

The other end is checked once for each connection, before anything is read.
"""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.client import responses
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import TCPServer
from typing import Any
from urllib.parse import urlsplit

_MAX_BODY = 4 * 1024 * 1024
_NOT_YOURS = b"This simulated cloud belongs to somebody else.\n"
_REFUSAL = (
    b"HTTP/1.1 403 Forbidden\r\nContent-Type: text/plain\r\nConnection: close\r\n"
    b"Content-Length: %d\r\n\r\n%b"
) % (len(_NOT_YOURS), _NOT_YOURS)


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpIn:
    """One request as received; header names are in lower case, ``target`` is not decoded."""

    method: str
    target: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def query(self) -> str:
        return urlsplit(self.target).query


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpOut:
    """One answer; ``send`` as in :class:`ecs_simulator.api.Reply`."""

    status: int
    body: bytes = field(repr=False)
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    send: int | None = None


Answer = Callable[[HttpIn], HttpOut]
Admits = Callable[[socket.socket], bool]
ContextFor = Callable[[], ssl.SSLContext]


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """What a listener does with a connection.

    Args:
        admits: tells whether the other end of a new connection may ask anything.
        tls: returns the context of a TLS handshake; None for plain text.
        idle_close_s: an idle connection is closed after that long.
    """

    answer: Answer
    admits: Admits
    tls: ContextFor | None = None
    idle_close_s: float | None = None


class Listener:
    """One listening socket with a thread for each connection.

    Args:
        place: address and port, or the path of a socket. The socket is made through its folder's
            descriptor, since a socket address has no room for a long path.
    """

    def __init__(self, place: tuple[str, int] | Path, service: Service) -> None:
        self._server = _server(place, service)
        self._thread = threading.Thread(
            target=self._server.serve_forever,
            kwargs={"poll_interval": 0.05},
            name=f"listener-{place}",
            daemon=True,
        )

    @property
    def host(self) -> str:
        return str(self._server.server_address[0])

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def accepted(self) -> int:
        """Return how many connections it has taken so far."""
        return self._server.accepted

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Close the listener and all its connections, and wait for their threads."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self._server.close_all()


class _Server(ThreadingHTTPServer):
    """Keeps account of open connections, so that all can be closed."""

    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(
        self, address: tuple[str, int], service: Service, handler: type[BaseHTTPRequestHandler]
    ) -> None:
        self.service = service
        self._guard = threading.Lock()
        self._open: dict[threading.Thread, socket.socket] = {}
        self.accepted = 0
        super().__init__(address, handler)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve one connection in its own thread: peer check, TLS handshake, requests."""
        with contextlib.suppress(OSError):
            if not self.service.admits(request):
                self._refuse(request)
                return
            if self.service.tls is not None:
                request = self._shake_hands(request, self.service.tls)
            with self._guard:
                self.accepted += 1
                self._open[threading.current_thread()] = request
            try:
                self.finish_request(request, client_address)
            finally:
                with self._guard:
                    self._open.pop(threading.current_thread(), None)
        self.shutdown_request(request)

    def _refuse(self, request: socket.socket) -> None:
        try:
            if self.service.tls is None:
                request.settimeout(0)
                request.send(_REFUSAL)
        finally:
            self.shutdown_request(request)

    @staticmethod
    def _shake_hands(request: socket.socket, tls: ContextFor) -> socket.socket:
        request.settimeout(10)  # for the handshake alone
        wrapped = tls().wrap_socket(request, server_side=True, do_handshake_on_connect=False)
        try:
            wrapped.do_handshake()
        except OSError:
            wrapped.close()
            raise
        wrapped.settimeout(None)
        return wrapped

    def close_all(self) -> None:
        """Close the listening socket and every connection."""
        self.server_close()
        with self._guard:
            pairs = list(self._open.items())
        for _, connection in pairs:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread, _ in pairs:
            thread.join(timeout=5)


class _Handler(BaseHTTPRequestHandler):
    """Reads requests and writes answers."""

    protocol_version = "HTTP/1.1"
    server_version = "Tengine"
    sys_version = ""
    wbufsize = 65536
    disable_nagle_algorithm = True
    server: _Server

    def setup(self) -> None:
        """Have the connection closed when it is idle for long."""
        super().setup()
        self.connection.settimeout(self.server.service.idle_close_s)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: targets hold tokens and signatures."""

    def _serve(self) -> None:
        body = self._body()
        if body is None:
            return
        out = self.server.service.answer(
            HttpIn(
                method=self.command,
                target=self.path,
                headers={name.lower(): value for name, value in self.headers.items()},
                body=body,
            )
        )
        if out.send == -1:
            self._break_off()
            return
        self._write(out)

    # The base class looks these names up by the request's method.
    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = _serve  # noqa: N815

    def _body(self) -> bytes | None:
        if self.headers.get("transfer-encoding", "").lower() == "chunked":
            return self._chunks()
        length = self.headers.get("content-length", "0")
        if not length.isdigit() or int(length) > _MAX_BODY:
            self.close_connection = True
            self._write(HttpOut(status=400, body=b""))
            return None
        return self.rfile.read(int(length))

    def _chunks(self) -> bytes:
        parts: list[bytes] = []
        while True:
            size = int(self.rfile.readline(64).split(b";")[0] or b"0", 16)
            parts.append(self.rfile.read(size))
            self.rfile.readline(8)
            if size == 0 or sum(map(len, parts)) > _MAX_BODY:
                return b"".join(parts)

    def _write(self, out: HttpOut) -> None:
        self.send_response(out.status, responses.get(out.status, "Unknown"))
        self.send_header("Content-Type", out.content_type)
        self.send_header("Content-Length", str(len(out.body)))
        for name, value in out.headers.items():
            self.send_header(name, value)
        if out.send is not None:
            self.close_connection = True
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(out.body if out.send is None else out.body[: out.send])
        self.wfile.flush()

    def _break_off(self) -> None:
        """Drop the connection without an answer; zero linger makes it a reset."""
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.connection.setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00"
            )


class _LocalServer(_Server):
    """The same on a socket in the filesystem."""

    address_family = socket.AF_UNIX

    def server_bind(self) -> None:
        """Bind, and do not take the path for a host name."""
        TCPServer.server_bind(self)


class _LocalHandler(_Handler):
    disable_nagle_algorithm = False


def _server(place: tuple[str, int] | Path, service: Service) -> _Server:
    if isinstance(place, tuple):
        return _Server(place, service, _Handler)
    with reachable(place) as path:
        # The base classes pass an address on unchanged.
        return _LocalServer(path, service, _LocalHandler)  # type: ignore[arg-type]


@contextlib.contextmanager
def reachable(place: Path) -> Iterator[str]:
    """Yield a short path to a socket; its own path may be too long for an address (unix(7))."""
    folder = os.open(place.parent, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{place.name}"
    finally:
        os.close(folder)
