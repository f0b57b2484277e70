"""Cloud Assistant: commands that run on instances, and what became of them."""

from __future__ import annotations

import base64
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

from ecs_simulator.clock import Clock
from ecs_simulator.life import Agenda

# Of the InvocationStatus of DescribeInvocationResults.
RUNNING, SUCCESS, FAILED, TIMEOUT = "Running", "Success", "Failed", "Timeout"
_OUTPUT_LIMIT = 24 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A command to run; an empty user or folder means the assistant's own.

    Args:
        whole_tree: what stops it stops all that it has begun, not only its first process
            (``TerminationMode``).
    """

    command_id: str
    kind: str
    content: bytes
    timeout_s: int = 60
    user: str = ""
    folder: str = ""
    name: str = ""
    whole_tree: bool = False


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

    def stop(self, instance_id: str, command: Command) -> None:
        """End a command that has run for too long, if it still runs."""
        ...


class NoGuest:
    """No machine is behind the instances."""

    def begin(self, instance_id: str, command: Command, ended: Ended) -> None:  # noqa: ARG002
        raise OSError("there is no machine")

    def stop(self, instance_id: str, command: Command) -> None: ...


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
    number: int = 0
    tags: Mapping[str, str] = field(default_factory=dict)
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
        agenda: ends what runs for longer than it may.
        lock: the state's; it is held while invocations are read or changed.
    """

    def __init__(self, clock: Clock, agenda: Agenda, lock: threading.RLock) -> None:
        self.guest: Guest = NoGuest()
        self.invocations: dict[str, Invocation] = {}
        self._clock = clock
        self._agenda = agenda
        self._lock = lock

    def invoke(self, invocation: Invocation) -> None:
        """Begin a command on its instances."""
        invocation.number = len(self.invocations) + 1
        self.invocations[invocation.invoke_id] = invocation
        command = invocation.command
        for run in invocation.runs:
            run.started_at = self._clock.now()
            try:
                self.guest.begin(run.instance_id, command, partial(self._ended, run))
            except OSError as error:
                self._settle(run, FAILED, "ClientNotRunning", str(error))
            else:
                self._agenda.after(command.timeout_s, partial(self._time_out, run, command))

    def _ended(self, run: Run, exit_code: int, output: bytes) -> None:
        kept = output[-_OUTPUT_LIMIT:]
        with self._lock:
            if run.status != RUNNING:
                return  # its time was up before
            run.output = base64.b64encode(kept).decode()
            run.dropped = len(output) - len(kept)
            run.exit_code = exit_code
            if exit_code:
                self._settle(run, FAILED, "ExitCodeNonzero", "the exit code is not zero")
            else:
                self._settle(run, SUCCESS)

    def _time_out(self, run: Run, command: Command) -> None:
        with self._lock:
            if run.status != RUNNING:
                return
            self._settle(run, TIMEOUT, "ExecutionTimeout", "the command ran for too long")
        self.guest.stop(run.instance_id, command)

    def _settle(self, run: Run, status: str, code: str = "", info: str = "") -> None:
        run.status, run.finished_at = status, self._clock.now()
        run.error_code, run.error_info = code, info
