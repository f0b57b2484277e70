"""The messages between agent and keeper: one JSON object per line."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import Enum
from typing import Any, TypeVar

from snap_self.model.hooks import HookResult, HookStep, StepOutcome
from snap_self.system.state.plainform import ShapeError, from_plain, to_plain

T = TypeVar("T")


class WireFault(Exception):
    """A line that the other side cannot have sent."""


class Verb(Enum):
    """What the agent asks for."""

    START = "start"
    CHECK = "check"
    STOP = "stop"
    END = "end"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeeperPlan:
    """The keeper's first message.

    Args:
        steps: requests name them by index.
        marker: while this file exists, something is frozen.
        thaw_wait_s: how long to wait for the thaw after the agent's death, at most.
        silence_s: how long to wait for a message from the agent after a thaw, at most.
        state_dir: where the keeper notes what it did alone.
    """

    run_id: str
    steps: tuple[HookStep, ...]
    marker: str
    thaw_wait_s: float
    silence_s: float
    state_dir: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request to the keeper; its number comes back with the answer."""

    number: int
    verb: Verb
    index: int = 0
    limit_s: float = 0.0
    result: HookResult = HookResult.FAILED


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The keeper's answer: how a request ended, or, without an outcome, what was started."""

    number: int
    outcome: StepOutcome | None = None
    pid: int = 0


def encode(value: KeeperPlan | Request | Answer) -> str:
    """Return the line for a value."""
    return json.dumps(to_plain(value))


def decode(kind: type[T], line: str) -> T:
    """Return the value of a line.

    Raises:
        WireFault: the line is not of that kind.
    """
    try:
        value: Any = from_plain(kind, json.loads(line), kind.__name__)
    except (ValueError, ShapeError) as error:
        raise WireFault(str(error)) from None
    checked: T = value
    return checked
