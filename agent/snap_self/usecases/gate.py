"""Keep quiet while filesystems are frozen: a terminal, a pipe or a log may hang with them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from snap_self.model.progress import Event, Listener


class Gate:
    """Passes events on to a listener; while shut it keeps them and passes them on afterwards."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._shut = False
        self._kept: list[Event] = []

    def __call__(self, event: Event) -> None:
        """Pass one event on, now or when the gate opens."""
        if self._shut:
            self._kept.append(event)
        else:
            self._listener(event)

    @property
    def is_shut(self) -> bool:
        """Tell whether anything may be frozen now, so that nothing may be written."""
        return self._shut

    @contextmanager
    def shut(self) -> Iterator[None]:
        """Keep every event inside the block; pass them on in order after it."""
        self._shut = True
        try:
            yield
        finally:
            self._shut = False
            kept, self._kept = self._kept, []
            for event in kept:
                self._listener(event)
