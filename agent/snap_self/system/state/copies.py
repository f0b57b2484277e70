"""The journal of snapshots opened beside the running system, and of what restores replaced."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from snap_self.errors import StateUnusable
from snap_self.model.temporary import CopyRecord, DamagedRecord, KeptFiles, RestoreId
from snap_self.system.state.files import make_private_subfolder, state_faults
from snap_self.system.state.jsonfiles import (
    FILE_NAME,
    SCHEMA,
    Damaged,
    is_record_name,
    json_object,
    json_text,
    path_of,
    read_checked,
    write_text,
)
from snap_self.system.state.left import FOLDER
from snap_self.system.state.plainform import ShapeError, from_plain, to_plain
from snap_self.system.state.unfinished import KEPT_RECORDS, WorkRecords

# A million files; the list lies in memory once.
MOST_KEPT = 256 << 20


class CopyJournal(WorkRecords[CopyRecord]):
    """Implement ``ports_looking_back.CopyStore`` in a folder of the state directory.

    Args:
        directory: the state directory; created when first needed.
    """

    def __init__(self, directory: Path, *, keep: int = KEPT_RECORDS) -> None:
        super().__init__(directory / FOLDER, CopyRecord, word="restore", keep=keep)
        self._folder = directory / FOLDER
        self._kept = self._folder / "kept"

    def damaged(self) -> tuple[DamagedRecord, ...]:
        """Return the records of what may be left that cannot be read.

        Raises:
            StateUnusable: the folder cannot be read.
        """
        return tuple(
            DamagedRecord(restore_id=RestoreId(each.path.stem), where=str(each.path), why=each.why)
            for each in self.unreadable()
        )

    def keep(self, kept: KeptFiles) -> None:
        """Note what a restore replaced.

        Raises:
            StateUnusable: it could not be noted.
        """
        text = json_text({"schema": SCHEMA, **to_plain(kept)})
        with state_faults(self._folder, doing="written"):
            make_private_subfolder(self._folder)
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

    def asides(self) -> tuple[str, ...]:
        """Return the directories, as far as they are there, in which replaced files are kept.

        Raises:
            StateUnusable: the folder cannot be read.
        """
        found = []
        with state_faults(self._kept, doing="read"):
            names = sorted(os.listdir(self._kept)) if self._kept.is_dir() else []  # noqa: PTH208
        for name in names:
            with suppress(StateUnusable):  # a damaged one cannot tell where its files are
                kept = self.kept(name.removesuffix(".json")) if is_record_name(name) else None
                if kept and kept.aside and os.path.lexists(kept.aside):
                    found.append(kept.aside)
        return tuple(found)
