"""Addresses of one network namespace that stand for hosts of the ECS API, each steered by a line.

Started in the namespace of a simulated ECS. Standard input has lines ``ADDRESS MODE [FILE]``:
``relay`` leads to the simulator's TLS port, ``closed`` refuses connections, ``hang`` takes them
and answers nothing, ``shown FILE`` shows that certificate, ``old FILE`` does with TLS 1.1 alone.
Each line is answered by ``ready``.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import sys
import threading
import warnings


class Front:
    """One address, port 443."""

    def __init__(self, address: str, target: tuple[str, int]) -> None:
        self._address = address
        self._target = target
        self._listener: socket.socket | None = None
        self._open: list[socket.socket] = []

    def set(self, mode: str, file: str) -> None:
        """End what it does, and do that."""
        if self._listener is not None:
            with contextlib.suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._listener = None
        for connection in self._open:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self._open.clear()
        if mode == "closed":
            return
        self._listener = socket.create_server((self._address, 443))
        threading.Thread(
            target=self._serve, args=(self._listener, mode, _context(mode, file)), daemon=True
        ).start()

    def _serve(self, listener: socket.socket, mode: str, tls: ssl.SSLContext | None) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            self._open.append(connection)
            if mode == "relay":
                self._relay(connection)
            elif tls is not None:
                threading.Thread(target=_shake_hands, args=(connection, tls), daemon=True).start()

    def _relay(self, connection: socket.socket) -> None:
        onward = socket.create_connection(self._target)
        self._open.append(onward)
        for source, sink in ((connection, onward), (onward, connection)):
            threading.Thread(target=_copy, args=(source, sink), daemon=True).start()


def _context(mode: str, file: str) -> ssl.SSLContext | None:
    if mode not in ("shown", "old"):
        return None
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if mode == "old":
        warnings.simplefilter("ignore", DeprecationWarning)
        tls.set_ciphers("ALL:@SECLEVEL=0")
        tls.minimum_version = tls.maximum_version = ssl.TLSVersion.TLSv1_1
    tls.load_cert_chain(file)
    return tls


def _shake_hands(connection: socket.socket, tls: ssl.SSLContext) -> None:
    with contextlib.suppress(OSError), tls.wrap_socket(connection, server_side=True) as wrapped:
        wrapped.recv(1)


def _copy(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    for end in (source, sink):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


def main() -> None:
    """Obey until standard input ends."""
    target = ("127.0.0.1", int(sys.argv[1]))
    fronts: dict[str, Front] = {}
    for line in sys.stdin:
        address, mode, *file = line.split()
        fronts.setdefault(address, Front(address, target)).set(mode, "".join(file))
        print("ready", flush=True)


if __name__ == "__main__":
    main()
