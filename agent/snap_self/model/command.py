"""The change's own command: may it be started, how did it end, and what is passed on of that."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, IntEnum

from snap_self.errors import ExitStatus

# A shell adds this to the number of the signal that ended a command.
SIGNALLED = 128
# signal(7)
SIGINT = 2
MADE = frozenset({ExitStatus.DONE, ExitStatus.WEAKER, ExitStatus.LEFT_OUT})


class OnSnapshotFailure(Enum):
    """What becomes of the command when the snapshot was not made."""

    STOP = "stop"
    RUN = "run"


class NotStartable(IntEnum):
    """Why a command cannot be started, as the status that env(1) ends with."""

    NOT_EXECUTABLE = 126
    NOT_FOUND = 127


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a command ended.

    Args:
        status: its exit status; None when a signal ended it.
        signal: number of the signal that ended it; None when it exited.
        signal_name: that signal's name, for people.
    """

    status: int | None = None
    signal: int | None = None
    signal_name: str = ""

    @property
    def failed(self) -> bool:
        """Tell whether it ended in any other way than with status 0."""
        return self.status != 0

    @property
    def interrupted(self) -> bool:
        """Tell whether it ended because the user had it end by Ctrl-C, or says so itself."""
        return SIGINT in (self.signal, (self.status or 0) - SIGNALLED)

    @property
    def exit_status(self) -> int:
        """What a shell would show for it."""
        if self.signal is not None:
            return SIGNALLED + self.signal
        return self.status or 0

    def words(self) -> str:
        """Say it in a few words that are also good for a tag."""
        if self.signal is not None:
            return f"ended by {self.signal_name or f'signal {self.signal}'}"
        return "done" if not self.failed else f"failed with status {self.status}"


def may_start(snapshot: ExitStatus, policy: OnSnapshotFailure) -> bool:
    """Tell whether the command may be started after a main job that ended so.

    Where a filesystem may still be frozen it never may: it would hang.
    """
    if snapshot is ExitStatus.MAYBE_FROZEN:
        return False
    return snapshot in MADE or policy is OnSnapshotFailure.RUN


def lasted(seconds: float) -> str:
    """Return how long it took, in words."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, left = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {left} s"
