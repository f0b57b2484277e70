"""Starts processes that release a lock when the agent dies."""

from __future__ import annotations

import select
import subprocess
import time
from contextlib import suppress

from snap_self.system.python_child import child_command

READY = b"READY\n"
ARMED = b"ARMED\n"
DISMISSED = b"DISMISSED\n"
END_LIMIT_S = 2.0
ACT_LIMIT_S = 10.0


class UnlockerProcesses:
    """Implement ``ports.UnlockerStarter`` with processes in sessions of their own."""

    def start(self, module: str, *, orders: str, timeout_s: float) -> UnlockerProcess:
        """Start a process and wait until it is ready.

        Raises:
            OSError: it could not be started.
            TimeoutError: it was not ready in time and was ended.
        """
        process = subprocess.Popen(
            child_command((), module=module, call="main(sys.stdin, sys.stdout)"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            cwd="/",
            bufsize=0,
        )
        unlocker = UnlockerProcess(process)
        if not unlocker.got_ready(orders, time.monotonic() + timeout_s):
            unlocker.dismiss()
            raise TimeoutError(f"the process that would unlock it ({module}) did not get ready")
        return unlocker


class UnlockerProcess:
    """Implement ``ports.Unlocker``."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    @property
    def pid(self) -> int:
        return self._process.pid

    def got_ready(self, orders: str, until: float) -> bool:
        """Pass the orders on; return whether it reported to be ready before that time."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with suppress(BrokenPipeError):
            self._process.stdin.write(orders.encode() + b"\n")
        heard = b""
        while not heard.endswith(b"\n"):
            left = max(0.0, until - time.monotonic())
            if not select.select([self._process.stdout], [], [], left)[0]:
                return False
            piece = self._process.stdout.read(len(READY) - len(heard))
            if not piece:
                return False
            heard += piece
        return heard == READY

    def arm(self) -> None:
        """Make it act when this process is gone.

        Raises:
            OSError: it is itself gone.
        """
        assert self._process.stdin is not None
        self._process.stdin.write(ARMED)

    def dismiss(self) -> str:
        """End it before it acts; return an empty text or what went wrong."""
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.write(DISMISSED)
        return _told(self.end())

    def act(self) -> str:
        """Let it unlock now; return an empty text or what went wrong.

        A slow process is left running: if it were killed, the lock would stay.
        """
        self._close_pipes()
        try:
            return _told(self._process.wait(ACT_LIMIT_S))
        except subprocess.TimeoutExpired:
            return f"the process that unlocks is still busy after {ACT_LIMIT_S:g} s"

    def end(self) -> int:
        """Close its pipes, kill it if need be, and return its status."""
        self._close_pipes()
        try:
            return self._process.wait(END_LIMIT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()

    def _close_pipes(self) -> None:
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()


def _told(status: int) -> str:
    return "" if status == 0 else f"the process that unlocks ended with status {status}"
