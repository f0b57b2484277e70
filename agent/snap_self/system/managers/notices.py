"""Notices from the process that takes the snapshot to the one that started it: lines in a pipe."""

from __future__ import annotations

import os
import stat

from snap_self.model.job_end import BEGUN, DELAYED, NOTICES, THROTTLED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

OPTION = "--notices"
_CHUNK = 4096


class Notices:
    """The sending end; the process that started this one may not listen.

    Args:
        descriptor: the pipe's; any other kind of descriptor is left alone.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor if _is_pipe(descriptor) else None
        self._told: set[str] = set()
        if self._descriptor is not None:
            os.set_inheritable(self._descriptor, False)

    def delayed(self, seconds: float) -> None:
        self._tell(DELAYED, seconds)

    def begun(self) -> None:
        self._tell(BEGUN)

    def throttled(self) -> None:
        """Tell that the cloud throttled a call."""
        self._tell(THROTTLED)

    def _tell(self, word: str, seconds: float = 0.0) -> None:
        if self._descriptor is None or word in self._told:
            return
        self._told.add(word)
        try:
            os.write(self._descriptor, f"{word} {seconds:.0f}\n".encode())
        except OSError:
            return  # the reader is gone


class NoticePipe:
    """The receiving end."""

    def __init__(self) -> None:
        self.reading, self.writing = os.pipe()
        os.set_blocking(self.reading, False)
        self._rest = b""

    def taken(self) -> Iterator[tuple[str, float]]:
        """Yield the notices since the last call; leave out what is not a notice."""
        try:
            self._rest += os.read(self.reading, _CHUNK)
        except OSError:
            return
        *lines, self._rest = self._rest[-_CHUNK:].split(b"\n")
        for line in lines:
            word, _, number = line.decode("ascii", "replace").partition(" ")
            if word in NOTICES and number.isdecimal():
                yield word, float(number)

    def close_writing(self) -> None:
        """Close the sending end once the other process has it."""
        if self.writing >= 0:
            os.close(self.writing)
            self.writing = -1

    def close(self) -> None:
        self.close_writing()
        os.close(self.reading)


def _is_pipe(descriptor: int) -> bool:
    try:
        return descriptor > 2 and stat.S_ISFIFO(os.fstat(descriptor).st_mode)
    except OSError:
        return False
