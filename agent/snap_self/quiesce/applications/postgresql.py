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
from contextlib import ExitStack
from typing import Any

from snap_self.errors import QuiesceFailed, UsageError
from snap_self.model.machine import PathFact
from snap_self.quiesce.applications.access import Access
from snap_self.quiesce.applications.base import (
    Limit,
    Server,
    Tools,
    library,
    password_for,
    uncovered,
)

LABEL = "snap-self"
RELEASE_LIMIT_S = 5.0
GRACE_S = 1.0
NEW_NAMES = 150000
REQUIRES_AUTH = 160000
# All but ``password``, which is clear text; ``none`` is peer and trust.
SAFE_LOG_INS = "scram-sha-256,md5,none"
# Where none is given, libpq looks for one in the environment and in root's files.
NO_PASSWORD = {"password": "", "passfile": "/dev/null"}
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

    def open(self, limit: Limit) -> None:
        """Connect over the local socket."""
        password = password_for(self._server, self._tools)
        access = Access(self._server, self._tools)
        paths = [path for path in access.paths if _SOCKET_NAME in path]
        self._connection = access.reach(
            paths, lambda path: self._log_in(path, access, password, limit)
        )

    def _log_in(self, path: str, access: Access, password: str, limit: Limit) -> Any:
        """Return a session over the socket at a path."""
        psycopg = library("psycopg", "psycopg[binary]")
        can_require = psycopg.pq.version() >= REQUIRES_AUTH
        if password and not can_require:
            raise QuiesceFailed(
                "libpq before 16 sends the password in clear text to a server that asks for it",
                hint="log in without one: peer in pg_hba.conf, as the account postgres",
            )
        pinned = access.pin(path, limit)
        try:
            access.prove(pinned, path, limit)
            name = posixpath.basename(path)
            connection = _connected(
                limit,
                host=posixpath.dirname(pinned.under(name)),
                hostaddr="",  # whatever PGHOSTADDR says
                port=name.rpartition(".")[2],
                user=self._server.settings.user or "postgres",
                autocommit=True,
                application_name=LABEL,
                **self._secrets(password, can_require=can_require),
            )
        finally:
            pinned.close()
        with ExitStack() as unless_proved:
            unless_proved.callback(connection.close)
            access.judge(self._tools.sockets.peer(connection.fileno()), path)
            unless_proved.pop_all()
        return connection

    def _secrets(self, password: str, *, can_require: bool) -> dict[str, Any]:
        """Return what is said of the password: in a container nothing but what is configured."""
        if self._server.process.contained and not password:
            return NO_PASSWORD | ({"require_auth": "none"} if can_require else {})
        required = {"require_auth": SAFE_LOG_INS} if can_require else {}
        return {"password": password or None, **required}

    def hold(self, limit: Limit) -> None:
        """Write all pages out; begin a backup where one instant cannot be had."""
        places = self._places(limit)
        if not self._server.one_cut and _is_spread(places):
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

    def _places(self, limit: Limit) -> Sequence[PathFact]:
        """Return where its files lie.

        Raises:
            QuiesceFailed: some of them get no snapshot.
        """
        data = self._server.data_dir
        others = [row[0] for row in self._run(_TABLESPACES, limit)]
        paths = (data, posixpath.join(data, "pg_wal"), *others)
        try:
            facts = [self._located(path, limit) for path in paths]
        except UsageError as error:
            raise QuiesceFailed(f"its files cannot be found: {error.message}") from error
        placed = zip(paths, facts, strict=True)
        left_out = [path for path, fact in placed if not self._server.covers(fact)]
        if left_out:
            raise uncovered(left_out)
        return facts

    def _located(self, path: str, limit: Limit) -> PathFact:
        limit.left()
        return self._tools.locate(self._server.process.pid, path)

    def _is_new(self) -> bool:
        return int(self._connection.info.server_version) >= NEW_NAMES

    def _run(self, statement: str, limit: Limit, *values: str) -> Sequence[Any]:
        """Run one statement, which the server itself gives up at the limit."""
        timeout_ms = max(1, int(limit.left() * 1000))
        # One that is stopped gives nothing up, and libpq waits for it.
        with self._tools.sockets.cut_off(self._connection.fileno(), limit.left() + GRACE_S):
            self._connection.execute(f"SET statement_timeout = {timeout_ms}")
            cursor = self._connection.execute(statement, values or None)
            rows: Sequence[Any] = cursor.fetchall() if cursor.description else ()
        return rows


def _is_spread(places: Sequence[PathFact]) -> bool:
    """Tell whether they lie on several filesystems."""
    return len({fact.devno or fact.mount_id for fact in places}) > 1


def _connected(limit: Limit, **how: Any) -> Any:
    """Return a session with the first database that there is: the usual one may be gone.

    Which it is does not matter, and ``template1`` no server is without.
    """
    psycopg = library("psycopg", "psycopg[binary]")
    first: Exception | None = None
    for name in ("postgres", "template1"):
        try:
            timeout = max(1, int(limit.left()))
            return psycopg.connect(dbname=name, connect_timeout=timeout, **how)
        except psycopg.OperationalError as error:
            # It has no field for what it was that the server refused.
            first = first or error
    assert first is not None
    raise first
