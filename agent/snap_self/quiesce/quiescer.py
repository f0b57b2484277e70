"""What a quiesce session brings to rest and releases again."""

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
            QuiesceFailed: it could not be brought to rest; then nothing is held.
        """
        ...

    def check(self) -> str:
        """Return an empty text while it is certainly still at rest, else why not; write nothing."""
        ...

    def stop(self) -> str:
        """Release it; a second call is allowed. Return an empty text or what went wrong."""
        ...
