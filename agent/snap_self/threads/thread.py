"""A thread whose start cannot wait for ever where memory is short.

``threading.Thread.start`` waits without a limit until the new thread says that it runs. One that
finds no memory ends before it has said so, and whoever started it never goes on. So room is proved
first, by whoever starts. Source: CPython, ``Lib/threading.py``, issue 140746.
"""

from __future__ import annotations

import threading

# Addresses, not pages: a thread's stack (8 MiB where nothing else is set) and what it allocates
# until it runs, beside what other threads take meanwhile. Over 32 MiB glibc never serves it from a
# heap (mallopt(3), M_MMAP_THRESHOLD), so nothing of it is touched or kept.
ROOM_BYTES = 33 << 20
# Held by the ``with`` statement itself. A context manager in Python would leave it held for ever
# where a signal raises before its block, and the next start of a thread would never return.
STARTING = threading.Lock()


class Thread(threading.Thread):
    """A thread; ``join`` tells if it ended because memory ran out."""

    _lacking: MemoryError | None = None

    def start(self) -> None:
        """Start it.

        Raises:
            MemoryError: there is no room for it.
            RuntimeError: the kernel gives no more threads.
        """
        with STARTING:
            prove_room()
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


def prove_room() -> None:
    """Prove that there is room for a thread; no other is started meanwhile, under ``STARTING``.

    Raises:
        MemoryError: there is none.
    """
    bytes(ROOM_BYTES)
