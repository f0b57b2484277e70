"""The journal of disks that go back while the system runs."""

from __future__ import annotations

from pathlib import Path

from snap_self.model.going_back import DamagedReturn, ReturnId, ReturnRecord
from snap_self.system.state.left import RETURNS
from snap_self.system.state.unfinished import KEPT_RECORDS, WorkRecords


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
            DamagedReturn(return_id=ReturnId(each.path.stem), where=str(each.path), why=each.why)
            for each in self.unreadable()
        )
