"""Commands inside a guest, through QEMU's guest agent on a virtio port.

The agent is Debian's ``qemu-guest-agent``, a C program: it goes on when the guest's Python is gone,
its root filesystem frozen, its network down.

Source: QEMU's ``docs/interop/qemu-ga-ref``.
"""

from __future__ import annotations

import base64
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ecs_simulator.guest_channel import GuestChannel, Refused, Silent

_CHUNK = 48 * 1024
_POLL_S = 0.3  # each question is a line in the guest's journal


class NoAnswer(AssertionError):
    """The guest's agent is silent: not up yet, gone, or the guest is off."""


class CommandFailed(AssertionError):
    """A command in the guest ended with a status other than 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """How a command in the guest ended."""

    command: str
    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Return standard output read as JSON."""
        return json.loads(self.out)

    def checked(self) -> Ran:
        """Return itself.

        Raises:
            CommandFailed: the status is not 0.
        """
        if self.status != 0:
            said = f"{self.out[-3000:]}\n{self.err[-3000:]}"
            raise CommandFailed(f"{self.command[:300]}: status {self.status}\n{said}")
        return self


class GuestAgent:
    """A connection to a guest's agent; made anew when the guest was switched off and on."""

    def __init__(self, path: Path) -> None:
        self._channel = GuestChannel(path)

    def answers(self, within_s: float = 2.0) -> bool:
        """Tell whether the agent answers; what it had left unread is dropped."""
        try:
            self._channel.sync(within_s)
        except Silent:
            return False
        return True

    def run(
        self, command: str, *, timeout_s: float = 120.0, stdin: bytes = b"", shell: str = "bash"
    ) -> Ran:
        """Run a command in a shell in the guest to its end.

        Raises:
            NoAnswer: the guest is gone, or the command still runs at the limit.
        """
        return self._wait(command, self.start(command, stdin=stdin, shell=shell), timeout_s)

    def run_program(self, path: str, *arguments: str, timeout_s: float = 120.0) -> Ran:
        """Run a program in the guest to its end, no shell in between.

        Raises:
            NoAnswer: it cannot be started, or still runs at the limit.
        """
        asked: dict[str, Any] = {
            "path": path,
            "arg": list(arguments),
            "capture-output": True,
        }
        pid = int(self.ask("guest-exec", **asked)["pid"])
        return self._wait(" ".join((path, *arguments)), pid, timeout_s)

    def _wait(self, command: str, pid: int, timeout_s: float) -> Ran:
        deadline = time.monotonic() + timeout_s
        while True:
            ended = self.ended(command, pid)
            if ended is not None:
                return ended
            if time.monotonic() > deadline:
                raise NoAnswer(f"still running after {timeout_s} s: {command[:300]}")
            time.sleep(_POLL_S)

    def start(self, command: str, *, stdin: bytes = b"", shell: str = "bash") -> int:
        """Start a command in a shell in the guest; return its process id there."""
        asked: dict[str, Any] = {
            "path": f"/bin/{shell}",
            "arg": ["-c", command],
            "capture-output": True,
        }
        if stdin:
            asked["input-data"] = base64.b64encode(stdin).decode()
        return int(self.ask("guest-exec", **asked)["pid"])

    def ended(self, command: str, pid: int) -> Ran | None:
        """Return how a started command ended; None while it runs."""
        told = self.ask("guest-exec-status", pid=pid)
        if not told["exited"]:
            return None
        out, err = (
            base64.b64decode(told.get(name, "")).decode("utf-8", "replace")
            for name in ("out-data", "err-data")
        )
        # As a shell tells a death by signal.
        status = told["exitcode"] if "exitcode" in told else 128 + told.get("signal", 0)
        return Ran(command=command, status=status, out=out, err=err)

    def write(self, path: str, content: bytes) -> None:
        """Write a file in the guest."""
        handle = self.ask("guest-file-open", path=path, mode="w")
        try:
            for at in range(0, len(content), _CHUNK):
                part = base64.b64encode(content[at : at + _CHUNK]).decode()
                self.ask("guest-file-write", **{"handle": handle, "buf-b64": part})
        finally:
            self.ask("guest-file-close", handle=handle)

    def read(self, path: str) -> bytes:
        """Return what a small file in the guest holds; no program is started for it."""
        handle = self.ask("guest-file-open", path=path, mode="r")
        try:
            told = self.ask("guest-file-read", handle=handle, count=_CHUNK)
        finally:
            self.ask("guest-file-close", handle=handle)
        return base64.b64decode(told["buf-b64"])

    def ask(self, command: str, within_s: float = 30.0, **arguments: Any) -> Any:
        """Run a command of the agent's own and return its result.

        Raises:
            NoAnswer: it did not answer within the limit, or refused.
        """
        try:
            return self._channel.ask(command, arguments, within_s=within_s)
        except (Silent, Refused) as error:
            raise NoAnswer(str(error)) from error

    def close(self) -> None:
        """Close the connection."""
        self._channel.close()
