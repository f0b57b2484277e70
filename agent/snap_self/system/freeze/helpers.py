"""Threads for calls that may never return; loaded into the guardian's locked memory.

They use ``_thread`` and its locks. ``threading`` costs memory there, and a process cannot leave it
at the end while one of its threads hangs.
"""

from __future__ import annotations

import os
from _thread import allocate_lock, stack_size, start_new_thread

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

# Locked in full, one for each filesystem; a Python frame with one system call needs a fraction.
STACK_BYTES = 128 * 1024


class Helpers:
    """A pool of threads, one for each place, started before they are needed.

    Args:
        work: turns an order into an answer, in the thread.
        answer_fd: pipe for the answers; each is one write, which a pipe never splits.
    """

    def __init__(self, count: int, work: Callable[[bytes], bytes], answer_fd: int) -> None:
        self._work = work
        self._answer_fd = answer_fd
        self._orders = [b""] * count
        self._bells = [allocate_lock() for _ in range(count)]
        stack_size(STACK_BYTES)
        for place, bell in enumerate(self._bells):
            bell.acquire()
            start_new_thread(self._serve, (place,))

    def order(self, place: int, data: bytes) -> None:
        """Give a thread an order; it must have answered the one before."""
        self._orders[place] = data
        self._bells[place].release()

    def _serve(self, place: int) -> None:
        while True:
            self._bells[place].acquire()
            os.write(self._answer_fd, self._work(self._orders[place]))
