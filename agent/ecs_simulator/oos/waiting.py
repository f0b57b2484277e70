"""Times: of retries, and how long a Sleep lasts. Pure.

Source: ``ACS::WaitFor`` and ``ACS::Sleep`` of the user guide.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ecs_simulator.clock import parse_iso
from ecs_simulator.oos.faults import TaskFault, TemplateFault

_DURATION = re.compile(r"P?(?:(\d+)D)?T?(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?")
_UNITS_S = (86400, 3600, 60, 1)
_RANGES = {
    "Retries": (0, 300),
    "Delay": (1, 3600),
    "BackOff": (1, 3600),
    "MaxRetryInterval": (1, 1800),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """When a WaitFor looks again: it looks at once, and then after each interval."""

    retries: int = 10
    delay_type: str = "Exponential"
    delay_s: int = 2
    back_off_s: int = 2
    longest_s: int = 1800

    @classmethod
    def of(cls, task: Mapping[str, Any]) -> Retry:
        """Return a task's own times.

        Raises:
            TemplateFault: a number or type is not allowed.
        """
        kind = task.get("DelayType", "Exponential")
        if kind not in ("Exponential", "Constant", "Linear"):
            raise TemplateFault(f"There is no DelayType {kind!r}.")
        return cls(
            retries=_number(task, "Retries", 10),
            delay_type=kind,
            delay_s=_number(task, "Delay", 2),
            back_off_s=_number(task, "BackOff", 2),
            longest_s=_number(task, "MaxRetryInterval", 1800),
        )

    def interval_s(self, times: int) -> float | None:
        """Return how long to wait before retry number ``times``, from 0; None: no more."""
        if times >= self.retries:
            return None
        if self.delay_type == "Constant":
            return min(self.delay_s, self.longest_s)
        if self.delay_type == "Linear":
            return min(self.delay_s + self.back_off_s * times, self.longest_s)
        return min(1 << times, self.longest_s)


def _number(task: Mapping[str, Any], name: str, default: int) -> int:
    value = task.get(name, default)
    low, high = _RANGES[name]
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise TemplateFault(f"{name} must be a whole number of {low} to {high}, not {value!r}.")
    return value


def sleep_s(properties: Mapping[str, Any], now: float) -> float:
    """Return how many seconds a Sleep lasts from now.

    Raises:
        TaskFault: it has no duration of at least a second and no end.
    """
    duration, end = properties.get("Duration"), properties.get("EndDate")
    if (duration is None) == (end is None):
        raise TaskFault("ACS::Sleep needs either Duration or EndDate.")
    if end is None:
        return _duration_s(str(duration))
    instant = parse_iso(str(end).upper())
    if instant is None:
        raise TaskFault(f"EndDate is a time such as 2025-01-01T00:00:00Z, not {end!r}.")
    return max(0.0, instant - now)


def _duration_s(text: str) -> float:
    found = _DURATION.fullmatch(text.upper())
    numbers = [int(part or 0) for part in found.groups()] if found else [0]
    seconds = sum(number * unit for number, unit in zip(numbers, _UNITS_S, strict=False))
    if seconds < 1:
        raise TaskFault(f"Duration is at least 1S, such as PT15M or 15M, not {text!r}.")
    return float(seconds)
