"""Protocols for telling those who watch this machine; adapters in ``system/watching/``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from snap_self.model.occurrences import Left, Occurrence
from snap_self.model.summary import Summary, Tally


class TallyStore(Protocol):
    """Keeps what is counted from one command to the next."""

    def is_there(self) -> bool:
        """Tell whether something was counted before."""
        ...

    def read(self) -> Tally:
        """Return what was counted.

        Raises:
            StateUnusable: a user other than root could have written it.
        """
        ...

    def change(
        self, changed: Callable[[Tally], Tally], then: Callable[[Tally], None] = ...
    ) -> None:
        """Put a changed tally in place of the one before.

        Args:
            then: what is made from it, before anybody else may change it.

        Raises:
            StateUnusable, LockHeld: it could not be; the one before is still there.
        """
        ...


class SummaryStore(Protocol):
    """Keeps the summary that everybody may read."""

    def read(self) -> Summary | None:
        """Return it; None where none was ever written.

        Raises:
            StateUnusable: it cannot be read.
        """
        ...

    def write(self, summary: Summary) -> None:
        """Put it in place of the one before.

        Raises:
            StateUnusable: it could not be written.
        """
        ...


class Untold(Protocol):
    """Keeps what could not be counted, on tmpfs: a disk may be full or frozen."""

    def keep(self, happened: Sequence[Occurrence]) -> None:
        """Add it to what is kept, as told; it is no fault if that cannot be done."""
        ...

    def take(self) -> Sequence[Left]:
        """Return what is kept; under the lock of the tally, or two count the same."""
        ...

    def drop(self) -> None:
        """Forget what was taken, now that it is counted; what came meanwhile stays."""
        ...


class EventLog(Protocol):
    """The system's journal."""

    def tell(self, fields: Mapping[str, str]) -> None:
        """Write a message; never waits, and it is no fault if there is nobody to take it."""
        ...

    def complain(self, text: str) -> None:
        """Write that something of the telling itself went wrong."""
        ...


class Notifier(Protocol):
    """Sends what happened to whoever is named in the configuration, in a process of its own."""

    def __call__(self, happened: Sequence[Occurrence], /) -> None:
        """Start it and return at once; does nothing where nobody is named."""
        ...
