"""One run at a time: locks on files, which the kernel frees when their holder dies."""

from __future__ import annotations

import errno
import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from snap_self.errors import LockHeld
from snap_self.model.shown import shown
from snap_self.ports import Clock, RunLock
from snap_self.system.state.files import make_private_folder, open_private_file, state_faults

FIRST_PAUSE_S = 0.1
MAX_PAUSE_S = 1.0
MAX_NOTE_BYTES = 4096
# A folder in which nothing can be created holds no freeze marker either.
_UNWRITABLE = frozenset((errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EACCES))


class FileLock:
    """Implement ``ports.RunLock`` with ``flock`` on a file in a folder of the agent.

    The file is never removed: a process that waits on a removed file would not see the next holder.
    Its content is only for messages. Programs that the holder starts do not get the descriptor.

    Args:
        required: if False and the file cannot be created, there is nothing to hold.

    Source: flock(2): the lock belongs to the open file description, not to the process.
    """

    def __init__(
        self, directory: Path, clock: Clock, *, name: str = "lock", required: bool = True
    ) -> None:
        self._path = directory / name
        self._clock = clock
        self._required = required

    @contextmanager
    def hold(self, *, timeout_s: float, purpose: str) -> Iterator[None]:
        """Hold the lock inside the block; wait for it at most that long.

        Raises:
            LockHeld: another run still holds it.
            StateUnusable: the lock file cannot be opened.
        """
        with self._opened() as descriptor:
            if descriptor is None:
                yield
                return
            if not self._wait(descriptor, timeout_s):
                raise LockHeld(
                    f"another run of snap-self holds the lock{_holder(descriptor)}",
                    hint=f"snap-self waited {timeout_s:g} s for it; try again when it has ended",
                )
            self._note(descriptor, purpose)
            try:
                yield
            finally:
                _release(descriptor)

    @contextmanager
    def attempt(self, *, purpose: str) -> Iterator[bool]:
        """Hold the lock inside the block if it is free now; yield whether it is held.

        Raises:
            StateUnusable: the lock file cannot be opened.
        """
        with self._opened() as descriptor:
            if descriptor is None:
                yield True
                return
            held = self._take(descriptor)
            if held:
                self._note(descriptor, purpose)
            try:
                yield held
            finally:
                if held:
                    _release(descriptor)

    @contextmanager
    def _opened(self) -> Iterator[int | None]:
        with state_faults(self._path, doing="opened"):
            descriptor = self._open()
        try:
            yield descriptor
        finally:
            if descriptor is not None:
                os.close(descriptor)

    def _open(self) -> int | None:
        try:
            make_private_folder(self._path.parent)
            return open_private_file(self._path, os.O_RDWR | os.O_CREAT)
        except OSError as error:
            if self._required or error.errno not in _UNWRITABLE:
                raise
            return None

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
        # On a full disk the lock works without this text.
        with suppress(OSError):
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, note.encode(), 0)


def _release(descriptor: int) -> None:
    with suppress(OSError):
        os.ftruncate(descriptor, 0)
    # close() alone is not enough: a child forked meanwhile would keep the lock.
    fcntl.flock(descriptor, fcntl.LOCK_UN)


class JoinedLocks:
    """Implement ``ports.RunLock`` with several locks that are only held together.

    Args:
        locks: in the order in which every process takes them, so that no two wait for each other.
    """

    def __init__(self, clock: Clock, *locks: RunLock) -> None:
        self._clock = clock
        self._locks = locks

    @contextmanager
    def hold(self, *, timeout_s: float, purpose: str) -> Iterator[None]:
        """Hold all inside the block; wait at most that long for all together.

        Raises:
            LockHeld: another run still holds one of them.
            StateUnusable: a lock file cannot be opened.
        """
        end = self._clock.monotonic() + timeout_s
        with ExitStack() as held:
            for lock in self._locks:
                left_s = max(0.0, end - self._clock.monotonic())
                held.enter_context(lock.hold(timeout_s=left_s, purpose=purpose))
            yield

    @contextmanager
    def attempt(self, *, purpose: str) -> Iterator[bool]:
        """Hold all inside the block if they are free now; yield whether they are held.

        Raises:
            StateUnusable: a lock file cannot be opened.
        """
        with ExitStack() as held:
            yield all(held.enter_context(lock.attempt(purpose=purpose)) for lock in self._locks)


def _holder(descriptor: int) -> str:
    """Return the holder as the file names it, in words; empty if it names none."""
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
