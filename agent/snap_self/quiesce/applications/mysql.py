"""MySQL: ``LOCK INSTANCE FOR BACKUP`` and ``FLUSH TABLES WITH READ LOCK`` in one session.

The first stops changes of definitions, the second everything that writes. InnoDB then writes its
pages out as fast as innodb_io_capacity lets it; release builds have no way to ask for a
checkpoint, and the settings that hurry it outlive the session, so they are left alone.

Source: MySQL 8.0 reference manual, "LOCK INSTANCE FOR BACKUP", "FLUSH TABLES WITH READ LOCK".
"""

from __future__ import annotations

from snap_self.errors import QuiesceFailed
from snap_self.quiesce.applications.base import Limit, Server, Tools
from snap_self.quiesce.applications.mysql_session import MySqlSession

_HAS_REDO = "Innodb_redo_log_enabled"
_FILES = "SELECT FILE_NAME FROM information_schema.FILES WHERE FILE_TYPE <> 'TEMPORARY'"
_SLOW = "nothing is held now; InnoDB writes innodb_io_capacity pages a second: raise it, or try \
when less was changed"


class MySqlDriver(MySqlSession):
    """Hold all writes back, then wait until InnoDB has written everything to its files."""

    def __init__(self, server: Server, tools: Tools) -> None:
        super().__init__(server, tools)
        self._rested_at = 0

    def hold(self, limit: Limit) -> None:
        """Take both locks; the second waits for running queries, and gives up before it hurts."""
        if "MariaDB" in self.version():
            raise QuiesceFailed("this is MariaDB", hint="switch on applications.mariadb instead")
        self.run("LOCK INSTANCE FOR BACKUP", limit)
        # From here on neither can change (measured with 9.7: both statements wait for the lock).
        self._refuse_without_redo(limit)
        self._refuse_uncovered(limit)
        self.run("FLUSH TABLES WITH READ LOCK", limit)
        self._rested_at = self.settle(limit, push=lambda: None, hint=_SLOW)

    def _refuse_without_redo(self, limit: Limit) -> None:
        """Make sure that InnoDB keeps a redo log: without one only a shutdown leaves it whole."""
        if self.texts(f"STATUS LIKE '{_HAS_REDO}'", limit).get(_HAS_REDO) == "OFF":
            raise QuiesceFailed(
                "its redo log is disabled, and it refuses to start from what is no clean shutdown",
                hint="ALTER INSTANCE ENABLE INNODB REDO_LOG",
            )

    def _refuse_uncovered(self, limit: Limit) -> None:
        """Make sure that all its files get a snapshot, those that are not open too."""
        rows = self.rows_if_allowed(_FILES, limit)
        self.refuse_left_out(None if rows is None else [str(row[0] or "") for row in rows], limit)

    def release(self) -> str:
        """Release both locks; tell if the redo log grew meanwhile."""
        limit = self.release_limit()
        end, _ = self.redo(limit)
        self.run("UNLOCK TABLES", limit)
        self.run("UNLOCK INSTANCE", limit)
        grown = end - self._rested_at
        return f"it wrote {grown} bytes to its redo log while at rest" if grown else ""
