"""Containers by hand: namespaces of their own, a root on an overlay whose upper layer is on a disk.

The programs are this machine's, bind-mounted. ``/etc`` is the image's own, with the accounts alone.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import applications_rig as rig
from database_servers import ACCOUNT, AS_ACCOUNT, POSTGRESQL, psycopg, pymysql, redis

NAMESPACES = ("unshare", "--mount", "--pid", "--fork", "--propagation", "private")
# $1 merged, $2 options of the overlay, $3 a volume or nothing, $4 pivot or chroot.
_ENTER = """
mount -t overlay -o "$2" overlay "$1"
for name in usr dev; do mount --rbind /$name "$1/$name"; done
mount -t tmpfs -o mode=0755 none "$1/run"
mkdir -m 0755 "$1/run/db" && chown "$5" "$1/run/db"
mkdir -p "$1/data" && chown "$5" "$1/data"
if [ -n "$3" ]; then mount --bind "$3" "$1/data"; fi
mount -t proc proc "$1/proc"
ip link set lo up || true
merged=$1 how=$4
shift 5
cd "$merged"
if [ "$how" = pivot ]; then
    pivot_root . old
    umount -l /old
    exec "$@"
fi
exec chroot . "$@"
"""


@dataclass
class Container:
    """One container with one server in it.

    Args:
        upper: its own layer, on the disk.
    """

    where: rig.Place
    name: str
    upper: Path
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def pid(self) -> int:
        """Return the server's process id, as this machine has it."""
        rig.wait_for(lambda: _children(self.process.pid), "a container's first process")
        return _children(self.process.pid)[0]

    @property
    def root(self) -> Path:
        """Return its root directory."""
        return Path(f"/proc/{self.pid}/root")

    @property
    def socket(self) -> str:
        """Return the socket's path, as it leads there from outside."""
        return f"{self.root}/run/db/{self.name}.sock"

    def kill(self) -> None:
        """End it as ``docker kill`` does."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        self.process.wait()


def _children(pid: int) -> Sequence[int]:
    with contextlib.suppress(OSError):
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii")
        return [int(each) for each in text.split()]
    return ()


def image(where: rig.Place) -> Path:
    """Make what all containers share."""
    base = where.base / "image"
    if not base.exists():
        for folder in ("usr", "dev", "run", "proc", "etc", "old"):
            (base / folder).mkdir(parents=True)
        (base / "tmp").mkdir(mode=0o777)
        (base / "tmp").chmod(0o1777)
        for link in ("bin", "sbin", "lib", "lib64"):
            (base / link).symlink_to(f"usr/{link}")
        for file in ("passwd", "group"):
            shutil.copy(f"/etc/{file}", base / "etc")
        base.chmod(0o755)
    return base


def contain(
    where: rig.Place,
    disk: Path,
    name: str,
    *argv: str | Path,
    owner: str = ACCOUNT,
    network: bool = True,
    volume: Path | None = None,
    how: str = "pivot",
) -> Container:
    """Start a program in a container whose layer is on a disk."""
    layer = disk / "containers" / name
    for folder in ("up", "work"):
        (layer / folder).mkdir(parents=True, exist_ok=True)
    merged = where.base / f"{name}.merged"
    merged.mkdir(exist_ok=True)
    options = f"lowerdir={image(where)},upperdir={layer}/up,workdir={layer}/work"
    log = where.base / f"{name}.log"
    process = where.launch(
        *(*NAMESPACES, *(["--net"] if network else []), "--kill-child"),
        *("sh", "-ec", _ENTER, "sh", merged, options, volume or "", how, owner, *argv),
        log=log,
    )
    return Container(where, name, layer / "up", process, log)


class ContainedRedis:
    """A Redis in a container."""

    def __init__(
        self, where: rig.Place, disk: Path, name: str, *options: str | Path, **how: Any
    ) -> None:
        socket = ("--unixsocket", f"/run/db/{name}.sock")
        listen = () if "--port" in options else ("--port", "0", *socket)
        self.container = contain(
            *(where, disk, name, *AS_ACCOUNT, "redis-server", "--dir", "/data", *listen),
            *("--save", "3600 1000000", *options),
            **how,
        )
        log = self.container.log
        rig.wait_for(lambda: rig.log_lines(log, "eady to accept"), "Redis")

    def client(self) -> Any:
        return redis.Redis(unix_socket_path=self.container.socket, socket_timeout=30)


class ContainedMariaDb:
    """A MariaDB in a container, whose data was made outside."""

    def __init__(self, where: rig.Place, disk: Path, name: str, **how: Any) -> None:
        data = how.get("volume") or disk / "containers" / name / "up/data"
        rig.run(
            *("mariadb-install-db", "--no-defaults", f"--user={ACCOUNT}", "--skip-test-db"),
            *("--auth-root-authentication-method=socket", "--auth-root-socket-user=root"),
            f"--datadir={data}",
        )
        self.container = contain(
            *(where, disk, name, *AS_ACCOUNT, "mariadbd", "--no-defaults", "--datadir=/data"),
            *(f"--socket=/run/db/{name}.sock", "--skip-networking", "--tmpdir=/tmp"),
            *("--pid-file=/run/db/pid", "--innodb-buffer-pool-size=32M"),
            **how,
        )
        rig.wait_for(lambda: rig.log_lines(self.container.log, "ready for connections"), "MariaDB")

    def ask(self, statement: str) -> list[Any]:
        socket = self.container.socket
        with (
            contextlib.closing(pymysql.connect(unix_socket=socket, user="root")) as connection,
            connection.cursor() as cursor,
        ):
            cursor.execute(statement)
            connection.commit()
            return list(cursor.fetchall())


class ContainedPostgreSql:
    """A PostgreSQL in a container, whose data was made outside."""

    def __init__(self, where: rig.Place, disk: Path, name: str, **how: Any) -> None:
        data = how.get("volume") or disk / "containers" / name / "up/data"
        data.mkdir(parents=True, mode=0o700, exist_ok=True)
        shutil.chown(data, "postgres")
        made = where.launch(
            *(POSTGRESQL / "initdb", "-D", data, "-A", "trust", "--no-sync"),
            log=where.base / "initdb.log",
            user="postgres",
        )
        assert made.wait() == 0
        as_postgres = ("setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups")
        self.container = contain(
            *(where, disk, name, *as_postgres, POSTGRESQL / "postgres", "-D", "/data"),
            *("-c", "listen_addresses=", "-c", "unix_socket_directories=/run/db"),
            *("-c", "dynamic_shared_memory_type=mmap"),
            owner="postgres",
            **how,
        )
        rig.wait_for(lambda: rig.log_lines(self.container.log, "ready to accept"), "PostgreSQL")

    def ask(self, statement: str) -> None:
        with psycopg.connect(
            host=f"{self.container.root}/run/db", user="postgres", autocommit=True
        ) as connection:
            connection.execute(statement)
