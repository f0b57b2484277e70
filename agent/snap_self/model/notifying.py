"""Who is told of what happened, and what became of the telling."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum, unique

from snap_self.model.occurrences import Occurrence

TEST_EVENT = "test"


@unique
class Robot(Enum):
    """Whose chat robot is spoken to; its value is the word of the configuration."""

    NONE = ""
    DINGTALK = "dingtalk"
    FEISHU = "feishu"
    WECOM = "wecom"


@unique
class Sink(Enum):
    """One of the ways in which people are told."""

    PING = "ping"
    ROBOT = "robot"
    COMMAND = "command"


@unique
class Outcome(Enum):
    """What became of telling one of them."""

    SENT = "sent"
    # Too soon after the last message; it is counted, and the next one tells of it.
    HELD_BACK = "held-back"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Handed:
    """What a process that tells people is handed.

    Args:
        after: a descriptor of its own that is at its end once the one before it has ended.
    """

    happened: tuple[Occurrence, ...]
    after: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """What became of one telling.

    Args:
        event: which kind of thing was told; of a message that tells of several, the first.
        status: the HTTP status, or what the command ended with; None where neither is known.
        answer: the code in a robot's answer; None where there was none.
        why: what went wrong, a clause; never with a URL or anything out of one.
        hint: what to do about it.
    """

    sink: Sink
    event: str
    outcome: Outcome
    status: int | None = None
    answer: int | None = None
    why: str = ""
    hint: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """One thing that is told.

    Args:
        test: nothing happened; somebody tries whether telling works.
    """

    occurrence: Occurrence
    test: bool = False

    @property
    def event(self) -> str:
        """The word for what happened."""
        return TEST_EVENT if self.test else self.occurrence.kind.value


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """What is remembered between two messages of a robot.

    Args:
        sent: when the last one was sent.
        muted_until: the vendor takes no more until then.
        held: how many were not told since, by their events.
        held_since: when the first of these happened.
        grave: the last one told of what nobody should learn late.
    """

    sent: datetime | None = None
    muted_until: datetime | None = None
    held: Mapping[str, int] = field(default_factory=dict)
    held_since: datetime | None = None
    grave: bool = False


# For all that one of them is told; there are three.
SINK_S = 10.0
ALL_S = 3 * SINK_S
# Beyond all limits of its own: something hangs that none of them is over, as the system's log on a
# frozen disk.
LAST_S = int(ALL_S) + 10
# With those before it, which it waits for.
WAIT_S = 5 * LAST_S


class SecretFault(Exception):
    """A file with a URL or a secret cannot be used; the text names the file, not what it holds.

    Args:
        hint: what mends it.
    """

    def __init__(self, message: str, *, hint: str) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
