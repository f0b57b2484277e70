"""A thread whose start cannot wait for ever where memory is short.

``threading.Thread.start`` waits without a limit until the new thread says that it runs. One that
finds no memory ends before it has said so, and whoever started it never goes on. So room is proved
first, by whoever starts. Source: CPython, ``Lib/threading.py``, issue 140746.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

# Addresses, not pages: a thread's stack (8 MiB where nothing else is set) and what it allocates
# until it runs, beside what other threads take meanwhile. Over 32 MiB glibc never serves it from a
# heap (mallopt(3), M_MMAP_THRESHOLD), so nothing of it is touched or kept.
ROOM_BYTES = 33 << 20
_STARTING = threading.Lock()


class Thread(threading.Thread):
    """A thread; ``join`` tells if it ended because memory ran out."""

    _lacking: MemoryError | None = None

    def start(self) -> None:
        """Start it.

        Raises:
            MemoryError: there is no room for it.
            RuntimeError: the kernel gives no more threads.
        """
        with room_for_one():
            super().start()

    def run(self) -> None:
        """Do the work."""
        try:
            super().run()
        except MemoryError as error:
            self._lacking = error

    def join(self, timeout: float | None = None) -> None:
        """Wait for its end.

        Raises:
            MemoryError: it ended since memory ran out.
        """
        super().join(timeout)
        if self._lacking is not None:
            raise self._lacking


@contextmanager
def room_for_one() -> Iterator[None]:
    """Hold back other starts while a thread is started, after proving that there is room.

    Raises:
        MemoryError: there is none.
    """
    with _STARTING:
        bytes(ROOM_BYTES)
        yield
