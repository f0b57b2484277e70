"""One run at a time: a lock on a file, which the kernel frees when its holder dies."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from snap_self.errors import LockHeld
from snap_self.model.shown import shown
from snap_self.ports import Clock
from snap_self.system.files import PRIVATE_FILE, make_private_folder, state_faults

FIRST_PAUSE_S = 0.1
MAX_PAUSE_S = 1.0
MAX_NOTE_BYTES = 4096


class FileLock:
    """Implement ``ports.RunLock`` with ``flock`` on a file of the state directory.

    The file is never removed: whoever waits on a removed file would not see the next holder. What
    it says only serves messages. Programs that the holder starts do not get the descriptor.

    Source: flock(2): the lock belongs to the open file description, not to the process.
    """

    def __init__(self, directory: Path, clock: Clock, *, name: str = "lock") -> None:
        self._path = directory / name
        self._clock = clock

    @contextmanager
    def hold(self, *, timeout_s: float, purpose: str) -> Iterator[None]:
        """Hold the lock inside the block, after waiting at most that long.

        Raises:
            LockHeld: another run still holds it.
            StateUnusable: the lock file cannot be opened.
        """
        with self._opened() as descriptor:
            if not self._wait(descriptor, timeout_s):
                raise LockHeld(
                    f"another run of snap-self holds the lock{_holder(descriptor)}",
                    hint=f"it was waited for {timeout_s:g} s; try again when it has ended",
                )
            self._note(descriptor, purpose)
            try:
                yield
            finally:
                _release(descriptor)

    @contextmanager
    def attempt(self, *, purpose: str) -> Iterator[bool]:
        """Hold the lock inside the block if it is free now; give whether it is held.

        Raises:
            StateUnusable: the lock file cannot be opened.
        """
        with self._opened() as descriptor:
            held = self._take(descriptor)
            if held:
                self._note(descriptor, purpose)
            try:
                yield held
            finally:
                if held:
                    _release(descriptor)

    @contextmanager
    def _opened(self) -> Iterator[int]:
        with state_faults(self._path, doing="opened"):
            make_private_folder(self._path.parent)
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
            descriptor = os.open(self._path, flags, PRIVATE_FILE)
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def _wait(self, descriptor: int, timeout_s: float) -> bool:
        end = self._clock.monotonic() + timeout_s
        pause_s = FIRST_PAUSE_S
        while not self._take(descriptor):
            left_s = end - self._clock.monotonic()
            if left_s <= 0:
                return False
            self._clock.sleep(min(pause_s, left_s))
            pause_s = min(2 * pause_s, MAX_PAUSE_S)
        return True

    def _take(self, descriptor: int) -> bool:
        with state_faults(self._path, doing="locked"):
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
        return True

    def _note(self, descriptor: int, purpose: str) -> None:
        since = f"{self._clock.now():%Y-%m-%d %H:%M:%S} UTC"
        note = json.dumps({"pid": os.getpid(), "purpose": purpose[:300], "since": since})
        # On a full disk the lock is as good without it.
        with suppress(OSError):
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, note.encode(), 0)


def _release(descriptor: int) -> None:
    with suppress(OSError):
        os.ftruncate(descriptor, 0)
    # Not left to close(): a child that was forked meanwhile would keep the lock.
    fcntl.flock(descriptor, fcntl.LOCK_UN)


def _holder(descriptor: int) -> str:
    """Return who says to hold the lock, in words; empty if the file does not say."""
    try:
        note = json.loads(os.pread(descriptor, MAX_NOTE_BYTES, 0))
    except (OSError, ValueError, RecursionError):
        return ""
    if not isinstance(note, dict):
        return ""
    pid, purpose, since = (note.get(key) for key in ("pid", "purpose", "since"))
    if type(pid) is not int or not isinstance(purpose, str) or not isinstance(since, str):
        return ""
    return f": process {pid}, {shown(purpose)}, since {since[:40]}"
