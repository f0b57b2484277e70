"""The journal: one JSON file per run, and small facts kept between commands."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from snap_self.errors import StateUnusable
from snap_self.model.ids import RunId
from snap_self.model.run import RunRecord, Stage
from snap_self.system.state.files import remove_leftovers, state_faults
from snap_self.system.state.jsonfiles import (
    FILE_NAME,
    SCHEMA,
    Damaged,
    is_record_name,
    is_there,
    json_object,
    json_text,
    path_of,
    read_checked,
    read_raw,
    write_text,
)
from snap_self.system.state.manifest_names import MANIFEST_SUFFIXES, MANIFESTS
from snap_self.system.state.plainform import ShapeError, from_plain, to_plain

KEPT_RECORDS = 1000

# ``_text`` writes this for a finished run and for no other: inside a JSON string the quotes would
# be escaped. Searching for it saves parsing a thousand records before each run.
_FINISHED = f'"stage": "{Stage.FINISHED.value}"'.encode()

# The same for a run whose upload is still going on.
_UPLOADING = b'"going_on": true'
# The same for a run that was, or was to be, gone back to.
_BACK = b'back": {'

# The same for one that is to be gone back to unless somebody confirms.
_UNCONFIRMED = b'"unconfirmed": true'


class Journal:
    """Implement ``ports.RunStore`` and ``ports.FactStore`` in a folder of the state directory.

    Reading does not create folders. Only the holder of the run lock may save records.

    Args:
        directory: the state directory; created when first needed.
        keep: how many finished records are kept.
        told: is told of each record that was saved, with the one before; None where there was
            none that can be read.
    """

    def __init__(
        self,
        directory: Path,
        *,
        keep: int = KEPT_RECORDS,
        told: Callable[[RunRecord | None, RunRecord], None] | None = None,
    ) -> None:
        self._told = told
        self._manifests = directory / MANIFESTS
        self._runs = directory / "runs"
        self._facts = directory / "facts"
        self._keep = keep

    def save(self, record: RunRecord) -> None:
        """Put the record safely on disk, in place of the same run's record before.

        Raises:
            StateUnusable: it could not be saved; the record before is still there.
        """
        before = self._before(record) if self._told else None
        write_text(path_of(self._runs, record.run_id), _text(record))
        if record.stage is Stage.FINISHED:
            self._prune()
        if self._told:
            self._told(before, record)

    def _before(self, record: RunRecord) -> RunRecord | None:
        with suppress(StateUnusable):  # the write tells it better
            return self.load(record.run_id)
        return None

    def load(self, run_id: RunId) -> RunRecord | None:
        """Return one record, or None if there is none that can be read.

        Raises:
            StateUnusable: a user other than root could have written it.
        """
        if not FILE_NAME.fullmatch(run_id):
            return None
        with suppress(Damaged, FileNotFoundError):
            return _record(read_checked(path_of(self._runs, run_id)))
        return None

    def all(self) -> tuple[RunRecord, ...]:
        """Return every record that can be read, newest first.

        Raises:
            StateUnusable: the folder cannot be read.
        """
        return _newest_first(_readable(self._paths()))

    def newest(self) -> Iterator[RunRecord]:
        """Yield the records that can be read, newest first, each read when it is asked for.

        Raises:
            StateUnusable: the folder cannot be read.
        """
        yield from _readable(self._paths())

    def unfinished(self) -> tuple[RunRecord, ...]:
        """Return the records of unfinished runs, newest first.

        Raises:
            StateUnusable: the folder cannot be read.
        """
        found = _readable(self._paths(), unless=_FINISHED)
        return _newest_first(record for record in found if record.stage is not Stage.FINISHED)

    def uploading(self) -> tuple[RunRecord, ...]:
        """Return the records of runs whose uploads were not seen to end, newest first.

        Raises:
            StateUnusable: the folder cannot be read.
        """
        found = _readable(self._paths(), only=_UPLOADING)
        return _newest_first(r for r in found if r.upload is not None and r.upload.going_on)

    def brought_back(self) -> tuple[RunRecord, ...]:
        """Return the records of runs to which disks were, or were to be, brought back by OOS,
        newest first.

        Raises:
            StateUnusable: the folder cannot be read.
        """
        found = _readable(self._paths(), only=_BACK)
        return _newest_first(r for r in found if r.rollback is not None or r.went_back is not None)

    def armed(self) -> tuple[RunRecord, ...]:
        """Return the records of runs that are to be gone back to unless somebody confirms.

        Raises:
            StateUnusable: the folder cannot be read.
        """
        found = _readable(self._paths(), only=_UNCONFIRMED)
        return _newest_first(r for r in found if r.armed is not None and r.armed.unconfirmed)

    def damaged(self) -> tuple[str, ...]:
        """Return path and reason for each record that cannot be read.

        Raises:
            StateUnusable: the folder cannot be read.
        """
        faults = []
        for path in self._paths():
            try:
                _record(read_raw(path))
            except Damaged as why:
                faults.append(f"{path} ({why})")
            except FileNotFoundError:
                continue
        return tuple(faults)

    def remember(self, name: str, facts: Mapping[str, str]) -> None:
        """Keep the facts under that name, in place of the facts before; never a secret.

        Raises:
            StateUnusable: they could not be kept.
        """
        write_text(path_of(self._facts, name), json_text({"schema": SCHEMA, "facts": dict(facts)}))

    def recall(self, name: str) -> Mapping[str, str]:
        """Return what was kept, or an empty mapping if nothing can be read."""
        with suppress(Damaged, FileNotFoundError, ShapeError, StateUnusable):
            known = json_object(read_checked(path_of(self._facts, name)))
            facts: Mapping[str, str] = from_plain(Mapping[str, str], known.get("facts"), "facts")
            return facts
        return {}

    def _paths(self) -> list[Path]:
        with state_faults(self._runs, doing="read"):
            if not is_there(self._runs):
                return []
            names = os.listdir(self._runs)  # noqa: PTH208  (a thousand names, each run)
        return [self._runs / name for name in sorted(names, reverse=True) if is_record_name(name)]

    def _prune(self) -> None:
        """Remove the oldest finished records beyond the limit; run ids begin with the time."""
        with state_faults(self._runs, doing="read"):
            remove_leftovers(self._runs)
        for path in self._paths()[self._keep :]:
            with suppress(Damaged, OSError):
                if _FINISHED in read_raw(path):
                    path.unlink()
                    for suffix in MANIFEST_SUFFIXES:
                        (self._manifests / f"{path.stem}{suffix}").unlink(missing_ok=True)


def _text(record: RunRecord) -> str:
    return json_text({"schema": SCHEMA, **to_plain(record)})


def _record(raw: bytes) -> RunRecord:
    try:
        record: RunRecord = from_plain(RunRecord, json_object(raw), "run")
    except ShapeError as error:
        raise Damaged(str(error)) from None
    return record


def _readable(
    paths: list[Path], *, unless: bytes | None = None, only: bytes = b""
) -> Iterator[RunRecord]:
    for path in paths:
        with suppress(Damaged, FileNotFoundError):
            raw = read_raw(path)
            if only in raw and (unless is None or unless not in raw):
                yield _record(raw)


def _newest_first(records: Iterator[RunRecord]) -> tuple[RunRecord, ...]:
    return tuple(sorted(records, key=lambda each: (each.started, each.run_id), reverse=True))
