"""What is read beside the work, and given up where it takes long."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from snap_self.errors import SnapSelfError
from snap_self.threads.thread import Thread

T = TypeVar("T")


class Aside(Generic[T]):
    """Something read on a thread of its own that nobody has to wait for to its end.

    The thread does not keep the process from ending.
    """

    def __init__(self, read: Callable[[], T], name: str) -> None:
        self._box: list[T | SnapSelfError] = []
        self._worker = Thread(target=self._work, args=(read,), name=name, daemon=True)
        self._worker.start()

    def _work(self, read: Callable[[], T]) -> None:
        try:
            self._box.append(read())
        except SnapSelfError as error:
            self._box.append(error)

    def result(self, *, within_s: float, otherwise: T) -> T:
        """Return what was read, or something else where it does not come in time.

        Raises:
            SnapSelfError: it could not be read.
        """
        self._worker.join(max(0.0, within_s))
        found = self._box[0] if self._box else otherwise
        if isinstance(found, SnapSelfError):
            raise found
        return found
