"""Cloud Assistant: commands that run on instances, and what became of them.

On an instance it is a program, which starts late in the boot. A command that cannot be sent within
a minute ends as ``Aborted``. Its code is ``ClientNotRunning`` here, as the program ran at no time
of that minute; what tells it from ``DeliveryTimeout`` is not documented. The program is heard once
a minute, and counts as running for two minutes after that.

Source: ``InvocationStatus``, ``ErrorCode`` and ``ErrorInfo`` of DescribeInvocationResults,
``CloudAssistantStatus`` and ``LastHeartbeatTime`` of DescribeCloudAssistantStatus.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

from ecs_simulator.clock import Clock
from ecs_simulator.life import Agenda
from ecs_simulator.state import State

# Of the InvocationStatus of DescribeInvocationResults.
PENDING, RUNNING, SUCCESS, FAILED = "Pending", "Running", "Success", "Failed"
TIMEOUT, ABORTED, ERROR = "Timeout", "Aborted", "Error"
_OUTPUT_LIMIT = 24 * 1024
_DELIVERY_LIMIT_S = 60.0
_AGAIN_S = 2.0
_BEAT_S = 60.0
_HEARD_S = 120.0
_INFO: Mapping[str, str] = {
    "ClientNotRunning": "the aliyun service is not running on the instance",
    "ExecutionException": "the command execution got an exception",
    "ExecutionTimeout": "the command execution has been timeout",
    "ExitCodeNonzero": "the command execution exit code is not zero",
}


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

    def is_up(self, instance_id: str) -> bool:
        """Tell at once whether an assistant runs there, on an instance that runs."""
        ...

    def begin(self, instance_id: str, command: Command, ended: Ended) -> None:
        """Begin a command where an assistant runs, and return at once.

        Raises:
            OSError: the assistant cannot begin it.
        """
        ...

    def stop(self, instance_id: str, command: Command) -> None:
        """End a command that has run for too long, if it still runs."""
        ...


class NoGuest:
    """No machine is behind the instances."""

    def is_up(self, instance_id: str) -> bool:  # noqa: ARG002
        return False

    def begin(self, instance_id: str, command: Command, ended: Ended) -> None:  # noqa: ARG002
        raise OSError("there is no machine")

    def stop(self, instance_id: str, command: Command) -> None: ...


@dataclass(slots=True, kw_only=True)
class Run:
    """One command on one instance.

    Args:
        started_at: when it was begun there; None while it is sent, or if it never was.
    """

    instance_id: str
    status: str = PENDING
    exit_code: int | None = None
    output: str = ""
    dropped: int = 0
    error_code: str = ""
    error_info: str = ""
    started_at: float | None = None
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
        if not statuses.isdisjoint((PENDING, RUNNING)):
            return "Running"
        if statuses == {SUCCESS}:
            return "Finished"
        return "PartialFailed" if SUCCESS in statuses else "Failed"


class Assistant:
    """All invocations, and on which instances the program was heard.

    Args:
        agenda: sends again what could not be sent, and ends what runs for longer than it may.
        state: its lock is held while invocations are read or changed.
    """

    def __init__(self, clock: Clock, agenda: Agenda, state: State) -> None:
        self.guest: Guest = NoGuest()
        self.invocations: dict[str, Invocation] = {}
        self._heard: dict[str, float] = {}
        self._clock = clock
        self._agenda = agenda
        self._state = state

    def invoke(self, invocation: Invocation) -> None:
        """Begin a command on its instances."""
        invocation.number = len(self.invocations) + 1
        self.invocations[invocation.invoke_id] = invocation
        until = self._clock.monotonic() + _DELIVERY_LIMIT_S
        for run in invocation.runs:
            self._send(run, invocation.command, until)

    def last_heard(self, instance_id: str) -> float | None:
        """Return when the program on an instance was last heard; the caller holds the lock."""
        now, heard = self._clock.now(), self._heard.get(instance_id)
        if self._is_up(instance_id):
            started_at = self._state.instances[instance_id].started_at
            if heard is None or heard < started_at or now - heard >= _BEAT_S:
                self._heard[instance_id] = heard = now
        return heard

    def counts_as_running(self, instance_id: str) -> bool:
        """Tell whether it was heard in the last two minutes; the caller holds the lock."""
        heard = self.last_heard(instance_id)
        return heard is not None and self._clock.now() - heard < _HEARD_S

    def _is_up(self, instance_id: str) -> bool:
        instance = self._state.instances.get(instance_id)
        return instance is not None and instance.status == RUNNING and self.guest.is_up(instance_id)

    def _send(self, run: Run, command: Command, until: float) -> None:
        with self._state.lock:
            if self._is_up(run.instance_id):
                self._begin(run, command)
            elif self._clock.monotonic() < until:
                self._agenda.after(_AGAIN_S, partial(self._send, run, command, until))
            else:
                self._settle(run, ABORTED, "ClientNotRunning")

    def _begin(self, run: Run, command: Command) -> None:
        run.status, run.started_at = RUNNING, self._clock.now()
        try:
            self.guest.begin(run.instance_id, command, partial(self._ended, run))
        except OSError:
            self._settle(run, ERROR, "ExecutionException")
        else:
            self._agenda.after(command.timeout_s, partial(self._time_out, run, command))

    def _ended(self, run: Run, exit_code: int, output: bytes) -> None:
        kept = output[-_OUTPUT_LIMIT:]
        with self._state.lock:
            if run.status != RUNNING:
                return  # its time was up before
            run.output = base64.b64encode(kept).decode()
            run.dropped = len(output) - len(kept)
            run.exit_code = exit_code
            if exit_code:
                self._settle(run, FAILED, "ExitCodeNonzero")
            else:
                self._settle(run, SUCCESS)

    def _time_out(self, run: Run, command: Command) -> None:
        with self._state.lock:
            if run.status != RUNNING:
                return
            self._settle(run, TIMEOUT, "ExecutionTimeout")
        self.guest.stop(run.instance_id, command)

    def _settle(self, run: Run, status: str, code: str = "") -> None:
        run.status, run.finished_at = status, self._clock.now()
        run.error_code, run.error_info = code, _INFO.get(code, "")
