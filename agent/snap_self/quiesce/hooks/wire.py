"""What agent and keeper say to each other: a JSON object a line."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import Enum
from typing import Any, TypeVar

from snap_self.model.hooks import HookResult, HookStep, StepOutcome
from snap_self.system.plainform import ShapeError, from_plain, to_plain

T = TypeVar("T")


class WireFault(Exception):
    """A line is not what the other side can have sent."""


class Verb(Enum):
    """What the agent asks for."""

    START = "start"
    CHECK = "check"
    STOP = "stop"
    END = "end"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeeperPlan:
    """What a keeper is told first.

    Args:
        steps: requests name them by their place.
        marker: while this file exists, something is frozen.
        thaw_wait_s: how long at most an agent's death is followed by waiting for the thaw.
        silence_s: how long at most a thaw is followed by waiting for the agent to say something.
        state_dir: where what was done alone is noted.
    """

    run_id: str
    steps: tuple[HookStep, ...]
    marker: str
    thaw_wait_s: float
    silence_s: float
    state_dir: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One thing asked of the keeper; the number comes back with the answer."""

    number: int
    verb: Verb
    index: int = 0
    limit_s: float = 0.0
    result: HookResult = HookResult.FAILED


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the keeper says: how a request ended, or, with no outcome yet, what was started."""

    number: int
    outcome: StepOutcome | None = None
    pid: int = 0


def encode(value: KeeperPlan | Request | Answer) -> str:
    """Return the line for a value."""
    return json.dumps(to_plain(value))


def decode(kind: type[T], line: str) -> T:
    """Return the value of a line.

    Raises:
        WireFault: it is none of that kind.
    """
    try:
        value: Any = from_plain(kind, json.loads(line), kind.__name__)
    except (ValueError, ShapeError) as error:
        raise WireFault(str(error)) from None
    checked: T = value
    return checked
