"""Turns the guardian's messages into a result; pure."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from errno import EBUSY, EINVAL, EOPNOTSUPP, ESTALE

from snap_self.errors import ThawFailed
from snap_self.model.shell import command
from snap_self.quiesce.freeze.order import FreezeTarget
from snap_self.quiesce.freeze.wire import Cause, Kind, Message, Readiness

SEE_PROC_SYS = "let it see /proc/sys: in a systemd unit, leave ProcSubset=pid out"

_ERRNO = {
    EBUSY: "another tool has frozen it already",
    ESTALE: "it is no longer mounted where it was",
    EOPNOTSUPP: "its type cannot be frozen",
}

_WHY = {
    Cause.NONE: "it did not end as it should",
    Cause.ASKED: "",
    Cause.DEADLINE: "the freeze reached its time limit before the cut was seen",
    Cause.AGENT_GONE: "the guardian lost the agent",
    Cause.TERMINATED: "the guardian was told to terminate",
    Cause.HUNG_UP: "the guardian was told that its terminal is gone",
    Cause.FREEZE_REFUSED: "a filesystem could not be frozen",
    Cause.SYNC_REFUSED: "a filesystem could not be written out",
    Cause.SYNC_LATE: "writing out dirty data took too long, so nothing was frozen",
    Cause.UNDERSTUDY_GONE: "the guardian's second process was killed",
    Cause.GUARDIAN_GONE: "the guardian was killed",
    Cause.GUARDIAN_STUCK: "the guardian no longer answered and was replaced",
}


def unfreeze_commands(paths: Iterable[str]) -> str:
    """Return the commands that thaw these mount points without snap-self."""
    return ", ".join(f"`{command('fsfreeze', '--unfreeze', path)}`" for path in paths)


class Outcome(Enum):
    """How the freeze of one filesystem ended."""

    NOT_FROZEN = "not frozen"
    THAWED = "thawed"
    THAWED_EARLY = "thawed by somebody else"
    MAYBE_FROZEN = "may still be frozen"


@dataclass(frozen=True, slots=True, kw_only=True)
class FrozenFilesystem:
    """One filesystem's part in a freeze; times in seconds, 0 for what did not happen.

    Args:
        warm_up_s: the freeze and thaw beforehand; writers were blocked most of that time.
        freeze_s: the freeze call.
        frozen_s: from the start of the freeze call to the end of the thaw.
        thaw_s: the thaw call.
    """

    path: str
    fstype: str
    outcome: Outcome
    warm_up_s: float
    freeze_s: float
    frozen_s: float
    thaw_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class FreezeResult:
    """The result of a freeze.

    Args:
        held: every filesystem was frozen until the agent asked for the thaw, and nobody else
            thawed one. Only then is the snapshot filesystem-consistent.
        why: why it was not held, empty if it was.
        frozen_s: from the first freeze call to the end of the last thaw.
        warm_up_s: the brief freezes and thaws before it, all in parallel.
        sync_s: writing dirty data out before that.
        notes: safeguards that were not available.
    """

    filesystems: tuple[FrozenFilesystem, ...]
    held: bool
    why: str
    frozen_s: float
    warm_up_s: float
    sync_s: float
    notes: tuple[str, ...]

    @property
    def maybe_frozen(self) -> tuple[str, ...]:
        """Return the mount points that may still be frozen."""
        return tuple(f.path for f in self.filesystems if f.outcome is Outcome.MAYBE_FROZEN)

    def fault(self) -> ThawFailed | None:
        """Return the error to end with if something may still be frozen."""
        if not self.maybe_frozen:
            return None
        return ThawFailed(
            f"may still be frozen: {', '.join(self.maybe_frozen)}",
            hint=f"run `snap-self thaw`, or {unfreeze_commands(self.maybe_frozen)}",
            details=self.why,
        )


class Story:
    """The state of a freeze according to the messages so far."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.ready: Message | None = None
        self.synced: Message | None = None
        self.refused: Message | None = None
        self.stuck: Message | None = None
        self.stuck_at: set[int] = set()
        self.warmed: dict[int, Message] = {}
        self.done: Message | None = None
        self.held = False
        self.ended = False
        self.not_ours: set[int] = set()
        self.frozen: dict[int, Message] = {}
        self.thawed: dict[int, Message] = {}

    def take(self, message: Message) -> None:
        kind = message.kind
        if kind is Kind.READY:
            self.ready = message
        elif kind is Kind.SYNCED:
            self.synced = message
        elif kind in (Kind.REFUSED, Kind.SYNC_REFUSED):
            self.refused = self.refused or message
            self.stuck_at.discard(message.index)
            self.not_ours.add(message.index)
        elif kind is Kind.WARMED:
            self.warmed[message.index] = message
            self.stuck_at.discard(message.index)
        elif kind is Kind.FROZEN:
            self.frozen[message.index] = message
        elif kind is Kind.HELD:
            self.held = True
        elif kind is Kind.THAWED:
            self.thawed[message.index] = message
        elif kind is Kind.STUCK:
            self.stuck = message
            self.stuck_at.add(message.index)
        elif kind is Kind.DONE:
            # The first cause is the true one: an understudy that cleans up adds another.
            self.done = self.done or message

    def is_thawed(self, index: int) -> bool:
        """Return whether a filesystem is known to be no longer frozen by us."""
        message = self.thawed.get(index)
        return message is not None and message.number in (0, EINVAL)

    def flight(self) -> set[int]:
        """Return the filesystems that an unanswered call may be freezing or may have frozen."""
        if self.synced is None or self.held:
            return set()
        if self.stuck is not None:
            unanswered = self.stuck_at - self.frozen.keys()
        elif self.done is not None:
            unanswered = set()
        else:
            unanswered = set(range(self.count)) - self.frozen.keys() - self.not_ours
        return {index for index in unanswered if not self.is_thawed(index)}

    def maybe_frozen(self) -> list[int]:
        """Return what may be frozen now, outermost first, which is the order of thawing."""
        held = {index for index in self.frozen if not self.is_thawed(index)}
        return sorted(held | self.flight(), reverse=True)


