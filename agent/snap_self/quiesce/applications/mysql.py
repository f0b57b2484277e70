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
        self.run("FLUSH TABLES WITH READ LOCK", limit)
        self._rested_at = self.settle(limit, push=lambda: None, hint=_SLOW)

    def release(self) -> str:
        """Release both locks; tell if the redo log grew meanwhile."""
        limit = self.release_limit()
        end, _ = self.redo(limit)
        self.run("UNLOCK TABLES", limit)
        self.run("UNLOCK INSTANCE", limit)
        grown = end - self._rested_at
        return f"it wrote {grown} bytes to its redo log while at rest" if grown else ""
