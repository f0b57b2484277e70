"""The keeper of hooks as a process: starting it, and the pipes between it and the agent."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

from snap_self.ports import HookKeeperLink
from snap_self.system.hook_process import adopt_orphans

_BOOT = "import sys; sys.path.insert(0, sys.argv.pop(1)); from {} import main; main()"
_ENTRY = "snap_self.quiesce.hooks.keeper_entry"
_ROOT = str(Path(__file__).resolve().parents[2])
_EXIT_WAIT_S = 1.0
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
        """Tell whether a line or the end is there to take."""
        while not self._ended and b"\n" not in self._held:
            try:
                chunk = os.read(self._fd, _CHUNK_BYTES)
            except BlockingIOError:
                return False
            self._ended = not chunk
            self._held += chunk
        return True

    def take(self) -> str:
        """Return the next line without its end; an empty text at the end of all."""
        line, end, rest = self._held.partition(b"\n")
        self._held = rest
        return line.decode("utf-8", "surrogateescape") if end else ""


class KeeperPipes:
    """The real ``HookKeeperLink``."""

    def __init__(self, process: subprocess.Popen[bytes], *, send_fd: int, receive_fd: int) -> None:
        self.pid = process.pid
        self._process = process
        self._send_fd = send_fd
        self._receive_fd = receive_fd
        self._lines = _Lines(receive_fd)
        self._open = True

    def send(self, line: str) -> bool:
        """Write one line; Python ignores SIGPIPE, so a dead reader is an error here."""
        data = line.encode("utf-8", "surrogateescape") + b"\n"
        try:
            while data:
                data = data[os.write(self._send_fd, data) :]
        except OSError:
            return False
        return True

    def receive(self, timeout_s: float) -> str | None:
        """Read one line; an empty text when the keeper is gone, None when time ran out."""
        deadline = time.monotonic() + timeout_s
        poll = select.poll()
        poll.register(self._receive_fd, select.POLLIN)
        while not self._lines.pending():
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                return None
            poll.poll(int(left_s * 1000 + 0.999))
        return self._lines.take()

    def close(self) -> None:
        """Close both pipes, which ends a keeper with nothing left to do."""
        if not self._open:
            return
        self._open = False
        os.close(self._send_fd)
        os.close(self._receive_fd)
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_EXIT_WAIT_S)
        # Not ours to wait for any longer; else Popen warns when it is forgotten.
        self._process.returncode = self._process.returncode or 0

    def kill(self) -> None:
        """Kill it; as our own child it cannot be another process by now."""
        if self._open:
            self._process.kill()


class KeeperProcessStarter:
    """The real ``HookKeeperStarter``."""

    def start(self) -> HookKeeperLink:
        """Start a fresh interpreter, isolated, without site packages, writing no bytecode.

        It has its own session, so what is sent to the agent's process group does not reach it. A
        service manager that kills the whole control group kills it too: units say
        ``KillMode=process``.
        """
        ask_read, ask_write = os.pipe()
        answer_read, answer_write = os.pipe()
        argv = [sys.executable, "-I", "-S", "-B", "-c", _BOOT.format(_ENTRY), _ROOT]
        keep = {k: v for k, v in os.environ.items() if k == "LD_LIBRARY_PATH"}
        try:
            process = subprocess.Popen(
                [*argv, str(ask_read), str(answer_write)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd="/",
                env=keep,
                start_new_session=True,
                pass_fds=(ask_read, answer_write),
            )
        except OSError:
            os.close(ask_write)
            os.close(answer_read)
            raise
        finally:
            # The keeper's ends: kept here, they would hide its death.
            os.close(ask_read)
            os.close(answer_write)
        return KeeperPipes(process, send_fd=ask_write, receive_fd=answer_read)


class KeeperChair:
    """The real ``HookKeeperSeat``.

    Args:
        patience_s: so long an answer waits for an agent that does not read.
    """

    def __init__(self, ask_fd: int, answer_fd: int, *, patience_s: float = 5.0) -> None:
        self._lines = _Lines(ask_fd)
        self._answer_fd = answer_fd
        self._patience_s = patience_s
        self._unsaid = b""
        os.set_blocking(answer_fd, False)

    def pending(self) -> bool:
        """Tell whether a line or the end of the agent is there to take."""
        self._say(0.0)
        return self._lines.pending()

    def take(self) -> str:
        """Return the next line; an empty text when the agent is gone."""
        return self._lines.take()

    def tell(self, line: str) -> None:
        """Send one line; what a stopped agent does not read is sent when it does.

        What a hook printed can be more than a pipe holds, and to wait for a stopped agent would
        keep applications at rest for as long.
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
    """Make this process one that outlives signals and finds everything its hooks start.

    The signals that end others are caught, not ignored: what is ignored stays so in every hook.
    """
    for number in ENDING_SIGNALS:
        signal.signal(number, _do_nothing)
    adopt_orphans()


def _do_nothing(number: int, frame: object) -> None:
    """Go on: what was started has a post part that must be run."""
