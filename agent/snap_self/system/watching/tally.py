"""What is counted from one command to the next, in a file of the state directory."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from snap_self.model.summary import Tally
from snap_self.ports import Clock
from snap_self.system.state.jsonfiles import (
    SCHEMA,
    Damaged,
    json_object,
    json_text,
    read_checked,
    write_text,
)
from snap_self.system.state.lock import FileLock
from snap_self.system.state.plainform import ShapeError, from_plain, to_plain

FOLDER = "watch"
NAME = "tally.json"
LOCK = "watch.lock"
# Whoever holds the lock writes one small file.
LOCK_WAIT_S = 1.0


def _nothing(tally: Tally) -> None:
    """Make nothing of it."""
    del tally


class TallyFile:
    """Implement ``ports_watching.TallyStore``.

    Args:
        state: the state directory.
    """

    def __init__(self, state: Path, clock: Clock) -> None:
        self._path = state / FOLDER / NAME
        self._lock = FileLock(state, clock, name=LOCK)

    def is_there(self) -> bool:
        """Tell whether something was counted before."""
        return os.path.exists(self._path)  # noqa: PTH110  (also where it may not be seen)

    def read(self) -> Tally:
        """Return what was counted; nothing where it cannot be read.

        Raises:
            StateUnusable: a user other than root could have written it.
        """
        with suppress(Damaged, FileNotFoundError, ShapeError):
            found: Tally = from_plain(Tally, json_object(read_checked(self._path)), "tally")
            return found
        return Tally()

    def change(
        self, changed: Callable[[Tally], Tally], then: Callable[[Tally], None] = _nothing
    ) -> None:
        """Put a changed tally in place of the one before.

        Args:
            then: what is made from it, before anybody else may change it.

        Raises:
            StateUnusable, LockHeld: it could not be; the one before is still there.
        """
        with self._lock.hold(timeout_s=LOCK_WAIT_S, purpose="count what happened"):
            before = self.read()
            tally = changed(before)
            if tally != before:
                write_text(self._path, json_text({"schema": SCHEMA, **to_plain(tally)}))
            then(tally)
