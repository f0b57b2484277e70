"""An HTTP server on loopback that answers with a function, and a raw one that sends bytes."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from snap_self.ports import HttpRequest, HttpResponse

Handler = Callable[[HttpRequest], HttpResponse]


class LoopbackServer(ThreadingHTTPServer):
    """Answers with a function; ``connections`` counts what was accepted.

    Args:
        tls: makes it speak HTTPS.
    """

    daemon_threads = True

    def __init__(self, handler: Handler, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(("127.0.0.1", 0), _Answering)
        self.handler = handler
        self.connections = 0
        self._tls = tls

    @property
    def url(self) -> str:
        """Return the base URL."""
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.server_port}"

    def get_request(self) -> tuple[socket.socket, object]:
        """Accept a connection and count it."""
        connection, address = super().get_request()
        self.connections += 1
        if self._tls:
            connection = self._tls.wrap_socket(connection, server_side=True)
        return connection, address

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: a client that leaves early is part of the tests."""


class _Answering(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    server: LoopbackServer

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""

    def _answer(self) -> None:
        length = int(self.headers.get("Content-Length", "0"))
        request = HttpRequest(
            method=self.command,
            url=f"{self.server.url}{self.path}",
            headers=dict(self.headers),
            body=self.rfile.read(length),
        )
        response = self.server.handler(request)
        self.send_response(response.status)
        self.send_header("Content-Length", str(len(response.body)))
        for name, value in response.headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(response.body)

    do_GET = do_PUT = do_POST = _answer  # noqa: N815  (the library's names)


@contextmanager
def serving(handler: Handler, tls: ssl.SSLContext | None = None) -> Iterator[LoopbackServer]:
    """Run a server for the length of a block."""
    with LoopbackServer(handler, tls) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join(5)


@contextmanager
def speaking(pieces: Iterator[bytes]) -> Iterator[str]:
    """Accept connections and send them bytes piece by piece, whatever they ask; yield the URL.

    After the last piece the connection is closed; if that is empty, only when the block ends.
    """
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=_speak, args=(listener, pieces, over), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            over.set()
            thread.join(5)


def _speak(listener: socket.socket, pieces: Iterator[bytes], over: threading.Event) -> None:
    connection, _ = listener.accept()
    with connection:
        connection.recv(65536)
        for piece in pieces:
            if over.wait(0.02):
                return
            try:
                connection.sendall(piece)
            except OSError:
                return
        if not piece:
            over.wait(10)
