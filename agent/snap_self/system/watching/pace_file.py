"""A file that remembers when a robot was last given a message; on tmpfs, where nothing freezes."""

from __future__ import annotations

import errno
import fcntl
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from snap_self.errors import StateUnusable
from snap_self.model.notifying import Pace
from snap_self.ports import Clock
from snap_self.system.state.files import PRIVATE_FILE, open_private_file
from snap_self.system.state.plainform import ShapeError, from_plain, to_plain

MOST_BYTES = 65536
WAIT_S = 2.0
LOOK_S = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class PaceFile:
    """Implement ``ports.NoticePace``.

    Args:
        path: in a private folder.
        make_folder: makes it if it is missing, and refuses what others can change.
    """

    path: Path
    clock: Clock
    make_folder: Callable[[Path], None]

    def change(self, change: Callable[[Pace], Pace]) -> Pace:
        """Replace what is remembered by what the function makes of it, and return that.

        Raises:
            OSError: nothing can be remembered.
        """
        with self._opened() as descriptor:
            pace = change(_read(descriptor))
            text = json.dumps(to_plain(pace)).encode()
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, text, 0)
        return pace

    @contextmanager
    def _opened(self) -> Iterator[int]:
        """Open the file for one process at a time; its lock ends with its descriptor."""
        try:
            self.make_folder(self.path.parent)
        except StateUnusable as error:
            raise OSError(errno.EPERM, error.message, str(self.path)) from None
        descriptor = open_private_file(self.path, os.O_RDWR | os.O_CREAT)
        try:
            os.fchmod(descriptor, PRIVATE_FILE)
            self._lock(descriptor)
            yield descriptor
        finally:
            os.close(descriptor)

    def _lock(self, descriptor: int) -> None:
        until = self.clock.monotonic() + WAIT_S
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if self.clock.monotonic() >= until:
                    raise
                self.clock.sleep(LOOK_S)
            else:
                return


def _read(descriptor: int) -> Pace:
    """Return what the file holds; a new one, or one that is damaged, holds nothing."""
    try:
        pace: Pace = from_plain(Pace, json.loads(os.pread(descriptor, MOST_BYTES, 0)), "pace")
    except (ValueError, RecursionError, ShapeError):
        return Pace()
    return pace
