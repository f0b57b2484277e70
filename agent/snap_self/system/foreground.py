"""Runs the user's command in the agent's place: same terminal, streams, group and directory."""

from __future__ import annotations

import errno
import os
import select
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from types import FrameType

from snap_self.model.command import Ended, NotStartable

# The terminal sends these to its whole foreground group, and so to the command itself.
FROM_KEYBOARD = (signal.SIGINT, signal.SIGQUIT)
PASSED_ON = (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
# Python ignores these for itself; the command gets what programs usually get.
IGNORED_BY_PYTHON = (signal.SIGPIPE, signal.SIGXFSZ)
SHELL = "/bin/sh"
LC_CTYPE = b"LC_CTYPE"


class SystemForeground:
    """Implement ``ports.ForegroundCommands``; for one command in the process's life.

    The command stays in the agent's process group. So it is the terminal's foreground job like the
    agent: keys reach it once and from the terminal, as do stops, continuations and changes of the
    window's size. Signals are not handed back to who handled them before: what is left to do after
    the command is short, and an interruption would put the agent's status in the command's place.
    """

    def __init__(self) -> None:
        self._pid = 0
        self._early: list[int] = []
        self._ended = False

    def fault(self, program: str) -> NotStartable | None:
        """Look for the program as execvp(3) does."""
        places = list(_places(program))
        if any(os.access(place, os.X_OK) and not os.path.isdir(place) for place in places):  # noqa: PTH112
            return None
        found = any(os.path.lexists(place) for place in places)
        return NotStartable.NOT_EXECUTABLE if found else NotStartable.NOT_FOUND

    def run(self, argv: Sequence[str]) -> Ended | NotStartable:
        """Run it to its end."""
        with _wakeups() as woken:
            self._take_signals()
            try:
                self._pid = _start(argv)
            except FileNotFoundError:
                return NotStartable.NOT_FOUND
            except OSError:
                return NotStartable.NOT_EXECUTABLE
            for number in self._early:
                self._send(number)
            # Not collected yet, so that no signal is passed on to a stranger with the same number.
            while os.waitid(os.P_PID, self._pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is None:
                _wait(woken)
            self._ended = True
            return _ended(os.waitpid(self._pid, 0)[1])

    def _take_signals(self) -> None:
        # If it were ignored, the kernel would throw the command's status away.
        signal.signal(signal.SIGCHLD, _do_nothing)
        for number in (*FROM_KEYBOARD, *PASSED_ON):
            # What is ignored, as by nohup(1), stays ignored, also by the command.
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._handle)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        del frame
        if number in FROM_KEYBOARD and _in_foreground():
            return
        if self._pid:
            self._send(number)
        else:
            self._early.append(number)

    def _send(self, number: int) -> None:
        if not self._ended:
            with suppress(OSError):  # a command with another user's rights may not be signalled
                os.kill(self._pid, number)


@contextmanager
def _wakeups() -> Iterator[int]:
    """Give a descriptor that every signal to this process writes to.

    A wait for the child itself could miss one: it may come just before the wait begins, or to
    another thread, and then the wait is not interrupted.
    """
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    os.set_blocking(writing, False)
    before = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    try:
        yield reading
    finally:
        signal.set_wakeup_fd(before)
        os.close(reading)
        os.close(writing)


def _wait(woken: int) -> None:
    """Return after the next signal, the end of a child among them."""
    select.select([woken], [], [])
    with suppress(BlockingIOError):
        while os.read(woken, 512):
            pass


def _do_nothing(number: int, frame: FrameType | None) -> None:
    """Be there, so that the signal wakes who waits."""


def _start(argv: Sequence[str]) -> int:
    try:
        return _spawn(argv[0], argv)
    except OSError as error:
        if error.errno != errno.ENOEXEC:
            raise
    # A script without a first line that names its interpreter: the shell's, by execvp(3).
    script = next(place for place in _places(argv[0]) if os.access(place, os.X_OK))
    return _spawn(SHELL, (SHELL, script, *argv[1:]))


def _spawn(program: str, argv: Sequence[str]) -> int:
    # A caller may have blocked the signal that tells of its end; the command gets that as it was.
    blocked = signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
    return os.posix_spawnp(
        program, list(argv), _environment(), setsigdef=IGNORED_BY_PYTHON, setsigmask=blocked
    )


def _environment() -> Mapping[bytes, bytes]:
    """Return the environment as the agent got it.

    In the C locale, as cron and many services have it, Python sets LC_CTYPE in its own.
    Source: PEP 538.
    """
    environment = dict(os.environb)
    try:
        with open("/proc/self/environ", "rb") as file:  # noqa: PTH123
            given = dict(each.partition(b"=")[::2] for each in file.read().split(b"\0"))
    except OSError:
        return environment
    environment.pop(LC_CTYPE, None)
    return environment | ({LC_CTYPE: given[LC_CTYPE]} if LC_CTYPE in given else {})


def _places(program: str) -> Iterator[str]:
    if "/" in program or not program:
        yield program
        return
    for folder in os.get_exec_path():
        yield os.path.join(folder, program)  # noqa: PTH118


def _in_foreground() -> bool:
    """Tell whether this process group is the one that the terminal's keys signal."""
    try:
        terminal = os.open("/dev/tty", os.O_RDONLY | os.O_CLOEXEC | os.O_NOCTTY)
    except OSError:
        return False
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:
        return False
    finally:
        os.close(terminal)


def _ended(status: int) -> Ended:
    code = os.waitstatus_to_exitcode(status)
    if code >= 0:
        return Ended(status=code)
    return Ended(signal=-code, signal_name=_name(-code))


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
