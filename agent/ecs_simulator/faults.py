"""Trouble on demand: faults per action, throttling windows, latency, and the log of calls."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from ecs_simulator.clock import Clock
from ecs_simulator.errors import ApiError

# Kind of fault -> when it strikes unless told otherwise, seen from the effect of the call.
FAULT_KINDS: dict[str, str] = {
    "lost_reply": "after",
    "reset": "before",
    "hang": "before",
    "html_502": "before",
    "empty_body": "after",
    "not_json": "after",
    "truncated": "after",
    "error": "before",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing that goes wrong.

    Args:
        kind: a key of ``FAULT_KINDS``, or ``error:<Code>:<status>``.
        action: of the API (``*`` is any), or ``metadata:<path prefix>``.
        count: how many calls it strikes.
        skip: how many matching calls pass unharmed before.
        when: ``before`` the effect, ``after`` it, or ``during``: after it, while the call goes on
            running for ``seconds`` (a retry with its token meets IdempotentProcessing).
        seconds: how long ``hang`` lasts, or a call struck ``during`` goes on.
        code, status: of ``error``.
    """

    kind: str
    action: str = "*"
    count: int = 1
    skip: int = 0
    when: str = ""
    seconds: float = 3600.0
    code: str = "InternalError"
    status: int = 500

    def normal(self) -> Fault:
        """Return it with every default filled in.

        Raises:
            ValueError: there is no such kind or time.
        """
        kind, code, status = self.kind, self.code, self.status
        if kind.startswith("error:"):
            kind, code, number = kind.split(":", 2)
            status = int(number)
        when = self.when or FAULT_KINDS.get(kind, "")
        if when not in ("before", "during", "after"):
            raise ValueError(f"no such fault: kind {self.kind!r}, when {self.when!r}")
        return replace(self, kind=kind, code=code, status=status, when=when)


class FaultQueue:
    """Faults waiting for their calls."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: list[Fault] = []

    def add(self, fault: Fault) -> None:
        """Queue a fault."""
        with self._lock:
            self._waiting.append(fault.normal())

    def clear(self) -> None:
        """Forget all waiting faults."""
        with self._lock:
            self._waiting.clear()

    def waiting(self) -> list[Fault]:
        """Return the faults that have not struck yet."""
        with self._lock:
            return list(self._waiting)

    def take(self, action: str) -> Fault | None:
        """Return the first fault for this call and use it up once."""
        with self._lock:
            for place, fault in enumerate(self._waiting):
                if not _fits(fault.action, action):
                    continue
                if fault.skip > 0:
                    self._waiting[place] = replace(fault, skip=fault.skip - 1)
                    continue
                if fault.count > 1:
                    self._waiting[place] = replace(fault, count=fault.count - 1)
                else:
                    del self._waiting[place]
                return fault
        return None


def _fits(pattern: str, action: str) -> bool:
    if pattern.startswith("metadata:"):
        return action.startswith(pattern)
    return pattern == action or (pattern == "*" and not action.startswith("metadata:"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Throttle:
    """A limit per fixed window, for each action and region on its own.

    Args:
        limit: calls that pass in a window; 0 refuses all.
        window_s: a minute in the real cloud; windows begin at multiples of it.
    """

    limit: int
    action: str = "*"
    code: str = "Throttling"
    status: int = 400
    window_s: float = 60.0


class Throttles:
    """Counts calls per window and refuses those over a limit."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._limits: list[Throttle] = []
        self._counts: dict[tuple[str, str], tuple[int, int]] = {}

    def set(self, limits: Iterable[Throttle]) -> None:
        """Replace all limits and begin counting anew."""
        with self._lock:
            self._limits = list(limits)
            self._counts.clear()

    def check(self, action: str, region_id: str) -> None:
        """Count a call.

        Raises:
            ApiError: it is over the limit of its window.
        """
        with self._lock:
            limit = next((t for t in self._limits if t.action in (action, "*")), None)
            if limit is None:
                return
            window = int(self._clock.now() // limit.window_s)
            begun, count = self._counts.get((action, region_id), (window, 0))
            count = count + 1 if begun == window else 1
            self._counts[(action, region_id)] = (window, count)
        if count > limit.limit:
            raise ApiError(limit.code, status=limit.status)


# Seconds of real calls, from public logs of a snapshot run; the rest are of the same order.
REALISTIC_S: dict[str, float] = {
    "CreateSnapshot": 0.35,
    "CreateSnapshotGroup": 0.32,
    "DescribeDisks": 0.12,
    "DescribeSnapshots": 0.12,
    "DescribeSnapshotGroups": 0.07,
    "DescribeInstances": 0.2,
    "TagResources": 0.145,
    "*": 0.1,
}


METADATA = "metadata"


class Latencies:
    """How long each action takes, and as ``metadata`` each read of the metadata service."""

    def __init__(self, profile: str, own_s: Mapping[str, float]) -> None:
        self._lock = threading.Lock()
        self._times_s: dict[str, float] = {}
        self.set(profile, own_s)

    def set(self, profile: str, own_s: Mapping[str, float]) -> None:
        """Replace all times; ``own_s`` goes over the profile's."""
        with self._lock:
            self._times_s = (REALISTIC_S if profile == "realistic" else {}) | dict(own_s)

    def of(self, action: str) -> float:
        """Return the seconds an action takes; ``*`` does not stand for the metadata service."""
        with self._lock:
            other = 0.0 if action == METADATA else self._times_s.get("*", 0.0)
            return self._times_s.get(action, other)


@dataclass(frozen=True, slots=True, kw_only=True)
class CallRecord:
    """One call as it was answered; ``params`` hold no secret. Status 0: no answer was sent."""

    time: float
    ended: float
    action: str
    params: Mapping[str, str] = field(default_factory=dict)
    status: int = 0
    code: str = ""
    request_id: str = ""
    principal: str = ""
    fault: str = ""


class CallLog:
    """All calls so far, in the order they were answered."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._records: list[CallRecord] = []

    def add(self, record: CallRecord) -> None:
        """Note a call."""
        with self._lock:
            self._records.append(record)

    def all(self) -> list[CallRecord]:
        """Return the calls so far."""
        with self._lock:
            return list(self._records)

    def clear(self) -> None:
        """Forget all calls."""
        with self._lock:
            self._records.clear()
