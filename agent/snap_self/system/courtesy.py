"""A stream for messages. Messages are a courtesy: no fault of the stream fails or delays a run.

A message that nobody reads is kept for a while and tried again with the next one.
"""

from __future__ import annotations

import errno
import io
import os
import select
import threading
import time
from typing import TextIO

# This much can be written without waiting if poll(2) reports room (pipe(7), PIPE_BUF).
PIECE = 4096
MOST_KEPT = 64 << 10
LEFT_OUT = b"...\n"
# How long all messages together may wait for their reader while a command works.
PATIENCE_S = 2.0
# How long the last messages may wait: a terminal that was stopped by a key may continue.
END_PATIENCE_S = 2.0
_PASSING = (errno.ENOSPC, errno.EDQUOT)


class CourtesyFile(io.RawIOBase):
    """Writes to a descriptor that it does not own, and never fails.

    Args:
        descriptor: stays open when this object is closed.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._kept = bytearray()
        self._gone = False
        self._patience_s = PATIENCE_S
        self._finished = False
        # The progress bar is drawn from another thread.
        self._lock = threading.Lock()

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._descriptor

    def isatty(self) -> bool:
        return os.isatty(self._descriptor)

    def write(self, data: bytes | bytearray | memoryview, /) -> int:  # type: ignore[override]
        """Write what is accepted, keep the rest, and report success."""
        with self._lock:
            if not self._gone:
                self._keep(data)
                self._push()
        return len(data)

    def finish(self, patience_s: float = END_PATIENCE_S) -> None:
        """Try a last time to write what is kept; only the first time it is waited for."""
        with self._lock:
            self._patience_s = 0.0 if self._finished else patience_s
            self._finished = True
            self._push()

    def _keep(self, data: bytes | bytearray | memoryview) -> None:
        """Keep as much as there is room for; the latest data matters most."""
        self._kept += data
        if len(self._kept) > MOST_KEPT:
            end = self._kept.find(b"\n", len(self._kept) - MOST_KEPT) + 1
            self._kept[: end or -MOST_KEPT] = LEFT_OUT

    def _push(self) -> None:
        poll = select.poll()
        poll.register(self._descriptor, select.POLLOUT)
        while self._kept:
            began = time.monotonic()
            ready = poll.poll(self._patience_s * 1000)
            self._patience_s = max(0.0, self._patience_s - (time.monotonic() - began))
            if not ready:
                return
            try:
                del self._kept[: os.write(self._descriptor, self._kept[:PIECE])]
            except BlockingIOError:  # somebody else filled the room
                return
            except OSError as error:
                self._kept.clear()
                self._gone = error.errno not in _PASSING
                return


def courteous(stream: TextIO) -> tuple[TextIO, CourtesyFile] | None:
    """Return a stream over another stream's descriptor, and the file it writes to.

    None if the stream has no descriptor, like a test's replacement for standard error.
    """
    try:
        file = CourtesyFile(stream.fileno())
    except (OSError, ValueError):
        return None
    # Built like Python's own standard error when it is unbuffered (PYTHONUNBUFFERED).
    made = io.TextIOWrapper(
        file,  # type: ignore[type-var]
        encoding=stream.encoding,
        errors="backslashreplace",
        write_through=True,
    )
    return made, file
