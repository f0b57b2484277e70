"""The journal: one JSON file per run, and small facts kept between commands."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from snap_self.model.ids import RunId
from snap_self.model.run import RunRecord, Stage
from snap_self.system.files import (
    make_private_folder,
    remove_leftovers,
    replace_file,
    state_faults,
)
from snap_self.system.plainform import ShapeError, from_plain, to_plain

SCHEMA = 1
KEPT_RECORDS = 1000
MAX_BYTES = 1 << 20

_FILE_NAME = re.compile(r"[0-9A-Za-z][0-9A-Za-z_-]{0,99}")
# What ``_text`` writes for a finished run and for no other: inside a JSON string the quotes would
# be escaped. It spares the parsing of a thousand records before each run.
_FINISHED = f'"stage": "{Stage.FINISHED.value}"'.encode()

# The same for a run whose upload goes on.
_UPLOADING = b'"going_on": true'


class _Damaged(Exception):
    """A file of the journal cannot be understood; the text says why."""


class Journal:
    """Implement ``ports.RunStore`` and ``ports.FactStore`` in a folder of the state directory.

    Reading makes no folder. Only the holder of the run lock may save records.

    Args:
        directory: the state directory; made when first needed.
        keep: how many finished records are kept.
    """

    def __init__(self, directory: Path, *, keep: int = KEPT_RECORDS) -> None:
        self._runs = directory / "runs"
        self._facts = directory / "facts"
        self._keep = keep

    def save(self, record: RunRecord) -> None:
        """Put the record safely on disk, in place of what was kept of the same run.

        Raises:
            StateUnusable: it could not be; what was kept before still is.
        """
        _write(_path(self._runs, record.run_id), _text(record))
        if record.stage is Stage.FINISHED:
            self._prune()

    def load(self, run_id: RunId) -> RunRecord | None:
        """Return one record, or None if there is none that can be read."""
        if not _FILE_NAME.fullmatch(run_id):
            return None
        with suppress(_Damaged, FileNotFoundError):
            return _record(_read(_path(self._runs, run_id)))
        return None

    def all(self) -> tuple[RunRecord, ...]:
        """Return every record that can be read, newest first.

        Raises:
            StateUnusable: the folder cannot be read.
        """
        return _newest_first(_readable(self._paths()))

    def unfinished(self) -> tuple[RunRecord, ...]:
        """Return the records of runs that did not come to their end, newest first.

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

    def damaged(self) -> tuple[str, ...]:
        """Return for each record that cannot be read its path and why.

        Raises:
            StateUnusable: the folder cannot be read.
        """
        faults = []
        for path in self._paths():
            try:
                _record(_read(path))
            except _Damaged as why:
                faults.append(f"{path} ({why})")
            except FileNotFoundError:
                continue
        return tuple(faults)

    def remember(self, name: str, facts: Mapping[str, str]) -> None:
        """Keep the facts under that name, in place of those before; never a secret.

        Raises:
            StateUnusable: they could not be kept.
        """
        _write(_path(self._facts, name), _json({"schema": SCHEMA, "facts": dict(facts)}))

    def recall(self, name: str) -> Mapping[str, str]:
        """Return what was kept, or an empty mapping if there is nothing that can be read."""
        with suppress(_Damaged, FileNotFoundError, ShapeError):
            known = _object(_read(_path(self._facts, name)))
            facts: Mapping[str, str] = from_plain(Mapping[str, str], known.get("facts"), "facts")
            return facts
        return {}

    def _paths(self) -> list[Path]:
        with state_faults(self._runs, doing="read"):
            try:
                names = os.listdir(self._runs)  # noqa: PTH208  (a thousand names, each run)
            except FileNotFoundError:
                return []
        return [self._runs / name for name in sorted(names, reverse=True) if _is_record(name)]

    def _prune(self) -> None:
        """Drop the oldest finished records beyond the number kept; run ids begin with the time."""
        with state_faults(self._runs, doing="read"):
            remove_leftovers(self._runs)
        for path in self._paths()[self._keep :]:
            with suppress(_Damaged, OSError):
                if _FINISHED in _read(path):
                    path.unlink()


def _is_record(name: str) -> bool:
    return name.endswith(".json") and _FILE_NAME.fullmatch(name[: -len(".json")]) is not None


def _path(folder: Path, name: str) -> Path:
    if not _FILE_NAME.fullmatch(name):
        raise ValueError(f"{name!r} cannot be a file name of the journal")
    return folder / f"{name}.json"


def _write(path: Path, text: str) -> None:
    with state_faults(path, doing="written"):
        make_private_folder(path.parent.parent)
        make_private_folder(path.parent)
        replace_file(path, text)


def _text(record: RunRecord) -> str:
    return _json({"schema": SCHEMA, **to_plain(record)})


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(value, indent=1) + "\n"


def _read(path: Path) -> bytes:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb", buffering=0) as file:
            if os.fstat(descriptor).st_size > MAX_BYTES:
                raise _Damaged("longer than 1 MiB")
            return file.readall() or b""
    except FileNotFoundError:
        raise
    except OSError as error:
        raise _Damaged(error.strerror or "cannot be opened") from error


def _object(raw: bytes) -> dict[str, Any]:
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError):
        raise _Damaged("not JSON") from None
    if not isinstance(value, dict) or type(value.get("schema")) is not int:
        raise _Damaged("not a file of the journal")
    if value["schema"] > SCHEMA:
        raise _Damaged("written by a newer snap-self")
    return value


def _record(raw: bytes) -> RunRecord:
    try:
        record: RunRecord = from_plain(RunRecord, _object(raw), "run")
    except ShapeError as error:
        raise _Damaged(str(error)) from None
    return record


def _readable(
    paths: list[Path], *, unless: bytes | None = None, only: bytes = b""
) -> Iterator[RunRecord]:
    for path in paths:
        with suppress(_Damaged, FileNotFoundError):
            raw = _read(path)
            if only in raw and (unless is None or unless not in raw):
                yield _record(raw)


def _newest_first(records: Iterator[RunRecord]) -> tuple[RunRecord, ...]:
    return tuple(sorted(records, key=lambda each: (each.started, each.run_id), reverse=True))
