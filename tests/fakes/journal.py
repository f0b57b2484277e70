"""A journal in memory."""

from __future__ import annotations

from collections.abc import Mapping

from snap_self.errors import StateUnusable
from snap_self.model.ids import RunId
from snap_self.model.run import RunRecord, Stage


class FakeJournal:
    """The memory twin of ``Journal``.

    ``history`` holds every record saved, in order; ``failing`` makes the next saves fail, and
    ``spoiled`` is what ``damaged`` answers.
    """

    def __init__(self) -> None:
        self._records: dict[RunId, RunRecord] = {}
        self._facts: dict[str, dict[str, str]] = {}
        self.history: list[RunRecord] = []
        self.failing = ""
        self.spoiled: tuple[str, ...] = ()

    def save(self, record: RunRecord) -> None:
        """Keep the record."""
        if self.failing:
            raise StateUnusable(self.failing)
        self._records[record.run_id] = record
        self.history.append(record)

    def load(self, run_id: RunId) -> RunRecord | None:
        """Return one record, or None."""
        return self._records.get(run_id)

    def all(self) -> tuple[RunRecord, ...]:
        """Return every record, newest first."""
        records = self._records.values()
        return tuple(sorted(records, key=lambda each: (each.started, each.run_id), reverse=True))

    def unfinished(self) -> tuple[RunRecord, ...]:
        """Return the records of runs that did not come to their end, newest first."""
        return tuple(record for record in self.all() if record.stage is not Stage.FINISHED)

    def uploading(self) -> tuple[RunRecord, ...]:
        """Return the records of runs whose uploads were not seen to end, newest first."""
        return tuple(r for r in self.all() if r.upload is not None and r.upload.going_on)

    def brought_back(self) -> tuple[RunRecord, ...]:
        """Return the records of runs to which disks were to be brought back, newest first."""
        return tuple(r for r in self.all() if r.rollback is not None or r.went_back is not None)

    def armed(self) -> tuple[RunRecord, ...]:
        """Return the records of runs that are to be gone back to, newest first."""
        return tuple(r for r in self.all() if r.armed is not None and r.armed.unconfirmed)

    def damaged(self) -> tuple[str, ...]:
        """Return what the test put into ``spoiled``."""
        return self.spoiled

    def remember(self, name: str, facts: Mapping[str, str]) -> None:
        """Keep the facts."""
        if self.failing:
            raise StateUnusable(self.failing)
        self._facts[name] = dict(facts)

    def recall(self, name: str) -> Mapping[str, str]:
        """Return the facts kept, or nothing."""
        return self._facts.get(name, {})
