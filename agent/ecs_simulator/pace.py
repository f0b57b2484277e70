"""How long asynchronous operations take, and what a test makes of them instead of a success."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from ecs_simulator.config import SimulatorConfig
from ecs_simulator.life import Agenda

OUTCOMES = ("fail", "stick")
INSTANCE_ACTIONS = ("StopInstance", "StartInstance", "RebootInstance", "DeleteInstance")
# Seconds from an operation's acceptance to its end. DetachDisk: "about one minute" (its API page);
# the others are of the order that public logs of such runs show.
REALISTIC_OPERATIONS_S: dict[str, float] = {
    "CreateDisk": 3.0,
    "AttachDisk": 3.0,
    "DetachDisk": 60.0,
    "ResetDisk": 15.0,
    "StopInstance": 20.0,
    "StartInstance": 20.0,
    "RebootInstance": 30.0,
    "DeleteInstance": 10.0,
    "ReplaceSystemDisk": 20.0,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fate:
    """What becomes of an accepted operation.

    Args:
        action: of the API, such as ``AttachDisk``.
        outcome: ``fail`` after its time, or ``stick``: it never ends, until it is freed.
        resource_id: of the one disk or instance; empty for any.
        count: how many operations it befalls.
    """

    action: str
    outcome: str
    resource_id: str = ""
    count: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One that has ended: when it was accepted, and its end, in seconds since 1970."""

    time: float
    ended: float
    action: str
    resource_id: str


class Pace:
    """When accepted operations end, and how.

    Attributes:
        ended: those that have, in that order.
    """

    def __init__(self, agenda: Agenda, config: SimulatorConfig) -> None:
        self._agenda = agenda
        self._lock = threading.Lock()
        self._fast_s = dict.fromkeys(INSTANCE_ACTIONS, config.instance_operation_s)
        self._fast_s["*"] = config.disk_operation_s
        self._times_s: Mapping[str, float] = {}
        self._fates: list[Fate] = []
        self._stuck: dict[str, Callable[[], None]] = {}
        self.ended: list[Operation] = []
        self.set(config.profile, config.operations_s)

    def set(self, profile: str, own_s: Mapping[str, float]) -> None:
        """Replace all times; ``own_s`` goes over the profile's, and ``*`` means all other."""
        usual = REALISTIC_OPERATIONS_S if profile == "realistic" else {}
        with self._lock:
            self._times_s = {**self._fast_s, **usual, **own_s}

    def of(self, action: str) -> float:
        """Return the seconds from an operation's acceptance to its end."""
        with self._lock:
            return self._times_s.get(action, self._times_s["*"])

    def befall(self, fate: Fate) -> None:
        """Have operations that are accepted from now on end so.

        Raises:
            ValueError: there is no such outcome or operation.
        """
        if fate.outcome not in OUTCOMES or fate.action not in REALISTIC_OPERATIONS_S:
            raise ValueError(f"no such fate: {fate.outcome!r} of {fate.action!r}")
        with self._lock:
            self._fates.append(fate)

    def begin(
        self,
        action: str,
        resource_id: str,
        finish: Callable[[], None],
        fail: Callable[[], None] | None = None,
    ) -> None:
        """Have an accepted operation end after its time, or as its fate is.

        Args:
            fail: ends it without success; without one it cannot fail.
        """
        outcome, begun = self._take(action, resource_id), self._agenda.now()
        end = fail if outcome == "fail" and fail is not None else finish

        def run() -> None:
            end()
            self.ended.append(
                Operation(
                    time=begun, ended=self._agenda.now(), action=action, resource_id=resource_id
                )
            )

        if outcome == "stick":
            with self._lock:
                self._stuck[resource_id] = run
            return
        self._agenda.after(self.of(action), run)

    def free(self, resource_id: str) -> None:
        """Have a stuck operation end now.

        Raises:
            ValueError: none of that resource is stuck.
        """
        with self._lock:
            finish = self._stuck.pop(resource_id, None)
        if finish is None:
            raise ValueError(f"nothing is stuck: {resource_id}")
        self._agenda.after(0.0, finish)

    def _take(self, action: str, resource_id: str) -> str:
        with self._lock:
            for place, fate in enumerate(self._fates):
                if fate.action != action or fate.resource_id not in ("", resource_id):
                    continue
                if fate.count > 1:
                    self._fates[place] = replace(fate, count=fate.count - 1)
                else:
                    del self._fates[place]
                return fate.outcome
        return ""
