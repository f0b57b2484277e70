"""Real database servers, each as a system account may run it, and writers on them."""

from __future__ import annotations

import contextlib
import shutil
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import applications_rig as rig
import psutil
import pytest
from applications_rig import ACCOUNT
from real_mysql import MySqlProgram

pymysql = pytest.importorskip("pymysql")
psycopg = pytest.importorskip("psycopg")
redis = pytest.importorskip("redis")
AS_ACCOUNT = ("setpriv", f"--reuid={ACCOUNT}", f"--regid={ACCOUNT}", "--clear-groups")
POSTGRESQL = [Path("/nowhere"), *sorted(Path("/usr/lib/postgresql").glob("*/bin"))][-1]


class MariaDb:
    """One server."""

    program: Sequence[str] = ("mariadbd", "--no-defaults")
    ready = "ready for connections"

    def __init__(
        self,
        where: rig.Place,
        data: Path,
        name: str,
        *before: str,
        options: Sequence[str] = (),
    ) -> None:
        self.data, self.log = data, where.base / f"{name}.log"
        self.socket = where.folder_of(ACCOUNT, name) / f"{name}.sock"
        self.process = where.launch(
            *before,
            *self.program,
            f"--user={ACCOUNT}",
            f"--datadir={data}",
            f"--socket={self.socket}",
            f"--pid-file={self.socket.with_suffix('.pid')}",
            "--skip-networking",
            "--innodb-buffer-pool-size=32M",
            *options,
            log=self.log,
        )
        rig.wait_for(lambda: rig.log_lines(self.log, self.ready), self.program[0])

    def connect(self) -> Any:
        return pymysql.connect(unix_socket=str(self.socket), user="root", autocommit=True)

    def ask(self, statement: str) -> list[Any]:
        with contextlib.closing(self.connect()) as connection, connection.cursor() as cursor:
            cursor.execute(statement)
            return list(cursor.fetchall())

    def writer(self) -> rig.Writer:
        connection = self.connect()
        insert = "INSERT INTO t.rows_ VALUES (%s, REPEAT('x', 100))"
        return lambda row: connection.cursor().execute(insert, (row,)), connection.close

    def rows(self) -> set[int]:
        return {row for (row,) in self.ask("SELECT n FROM t.rows_")}

    def end(self) -> None:
        """Kill it."""
        self.process.kill()
        self.process.wait()


class MySql(MariaDb):
    """One server; its protocol X has a socket of its own, whose name comes first."""

    ready = "mysqld: ready for connections"

    def __init__(
        self,
        where: rig.Place,
        program: MySqlProgram,
        data: Path,
        name: str,
        *before: str,
        options: Sequence[str] = (),
    ) -> None:
        self.origin, self.program = program, program.argv
        other = f"--mysqlx-socket={where.folder_of(ACCOUNT, name)}/another"
        told = "--log-error-verbosity=3"  # of a start, what it recovers
        super().__init__(where, data, name, *before, options=(other, told, *options))

    @staticmethod
    def install(
        where: rig.Place,
        program: MySqlProgram,
        data: Path,
        *statements: str,
        options: Sequence[str] = (),
    ) -> None:
        """Make a data directory, in which root logs in over the socket as Debian has it."""
        first = where.base / f"{data.name}.sql"
        own = (
            "INSTALL PLUGIN auth_socket SONAME 'auth_socket.so'",
            "ALTER USER 'root'@'localhost' IDENTIFIED WITH auth_socket",
        )
        first.write_text("".join(f"{each};\n" for each in (*own, *statements)), encoding="utf-8")
        given = (f"--user={ACCOUNT}", f"--datadir={data}", f"--init-file={first}")
        rig.run(*program.argv, "--initialize-insecure", *given, *options)


class Redis:
    """One server."""

    def __init__(
        self,
        where: rig.Place,
        data: Path,
        name: str,
        *before: str,
        appends: bool,
        options: Sequence[str] = ("--save", "3600 1000000"),
    ) -> None:
        data.mkdir(exist_ok=True)
        shutil.chown(data, ACCOUNT)
        self.log = where.base / f"{name}.log"
        self.socket = where.folder_of(ACCOUNT, name) / f"{name}.sock"
        self.process = where.launch(
            *(
                *before,
                *AS_ACCOUNT,
                "redis-server",
                "--port",
                "0",
                "--dir",
                data,
                "--unixsocket",
                self.socket,
            ),
            *("--appendonly", "yes" if appends else "no", *options),
            log=self.log,
        )
        rig.wait_for(lambda: rig.log_lines(self.log, "ready to accept"), "Redis")

    def client(self) -> Any:
        return redis.Redis(unix_socket_path=str(self.socket), socket_timeout=30)

    def writer(self) -> rig.Writer:
        client = self.client()
        return lambda row: client.rpush("rows", row), client.close

    def rows(self) -> set[int]:
        with self.client() as client:
            return {int(row) for row in client.lrange("rows", 0, -1)}

    def end(self) -> None:
        """Kill it, and the process that writes its data meanwhile: that one would live on."""
        if self.process.poll() is None:
            family = psutil.Process(self.process.pid).children(recursive=True)
            for process in (*family, self.process):
                process.kill()
        self.process.wait()


class PostgreSql:
    """One server."""

    def __init__(self, where: rig.Place, data: Path, name: str, *options: str) -> None:
        self.log, self.sockets = where.base / f"{name}.log", where.folder_of("postgres", name)
        given = ("listen_addresses=", f"unix_socket_directories={self.sockets}", *options)
        self.process = where.launch(
            *(POSTGRESQL / "postgres", "-D", data),
            *(word for option in given for word in ("-c", option)),
            log=self.log,
            user="postgres",
        )
        rig.wait_for(lambda: rig.log_lines(self.log, "ready to accept"), "PostgreSQL")

    def connect(self) -> Any:
        return psycopg.connect(
            host=str(self.sockets), user="postgres", dbname="postgres", autocommit=True
        )

    def ask(self, statement: str) -> list[Any]:
        with self.connect() as connection:
            cursor = connection.execute(statement)
            return list(cursor.fetchall()) if cursor.description else []

    def writer(self) -> rig.Writer:
        connection = self.connect()
        insert = "INSERT INTO rows_ VALUES (%s)"
        return lambda row: connection.execute(insert, (row,)), connection.close

    def rows(self) -> set[int]:
        return {row for (row,) in self.ask("SELECT n FROM rows_")}

    def end(self) -> None:
        """End it without a checkpoint (its immediate shutdown), with all its processes."""
        self.process.send_signal(signal.SIGQUIT)
        self.process.wait()
