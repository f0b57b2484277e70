"""The journal record of a run, kept in step with what has been done."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields, replace
from datetime import datetime
from enum import Enum
from typing import Any

from snap_self.errors import SnapSelfError, StateUnusable
from snap_self.model.asked import CutUnseen
from snap_self.model.disks import Selection
from snap_self.model.progress import Event, EventKind, Listener
from snap_self.model.request import Request
from snap_self.model.result import Result
from snap_self.model.run import RunRecord, Stage
from snap_self.ports import RunStore
from snap_self.usecases.job.facts import RunFacts

# Fields of a request that say how it is waited for, not what is made. A request that differs in
# these alone finishes a run that did not come to its end.
BESIDE = frozenset(
    {
        *("on_quiesce_failure", "wait", "timeout_s", "reuse_s", "waited_for", "spread_s"),
        *("change_of", "confirm_within_s", "check", "trigger"),
    }
)


def fingerprint(request: Request) -> str:
    """Return a hash that is the same for requests that ask for the same snapshots.

    Every field of a request counts but those in ``BESIDE``.
    """
    import hashlib  # loads OpenSSL, which no plan needs

    asked = {
        field.name: getattr(request, field.name)
        for field in fields(request)
        if field.name not in BESIDE
    }
    text = json.dumps(asked, sort_keys=True, default=_plain)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _plain(value: object) -> object:
    """Return a value of a request in what JSON has."""
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Selection):  # whether an option or a file named a disk counts for nothing
        return (value.paths, value.disks, value.exclude)
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"a request's {type(value).__name__} has no plain form")


class Recorder:
    """Keeps a run's record on disk in step with what has been done.

    Args:
        facts: has the record; what is changed there is written with the next save.
    """

    def __init__(self, store: RunStore, facts: RunFacts, listener: Listener) -> None:
        self._store = store
        self._facts = facts
        self._listener = listener

    @property
    def record(self) -> RunRecord:
        """Return the record as it is by now."""
        return self._facts.need_record()

    def begin(self, record: RunRecord) -> None:
        """Put a new run's record safely on disk."""
        self._facts.record = record
        self._store.save(record)

    def save(self, **changes: Any) -> None:
        """Change fields of the record and put it safely on disk, before what must not be forgotten.

        Raises:
            StateUnusable: it could not be; the run's own record is changed all the same.
        """
        self._facts.record = replace(self.record, **changes)
        self._store.save(self.record)

    def note(self, **changes: Any) -> None:
        """Save what became of the run; a full disk must not hide what was made, or is frozen."""
        try:
            self.save(**changes)
        except StateUnusable as error:
            text = f"the journal does not tell what became of this run: {error.message}"
            if text not in self._facts.notes:
                self._facts.notes.append(text)
                self._facts.told.append(text)
                self._listener(Event(kind=EventKind.WARNING, text=text))

    def note_unseen(self, unseen: CutUnseen | None) -> None:
        """Note that what was asked for was not seen to be cut, and why; None if it was."""
        if unseen is not None:
            self.note(result=Result.ASKED, unseen=unseen)


def failure(error: SnapSelfError, now: datetime) -> Mapping[str, Any]:
    """Return what the record of a run says that failed so."""
    return {
        "stage": Stage.FINISHED,
        "finished": now,
        "exit_status": int(error.exit_status),
        "result": Result.FAILED,
        "explained": error.told,
    }
