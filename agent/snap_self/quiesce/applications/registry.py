"""Every application there is a driver for."""

from __future__ import annotations

import posixpath
from collections.abc import Callable
from dataclasses import dataclass

from snap_self.model.applications import ProcessFact
from snap_self.quiesce.applications.base import Driver, Server, Tools
from snap_self.quiesce.applications.mariadb import MariaDbDriver
from snap_self.quiesce.applications.mongodb import MongoDbDriver
from snap_self.quiesce.applications.mysql import MySqlDriver
from snap_self.quiesce.applications.postgresql import PostgreSqlDriver
from snap_self.quiesce.applications.redis import RedisDriver


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Kind:
    """One kind of application.

    Args:
        key: its name in the configuration.
        title: for people.
        programs: names its server's process may have.
        driver: makes the driver for one server.
        data_dir: where a process keeps its data, as it sees it; empty if that cannot be told.
        grants: what the agent's user needs, in the server's own language; tests run as such
            a user where there is a real server.
        how: how it is brought to rest.
        worth: what a start from the snapshot looks like.
    """

    key: str
    title: str
    programs: frozenset[str]
    driver: Callable[[Server, Tools], Driver]
    data_dir: Callable[[ProcessFact], str]
    grants: str
    how: str
    worth: str


def working_directory(process: ProcessFact) -> str:
    """Return the directory that the servers which go to their data work in."""
    return process.cwd if process.cwd != "/" else ""


def folder_of(name: str) -> Callable[[ProcessFact], str]:
    """Return what finds the folder of an open file with that name."""

    def find(process: ProcessFact) -> str:
        folders = (posixpath.split(path) for path in process.files)
        return next((folder for folder, file in folders if file == name), "")

    return find


# In the order in which they are brought to rest: what stops nobody and may take long comes first,
# what holds commits back comes last, so that it does so for as short as can be.
KINDS = (
    Kind(
        key="postgresql",
        title="PostgreSQL",
        programs=frozenset({"postgres", "postmaster"}),
        driver=PostgreSqlDriver,
        data_dir=working_directory,
        grants='GRANT pg_checkpoint TO "snap-self"; GRANT EXECUTE ON FUNCTION '
        'pg_backup_start, pg_backup_stop TO "snap-self"',
        how="`CHECKPOINT`; a backup session where its files cannot be cut at one instant",
        worth="It says that it recovers, as it does after everything but a shutdown, and replays "
        "what was written between the checkpoint and the cut.",
    ),
    Kind(
        key="redis",
        title="Redis",
        programs=frozenset({"redis-server", "valkey-server"}),
        driver=RedisDriver,
        data_dir=working_directory,
        grants="ACL SETUSER snap-self on >PASSWORD +ping +info +time +bgsave +client|pause "
        "+client|unpause",
        how="`BGSAVE`, or its append-only file written out; then `CLIENT PAUSE … WRITE`",
        worth="It loads a complete dump or append-only file. Of the dump it holds what was "
        "written before the dump began.",
    ),
    Kind(
        key="mongodb",
        title="MongoDB",
        programs=frozenset({"mongod"}),
        driver=MongoDbDriver,
        data_dir=folder_of("WiredTiger.lock"),
        grants='db.grantRolesToUser("snap-self", ["hostManager", "clusterMonitor"])',
        how="`fsync` with a lock",
        worth="Everything is in its checkpoint. Checked against its protocol only, not with a "
        "real server.",
    ),
    Kind(
        key="mysql",
        title="MySQL",
        programs=frozenset({"mysqld"}),
        driver=MySqlDriver,
        data_dir=working_directory,
        grants="GRANT BACKUP_ADMIN, RELOAD ON *.* TO 'snap-self'@'localhost'",
        how="`LOCK INSTANCE FOR BACKUP`, `FLUSH TABLES WITH READ LOCK`, then InnoDB's own flushing",
        worth="InnoDB's redo log is empty; transactions open at the cut are rolled back. Checked "
        "against its protocol only, not with a real server.",
    ),
    Kind(
        key="mariadb",
        title="MariaDB",
        programs=frozenset({"mariadbd", "mysqld"}),
        driver=MariaDbDriver,
        data_dir=working_directory,
        grants="GRANT RELOAD, SUPER ON *.* TO 'snap-self'@'localhost'",
        how="`BACKUP STAGE` up to `BLOCK_COMMIT`, then an InnoDB checkpoint",
        worth="InnoDB starts without crash recovery; transactions open at the cut are rolled "
        "back. Aria, which holds the server's own tables, says that it recovers.",
    ),
)
