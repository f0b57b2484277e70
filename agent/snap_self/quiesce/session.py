"""Brings several things to rest before the cut and releases every one of them afterwards."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from types import TracebackType

from snap_self.errors import QuiesceFailed
from snap_self.ports import Clock
from snap_self.quiesce.quiescer import Quiescer


@dataclass(frozen=True, slots=True, kw_only=True)
class QuiesceResult:
    """One thing's part in a quiesce.

    Args:
        started_s: when its start began, in seconds after the first one's.
        seconds: how long its start took.
        ok: it came to rest; a fault of its release does not change that.
        why: why it did not come to rest.
        release_s: how long its release took.
        release_why: what went wrong with its release.
    """

    name: str
    started_s: float
    seconds: float
    ok: bool
    why: str = ""
    release_s: float = 0.0
    release_why: str = ""


class QuiesceSession:
    """A quiesce; enter it before its first effect, and everything is released at the exit.

    Args:
        quiescers: in the order of starting; released in reverse.
        limit_s: for all starts together.
    """

    def __init__(self, quiescers: Sequence[Quiescer], clock: Clock, *, limit_s: float) -> None:
        self._quiescers = tuple(quiescers)
        self._clock = clock
        self._limit_s = limit_s
        self._held: list[tuple[Quiescer, int]] = []
        self._results: list[QuiesceResult] = []

    @property
    def results(self) -> tuple[QuiesceResult, ...]:
        """Return the result of each one that was begun, in the order of starting."""
        return tuple(self._results)

    def __enter__(self) -> QuiesceSession:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Bring everything to rest, in order.

        Raises:
            QuiesceFailed: one could not be; those before it are released.
        """
        begun = self._clock.monotonic()
        for quiescer in self._quiescers:
            try:
                self._start(quiescer, begun)
            except QuiesceFailed:
                self.stop()
                raise

    def check(self) -> str:
        """Return an empty text while everything is certainly at rest, else what is not, and why."""
        found = ((quiescer.name, quiescer.check()) for quiescer, _ in self._held)
        return "; ".join(f"{name}: {why}" for name, why in found if why)

    def stop(self) -> tuple[str, ...]:
        """Release everything in reverse, each once; return what went wrong."""
        faults = []
        try:
            while self._held:
                # Removed only after its release: a signal's exception can come before that.
                quiescer, place = self._held[-1]
                begun = self._clock.monotonic()
                why = quiescer.stop()
                self._held.pop()
                taken_s = self._clock.monotonic() - begun
                self._results[place] = replace(
                    self._results[place], release_s=taken_s, release_why=why
                )
                if why:
                    faults.append(f"{quiescer.name}: {why}")
        finally:
            self._release_rest()
        return tuple(faults)

    def _release_rest(self) -> None:
        """Release what an exception left: try each once more, even if another one fails."""
        if self._held:
            quiescer, _ = self._held[-1]
            try:
                quiescer.stop()
            finally:
                self._held.pop()
                self._release_rest()

    def _start(self, quiescer: Quiescer, first: float) -> None:
        begun = self._clock.monotonic()
        # Held from here: a signal's exception can come at any point of the start, also at its end.
        self._held.append((quiescer, len(self._results)))
        result = QuiesceResult(
            name=quiescer.name, started_s=begun - first, seconds=0.0, ok=False, why="interrupted"
        )
        self._results.append(result)
        try:
            quiescer.start(deadline=first + self._limit_s)
        except QuiesceFailed as error:
            self._held.pop()  # by contract it then holds nothing
            taken_s = self._clock.monotonic() - begun
            self._results[-1] = replace(result, seconds=taken_s, why=error.message)
            raise
        taken_s = self._clock.monotonic() - begun
        self._results[-1] = replace(result, seconds=taken_s, ok=True, why="")
