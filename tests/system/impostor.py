"""A program that calls itself a database server and speaks as one; it notes every byte it is sent.

``python impostor.py KIND HOW FOLDER LOG [REAL]``: it works in ``FOLDER``, listens on a socket there
and notes what it gets in ``LOG``. ``REAL`` is the socket of a real server that it relays to.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import socket
import struct
import sys
import threading
from pathlib import Path

PR_SET_NAME = 15
NAMES = {
    "mariadb": ("mariadbd", "mysqld.sock"),
    "redis": ("redis-server", "redis.sock"),
    "postgresql": ("postgres", ".s.PGSQL.5432"),
    "mongodb": ("mongod", "mongodb-27017.sock"),
}
GREETING = (
    b"\x0a5.5.5-10.11.9-MariaDB\0"
    + struct.pack("<I", 7)
    + b"abcdefgh\0"
    + struct.pack("<HBHHB", 0xF7FE, 45, 2, 0x81BF, 21)
    + bytes(10)
    + b"ijklmnopqrst\0mysql_native_password\0"
)
OK = bytes([0, 0, 0, 2, 0, 0, 0])
CLEAR_TEXT = b"\xfemysql_clear_password\0"
LOCAL_INFILE = b"\xfb/etc/shadow"


class Notebook:
    """Where every byte that comes goes."""

    def __init__(self, path: str) -> None:
        self._file = Path(path).open("ab", buffering=0)  # noqa: SIM115

    def receive(self, link: socket.socket) -> bytes:
        """Return what comes next, having noted it."""
        data = link.recv(65536)
        self._file.write(data)
        return data


def packet(number: int, payload: bytes) -> bytes:
    """Return one packet of MySQL's protocol."""
    return struct.pack("<I", len(payload))[:3] + bytes([number]) + payload


def clear(link: socket.socket, book: Notebook) -> None:
    """Ask a client of MySQL's protocol for its password in clear text."""
    link.sendall(packet(0, GREETING))
    book.receive(link)
    link.sendall(packet(2, CLEAR_TEXT))
    while book.receive(link):
        link.sendall(packet(4, OK))


def infile(link: socket.socket, book: Notebook) -> None:
    """Let a client in, and answer each query by asking for a file of the client's."""
    link.sendall(packet(0, GREETING))
    book.receive(link)
    link.sendall(packet(2, OK))
    while book.receive(link):
        link.sendall(packet(1, LOCAL_INFILE))


def relay(link: socket.socket, book: Notebook) -> None:
    """Pass everything on to a real server and back."""
    with socket.socket(socket.AF_UNIX) as real:
        real.connect(sys.argv[5])
        threading.Thread(target=_copy, args=(real, link), daemon=True).start()
        while data := book.receive(link):
            real.sendall(data)


def _copy(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)


def stall(link: socket.socket, book: Notebook) -> None:
    """Say nothing."""
    while book.receive(link):
        pass


def cleartext(link: socket.socket, book: Notebook) -> None:
    """Ask a client of PostgreSQL's protocol for its password in clear text."""
    book.receive(link)
    link.sendall(b"R" + struct.pack("!ii", 8, 3))
    while book.receive(link):
        pass


def yes(link: socket.socket, book: Notebook) -> None:
    """Agree to everything a client of Redis' protocol says."""
    while book.receive(link):
        link.sendall(b"+OK\r\n")


HOWS = {each.__name__: each for each in (clear, infile, relay, stall, cleartext, yes)}


def main() -> None:
    """Listen until killed."""
    kind, how, folder, log = sys.argv[1:5]
    name, path = NAMES[kind]
    book = Notebook(log)
    os.chdir(folder)
    if kind == "mongodb":
        os.open("WiredTiger.lock", os.O_RDWR | os.O_CREAT)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(os.path.abspath(path) if folder != "/" else f"{log}.sock")  # noqa: PTH100
    listener.listen()
    ctypes.CDLL(None).prctl(PR_SET_NAME, name.encode(), 0, 0, 0)
    Path(f"{log}.ready").touch()
    while True:
        link, _ = listener.accept()
        threading.Thread(target=_serve, args=(how, link, book), daemon=True).start()


def _serve(how: str, link: socket.socket, book: Notebook) -> None:
    with link, contextlib.suppress(OSError):
        HOWS[how](link, book)


if __name__ == "__main__":
    main()
