"""Asks the process that opens and closes copies, and does not wait for it for ever."""

from __future__ import annotations

import marshal
import socket
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from snap_self.errors import (
    CopyDamaged,
    CopyInUse,
    CopyNotOpened,
    CopySlow,
    CopyUnlike,
)
from snap_self.ports import Clock
from snap_self.system.opening.child import MOST_BYTES
from snap_self.system.opening.stacked import attribute, name_of
from snap_self.system.opening.work import BUSY, DAMAGED, UNLIKE
from snap_self.system.piped_child import start_piped

IDLE_S = 300.0
TOTAL_S = 3600.0
_LOOK_S = 1.0
_MOST_FDS = 128
"""More disks than an instance can have."""
_CHILD = "snap_self.system.opening.child"
_ERRORS: Mapping[str, type[CopyNotOpened]] = {
    BUSY: CopyInUse,
    UNLIKE: CopyUnlike,
    DAMAGED: CopyDamaged,
}
_HINTS: Mapping[str, str] = {
    BUSY: "see who uses it: lsblk, and fuser -vm with the device",
    UNLIKE: "the disk was divided or formatted anew since; restore with the snapshot's own layout",
    DAMAGED: "see the kernel's log (dmesg); snap-self verify tells what this snapshot is worth",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How long a process may take.

    Args:
        idle_s: so long without any transfer of the disks.
        total_s: altogether.
    """

    idle_s: float = IDLE_S
    total_s: float = TOTAL_S


class Aside:
    """Starts one process a question, and leaves it behind if it does not answer."""

    def __init__(self, clock: Clock, limits: Limits) -> None:
        self._clock = clock
        self._limits = limits
        self._prepared: _Line | None = None

    def prepare(self) -> None:
        """Start the process of the next question beforehand; it ends with this one.

        What cannot be started now is told when it is asked.
        """
        if self._prepared is None:
            with suppress(OSError):
                self._prepared = _Line()

    def ask(
        self, name: str, disks: Iterable[str], arguments: Mapping[str, object]
    ) -> tuple[Any, Sequence[int]]:
        """Return the answer, and the descriptors that came with it.

        Args:
            disks: device nodes whose transfers are progress.

        Raises:
            CopyNotOpened: what the process says, or that it did not answer.
        """
        with self._begin(marshal.dumps((name, dict(arguments)))) as line:
            try:
                return self._answer(line.ours, tuple(disks))
            except ConnectionResetError as error:
                raise _died() from error

    def _begin(self, question: bytes) -> _Line:
        """Return a process that has its question."""
        line, self._prepared = self._prepared, None
        if line is not None:
            if line.send(question):
                return line
            line.close()  # it was killed
        try:
            line = _Line()
        except OSError as error:
            raise CopyNotOpened(
                f"no process could be started to open the copy: {error.strerror}"
            ) from error
        if not line.send(question):
            line.close()
            raise _died()
        return line

    def _answer(self, line: socket.socket, disks: tuple[str, ...]) -> tuple[Any, Sequence[int]]:
        line.settimeout(_LOOK_S)
        begun = seen = self._clock.monotonic()
        transfers = _transfers(disks)
        while True:
            try:
                data, fds, _, _ = socket.recv_fds(
                    line, MOST_BYTES, _MOST_FDS, socket.MSG_CMSG_CLOEXEC
                )
            except TimeoutError:
                now = self._clock.monotonic()
                if transfers != (transfers := _transfers(disks)):
                    seen = now
                if now - seen > self._limits.idle_s or now - begun > self._limits.total_s:
                    raise _slow(disks, now - begun) from None
                continue
            return _read(data, fds)


class _Line:
    """A process, and this one's end of the socket to it.

    Raises:
        OSError: it could not be started.
    """

    def __init__(self) -> None:
        self.ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            number = theirs.fileno()
            self._child = start_piped(_CHILD, (str(number),), fds=(number,))
        except OSError:
            self.ours.close()
            raise
        finally:
            theirs.close()

    def send(self, question: bytes) -> bool:
        """Tell whether there is somebody to hear it."""
        try:
            self.ours.send(question)
        except (BrokenPipeError, ConnectionResetError):
            return False
        return True

    def close(self) -> None:
        self.ours.close()
        self._child.close()

    def __enter__(self) -> _Line:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _read(data: bytes, fds: Sequence[int]) -> tuple[Any, Sequence[int]]:
    if not data:
        raise _died()
    kind, value = marshal.loads(data)  # nosec B302  # noqa: S302 - our own process
    if kind == "done":
        return value, fds
    trouble, message, told = value
    raise _ERRORS.get(trouble, CopyNotOpened)(message, hint=_HINTS.get(trouble, ""), details=told)


def _died() -> CopyNotOpened:
    return CopyNotOpened("the process that opens the copy ended without an answer")


def _slow(disks: tuple[str, ...], seconds: float) -> CopySlow:
    return CopySlow(
        f"{', '.join(disks)} did not answer for {seconds:.0f} s",
        hint="try again later: a disk made from a snapshot can be slow at first",
    )


def _transfers(disks: tuple[str, ...]) -> list[str]:
    return [attribute(name_of(node), "stat") for node in disks]
