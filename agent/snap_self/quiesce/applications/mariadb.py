"""MariaDB: ``BACKUP STAGE`` in one session, and a redo log that is empty at the cut.

The stages let statements run on but stop commits; transactions that are open at the cut are rolled
back at the start from the snapshot. Measured with 10.11: with the stages alone InnoDB says
"Starting crash recovery"; with a checkpoint after them it does not. Aria, which holds the server's
own tables, says "starting recovery" unless the server was shut down.

Source: MariaDB's documentation of BACKUP STAGE (10.4.1 and later) and innodb_log_checkpoint_now.
"""

from __future__ import annotations

from snap_self.errors import QuiesceFailed
from snap_self.quiesce.applications.base import Limit, Server, Tools
from snap_self.quiesce.applications.mysql_session import MySqlSession

_CHECKPOINT = "SET GLOBAL innodb_log_checkpoint_now=ON"
_STAGES = ("FLUSH", "BLOCK_DDL", "BLOCK_COMMIT")
_NO_MORE_TABLES = "BLOCK_DDL"
_HINT = "nothing is held now; long transactions or much to purge keep it writing, and without the \
SUPER privilege the agent cannot ask InnoDB for a checkpoint"


class MariaDbDriver(MySqlSession):
    """Hold commits back, then have InnoDB write everything to its files."""

    def __init__(self, server: Server, tools: Tools) -> None:
        super().__init__(server, tools)
        self._rested_at = 0
        self._may_push = True

    def hold(self, limit: Limit) -> None:
        """Take all stages, then empty the redo log.

        The checkpoint chases whatever is being written, and nothing can call it back (measured: no
        end in 20 s under load), so it is asked for only once commits stand and the log is calm.
        """
        if "MariaDB" not in self.version():
            raise QuiesceFailed("this is MySQL", hint="switch on applications.mysql instead")
        self.run("BACKUP STAGE START", limit, waits_for="another backup")
        for stage in _STAGES:
            self.run(f"BACKUP STAGE {stage}", limit)
            if stage == _NO_MORE_TABLES:
                self.refuse_left_out((), limit)
        self._rested_at = self.settle(
            limit,
            push=lambda: self._push(limit),
            hint=_HINT,
        )

    def release(self) -> str:
        """End the stages; tell if the redo log grew meanwhile."""
        limit = self.release_limit()
        end, _ = self.redo(limit)
        self.run("BACKUP STAGE END", limit)
        grown = end - self._rested_at
        return f"it wrote {grown} bytes to its redo log while at rest" if grown else ""

    def _push(self, limit: Limit) -> None:
        if self._may_push:
            self._may_push = self.rows_if_allowed(_CHECKPOINT, limit) is not None
