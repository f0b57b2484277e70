"""A session with a server of the MySQL family, and InnoDB's way to an empty redo log."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from snap_self.errors import QuiesceFailed
from snap_self.quiesce.applications.base import Limit, Server, Tools, library, password_of

# Whoever waits for a lock makes all later writers wait behind it: give up soon.
LOCK_WAIT_S = 5
RELEASE_LIMIT_S = 5.0
# The checkpoint's own record and no more (16 bytes in MariaDB 10.8 and later).
RESTING_AGE_BYTES = 64
# Purge and statistics write in bursts after the last commit.
CALM_S = 0.5
LOCK_WAIT_TIMEOUT, ACCESS_DENIED, UNKNOWN_VARIABLE = 1205, 1227, 1193


class MySqlSession:
    """One connection, every statement with a limit of its own."""

    def __init__(self, server: Server, tools: Tools) -> None:
        self._server = server
        self._tools = tools
        self._connection: Any = None

    def errors(self) -> tuple[type[Exception], ...]:
        """Return what the library raises."""
        return (library("pymysql", "PyMySQL").err.MySQLError, OSError)

    def open(self, limit: Limit) -> None:
        """Connect, with a session that ends by itself when the agent does not go on."""
        pymysql = library("pymysql", "PyMySQL")
        self._connection = pymysql.connect(
            unix_socket=self._socket(),
            user=self._server.settings.user or "root",
            password=password_of(self._server.settings, self._tools.read_text),
            autocommit=True,
            connect_timeout=max(1, int(limit.left())),
            read_timeout=limit.left(),
            write_timeout=limit.left(),
        )
        wait_s = max(1, min(LOCK_WAIT_S, int(limit.left())))
        self.run(f"SET SESSION lock_wait_timeout={wait_s}", limit)
        # An agent that is stopped (SIGSTOP) keeps its connection, so the server has to end it.
        self.run(f"SET SESSION wait_timeout={self._tools.hold_s}", limit)

    def version(self) -> str:
        """Return the server's version text."""
        return str(self._connection.get_server_info())

    def run(self, statement: str, limit: Limit) -> tuple[tuple[Any, ...], ...]:
        """Run one statement and return its rows."""
        # PyMySQL sets it on the socket before each read, and has no other way to change it.
        self._connection._read_timeout = limit.left()
        try:
            with self._connection.cursor() as cursor:
                cursor.execute(statement)
                return tuple(cursor.fetchall())
        except self.errors() as error:
            if error.args[:1] != (LOCK_WAIT_TIMEOUT,):
                raise
            raise QuiesceFailed(
                "the lock was not granted: a long query or transaction is in the way",
                hint="nothing is held now; run long queries at another time",
            ) from error

    def is_allowed(self, statement: str, limit: Limit) -> bool:
        """Run a statement; tell whether the server knows it and lets this user run it."""
        try:
            self.run(statement, limit)
        except self.errors() as error:
            if error.args[:1] in ((ACCESS_DENIED,), (UNKNOWN_VARIABLE,)):
                return False
            raise
        return True

    def numbers(self, pattern: str, limit: Limit) -> dict[str, int]:
        """Return global status values whose names match, by name."""
        rows = self.run(f"SHOW GLOBAL STATUS LIKE '{pattern}'", limit)
        return {str(name): int(value) for name, value in rows if str(value).isdigit()}

    def settle(self, limit: Limit, *, push: Callable[[], object], hint: str) -> int:
        """Wait until InnoDB's redo log holds nothing after its checkpoint; return where it ends.

        Args:
            push: asks for a checkpoint, or does nothing.
            hint: what may be done where it does not get there.

        Raises:
            QuiesceFailed: it did not in time.
        """
        try:
            end = self._calm_end(limit)
            while self.redo(limit)[1] > RESTING_AGE_BYTES:
                push()
                end = self._calm_end(limit)
            return end
        except QuiesceFailed as error:
            raise QuiesceFailed(
                "its redo log did not come to rest in time, so it would start with crash recovery",
                hint=hint,
            ) from error

    def _calm_end(self, limit: Limit) -> int:
        """Return where the redo log ends once it did not grow for a while."""
        before, now = -1, self.redo(limit)[0]
        while now != before:
            limit.pause(CALM_S)
            before, now = now, self.redo(limit)[0]
        return now

    def redo(self, limit: Limit) -> tuple[int, int]:
        """Return where InnoDB's redo log ends, and how many bytes of it a start would replay."""
        found = self.numbers("Innodb%lsn%", limit)
        end = found.get("Innodb_lsn_current", found.get("Innodb_redo_log_current_lsn"))
        point = found.get("Innodb_lsn_last_checkpoint", found.get("Innodb_redo_log_checkpoint_lsn"))
        if end is None or point is None:
            raise QuiesceFailed(
                "the server does not tell where its redo log ends",
                hint="MariaDB does, and MySQL from 8.0.30 on",
            )
        return end, end - point

    def state(self) -> str:
        """Look at the connection alone: a server on a frozen filesystem may not answer."""
        return self._tools.link(self._connection._sock.fileno())

    def release_limit(self) -> Limit:
        """Return the limit for letting go."""
        clock = self._tools.clock
        return Limit(clock, clock.monotonic() + RELEASE_LIMIT_S)

    def close(self) -> None:
        """Drop the connection; the server lets go of what it held for it."""
        if self._connection is not None:
            # Without the farewell message, which could wait for a server that hangs.
            self._connection._force_close()
            self._connection = None

    def _socket(self) -> str:
        configured = self._server.settings.socket
        if configured:
            return configured
        found = [path for path in self._server.process.sockets if not path.endswith("x.sock")]
        if not found:
            raise QuiesceFailed(
                "it listens on no local socket", hint="name it: applications.…  = { socket = … }"
            )
        return self._server.seen_from_here(found[0])
