"""The journal of snapshots that are opened beside the running system: one file each.

``restores/RID.json`` is there as long as anything may be left of it; what is done lies in
``restores/done``. So whether anything is left is told by the names in one folder.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from snap_self.errors import StateUnusable
from snap_self.model.temporary import CopyRecord, DamagedRecord, KeptFiles, RestoreId, Stage
from snap_self.system.state.files import (
    make_private_subfolder,
    remove_leftovers,
    state_faults,
)
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
from snap_self.system.state.left import FOLDER
from snap_self.system.state.plainform import ShapeError, from_plain, to_plain

KEPT_RECORDS = 100
# A million files; the list lies in memory once.
MOST_KEPT = 256 << 20


class CopyJournal:
    """Implement ``ports_looking_back.CopyStore`` in a folder of the state directory.

    Args:
        directory: the state directory; created when first needed.
    """

    def __init__(self, directory: Path, *, keep: int = KEPT_RECORDS) -> None:
        self._open = directory / FOLDER
        self._done = self._open / "done"
        self._kept = self._open / "kept"
        self._keep = keep

    def save(self, record: CopyRecord) -> None:
        """Put the record safely on disk, in place of the one before.

        Raises:
            StateUnusable: it could not be saved; the record before is still there.
        """
        text = json_text({"schema": SCHEMA, **to_plain(record)})
        path = path_of(self._open, record.restore_id)
        if record.stage is not Stage.DONE:
            write_text(path, text)
            return
        # Not by a rename: what is done is known before the other record goes.
        with state_faults(path, doing="written"):
            make_private_subfolder(self._open)
        write_text(path_of(self._done, record.restore_id), text)
        with state_faults(path, doing="removed"):
            path.unlink(missing_ok=True)
        self._prune()

    def load(self, restore_id: str) -> CopyRecord | None:
        """Return one record, done or not; None if there is none that can be read.

        Raises:
            StateUnusable: a user other than root could have written it.
        """
        if not FILE_NAME.fullmatch(restore_id):
            return None
        for folder in (self._open, self._done):
            with suppress(Damaged, FileNotFoundError):
                return _record(read_checked(path_of(folder, restore_id)))
        return None

    def unfinished(self) -> tuple[CopyRecord, ...]:
        """Return the records of all that may have left something, oldest first.

        Raises:
            StateUnusable: the folder cannot be read.
        """
        found = self._read(self._open)
        return tuple(sorted(found, key=lambda each: (each.started, each.restore_id)))

    def damaged(self) -> tuple[DamagedRecord, ...]:
        """Return the records of what may be left that cannot be read.

        Raises:
            StateUnusable: the folder cannot be read.
        """
        faults: list[DamagedRecord] = []
        for path in self._paths(self._open):
            try:
                _record(read_raw(path))
            except Damaged as why:
                name = RestoreId(path.stem)
                faults.append(DamagedRecord(restore_id=name, where=str(path), why=str(why)))
            except FileNotFoundError:
                continue
        return tuple(faults)

    def done(self) -> tuple[CopyRecord, ...]:
        """Return the records of what has ended, as far as they are kept and readable, newest first.

        Raises:
            StateUnusable: the folder cannot be read.
        """
        found = self._read(self._done)
        return tuple(sorted(found, key=lambda each: (each.started, each.restore_id), reverse=True))

    def keep(self, kept: KeptFiles) -> None:
        """Note what a restore replaced.

        Raises:
            StateUnusable: it could not be noted.
        """
        text = json_text({"schema": SCHEMA, **to_plain(kept)})
        with state_faults(self._open, doing="written"):
            make_private_subfolder(self._open)
        write_text(path_of(self._kept, kept.restore_id), text)

    def kept(self, restore_id: str) -> KeptFiles | None:
        """Return what a restore replaced; None if nothing is known of it.

        Raises:
            StateUnusable: a user other than root could have written it, or it is damaged.
        """
        if not FILE_NAME.fullmatch(restore_id):
            return None
        path = path_of(self._kept, restore_id)
        try:
            raw = read_checked(path, most=MOST_KEPT)
            found: KeptFiles = from_plain(KeptFiles, json_object(raw), "kept")
        except FileNotFoundError:
            return None
        except (Damaged, ShapeError) as why:
            raise StateUnusable(
                f"{path} is damaged ({why}), so what restore {restore_id} replaced is not known",
                hint=f"the files themselves are in .snap-self-replaced/{restore_id} at the top of "
                "their filesystem, or of the directory that --to named, each below its whole path",
            ) from None
        return found

    def _read(self, folder: Path) -> Iterator[CopyRecord]:
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


def _record(raw: bytes) -> CopyRecord:
    try:
        record: CopyRecord = from_plain(CopyRecord, json_object(raw), "restore")
    except ShapeError as error:
        raise Damaged(str(error)) from None
    return record
