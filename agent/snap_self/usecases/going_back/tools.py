"""What going back while the system runs works with, wired by the command line."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from snap_self.model.going_back import ReturnId
from snap_self.model.progress import Event, EventKind, Listener
from snap_self.ports import Clock, Inhibitor, RunLock
from snap_self.ports_going_back import Ground, OwnDisks, ReturnStore
from snap_self.usecases.tools import Here


@dataclass(frozen=True, slots=True, kw_only=True)
class GoingBack:
    """Everything outside that disks going back may touch.

    Args:
        copies_lock: that of the copies: an instance attaches and detaches one disk at a time.
        disks: what detaches, resets and attaches, over the one client of a command.
        new_id: from the wall clock and a random part.
        kept: directories that must stay where they are.
        boot_id: of the boot that goes on.
    """

    clock: Clock
    copies_lock: RunLock
    returns: ReturnStore
    disks: Callable[[Here], OwnDisks]
    ground: Ground
    inhibitor: Inhibitor
    listener: Listener
    new_id: Callable[[], ReturnId]
    kept: tuple[str, ...]
    boot_id: str

    def step(self, text: str) -> None:
        """Tell what is done now."""
        self.listener(Event(kind=EventKind.STEP, text=text, state="rollback"))

    def warn(self, text: str) -> None:
        """Tell what did not go as it should."""
        self.listener(Event(kind=EventKind.WARNING, text=text))
