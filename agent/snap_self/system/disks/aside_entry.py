"""The process beside the agent for calls that may never return; started as ``python -c``.

It reads questions from its standard input and answers each on a thread of its own, so a question
that hangs delays no other. It ends when the agent ends, or when it was asked nothing for a while.
The agent never waits for it: while a call hangs in the kernel, no signal ends this process. It
loads little, since every flush pays for it. Messages are those of ``frames``.
"""

from __future__ import annotations

import _thread
import errno
import os
import select

from snap_self.system.disks.frames import pack, unpack, write_whole
from snap_self.system.disks.questions import QUESTIONS

IDLE_S = 20.0
_CHUNK = 1 << 16


class _Desk:
    """Takes questions and gives answers."""

    def __init__(self) -> None:
        self._lock = _thread.allocate_lock()
        self._open = 0

    @property
    def idle(self) -> bool:
        """Whether every question has its answer."""
        with self._lock:
            return self._open == 0

    def take(self, number: int, name: str, arguments: tuple[object, ...]) -> None:
        """Answer on a thread of its own."""
        with self._lock:
            self._open += 1
        _thread.start_new_thread(self._answer, (number, name, arguments))

    def _answer(self, number: int, name: str, arguments: tuple[object, ...]) -> None:
        try:
            answer = (number, 0, QUESTIONS[name](*arguments))
        except OSError as error:
            answer = (number, error.errno or errno.EIO, None)
        except ValueError:  # a path with a NUL
            answer = (number, errno.EINVAL, None)
        with self._lock:
            self._open -= 1
            try:
                write_whole(1, pack(answer))
            except OSError:  # the agent is gone
                os._exit(0)


def main() -> None:
    """Serve until the agent closes its end or asks nothing for a while; never return."""
    desk, buffer = _Desk(), bytearray()
    while True:
        ready, _, _ = select.select([0], [], [], IDLE_S)
        if not ready:
            if desk.idle:
                os._exit(0)
            continue
        piece = os.read(0, _CHUNK)
        if not piece:
            os._exit(0)  # threads that hang are not waited for
        buffer += piece
        for question in unpack(buffer):
            desk.take(*question)
