"""Records of work that must be brought to an end: one file each.

``ID.json`` is there as long as the work has not ended; what has lies in ``done``. So whether
anything is left is told by the names in one folder.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Generic, Protocol, TypeVar

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
from snap_self.system.state.plainform import ShapeError, from_plain, to_plain

KEPT_RECORDS = 100


class Work(Protocol):
    """What a record must tell of itself."""

    @property
    def record_id(self) -> str:
        """Its name, which begins with the time."""
        ...

    @property
    def started(self) -> datetime:
        """When it was begun."""
        ...

    @property
    def is_done(self) -> bool:
        """Whether nothing of it is left to do."""
        ...


W = TypeVar("W", bound=Work)


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreadable:
    """A record that cannot be read.

    Args:
        why: a clause.
    """

    path: Path
    why: str


class WorkRecords(Generic[W]):
    """The records of one kind of work.

    Args:
        folder: in the state directory; made when first needed.
        word: what a record is called where it is damaged.
        keep: how many of what is done are kept.
    """

    def __init__(self, folder: Path, kind: type[W], *, word: str, keep: int) -> None:
        self._open = folder
        self._done = folder / "done"
        self._kind = kind
        self._word = word
        self._keep = keep

    def save(self, record: W) -> None:
        """Put the record safely on disk, in place of the one before.

        Raises:
            StateUnusable: it could not be saved; the record before is still there.
        """
        text = json_text({"schema": SCHEMA, **to_plain(record)})
        path = path_of(self._open, record.record_id)
        if not record.is_done:
            write_text(path, text)
            return
        # Not by a rename: what is done is known before the other record goes.
        with state_faults(path, doing="written"):
            make_private_subfolder(self._open)
        write_text(path_of(self._done, record.record_id), text)
        with state_faults(path, doing="removed"):
            path.unlink(missing_ok=True)
        self._prune()

    def load(self, record_id: str) -> W | None:
        """Return one record, done or not; None if there is none that can be read.

        Raises:
            StateUnusable: a user other than root could have written it.
        """
        if not FILE_NAME.fullmatch(record_id):
            return None
        for folder in (self._open, self._done):
            with suppress(Damaged, FileNotFoundError):
                return self._record(read_checked(path_of(folder, record_id)))
        return None

    def unfinished(self) -> tuple[W, ...]:
        """Return those that have not ended, oldest first.

        Raises:
            StateUnusable: the folder cannot be read.
        """
        return tuple(sorted(self._read(self._open), key=_age))

    def done(self) -> tuple[W, ...]:
        """Return those that have, as far as they are kept and readable, newest first.

        Raises:
            StateUnusable: the folder cannot be read.
        """
        return tuple(sorted(self._read(self._done), key=_age, reverse=True))

    def unreadable(self) -> tuple[Unreadable, ...]:
        """Return the records of what may not have ended that cannot be read.

        Raises:
            StateUnusable: the folder cannot be read.
        """
        faults: list[Unreadable] = []
        for path in self._paths(self._open):
            try:
                self._record(read_raw(path))
            except Damaged as why:
                faults.append(Unreadable(path=path, why=str(why)))
            except FileNotFoundError:
                continue
        return tuple(faults)

    def put_away(self, record_id: str) -> Path:
        """Move the file of what has not ended beside those of what has, as it is; return its path.

        Nothing reads it there, and nothing removes it.

        Raises:
            StateUnusable: it could not be moved.
        """
        path = path_of(self._open, record_id)
        kept = self._done / f"{path.name}.damaged"
        with state_faults(path, doing="moved"):
            make_private_subfolder(self._done)
            path.rename(kept)
        return kept

    def _read(self, folder: Path) -> Iterator[W]:
        for path in self._paths(folder):
            with suppress(Damaged, FileNotFoundError):
                yield self._record(read_raw(path))

    def _record(self, raw: bytes) -> W:
        try:
            record: W = from_plain(self._kind, json_object(raw), self._word)
        except ShapeError as error:
            raise Damaged(str(error)) from None
        return record

    def _paths(self, folder: Path) -> list[Path]:
        with state_faults(folder, doing="read"):
            if not is_there(folder):
                return []
            names = sorted(os.listdir(folder))  # noqa: PTH208
        return [folder / name for name in names if is_record_name(name)]

    def _prune(self) -> None:
        """Remove the oldest records of what is done."""
        with suppress(OSError):
            remove_leftovers(self._open)
            remove_leftovers(self._done)
            for path in self._paths(self._done)[: -self._keep]:
                path.unlink()


def _age(record: Work) -> tuple[datetime, str]:
    return record.started, record.record_id
