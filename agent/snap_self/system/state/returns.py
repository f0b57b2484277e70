"""The journal of disks that go back while the system runs: one file each.

``returns/RID.json`` is there as long as it has not ended; what has lies in ``returns/done``.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from snap_self.model.going_back import DamagedReturn, ReturnId, ReturnRecord, Step
from snap_self.system.state.files import make_private_subfolder, remove_leftovers, state_faults
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
from snap_self.system.state.left import RETURNS
from snap_self.system.state.plainform import ShapeError, from_plain, to_plain

KEPT_RECORDS = 100


class ReturnJournal:
    """Implement ``ports_going_back.ReturnStore`` in a folder of the state directory.

    Args:
        directory: the state directory; created when first needed.
    """

    def __init__(self, directory: Path, *, keep: int = KEPT_RECORDS) -> None:
        self._open = directory / RETURNS
        self._done = self._open / "done"
        self._keep = keep

    def save(self, record: ReturnRecord) -> None:
        """Put the record safely on disk, in place of the one before.

        Raises:
            StateUnusable: it could not be saved; the record before is still there.
        """
        text = json_text({"schema": SCHEMA, **to_plain(record)})
        path = path_of(self._open, record.return_id)
        if record.step is not Step.DONE:
            write_text(path, text)
            return
        # Not by a rename: what is done is known before the other record goes.
        with state_faults(path, doing="written"):
            make_private_subfolder(self._open)
        write_text(path_of(self._done, record.return_id), text)
        with state_faults(path, doing="removed"):
            path.unlink(missing_ok=True)
        self._prune()

    def load(self, return_id: str) -> ReturnRecord | None:
        """Return one record, done or not; None if there is none that can be read.

        Raises:
            StateUnusable: a user other than root could have written it.
        """
        if not FILE_NAME.fullmatch(return_id):
            return None
        for folder in (self._open, self._done):
            with suppress(Damaged, FileNotFoundError):
                return _record(read_checked(path_of(folder, return_id)))
        return None

    def unfinished(self) -> tuple[ReturnRecord, ...]:
        """Return those that have not ended, oldest first.

        Raises:
            StateUnusable: the folder cannot be read.
        """
        return tuple(sorted(self._read(self._open), key=_age))

    def done(self) -> tuple[ReturnRecord, ...]:
        """Return those that have, as far as they are kept and readable, newest first.

        Raises:
            StateUnusable: the folder cannot be read.
        """
        return tuple(sorted(self._read(self._done), key=_age, reverse=True))

    def damaged(self) -> tuple[DamagedReturn, ...]:
        """Return the records of what may not have ended that cannot be read.

        Raises:
            StateUnusable: the folder cannot be read.
        """
        faults: list[DamagedReturn] = []
        for path in self._paths(self._open):
            try:
                _record(read_raw(path))
            except Damaged as why:
                name = ReturnId(path.stem)
                faults.append(DamagedReturn(return_id=name, where=str(path), why=str(why)))
            except FileNotFoundError:
                continue
        return tuple(faults)

    def _read(self, folder: Path) -> Iterator[ReturnRecord]:
        for path in self._paths(folder):
            with suppress(Damaged, FileNotFoundError):
                yield _record(read_raw(path))

    def _paths(self, folder: Path) -> list[Path]:
        with state_faults(folder, doing="read"):
            if not is_there(folder):
                return []
            names = sorted(os.listdir(folder))  # noqa: PTH208
        return [folder / name for name in names if is_record_name(name)]

    def _prune(self) -> None:
        """Remove the oldest records of what is done; the ids begin with the time."""
        with suppress(OSError):
            remove_leftovers(self._open)
            remove_leftovers(self._done)
            for path in self._paths(self._done)[: -self._keep]:
                path.unlink()


def _age(record: ReturnRecord) -> tuple[object, str]:
    return record.started, record.return_id


def _record(raw: bytes) -> ReturnRecord:
    try:
        record: ReturnRecord = from_plain(ReturnRecord, json_object(raw), "return")
    except ShapeError as error:
        raise Damaged(str(error)) from None
    return record
