"""What looking back works with, wired by the command line."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from snap_self.model.progress import Event, EventKind, Listener
from snap_self.model.temporary import RestoreId
from snap_self.ports import Clock, Inhibitor, RunLock
from snap_self.ports_looking_back import Copier, CopyOpener, CopyStore, MountPoints, TemporaryDisks
from snap_self.usecases.tools import Here

Warnings = Callable[[str], Sequence[str]]
"""Gets a run and tells what is to be known of paths before they are brought back from it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LookingBack:
    """Everything outside that a copy's life may touch.

    Args:
        lock: held by whoever opens or ends copies. It is not that of the runs: a snapshot before a
            change never waits for a restore or for a disk that does not let go.
        disks: what makes and ends temporary disks, over the one client of a command.
        new_id: from the wall clock and a random part.
        ask_packages: begins to ask which packages paths belong to; what it returns is then told a
            run, and tells which of them have another version by now, in words.
        prepare: begins what takes this process time, while the cloud makes a disk.
        boot_id: of the boot that goes on.
        max_gib: how large a disk may be that is made without ``--yes``.
    """

    clock: Clock
    lock: RunLock
    copies: CopyStore
    disks: Callable[[Here], TemporaryDisks]
    opener: CopyOpener
    copier: Copier
    inhibitor: Inhibitor
    places: MountPoints
    listener: Listener
    new_id: Callable[[], RestoreId]
    ask_packages: Callable[[Sequence[str]], Warnings] = lambda paths: lambda run: ()  # noqa: ARG005
    prepare: Callable[[], None] = lambda: None
    boot_id: str = ""
    max_gib: int = 500

    def step(self, text: str) -> None:
        """Tell what is done now."""
        self.listener(Event(kind=EventKind.STEP, text=text, state="copy"))

    def warn(self, text: str) -> None:
        """Tell what did not go as it should."""
        self.listener(Event(kind=EventKind.WARNING, text=text))
