"""Every application there is a driver for."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable
from dataclasses import dataclass

from snap_self.model.applications import APPLICATIONS
from snap_self.model.servers import ProcessFact
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
        key: its name in the configuration, one of ``APPLICATIONS``.
        accounts: what its server runs as, as packages set it up.
        programs: names its server's process may have.
        driver: makes the driver for one server.
        data_dir: where a process keeps its data, as it sees it; empty if that cannot be told.
        data_files: names of files without which its data are not whole, wherever they lie.
        grants: what the agent's user needs, in the server's own language; tests run as such
            a user where there is a real server.
        how: how it is brought to rest.
        worth: what a start from the snapshot looks like.
        in_containers: it is brought to rest in containers too.
    """

    key: str
    programs: frozenset[str]
    accounts: tuple[str, ...]
    driver: Callable[[Server, Tools], Driver]
    data_dir: Callable[[ProcessFact], str]
    grants: str
    how: str
    worth: str
    data_files: re.Pattern[str] = re.compile("$^")
    in_containers: bool = True

    @property
    def title(self) -> str:
        """Its name for people."""
        return APPLICATIONS[self.key]


def working_directory(process: ProcessFact) -> str:
    """Return the directory that the servers which go to their data work in."""
    return process.cwd if process.cwd != "/" else ""


def folder_of(name: str) -> Callable[[ProcessFact], str]:
    """Return what finds the folder of an open file with that name."""

    def find(process: ProcessFact) -> str:
        folders = (posixpath.split(path) for path in process.files)
        return next((folder for folder, file in folders if file == name), "")

    return find


# Tables, redo and undo logs of InnoDB, MyISAM and Aria; binary logs.
_MYSQL_FILES = re.compile(
    r".+\.(ibd|ibu|MY[DI]|MA[DI])|ib_logfile\d+|#?ib_redo\d+|ibdata\d+|undo_?\d+|aria_log.*"
    r"|.+\.\d{6,}"
)
# Its append-only file alone is open: its folder can be a link to another disk.
_REDIS_FILES = re.compile(r".+\.aof")
_MONGODB_FILES = re.compile(r"WiredTiger.*|.+\.wt")

# In the order in which they are brought to rest: what stops nobody and may take long comes first,
# what holds commits back comes last, so that it does so for as short as can be.
KINDS = (
    Kind(
        key="postgresql",
        programs=frozenset({"postgres", "postmaster"}),
        accounts=("postgres",),
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
        programs=frozenset({"redis-server", "valkey-server"}),
        accounts=("redis", "valkey"),
        driver=RedisDriver,
        data_dir=working_directory,
        data_files=_REDIS_FILES,
        grants="ACL SETUSER snap-self on >PASSWORD +ping +info +time +bgsave +client|pause "
        "+client|unpause",
        how="`BGSAVE`, or its append-only file written out; then `CLIENT PAUSE … WRITE`",
        worth="It loads a complete dump or append-only file. Of the dump it holds what was "
        "written before the dump began.",
    ),
    Kind(
        key="mongodb",
        programs=frozenset({"mongod"}),
        accounts=("mongodb", "mongod"),
        driver=MongoDbDriver,
        data_dir=folder_of("WiredTiger.lock"),
        data_files=_MONGODB_FILES,
        # What would unlock it for a dead agent reaches it by itself, and only where it is.
        in_containers=False,
        grants='db.grantRolesToUser("snap-self", ["hostManager", "clusterMonitor"])',
        how="`fsync` with a lock",
        worth="Everything is in its checkpoint. Checked against its protocol only, not with a "
        "real server.",
    ),
    Kind(
        key="mysql",
        programs=frozenset({"mysqld"}),
        accounts=("mysql",),
        driver=MySqlDriver,
        data_dir=working_directory,
        data_files=_MYSQL_FILES,
        grants="GRANT BACKUP_ADMIN, RELOAD ON *.* TO 'snap-self'@'localhost'",
        how="`LOCK INSTANCE FOR BACKUP`, `FLUSH TABLES WITH READ LOCK`, then InnoDB's own flushing",
        worth="InnoDB says that it recovers, as it does after everything but a shutdown, and has "
        "no redo log to replay; transactions open at the cut are rolled back.",
    ),
    Kind(
        key="mariadb",
        programs=frozenset({"mariadbd", "mysqld"}),
        accounts=("mysql", "mariadb"),
        driver=MariaDbDriver,
        data_dir=working_directory,
        data_files=_MYSQL_FILES,
        grants="GRANT RELOAD, SUPER ON *.* TO 'snap-self'@'localhost'",
        how="`BACKUP STAGE` up to `BLOCK_COMMIT`, then an InnoDB checkpoint",
        worth="InnoDB starts without crash recovery; transactions open at the cut are rolled "
        "back. Aria, which holds the server's own tables, says that it recovers.",
    ),
)
