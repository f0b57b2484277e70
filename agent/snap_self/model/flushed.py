"""What became of a flush: values from which its worth follows, not sentences."""

from __future__ import annotations

import os
from dataclasses import dataclass
from enum import Enum

from snap_self.model.flushing import FlushTarget, unreachable
from snap_self.model.snapshots import Consistency


class SyncFault(Enum):
    """Why a filesystem was not synced."""

    NO_WAY = "no path leads to it"
    NOT_OPENED = "it could not be opened"
    EXCHANGED = "its path leads to something else than the mount table showed"
    NOT_WRITTEN = "it could not be written out"
    LATE = "it was not written out in time"
    BROKEN = "the attempt broke off, by a fault of snap-self"
    SERVED = "the program that serves it may hold data back"


@dataclass(frozen=True, slots=True, kw_only=True)
class Synced:
    """What became of one filesystem.

    Args:
        fault: None when all its data was written.
        error: the errno that told it; 0 if none did.
        way: through what it was tried last; empty if through nothing.
        limit_s: the time limit that ended the wait, if one did.
    """

    target: FlushTarget
    fault: SyncFault | None = None
    error: int = 0
    way: str = ""
    limit_s: float = 0.0

    @property
    def why(self) -> str:
        """Return a sentence; empty when it was synced."""
        if self.fault is None:
            return ""
        if self.fault is SyncFault.NO_WAY:
            return unreachable((self.target,))
        path = self.way or self.target.path
        if self.fault is SyncFault.EXCHANGED:
            return f"{path} was not synced: it is no longer the filesystem that the plan saw"
        if self.fault is SyncFault.SERVED:
            return f"{path} ({self.target.fstype}): {self.fault.value}"
        if self.fault is SyncFault.LATE:
            reason = f"not written to the disk within {self.limit_s:g} s"
        elif self.fault is SyncFault.BROKEN:
            reason = self.fault.value
        else:
            reason = os.strerror(self.error)
        return f"{path} could not be synced: {reason}"


@dataclass(frozen=True, slots=True, kw_only=True)
class FlushResult:
    """What a flush was worth: only with every filesystem synced it is one."""

    parts: tuple[Synced, ...] = ()

    @property
    def level(self) -> Consistency:
        """Return the level that it proved."""
        return Consistency.CRASH if any(p.fault for p in self.parts) else Consistency.FLUSH

    @property
    def lost_writes(self) -> bool:
        """Tell whether the kernel gave up data of a program's; no later sync tells it again."""
        return any(p.fault is SyncFault.NOT_WRITTEN for p in self.parts)

    @property
    def reasons(self) -> tuple[str, ...]:
        """Return why it is no flush, for people, each reason once; nothing if it is one."""
        no_way = [p.target for p in self.parts if p.fault is SyncFault.NO_WAY]
        others = [p.why for p in self.parts if p.fault not in (None, SyncFault.NO_WAY)]
        return tuple(dict.fromkeys(filter(None, (unreachable(no_way), *others))))

    @property
    def why(self) -> str:
        """Return the reasons as one sentence."""
        return "; ".join(self.reasons)
