"""The journal of disks that go back while the system runs."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path

from snap_self.model.going_back import DamagedReturn, ReturnId, ReturnRecord
from snap_self.model.ids import DiskId
from snap_self.system.state.jsonfiles import Damaged, read_raw
from snap_self.system.state.left import RETURNS
from snap_self.system.state.unfinished import KEPT_RECORDS, WorkRecords

_DISK = re.compile(rb'"(d-[0-9a-z]{1,60})"')


class ReturnJournal(WorkRecords[ReturnRecord]):
    """Implement ``ports_going_back.ReturnStore`` in a folder of the state directory.

    Args:
        directory: the state directory; created when first needed.
    """

    def __init__(self, directory: Path, *, keep: int = KEPT_RECORDS) -> None:
        super().__init__(directory / RETURNS, ReturnRecord, word="return", keep=keep)

    def damaged(self) -> tuple[DamagedReturn, ...]:
        """Return the records of what may not have ended that cannot be read.

        Raises:
            StateUnusable: the folder cannot be read.
        """
        return tuple(
            DamagedReturn(
                return_id=ReturnId(each.path.stem),
                where=str(each.path),
                why=each.why,
                disk_ids=_named(each.path),
            )
            for each in self.unreadable()
        )

    def set_aside(self, damaged: DamagedReturn) -> str:
        """Put a record that cannot be read where nobody looks for work; return its new path.

        Raises:
            StateUnusable: it could not be moved; it is where it was.
        """
        return str(self.put_away(damaged.return_id))


def _named(path: Path) -> tuple[DiskId, ...]:
    """Return the disks that a damaged record names still."""
    with suppress(Damaged, OSError):
        found = _DISK.findall(read_raw(path))
        return tuple(dict.fromkeys(DiskId(each.decode()) for each in found))
    return ()
