"""A session with a server of the MySQL family, and InnoDB's way to an empty redo log."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Any

from snap_self.errors import QuiesceFailed, UsageError
from snap_self.quiesce.applications.access import Access
from snap_self.quiesce.applications.base import (
    Limit,
    Server,
    Tools,
    library,
    password_for,
    uncovered,
)
from snap_self.quiesce.applications.mysql_places import VARIABLES, folders_of, left_out

# Whoever waits for a lock makes all later writers wait behind it: give up soon.
LOCK_WAIT_S = 5
RELEASE_LIMIT_S = 5.0
# The checkpoint's own record and no more (16 bytes in MariaDB 10.8 and later).
RESTING_AGE_BYTES = 64
# Purge and statistics write in bursts after the last commit.
CALM_S = 0.5
LOCK_WAIT_TIMEOUT, ACCESS_DENIED, UNKNOWN_VARIABLE = 1205, 1227, 1193


# Each would send the password itself, or what comes near it, to whatever asks for it.
REFUSED_PLUGINS = (
    *("mysql_clear_password", "dialog", "mysql_old_password", "sha256_password"),
    "authentication_ldap_simple_client",
)


class RefusedPlugin:
    """What PyMySQL calls for a way of logging in that is not used."""

    def __init__(self, connection: object) -> None:
        del connection

    def authenticate(self, packet: object) -> None:
        """Refuse.

        Raises:
            QuiesceFailed: always.
        """
        del packet
        raise QuiesceFailed(
            "it asks for the password in clear text; nothing was sent",
            hint="log in without one: unix_socket (MariaDB) or auth_socket (MySQL), as root",
        )


class MySqlSession:
    """One connection, every statement with a limit of its own."""

    def __init__(self, server: Server, tools: Tools) -> None:
        self._server = server
        self._tools = tools
        self._connection: Any = None

    def open(self, limit: Limit) -> None:
        """Connect, with a session that ends by itself when the agent does not go on."""
        password = password_for(self._server, self._tools)
        access = Access(self._server, self._tools)
        # The socket of MySQL's X protocol, mostly named so, comes last.
        paths = sorted(access.paths, key=lambda path: path.endswith("x.sock"))
        self._connection = access.reach(
            paths, lambda path: self._log_in(access.link(path, limit), password, limit)
        )
        wait_s = max(1, min(LOCK_WAIT_S, int(limit.left())))
        self.run(f"SET SESSION lock_wait_timeout={wait_s}", limit)
        # An agent that is stopped (SIGSTOP) keeps its connection, so the server has to end it.
        self.run(f"SET SESSION wait_timeout={self._tools.hold_s}", limit)

    def _log_in(self, link: Any, password: str, limit: Limit) -> Any:
        """Return a session over a connected socket."""
        pymysql = library("pymysql", "PyMySQL")
        connection = pymysql.connect(
            defer_connect=True,
            user=self._server.settings.user or "root",
            password=password,
            auth_plugin_map=dict.fromkeys(REFUSED_PLUGINS, RefusedPlugin),
            local_infile=False,
            ssl_disabled=True,
            autocommit=True,
            read_timeout=limit.left(),
            write_timeout=limit.left(),
        )
        # PyMySQL takes a socket that it is given for one of a network, where a server that wants
        # the password itself (caching_sha2_password, once) would have to be sent it encrypted.
        connection._secure = True
        try:
            connection.connect(sock=link)
        except (struct.error, IndexError, UnicodeError) as error:
            raise QuiesceFailed(
                "what listens on its socket does not speak the protocol of MySQL's clients",
                hint=f"name the other: applications.{self._server.label}.socket",
            ) from error
        return connection

    def version(self) -> str:
        """Return the server's version text."""
        return str(self._connection.get_server_info())

    def run(
        self, statement: str, limit: Limit, *, waits_for: str = "a long query or transaction"
    ) -> tuple[tuple[Any, ...], ...]:
        """Run one statement and return its rows.

        Args:
            waits_for: what keeps it from being granted its lock.
        """
        # PyMySQL sets it on the socket before each read, and has no other way to change it.
        self._connection._read_timeout = limit.left()
        try:
            with self._connection.cursor() as cursor:
                cursor.execute(statement)
                return tuple(cursor.fetchall())
        except library("pymysql", "PyMySQL").err.MySQLError as error:
            if error.args[:1] != (LOCK_WAIT_TIMEOUT,):
                raise
            raise QuiesceFailed(
                f"the lock was not granted: {waits_for} is in the way",
                hint="nothing is held now; run it at another time",
            ) from error

    def rows_if_allowed(self, statement: str, limit: Limit) -> tuple[tuple[Any, ...], ...] | None:
        """Return a statement's rows; None where it is unknown or not allowed."""
        try:
            return self.run(statement, limit)
        except library("pymysql", "PyMySQL").err.MySQLError as error:
            if error.args[:1] in ((ACCESS_DENIED,), (UNKNOWN_VARIABLE,)):
                return None
            raise

    def texts(self, which: str, limit: Limit) -> dict[str, str]:
        """Return global status values or variables, by name."""
        return {
            str(name): str(value or "") for name, value in self.run(f"SHOW GLOBAL {which}", limit)
        }

    def numbers(self, pattern: str, limit: Limit) -> dict[str, int]:
        """Return global status values whose names match, by name."""
        found = self.texts(f"STATUS LIKE '{pattern}'", limit)
        return {name: int(value) for name, value in found.items() if value.isdigit()}

    def refuse_left_out(self, files: Sequence[str] | None, limit: Limit) -> None:
        """Make sure that all its files get a snapshot, those that are not open too.

        Args:
            files: of all tablespaces; None where the agent's user may not ask for them.

        Raises:
            QuiesceFailed: some get none, or cannot be found.
        """
        names = ", ".join(f"'{name}'" for name in VARIABLES)
        variables = self.texts(f"VARIABLES WHERE Variable_name IN ({names})", limit)
        try:
            leads = self._tools.leads(self._server.process.pid, self._server.data_dir)
        except UsageError as error:
            raise QuiesceFailed(f"its files cannot be found: {error.message}") from error
        places = (*folders_of(variables, files), *leads)
        if found := left_out(self._server, self._tools, places, limit):
            raise uncovered(found)

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
