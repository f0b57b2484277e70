"""PostgreSQL: ``CHECKPOINT``; a backup session where its files cannot be cut at one instant.

PostgreSQL has no lock that stops all commits, and starts without recovery only after a shutdown.
What the checkpoint gives: the files are complete up to it, and a start replays only what was
written between it and the cut (the freeze stops commits, since each has to reach the disk).
Measured with 15: "automatic recovery in progress", 163 kB replayed under load, 56 bytes when idle.

Source: PostgreSQL documentation, "Making a Base Backup Using the Low Level API" and "File System
Level Backup": a snapshot of all files at one instant needs no more than crash recovery.
"""

from __future__ import annotations

import posixpath
from collections.abc import Sequence
from typing import Any

from snap_self.errors import QuiesceFailed, UsageError
from snap_self.quiesce.applications.base import Limit, Server, Tools, library, password_of

LABEL = "snap-self"
RELEASE_LIMIT_S = 5.0
NEW_NAMES = 150000
_SOCKET_NAME = ".s.PGSQL."
_TABLESPACES = (
    "SELECT pg_tablespace_location(oid) FROM pg_tablespace WHERE pg_tablespace_location(oid) <> ''"
)
_BEGIN = "SELECT pg_backup_start(%s, true)"
_BEGIN_OLD = "SELECT pg_start_backup(%s, true, false)"
_END = "SELECT labelfile, spcmapfile FROM pg_backup_stop(false)"
_END_OLD = "SELECT labelfile, spcmapfile FROM pg_stop_backup(false, false)"


class PostgreSqlDriver:
    """Hold nothing back, unless the files need a backup session; keep its label."""

    def __init__(self, server: Server, tools: Tools) -> None:
        self._server = server
        self._tools = tools
        self._connection: Any = None
        self._in_backup = False
        self.kept: dict[str, str] = {}

    def errors(self) -> tuple[type[Exception], ...]:
        """Return what the library raises."""
        return (library("psycopg", "psycopg[binary]").Error, OSError)

    def open(self, limit: Limit) -> None:
        """Connect over the local socket."""
        psycopg = library("psycopg", "psycopg[binary]")
        folder, port = self._socket()
        self._connection = psycopg.connect(
            host=folder,
            port=port,
            user=self._server.settings.user or "postgres",
            password=password_of(self._server.settings, self._tools.read_text) or None,
            dbname="postgres",
            autocommit=True,
            connect_timeout=max(1, int(limit.left())),
            application_name=LABEL,
        )

    def hold(self, limit: Limit) -> None:
        """Write all pages out; begin a backup where one instant cannot be had."""
        if not self._server.one_cut and self._is_spread(limit):
            self._begin_backup(limit)
        else:
            self._run("CHECKPOINT", limit)

    def state(self) -> str:
        """Look at the connection alone: a server on a frozen filesystem may not answer."""
        return self._tools.link(self._connection.fileno())

    def release(self) -> str:
        """End the backup, if there is one, and keep what it needs to be restored."""
        if not self._in_backup:
            return ""
        clock = self._tools.clock
        limit = Limit(clock, clock.monotonic() + RELEASE_LIMIT_S)
        label, tablespaces = self._run(_END if self._is_new() else _END_OLD, limit)[0]
        self.kept = {"backup_label": label}
        if tablespaces:
            self.kept["tablespace_map"] = tablespaces
        return ""

    def close(self) -> None:
        """Drop the connection; a backup that it began is over then."""
        self._in_backup = False
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _begin_backup(self, limit: Limit) -> None:
        if self._run("SHOW archive_mode", limit)[0][0] == "off":
            raise QuiesceFailed(
                "its files lie on disks that are not cut at one instant, and it archives no WAL, "
                "without which such a backup cannot be restored",
                hint="set archive_mode, or choose disks that can form a snapshot group",
            )
        self._run(_BEGIN if self._is_new() else _BEGIN_OLD, limit, LABEL)
        self._in_backup = True

    def _is_spread(self, limit: Limit) -> bool:
        """Tell whether its files lie on several filesystems."""
        data = self._server.data_dir
        others = [row[0] for row in self._run(_TABLESPACES, limit)]
        places = (data, posixpath.join(data, "pg_wal"), *others)
        try:
            facts = [self._tools.locate(self._server.process.pid, path) for path in places]
        except UsageError as error:
            raise QuiesceFailed(f"its files cannot be found: {error.message}") from error
        return len({fact.devno or fact.mount_id for fact in facts}) > 1

    def _is_new(self) -> bool:
        return int(self._connection.info.server_version) >= NEW_NAMES

    def _run(self, statement: str, limit: Limit, *values: str) -> Sequence[Any]:
        """Run one statement, which the server itself gives up at the limit."""
        timeout_ms = max(1, int(limit.left() * 1000))
        self._connection.execute(f"SET statement_timeout = {timeout_ms}")
        cursor = self._connection.execute(statement, values or None)
        rows: Sequence[Any] = cursor.fetchall() if cursor.description else ()
        return rows

    def _socket(self) -> tuple[str, str]:
        """Return the folder and port that its socket's path stands for."""
        configured = self._server.settings.socket
        listed = [path for path in self._server.process.sockets if _SOCKET_NAME in path]
        if not configured and not listed:
            raise QuiesceFailed(
                "it listens on no local socket", hint="name it: applications.postgresql.socket"
            )
        path = configured or self._server.seen_from_here(listed[0])
        folder, _, name = path.rpartition("/")
        return folder, name.rpartition(".")[2]
