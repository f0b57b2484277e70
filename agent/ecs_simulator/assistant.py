"""Cloud Assistant: commands that run on instances, and what became of them."""

from __future__ import annotations

import base64
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

from ecs_simulator.clock import Clock

RUNNING, SUCCESS, FAILED = "Running", "Success", "Failed"
_OUTPUT_LIMIT = 24 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A command to run; an empty user or folder means the assistant's own."""

    command_id: str
    kind: str
    content: bytes
    timeout_s: int = 60
    user: str = ""
    folder: str = ""
    name: str = ""


# Called once when a command has ended, with its exit code and all that it wrote.
Ended = Callable[[int, bytes], None]


class Guest(Protocol):
    """What runs commands on an instance."""

    def begin(self, instance_id: str, command: Command, ended: Ended) -> None:
        """Begin a command and return at once.

        Raises:
            OSError: no assistant runs there.
        """
        ...


class NoGuest:
    """No machine is behind the instances."""

    def begin(self, instance_id: str, command: Command, ended: Ended) -> None:  # noqa: ARG002
        raise OSError("there is no machine")


@dataclass(slots=True, kw_only=True)
class Run:
    """One command on one instance."""

    instance_id: str
    status: str = RUNNING
    exit_code: int | None = None
    output: str = ""
    dropped: int = 0
    error_code: str = ""
    error_info: str = ""
    started_at: float = 0.0
    finished_at: float | None = None


@dataclass(slots=True, kw_only=True)
class Invocation:
    """One command on some instances."""

    invoke_id: str
    command: Command
    created_at: float
    runs: list[Run] = field(default_factory=list)

    @property
    def status(self) -> str:
        """Return the InvokeStatus: of all instances together."""
        statuses = {run.status for run in self.runs}
        if RUNNING in statuses:
            return "Running"
        if statuses == {SUCCESS}:
            return "Finished"
        return "PartialFailed" if SUCCESS in statuses else "Failed"


class Assistant:
    """All invocations.

    Args:
        lock: the state's; it is held while invocations are read or changed.
    """

    def __init__(self, clock: Clock, lock: threading.RLock) -> None:
        self.guest: Guest = NoGuest()
        self.invocations: dict[str, Invocation] = {}
        self._clock = clock
        self._lock = lock

    def invoke(self, invocation: Invocation) -> None:
        """Begin a command on its instances."""
        self.invocations[invocation.invoke_id] = invocation
        for run in invocation.runs:
            run.started_at = self._clock.now()
            try:
                self.guest.begin(run.instance_id, invocation.command, partial(self._ended, run))
            except OSError as error:
                run.status, run.finished_at = FAILED, self._clock.now()
                run.error_code, run.error_info = "ClientNotRunning", str(error)

    def _ended(self, run: Run, exit_code: int, output: bytes) -> None:
        kept = output[-_OUTPUT_LIMIT:]
        with self._lock:
            run.output = base64.b64encode(kept).decode()
            run.dropped = len(output) - len(kept)
            run.exit_code, run.finished_at = exit_code, self._clock.now()
            run.status = FAILED if exit_code else SUCCESS
            if exit_code:
                run.error_code, run.error_info = "ExitCodeNonzero", "the exit code is not zero"
