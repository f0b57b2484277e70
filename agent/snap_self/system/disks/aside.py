"""Ask the kernel what it may never answer, through a process that can be abandoned.

A thread is not enough: a process cannot end, not even by SIGKILL, while one of its threads waits in
the kernel for a disk or server that does not answer. The process that started it waits as long.
"""

from __future__ import annotations

import errno
import os
import subprocess
import threading
import time
import weakref
from collections.abc import Iterable
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any, Protocol

from snap_self.system.disks.aside_entry import IDLE_S
from snap_self.system.disks.frames import pack, unpack, write_whole
from snap_self.system.python_child import bare_command
from snap_self.threads.thread import Thread

_ENTRY = "snap_self.system.disks.aside_entry"
_CHUNK = 1 << 16

Answer = tuple[int, Any]
"""An errno, or 0, and the value."""


class Pending:
    """A question that was asked."""

    def __init__(self) -> None:
        self._answers: SimpleQueue[Answer] = SimpleQueue()

    def answered(self, answer: Answer) -> None:
        self._answers.put(answer)

    def result(self, limit_s: float) -> Any:
        """Return the answer; wait at most that long.

        Raises:
            TimeoutError: there is no answer yet.
            OSError: the kernel's error.
        """
        try:
            number, value = self._answers.get(timeout=max(0.0, limit_s))
        except Empty:
            raise TimeoutError(errno.ETIMEDOUT, f"no answer within {limit_s:g} s") from None
        if number:
            raise OSError(number, os.strerror(number))
        return value


class SideCalls(Protocol):
    """Makes calls that may never return, without blocking its caller."""

    def begin(self, question: str, *arguments: object) -> Pending: ...


class AsideProcess:
    """The real ``SideCalls``: one process, started at the first question and again after its end.

    The agent does not wait for it at its own end.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._child: _Child | None = None

    def begin(self, question: str, *arguments: object) -> Pending:
        """Ask and do not wait; if the process cannot be asked, that is the answer."""
        with self._lock:
            if self._child is not None and self._child.is_fresh:
                with suppress(BrokenPipeError):  # it was killed
                    return self._child.begin(question, arguments)
            try:
                self._child = _Child()
                return self._child.begin(question, arguments)
            except OSError as error:
                self._child = None
                pending = Pending()
                pending.answered((error.errno or errno.EPIPE, None))
                return pending


class _Waiting:
    """The questions that wait for an answer, until no more answers can come."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._numbers = 0
        self._pending: dict[int, Pending] = {}
        self._over = False

    def add(self) -> tuple[int, Pending]:
        """Return a number for a question, and its pending answer.

        Raises:
            BrokenPipeError: the process has ended. Its end of the pipe may stay open for another
                moment, so a write may not show this.
        """
        with self._lock:
            if self._over:
                raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))
            self._numbers += 1
            pending = self._pending[self._numbers] = Pending()
            return self._numbers, pending

    def answered(self, number: int, answer: Answer) -> None:
        with self._lock:
            pending = self._pending.pop(number)
        pending.answered(answer)

    def end(self) -> None:
        """Answer all open questions with an error: no more answers will come."""
        with self._lock:
            self._over = True
            left, self._pending = self._pending, {}
        for pending in left.values():
            pending.answered((errno.EPIPE, None))


class _Child:
    """A process that runs, as far as is known; it ends when this object is dropped."""

    def __init__(self) -> None:
        ask, self._fd = os.pipe()
        answers, answer = os.pipe()
        try:
            process = subprocess.Popen(
                bare_command((), module=_ENTRY),
                stdin=ask,
                stdout=answer,
                stderr=subprocess.DEVNULL,
                cwd="/",
                env={k: v for k, v in os.environ.items() if k == "LD_LIBRARY_PATH"},
                start_new_session=True,
            )
        except OSError:
            os.close(self._fd)
            os.close(answers)
            raise
        finally:
            os.close(ask)
            os.close(answer)
        # It may outlive this process; Popen must not warn about that.
        process.returncode = 0
        weakref.finalize(self, os.close, self._fd)
        self._asked = time.monotonic()
        self._waiting = _Waiting()
        Thread(
            target=_listen, args=(answers, process.pid, self._waiting), daemon=True, name="aside"
        ).start()

    @property
    def is_fresh(self) -> bool:
        """Whether it was asked recently enough to be still there."""
        return time.monotonic() < self._asked + IDLE_S / 2

    def begin(self, question: str, arguments: tuple[object, ...]) -> Pending:
        """Ask.

        Raises:
            OSError: the process has ended.
        """
        self._asked = time.monotonic()
        number, pending = self._waiting.add()
        write_whole(self._fd, pack((number, question, arguments)))
        return pending


def _listen(answers: int, pid: int, waiting: _Waiting) -> None:
    """Pass each answer on until the process has ended; then reap the process."""
    buffer = bytearray()
    while piece := os.read(answers, _CHUNK):
        buffer += piece
        for number, error, value in unpack(buffer):
            waiting.answered(number, (error, value))
    os.close(answers)
    waiting.end()  # all questions have their answers, unless the process was killed
    with suppress(ChildProcessError):
        os.waitpid(pid, 0)


def results(pending: Iterable[Pending], limit_s: float) -> list[Any | OSError]:
    """Return each answer, or the error in its place; wait at most that long for all together."""
    end = time.monotonic() + limit_s
    found: list[Any | OSError] = []
    for each in pending:
        try:
            found.append(each.result(max(0.0, end - time.monotonic())))
        except TimeoutError:
            found.append(TimeoutError(errno.ETIMEDOUT, f"no answer within {limit_s:g} s"))
        except OSError as error:
            found.append(error)
    return found
