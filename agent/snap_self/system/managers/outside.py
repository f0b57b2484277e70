"""What a conversation with a package manager asks of the machine; slow imports come when needed."""

from __future__ import annotations

import os
import time

from snap_self.system.environment import program_environment

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import BinaryIO

MAX_ANSWER_BYTES = 4 << 20
_CHUNK = 65536
_SIGINT = 2
_SIGKILL = 9
_FIRST_PAUSE_S = 0.0002
_LONGEST_PAUSE_S = 0.02


class ManagerOutside:
    """Implement ``changes.conversation.Outside``.

    Args:
        proc: where procfs is mounted.
    """

    def __init__(self, proc: str = "/proc") -> None:
        self._proc = proc

    def open_input(self, descriptor: int) -> BinaryIO:
        """Open an inherited file descriptor. Raises OSError."""
        os.set_inheritable(descriptor, False)
        return os.fdopen(descriptor, "rb")

    def parent_pid(self) -> int:
        return os.getppid()

    def parent_of(self, pid: int) -> int:
        """Return a process's parent; 0 if it is not known."""
        facts = stat_of(pid, self._proc)
        return facts[1] if facts else 0

    def executable(self, pid: int) -> str:
        """Return the path of a process's program, or an empty string."""
        try:
            return os.readlink(f"{self._proc}/{pid}/exe").removesuffix(" (deleted)")  # noqa: PTH115
        except OSError:
            return ""

    def arguments(self, pid: int) -> tuple[str, ...]:
        """Return a process's command line; empty if it is not known."""
        raw = read_bytes(f"{self._proc}/{pid}/cmdline")
        return tuple(os.fsdecode(raw).removesuffix("\0").split("\0")) if raw else ()

    def names_in(self, folder: str) -> Sequence[str]:
        """Return the names of a folder's entries; empty if it cannot be read."""
        try:
            return os.listdir(folder)  # noqa: PTH208  # pathlib takes too long to load
        except OSError:
            return ()

    def ask(self, argv: Sequence[str], *, limit_s: float) -> str | None:
        """Return what a program prints; None if it fails, is missing or takes too long.

        It does not use ``subprocess``, which takes longer to load than most programs to run.
        """
        reading, writing = os.pipe()
        try:
            pid = _spawn(argv, writing)
        except OSError:
            os.close(reading)
            return None
        finally:
            os.close(writing)
        end = time.monotonic() + limit_s
        said = _read_until(reading, end)
        os.close(reading)
        status = None if said is None else _status_until(pid, end)
        if status is None:
            os.kill(pid, _SIGKILL)
            os.waitpid(pid, 0)
        return None if said is None or status != 0 else os.fsdecode(said)

    def tell_terminal(self, text: str) -> None:
        """Write a line to the terminal that controls this process, if there is one."""
        try:
            terminal = os.open("/dev/tty", os.O_WRONLY | os.O_CLOEXEC | os.O_NOCTTY)
        except OSError:
            return
        try:
            os.write(terminal, os.fsencode(f"{text}\r\n"))
        except OSError:
            return
        finally:
            os.close(terminal)

    def tell_system_log(self, text: str) -> None:
        """Write a line to the system log, if there is one."""
        import syslog

        syslog.openlog("snap-self", syslog.LOG_PID, syslog.LOG_DAEMON)
        syslog.syslog(syslog.LOG_NOTICE, text.replace("\0", " "))

    def interrupt(self, pid: int) -> bool:
        """Send SIGINT to a process; return whether it was there."""
        try:
            os.kill(pid, _SIGINT)
        except OSError:
            return False
        return True


def read_bytes(path: str, most: int = 1 << 20) -> bytes:
    """Return at most that many bytes from a file's beginning; empty if it cannot be read."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return b""
    try:
        parts = []
        while most > 0 and (part := os.read(descriptor, min(most, _CHUNK))):
            parts.append(part)
            most -= len(part)
        return b"".join(parts)
    except OSError:
        return b""
    finally:
        os.close(descriptor)


def stat_of(pid: int, proc: str = "/proc") -> tuple[str, int, int] | None:
    """Return a process's name, parent and start in ticks since boot; None if it is not there.

    Source: proc_pid_stat(5); the name may hold spaces and parentheses.
    """
    text = os.fsdecode(read_bytes(f"{proc}/{pid}/stat"))
    head, _, tail = text.rpartition(")")
    fields = tail.split()
    try:
        return head.partition("(")[2], int(fields[1]), int(fields[19])
    except (IndexError, ValueError):
        return None


def has_terminal(pid: int, proc: str = "/proc") -> bool:
    """Return whether a terminal controls a process; True if that is not known.

    Source: proc_pid_stat(5): ``tty_nr`` is the fifth field after the name; 0 means none.
    """
    fields = read_bytes(f"{proc}/{pid}/stat").rpartition(b")")[2].split()
    return fields[4:5] != [b"0"]


def own_terminal() -> bool:
    """Tell whether a terminal controls this process."""
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_CLOEXEC | os.O_NOCTTY))
    except OSError:
        return False
    return True


def _spawn(argv: Sequence[str], stdout: int) -> int:
    files = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_DUP2, stdout, 1),
        (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0),
    ]
    env = program_environment()
    return os.posix_spawnp(argv[0], list(argv), env, file_actions=files)


def _read_until(descriptor: int, end: float) -> bytes | None:
    """Return the whole input; None if it has not ended by then or is too long."""
    import select

    parts: list[bytes] = []
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    size = 0
    while size <= MAX_ANSWER_BYTES:
        if not poll.poll(max(0.0, end - time.monotonic()) * 1000):
            return None
        part = os.read(descriptor, _CHUNK)
        if not part:
            return b"".join(parts)
        parts.append(part)
        size += len(part)
    return None


def _status_until(pid: int, end: float) -> int | None:
    """Return a child's wait status; None if it has closed its output but not ended by then."""
    pause_s = _FIRST_PAUSE_S
    while True:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return status
        if time.monotonic() >= end:
            return None
        time.sleep(pause_s)
        pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
