"""Faults that tests ask for: faults per action, throttling, latency; and the log of calls."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from math import ceil

from ecs_simulator.clock import Clock
from ecs_simulator.errors import ApiError

# Kind of fault -> when it strikes by default, relative to the effect of the call.
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
        skip: how many matching calls succeed before.
        when: ``before`` the effect, ``after`` it, or ``during``: after it, while the call still
            runs for ``seconds`` (a retry with its token gets IdempotentProcessing).
        seconds: how long ``hang`` lasts, or a call struck ``during`` still runs.
        code, status, message: those of ``error``; an empty message means the code's usual one.
        headers: more headers of an ``error``'s answer.
    """

    kind: str
    action: str = "*"
    count: int = 1
    skip: int = 0
    when: str = ""
    seconds: float = 3600.0
    code: str = "InternalError"
    status: int = 500
    message: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)

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
        with self._lock:
            self._waiting.append(fault.normal())

    def clear(self) -> None:
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
        told: a refusal has the headers that say how much longer the window lasts.
    """

    limit: int
    action: str = "*"
    code: str = "Throttling"
    status: int = 400
    window_s: float = 60.0
    told: bool = True


# Of the account's calls of this operation, and of all its calls. Source: the OpenAPI utilities of
# Alibaba Cloud's SDKs, which read ``TimeLeft``, in milliseconds, from either.
LIMIT_HEADERS = ("x-ratelimit-user-api", "x-ratelimit-user")


class Throttles:
    """Counts calls per window and refuses those over a limit."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._limits: list[Throttle] = []
        self._counts: dict[tuple[str, str], tuple[int, int]] = {}

    def set(self, limits: Iterable[Throttle]) -> None:
        """Replace all limits and reset the counts."""
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
            now = self._clock.now()
            window = int(now // limit.window_s)
            begun, count = self._counts.get((action, region_id), (window, 0))
            count = count + 1 if begun == window else 1
            self._counts[(action, region_id)] = (window, count)
        if count > limit.limit:
            headers = _limit_headers(limit, now) if limit.told else {}
            raise ApiError(limit.code, status=limit.status, headers=headers)


def _limit_headers(limit: Throttle, now: float) -> dict[str, str]:
    reset = (now // limit.window_s + 1) * limit.window_s
    left_ms = ceil((reset - now) * 1000)
    value = f"Limit:{limit.limit},Remain:0,TimeLeft:{left_ms},Reset:{ceil(reset)}"
    return dict.fromkeys(LIMIT_HEADERS, value)


# Seconds of real calls, from public logs of a snapshot run; the others are of the same order.
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
        """Return the seconds an action takes; ``*`` does not include the metadata service."""
        with self._lock:
            other = 0.0 if action == METADATA else self._times_s.get("*", 0.0)
            return self._times_s.get(action, other)


@dataclass(frozen=True, slots=True, kw_only=True)
class CallRecord:
    """One answered call; ``params`` hold no secret. Status 0: no answer was sent."""

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
        with self._lock:
            self._records.append(record)

    def all(self) -> list[CallRecord]:
        with self._lock:
            return list(self._records)

    def clear(self) -> None:
        with self._lock:
            self._records.clear()
