"""What the quiesce session works with: things that are brought to rest and released again."""

from __future__ import annotations

from typing import Protocol


class Quiescer(Protocol):
    """One thing that is brought to rest before the cut and released after the thaw."""

    @property
    def name(self) -> str:
        """For people: ``hook 10-app``, ``postgresql 15/main``."""
        ...

    def start(self, *, deadline: float) -> None:
        """Bring it to rest before the clock's monotonic time ``deadline``.

        Raises:
            QuiesceFailed: it could not be; nothing is held then.
        """
        ...

    def check(self) -> str:
        """Return an empty text while it is surely still at rest, else why not; writes nothing."""
        ...

    def stop(self) -> str:
        """Release it, also when called twice; return an empty text or what went wrong."""
        ...
