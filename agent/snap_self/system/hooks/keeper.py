"""The hook keeper as a process: its start, and the pipes between it and the agent."""

from __future__ import annotations

import os
import select
import signal
import time

from snap_self.ports import HookKeeperLink
from snap_self.system.cores import CORE_LIMIT
from snap_self.system.hooks.process import adopt_orphans
from snap_self.system.piped_child import PipedChild, start_piped

_ENTRY = "snap_self.quiesce.hooks.keeper_entry"
_CHUNK_BYTES = 65536
ENDING_SIGNALS = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGQUIT)


class _Lines:
    """Lines from a descriptor, read without waiting."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._held = b""
        self._ended = False
        os.set_blocking(fd, False)

    def pending(self) -> bool:
        """Return whether a line or the end can be taken."""
        while not self._ended and b"\n" not in self._held:
            try:
                chunk = os.read(self._fd, _CHUNK_BYTES)
            except BlockingIOError:
                return False
            self._ended = not chunk
            self._held += chunk
        return True

    def take(self) -> str:
        """Return the next line without its newline; empty at the end of the input."""
        line, end, rest = self._held.partition(b"\n")
        self._held = rest
        return line.decode("utf-8", "surrogateescape") if end else ""


class KeeperPipes:
    """The real ``HookKeeperLink``."""

    def __init__(self, child: PipedChild) -> None:
        self.pid = child.process.pid
        self._child = child
        self._lines = _Lines(child.receive_fd)

    def send(self, line: str) -> bool:
        """Write one line; Python ignores SIGPIPE, so a dead reader is an error here."""
        data = line.encode("utf-8", "surrogateescape") + b"\n"
        try:
            while data:
                data = data[os.write(self._child.send_fd, data) :]
        except OSError:
            return False
        return True

    def receive(self, timeout_s: float) -> str | None:
        """Read one line; empty if the keeper is gone, None if time ran out."""
        deadline = time.monotonic() + timeout_s
        poll = select.poll()
        poll.register(self._child.receive_fd, select.POLLIN)
        while not self._lines.pending():
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                return None
            poll.poll(int(left_s * 1000 + 0.999))
        return self._lines.take()

    def close(self) -> None:
        """Close both pipes, which ends a keeper with nothing left to do."""
        self._child.close()

    def kill(self) -> None:
        """Kill it; as our own child it cannot be another process by now."""
        if self._child.is_open:
            self._child.process.kill()


class KeeperProcessStarter:
    """The real ``HookKeeperStarter``."""

    def start(self) -> HookKeeperLink:
        """Start the keeper as ``start_piped`` does.

        A service manager that kills the whole control group kills it too: units say
        ``KillMode=process``.
        """
        with CORE_LIMIT.lent():  # it holds no keys, and hooks are to find the caller's limit
            return KeeperPipes(start_piped(_ENTRY))


class KeeperChair:
    """The real ``HookKeeperSeat``.

    Args:
        patience_s: how long an answer waits for an agent that does not read.
    """

    def __init__(self, ask_fd: int, answer_fd: int, *, patience_s: float = 5.0) -> None:
        self._lines = _Lines(ask_fd)
        self._answer_fd = answer_fd
        self._patience_s = patience_s
        self._unsaid = b""
        os.set_blocking(answer_fd, False)

    def pending(self) -> bool:
        """Return whether a line or the agent's end can be taken."""
        self._say(0.0)
        return self._lines.pending()

    def take(self) -> str:
        return self._lines.take()

    def tell(self, line: str) -> None:
        """Send one line; a stopped agent gets it when it reads again.

        A hook's output can be more than a pipe holds. Waiting for a stopped agent would keep the
        applications quiesced for as long.
        """
        self._unsaid += line.encode("utf-8", "surrogateescape") + b"\n"
        self._say(self._patience_s)

    def _say(self, patience_s: float) -> None:
        end = time.monotonic() + patience_s
        poll = select.poll()
        poll.register(self._answer_fd, select.POLLOUT)
        while self._unsaid:
            try:
                self._unsaid = self._unsaid[os.write(self._answer_fd, self._unsaid) :]
            except BlockingIOError:
                left_s = end - time.monotonic()
                if left_s <= 0:
                    return
                poll.poll(int(left_s * 1000 + 0.999))
            except BrokenPipeError:
                self._unsaid = b""


def settle() -> None:
    """Let this process survive signals and find everything its hooks start.

    The signals that would end it are caught, not ignored: every hook would inherit ignored signals.
    """
    for number in ENDING_SIGNALS:
        signal.signal(number, _do_nothing)
    adopt_orphans()


def _do_nothing(number: int, frame: object) -> None:
    """Continue: a hook that was started has a post part that must run."""
