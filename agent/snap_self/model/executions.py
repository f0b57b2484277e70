"""Executions of OOS, which bring disks back from outside the instance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from enum import Enum
from typing import Any

from snap_self.model.snapshots import DEADLINE_TAG, RUN_TAG

# Statuses of one that will do nothing any more.
DONE, FAILED, CANCELLED = "Success", "Failed", "Cancelled"
ENDED = frozenset({DONE, FAILED, CANCELLED})
# A task that its condition left out.
SKIPPED = "Skipped"
# What was to go back by then has begun by now, also where it has waited for an upload.
GRACE = timedelta(minutes=30)
DEADLINE_FORM = "%Y-%m-%dT%H:%M:%SZ"
# Tasks of our template: the one that waits for a confirmation, the one from which on there is no
# way back, and those that follow when all is over.
SLEEP, STOP = "sleep", "stop"
# The first to reset a disk, the one that follows where none was reset, and the one that is done
# when each is back.
RESET_FIRST, UNTOUCHED, SETTLED = "resetFirst", "untouched", "settled"
OVER = frozenset({"running", "assistantUp", "bootCheck"})
# What comes before its time, and what comes before the instance is stopped.
EARLY = frozenset({"seeInstance", "seeDisks", "seeSnapshots", SLEEP})
HARMLESS = frozenset(
    {
        *(*EARLY, "uploads", "instanceReady", "disksReady", "look", "checkDisks"),
        *("checkSnapshots", "presentOne", "presentOneUsable", "presentAll", "presentAllUsable"),
    }
)


class Back(Enum):
    """How many of the disks went back."""

    NONE = "none"
    # Some did, or may have.
    PART = "part"
    ALL = "all"


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """One execution as the API shows it; also what the journal keeps of it.

    Args:
        status: its own word (``Running``); empty where it cannot be read.
        said: why it is so, in the API's words; may be empty.
        by: who started it, in the API's words; empty where they cannot be read.
        began: when it was started; None where that cannot be read.
        finished: when it ended; None while it goes on.
        tags: those it was started with, as far as they can be read.
        tasks: the names of those that go on now.
        reset: of one that failed, how far it came by then; None where that is not known.
    """

    execution_id: str
    status: str
    said: str = ""
    by: str = ""
    began: datetime | None = None
    finished: datetime | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    tasks: tuple[str, ...] = ()
    reset: Back | None = None

    @property
    def ended(self) -> bool:
        """Whether it will do nothing any more."""
        return self.status in ENDED

    @property
    def deadline(self) -> datetime | None:
        """When it goes back unless somebody confirms; None for one that does so at once."""
        text = self.tags.get(DEADLINE_TAG, "")
        try:
            return datetime.strptime(text, DEADLINE_FORM).replace(tzinfo=timezone.utc)
        except ValueError:
            return None

    @property
    def run(self) -> str:
        """The run that it goes back to, by its tag."""
        return self.tags.get(RUN_TAG, "")

    @property
    def sleeps(self) -> bool:
        """Whether its clock is known to run."""
        return not self.ended and SLEEP in self.tasks

    @property
    def is_early(self) -> bool:
        """Whether it is not known to be past its sleep."""
        return EARLY.issuperset(self.tasks)

    @property
    def over(self) -> bool:
        """Whether it has brought the disks back, and only looks at what came of it."""
        return bool(self.tasks) and OVER.issuperset(self.tasks)

    @property
    def back(self) -> Back | None:
        """How many of the disks went back; None where it is not known, or not over yet."""
        if self.status == DONE or self.over:
            return Back.ALL
        return self.reset if self.status == FAILED else None

    @property
    def brought_back(self) -> bool:
        """Whether a disk went back, or may have although it failed."""
        return self.back in (Back.PART, Back.ALL) or self.is_doubtful

    @property
    def is_doubtful(self) -> bool:
        """Whether it failed, and how far it came is not known."""
        return self.status == FAILED and self.reset is None

    @property
    def is_harmless(self) -> bool:
        """Whether it is known to be before its stop."""
        return HARMLESS.issuperset(self.tasks)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionTask:
    """One task of an execution that was begun, or left out.

    Args:
        status: its own word (``Success``).
    """

    name: str
    status: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionOrder:
    """One StartExecution, complete.

    Args:
        content: the template's text; empty to start the one that the account keeps.
        parameters: the template's, each of JSON's types.
        client_token: at most 64 ASCII characters; the same order keeps the same token.
    """

    content: str
    parameters: Mapping[str, Any]
    description: str
    tags: Mapping[str, str]
    client_token: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """A rollback that waits outside, unless it has begun by now.

    Args:
        execution_id: empty where the cloud has not told it.
        run: what it goes back to.
        deadline: when it does, in UTC.
    """

    execution_id: str
    run: str
    deadline: datetime

    def overdue(self, now: datetime) -> bool:
        """Whether it should have begun, so that something is amiss."""
        return now > self.deadline + GRACE

    def words(self, now: datetime) -> str:
        """Return when this machine goes back, and what calls that off."""
        at = f"{self.deadline:%Y-%m-%d %H:%M} UTC"
        if self.overdue(now):
            return (
                f"this machine was to go back to run {self.run} by itself at {at} and, by this "
                f"machine's clock, did not: look at {self.execution_id or 'it'} in "
                f"the OOS console, then say: {CONFIRM}"
            )
        left_s = max(0, int((self.deadline - now).total_seconds()))
        left = f"{left_s // 3600} h {left_s % 3600 // 60} min" if left_s >= 3600 else ""
        left = left or (f"{left_s // 60} min" if left_s >= 60 else f"{left_s} s")
        return (
            f"in {left}, at {at}, this machine goes back to run {self.run} by itself, unless you "
            f"say: {CONFIRM}"
        )


CONFIRM = "snap-self confirm"
