"""The log of a run: the steps that its plan names, as they are done, each with its time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from snap_self.errors import SnapSelfError
from snap_self.model.plan import Step
from snap_self.model.progress import Event, EventKind, Listener
from snap_self.model.report import StepReport
from snap_self.ports import Clock

DONE = "done"


def failed(error: SnapSelfError) -> str:
    """Return the result of a step that ended so."""
    return f"failed: {error.code}"


class StepLog:
    """Times steps and tells the listener about them."""

    def __init__(self, clock: Clock, listener: Listener) -> None:
        self._clock = clock
        self._listener = listener
        self.steps: list[StepReport] = []

    @contextmanager
    def step(self, *steps: Step, told: str = "") -> Iterator[list[str]]:
        """Do steps of a plan side by side; their time and results are kept, also when they fail.

        Args:
            told: what the listener is told of them; empty for nothing.

        Yields:
            The result of each, which is ``done`` unless it is changed.
        """
        if told and steps:
            self._listener(Event(kind=EventKind.STEP, text=told, state=steps[0].name.value))
        started = self._clock.monotonic()
        done, results = [DONE for _ in steps], ["failed" for _ in steps]
        try:
            yield done
            results = done
        except SnapSelfError as error:
            results = [failed(error) for _ in steps]
            raise
        finally:
            seconds = round(self._clock.monotonic() - started, 3)
            for step, result in zip(steps, results, strict=True):
                self.add(step, seconds=seconds, result=result)

    def add(self, step: Step, *, seconds: float, result: str = DONE) -> None:
        """Add a step that was timed elsewhere."""
        self.steps.append(
            StepReport(name=step.name.value, reason=step.sentence, seconds=seconds, result=result)
        )
