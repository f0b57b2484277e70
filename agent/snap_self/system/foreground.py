"""Runs the user's command in the agent's place: same terminal, streams, group and directory."""

from __future__ import annotations

import errno
import os
import select
import signal
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from types import FrameType

from snap_self.model.command import Ended, NotStartable
from snap_self.system.cores import CORE_LIMIT
from snap_self.system.environment import given_environment
from snap_self.system.let_go import take_note

# The terminal sends these to its whole foreground group, so also to the command.
FROM_KEYBOARD = (signal.SIGINT, signal.SIGQUIT)
PASSED_ON = (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
# Python ignores these; the command gets the default.
IGNORED_BY_PYTHON = (signal.SIGPIPE, signal.SIGXFSZ)
SHELL = "/bin/sh"


class SystemForeground:
    """Implement ``ports.ForegroundCommands`` for one command in the life of the process.

    The command stays in the agent's process group, so it is the terminal's foreground job like the
    agent. Keys reach it once and from the terminal, as do stops, continuations and changes of the
    window size. Earlier signal handlers are not restored: little is left to do after the command,
    and an interruption would replace the command's status with the agent's.
    """

    def __init__(self) -> None:
        self._pid = 0
        self._early: list[int] = []
        self._ended = False
        self.ending: Ended | None = None

    @property
    def started(self) -> bool:
        """Whether the command was started."""
        return self._pid != 0

    def fault(self, program: str) -> NotStartable | None:
        """Return why the program cannot be started; look for it as execvp(3) does."""
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
            # It is not reaped yet, so no signal is passed on to another process with its number.
            while os.waitid(os.P_PID, self._pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is None:
                # Each that ends meanwhile wakes this wait too.
                take_note()
                _wait(woken)
            self._ended = True
            self.ending = _ended(os.waitpid(self._pid, 0)[1])
            return self.ending

    def _take_signals(self) -> None:
        # If the signal were ignored, the kernel would drop the command's status.
        signal.signal(signal.SIGCHLD, _do_nothing)
        for number in (*FROM_KEYBOARD, *PASSED_ON):
            # A signal that is ignored, as by nohup(1), stays ignored, also in the command.
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
            with suppress(OSError):  # not allowed if the command has another user's rights
                os.kill(self._pid, number)


@contextmanager
def _wakeups() -> Iterator[int]:
    """Yield a descriptor that every signal to this process writes to.

    A wait for the child could miss a signal: one that comes just before the wait begins, or to
    another thread, does not interrupt the wait.
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
    """Return after the next signal; the end of a child is one too."""
    select.select([woken], [], [])
    with suppress(BlockingIOError):
        while os.read(woken, 512):
            pass


def _do_nothing(number: int, frame: FrameType | None) -> None:
    """Exist, so that the signal wakes the waiting process."""


def _start(argv: Sequence[str]) -> int:
    """Start the first program of that name that can be executed, as execvp(3) does."""
    fault = OSError(errno.ENOENT, os.strerror(errno.ENOENT), argv[0])
    # The caller may have blocked the signal for a child's end; the command gets it as it was.
    blocked = signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
    for place in _places(argv[0]):
        try:
            return _spawn(place, argv, blocked)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except PermissionError as error:
            fault = error
        except OSError as error:
            if error.errno != errno.ENOEXEC:
                raise
            # A script whose first line names no interpreter is run by the shell.
            return _spawn(SHELL, (SHELL, place, *argv[1:]), blocked)
    raise fault


def _spawn(program: str, argv: Sequence[str], blocked: Collection[int]) -> int:
    with CORE_LIMIT.lent():
        return os.posix_spawn(
            program,
            list(argv),
            given_environment(),
            setsigdef=IGNORED_BY_PYTHON,
            setsigmask=blocked,
        )


def _places(program: str) -> Iterator[str]:
    if "/" in program or not program:
        yield program
        return
    given = {os.fsdecode(name): os.fsdecode(value) for name, value in given_environment().items()}
    for folder in os.get_exec_path(given):
        yield os.path.join(folder, program)  # noqa: PTH118


def _in_foreground() -> bool:
    """Return whether the terminal's keys signal this process group."""
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
