"""Steps timed, and the journal record kept in step with what has been done."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from snap_self.errors import SnapSelfError
from snap_self.model.progress import Event, EventKind, Listener
from snap_self.model.report import StepReport
from snap_self.model.request import Request
from snap_self.ports import Clock, RunStore

if TYPE_CHECKING:  # a plan has no record
    from snap_self.model.run import RunRecord


def fingerprint(request: Request) -> str:
    """Return a hash that is the same for requests that ask for the same snapshots."""
    import hashlib  # loads OpenSSL, which no plan needs

    keep = "forever" if request.keep_s is None else request.keep_s
    asked = [
        request.before,
        list(request.selection.paths),
        list(request.selection.disks),
        list(request.selection.exclude),
        request.consistency.value,
        keep,
        request.name,
        request.description,
        sorted(request.tags.items()),
    ]
    return hashlib.sha256(json.dumps(asked).encode()).hexdigest()[:32]


class StepLog:
    """Times steps and tells the listener about them."""

    def __init__(self, clock: Clock, listener: Listener) -> None:
        self._clock = clock
        self._listener = listener
        self.steps: list[StepReport] = []

    @contextmanager
    def step(self, name: str, reason: str) -> Iterator[None]:
        """Run one step; its time and result are kept, also when it fails."""
        self._listener(Event(kind=EventKind.STEP, text=reason, state=name))
        started = self._clock.monotonic()
        result = "failed"
        try:
            yield
            result = "done"
        except SnapSelfError as error:
            result = f"failed: {error.code}"
            raise
        finally:
            seconds = round(self._clock.monotonic() - started, 3)
            self.steps.append(StepReport(name=name, reason=reason, seconds=seconds, result=result))

    def add(self, name: str, reason: str, *, seconds: float, result: str) -> None:
        """Add a step that was timed elsewhere."""
        self.steps.append(StepReport(name=name, reason=reason, seconds=seconds, result=result))


class Recorder:
    """Holds the run's record and saves it before each thing that must not be forgotten."""

    def __init__(self, store: RunStore, record: RunRecord) -> None:
        self._store = store
        self.record = record

    def save(self, **changes: Any) -> None:
        """Change fields of the record and put it safely on disk."""
        self.record = replace(self.record, **changes)
        self._store.save(self.record)
