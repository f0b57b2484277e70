"""A pseudo terminal, typed at and read like a person would."""

from __future__ import annotations

import fcntl
import os
import select
import struct
import subprocess
import termios
import time
from contextlib import suppress

LIMIT_S = 30.0


class Terminal:
    """The person's side of it."""

    def __init__(self, descriptor: int, process: subprocess.Popen[bytes]) -> None:
        self._descriptor = descriptor
        self.process = process
        self.seen = ""

    def type(self, text: str) -> None:
        """Press keys."""
        os.write(self._descriptor, text.encode())

    def resize(self, rows: int, columns: int) -> None:
        """Pull the window to this size."""
        fcntl.ioctl(self._descriptor, termios.TIOCSWINSZ, struct.pack("4H", rows, columns, 0, 0))

    def wait_for(self, words: str) -> None:
        """Read until these words have been shown."""
        end = time.monotonic() + LIMIT_S
        while words not in self.seen:
            assert time.monotonic() < end, f"never shown: {words!r}\n{self.seen}"
            if not self._read():
                assert words in self.seen, f"ended without {words!r}\n{self.seen}"

    def finish(self) -> int:
        """Read to the end and return the first process's status."""
        end = time.monotonic() + LIMIT_S
        while self._read():
            assert time.monotonic() < end, f"never ended\n{self.seen}"
        return self.process.wait(LIMIT_S)

    def _read(self) -> bool:
        if not select.select([self._descriptor], [], [], 0.1)[0]:
            return self.process.poll() is None
        data = b""
        with suppress(OSError):  # EIO: nobody has the terminal open any more
            data = os.read(self._descriptor, 65536)
        self.seen += data.decode("utf-8", "replace").replace("\r\n", "\n")
        return bool(data)