def sum_up(story: Story, targets: Sequence[FreezeTarget], *, took_over: bool) -> FreezeResult:
    """Return the result of a freeze.

    Args:
        took_over: the agent itself had to thaw something.
    """
    maybe = set(story.maybe_frozen())
    parts = tuple(
        _part(target, story, index, maybe=index in maybe) for index, target in enumerate(targets)
    )
    starts = [message.first for message in story.frozen.values()]
    ends = [message.second for message in story.thawed.values()]
    why = _why(story, parts, took_over=took_over)
    return FreezeResult(
        filesystems=parts,
        held=not why,
        why=why,
        frozen_s=_seconds(min(starts), max(ends)) if starts and ends else 0.0,
        warm_up_s=_span(story.warmed.values()),
        sync_s=_seconds(story.synced.first, story.synced.second) if story.synced else 0.0,
        notes=_notes(story.ready),
    )


def _why(story: Story, parts: Sequence[FrozenFilesystem], *, took_over: bool) -> str:
    """Return why the freeze was not held; empty if it was."""
    if story.refused is not None:
        number = story.refused.number
        refused = Cause.FREEZE_REFUSED if story.synced else Cause.SYNC_REFUSED
        reason = _ERRNO.get(number) or os.strerror(number)
        return f"{_WHY[refused]}: {parts[story.refused.index].path}: {reason}"
    last = story.done or story.stuck
    if took_over or last is None:
        return "the guardian was lost, so the agent ended the freeze"
    if last.cause is not Cause.ASKED:
        return _WHY[last.cause] + _sender(last)
    bad = [f"{p.path}: {p.outcome.value}" for p in parts if p.outcome is not Outcome.THAWED]
    return "; ".join(bad)


def _sender(message: Message) -> str:
    told = message.kind is Kind.DONE and message.cause in (Cause.TERMINATED, Cause.HUNG_UP)
    if not told or not message.number:
        return ""
    return f" by process {message.number} (`snap-self thaw` and another run do that)"


def _part(target: FreezeTarget, story: Story, index: int, *, maybe: bool) -> FrozenFilesystem:
    froze = story.frozen.get(index)
    thawed = story.thawed.get(index)
    if maybe:
        outcome = Outcome.MAYBE_FROZEN
    elif froze is None:
        outcome = Outcome.NOT_FROZEN
    elif thawed is not None and thawed.number:
        outcome = Outcome.THAWED_EARLY
    else:
        outcome = Outcome.THAWED
    return FrozenFilesystem(
        path=target.path,
        fstype=target.fstype,
        outcome=outcome,
        warm_up_s=_span([story.warmed[index]] if index in story.warmed else []),
        freeze_s=_seconds(froze.first, froze.second) if froze else 0.0,
        frozen_s=_seconds(froze.first, thawed.second) if froze and thawed else 0.0,
        thaw_s=_seconds(thawed.first, thawed.second) if thawed else 0.0,
    )


def _seconds(start_ns: int, end_ns: int) -> float:
    return (end_ns - start_ns) / 1e9


def _span(messages: Collection[Message]) -> float:
    if not messages:
        return 0.0
    return _seconds(min(m.first for m in messages), max(m.second for m in messages))


def _notes(ready: Message | None) -> tuple[str, ...]:
    bits = ready.number if ready else 0
    notes = []
    if not bits & Readiness.MEMORY_LOCKED:
        notes.append("the guardian's memory could not be locked")
    if not bits & Readiness.OOM_EXEMPT:
        notes.append("the guardian could not be exempted from the out-of-memory killer")
    return tuple(notes)
