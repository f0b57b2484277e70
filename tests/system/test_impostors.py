"""Processes of somebody else's that call themselves databases, beside real ones and without.

They are told nothing: no byte of a password, no session. What they say or do is worth a note, and
changes neither level nor status nor how long a real server's commits are held.
"""

from __future__ import annotations

import itertools
import json
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import applications_rig as rig
import pytest
from database_servers import ACCOUNT, AS_ACCOUNT, POSTGRESQL, MariaDb, PostgreSql, Redis
from hold_rig import RUN, Machine, machine

from agent_runner import AgentResult, AgentRunner
from json_schemas import hold

rig.needs("mariadbd", "mariadb-install-db", "redis-server", "setpriv", "unshare")
pytestmark = [pytest.mark.root, pytest.mark.slow]
NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
# Process ids of its own; its user id is root's, as it mostly is in a container.
CONTAINER = ("unshare", "--fork", "--pid", "--mount", "--propagation", "private")
PYTHON = "/usr/bin/python3"
ACCOUNT_ID = pwd.getpwnam(ACCOUNT).pw_uid
SOURCE = Path(__file__).with_name("impostor.py").read_text(encoding="utf-8")
OWN = """
mount --bind "$1" /run/snap-self
mount -t overlay -o "lowerdir=$2:/etc" overlay /etc
shift 2
exec "$@"
"""
PASSWORD = "told-to-no-stranger"
KINDS = ("mariadb", "mysql", "postgresql", "redis", "mongodb")
HOWS = [
    ("mariadb", "clear"),
    ("mariadb", "infile"),
    ("mariadb", "stall"),
    ("redis", "yes"),
    ("redis", "stall"),
    ("postgresql", "cleartext"),
    ("mongodb", "stall"),
]
# Every way is tried once; where it is tried again, one for each server is enough in short.
ONE_EACH = [
    (kind, how)
    if how == {"mariadb": "infile", "redis": "yes"}.get(kind, how)
    else pytest.param(kind, how, marks=pytest.mark.long)
    for kind, how in HOWS
]


@dataclass
class Impostor:
    """One of them."""

    process: subprocess.Popen[bytes]
    log: Path

    @property
    def told(self) -> bytes:
        """Return every byte that it was sent."""
        return self.log.read_bytes()


@dataclass
class World:
    """A cloud with one mounted disk, on which real servers and others have their data."""

    on: Machine
    base: Path
    agent: AgentRunner
    servers: rig.Place
    numbers: Iterator[int] = field(default_factory=lambda: iter(range(1000)))

    @property
    def disk(self) -> Path:
        """Return where the disk is mounted."""
        return next(iter(self.on.mounts.values()))

    def impostor(
        self,
        kind: str,
        how: str,
        *,
        before: tuple[str, ...] = NOBODY,
        folder: Path | None = None,
        real: Path | None = None,
        owner: int = 65534,
    ) -> Impostor:
        """Start one, whose data lies on the disk."""
        number = next(self.numbers)
        data = folder or self.disk / f"impostor{number}"
        logs = self.base / f"logs{number}"
        for made in (data, logs):
            made.mkdir(exist_ok=True)
            if made != folder:
                shutil.chown(made, owner, owner)
        log = logs / "told"
        argv = [*before, PYTHON, "-c", SOURCE, kind, how, data, log, *([real] if real else [])]
        process = self.servers.launch(*argv, log=self.base / f"impostor{number}.log")
        rig.wait_for(Path(f"{log}.ready").exists, f"an impostor of {kind}")
        return Impostor(process, log)

    def configure(self, *kinds: str, use: str = "auto", **how: str) -> None:
        """Have applications switched on, with the password."""
        given = {"use": use, "user": "snap-self", "password_file": "/etc/password"} | how

        def table(kind: str) -> str:
            own = {} if kind == "postgresql" else {"server_user": ACCOUNT}
            rows = (own | given).items()
            return ", ".join(f"{key} = {json.dumps(value)}" for key, value in rows if value)

        text = "[applications]\n" + "".join(f"{kind} = {{ {table(kind)} }}\n" for kind in kinds)
        (self.base / "etc/snap-self/config.toml").write_text(text, encoding="utf-8")

    def run(self, *options: str) -> AgentResult:
        """Do the main job at level application, the outside timer armed first."""
        self.on.arm()
        try:
            return self.agent.run(
                *("--before", "x", "--consistency", "application", "--wait", "cut", "--json"),
                *options,
            )
        finally:
            self.on.loops.thaw_all()
            self.on.loops.disarm()


@pytest.fixture(scope="module")
def machine_alone(run_directory: Any) -> Iterator[tuple[Machine, Path]]:
    with tempfile.TemporaryDirectory(prefix="snap-self-impostors-") as made:
        base = Path(made)
        base.chmod(0o755)
        with machine(base, "ext4") as on:
            yield on, base


@pytest.fixture
def world(machine_alone: tuple[Machine, Path], run_directory: Any) -> Iterator[World]:
    on, above = machine_alone
    base = Path(tempfile.mkdtemp(dir=above))
    base.chmod(0o755)
    etc = base / "etc/snap-self"
    etc.mkdir(parents=True)
    (base / "etc/password").touch(mode=0o600)
    (base / "etc/password").write_text(PASSWORD, encoding="utf-8")
    RUN.mkdir(mode=0o700, exist_ok=True)
    state = run_directory.new_folder("state", "impostors")
    agent = AgentRunner(run_directory=run_directory, state=state).against(on.cloud)
    own = ("unshare", "--mount", "--propagation", "slave", "sh", "-ec", OWN, "sh")
    agent = agent.with_wrapper(*own, str(on.loops.markers), str(base / "etc"))
    servers = rig.Place(base, on.cloud.process, agent)
    try:
        yield World(on, base, agent, servers)
    finally:
        servers.close()
        for left in next(iter(on.mounts.values())).iterdir():
            if left.name != "lost+found":
                shutil.rmtree(left)


def mariadb(world: World) -> MariaDb:
    """Start a real MariaDB on the disk, with the user that the manual names."""
    data = world.disk / "mysql"
    rig.run(
        *("mariadb-install-db", "--no-defaults", f"--user={ACCOUNT}", "--skip-test-db"),
        *("--auth-root-authentication-method=socket", "--auth-root-socket-user=root"),
        f"--datadir={data}",
    )
    server = MariaDb(world.servers, data, "real")
    server.ask(f"CREATE USER 'snap-self'@'localhost' IDENTIFIED BY '{PASSWORD}'")
    server.ask(rig.grants_of("mariadb"))
    server.ask("CREATE DATABASE t")
    server.ask("CREATE TABLE t.rows_ (n INT PRIMARY KEY, v VARCHAR(100)) ENGINE=InnoDB")
    return server


def level(result: AgentResult) -> str | None:
    """Return the level that a run says it reached."""
    reached: str | None = result.json["consistency"]["reached"]
    return reached


def notes_of(result: AgentResult, impostor: Impostor) -> list[str]:
    """Return the notes that name an impostor."""
    known = [f"process {impostor.process.pid} ", f"user id {65534}"]
    return [note for note in result.json["notes"] if any(each in note for each in known)]


@pytest.mark.parametrize(("kind", "how"), HOWS)
def test_impostor_alone_is_told_nothing_and_is_no_application_at_rest(
    world: World, kind: str, how: str
) -> None:
    impostor = world.impostor(kind, how)
    world.configure(*KINDS, server_user="")
    result = world.run()
    assert impostor.told == b""
    assert (result.status, level(result)) == (100, "filesystem")
    assert "no hook and no application" in result.json["consistency"]["why"]
    assert len(notes_of(result, impostor)) == 1
    assert result.json["applications"] == []


@pytest.mark.parametrize(("kind", "how"), ONE_EACH)
def test_impostor_with_the_account_of_another_service_is_told_nothing(
    world: World, kind: str, how: str
) -> None:
    impostor = world.impostor(kind, how, before=AS_ACCOUNT, owner=ACCOUNT_ID)
    world.configure(*KINDS, server_user="")
    result = world.run()
    assert impostor.told == b""
    assert (result.status, level(result)) == (100, "filesystem")
    assert "server_user names none for it" in " ".join(result.json["notes"])
    assert result.json["applications"] == []


@pytest.mark.parametrize(("kind", "how"), ONE_EACH)
def test_impostor_does_not_stand_in_for_an_application_that_has_to_be_there(
    world: World, kind: str, how: str
) -> None:
    impostor = world.impostor(kind, how)
    world.configure(kind, use="on", server_user="")
    result = world.run("--on-quiesce-failure", "abort")
    assert impostor.told == b""
    assert result.status == 8
    assert f"{kind}: none is running" in result.json["error"]["message"]


@pytest.mark.parametrize(("kind", "how"), ONE_EACH)
def test_impostor_beside_a_real_server_changes_nothing_but_a_note(
    world: World, kind: str, how: str
) -> None:
    Redis(world.servers, world.disk / "redis", "real", appends=False)
    world.configure("redis", user="", password_file="")
    lone = world.run("--on-quiesce-failure", "abort")
    assert (lone.status, level(lone)) == (0, "application")
    impostor = world.impostor(kind, how)
    world.configure(*KINDS, user="", password_file="")
    result = world.run("--on-quiesce-failure", "abort")
    assert impostor.told == b""
    assert (result.status, level(result)) == (0, "application")
    (rested,) = result.json["applications"]
    assert (rested["kind"], rested["account"], rested["at_rest"]) == ("redis", ACCOUNT, True)
    assert len(notes_of(result, impostor)) == 1


def test_impostor_that_relays_to_the_real_mariadb_is_given_no_session(world: World) -> None:
    real = mariadb(world)
    impostor = world.impostor("mariadb", "relay", real=real.socket)
    world.configure("mariadb")
    result = world.run("--on-quiesce-failure", "abort")
    assert impostor.told == b""
    assert (result.status, level(result)) == (0, "application")
    (rested,) = result.json["applications"]
    assert (rested["pid"], rested["executable"]) == (real.process.pid, "/usr/sbin/mariadbd")
    assert f"(process {real.process.pid} of {ACCOUNT}, user id 1, " in " ".join(
        result.json["notes"]
    )
    hold(result.json, "snapshot")


def test_real_servers_commits_are_held_no_longer_for_one_that_stalls(world: World) -> None:
    real = mariadb(world)
    world.configure("mariadb")

    def longest() -> float:
        with rig.Load(real.writer, threads=1) as load:
            result = world.run()
            load.wait_for_more()
        assert (result.status, level(result)) == (0, "application")
        told = sorted(load.told.values())
        real.ask("DELETE FROM t.rows_")
        return max(later - sooner for sooner, later in itertools.pairwise(told))

    alone = min(longest() for _ in range(2))
    stalling = [world.impostor("mariadb", "stall") for _ in range(3)]
    beside = min(longest() for _ in range(2))
    assert [each.told for each in stalling] == [b"", b"", b""]
    assert beside < alone + 1, (alone, beside)


@pytest.mark.parametrize("kind", ["mariadb", "postgresql", "redis"])
def test_impostor_that_works_in_the_root_directory_is_a_note_too(world: World, kind: str) -> None:
    Redis(world.servers, world.disk / "redis", "real", appends=False)
    world.configure(*KINDS, user="", password_file="")
    impostor = world.impostor(kind, "stall", folder=Path("/"))
    result = world.run("--on-quiesce-failure", "abort")
    assert impostor.told == b""
    assert (result.status, level(result)) == (0, "application")
    assert len(notes_of(result, impostor)) == 1


@pytest.mark.parametrize(("kind", "how"), [("redis", "yes"), ("mariadb", "clear")])
@pytest.mark.parametrize("before", [CONTAINER, (*CONTAINER, *NOBODY)], ids=["root", "nobody"])
def test_process_of_a_container_is_told_nothing(
    world: World, kind: str, how: str, before: tuple[str, ...]
) -> None:
    impostor = world.impostor(kind, how, before=before)
    world.configure(*KINDS, server_user="")
    result = world.run()
    assert impostor.told == b""
    assert (result.status, level(result)) == (100, "filesystem")
    assert "no proved server of this machine" in " ".join(result.json["notes"])


def test_process_below_another_root_directory_is_told_nothing(world: World) -> None:
    root = world.base / "root"
    root.mkdir()
    enter = 'mount --rbind / "$0" && shift 0 && exec chroot "$0" "$@"'
    own = ("unshare", "--mount", "--propagation", "slave", "sh", "-ec", enter, str(root))
    impostor = world.impostor("redis", "yes", before=own)
    world.configure(*KINDS, server_user="")
    result = world.run()
    assert (impostor.told, level(result)) == (b"", "filesystem")
    assert "below a root directory of its own" in " ".join(result.json["notes"])


def test_socket_named_in_the_configuration_is_refused_where_somebody_else_listens(
    world: World,
) -> None:
    Redis(world.servers, world.disk / "redis", "real", appends=False)
    impostor = world.impostor("redis", "yes")
    path = world.disk / "impostor0/redis.sock"
    world.configure("redis", socket=str(path))
    result = world.run()
    assert impostor.told == b""
    assert (result.status, level(result)) == (100, "filesystem")
    assert "belongs to user id 65534" in result.json["consistency"]["why"]


def test_socket_of_another_server_is_not_taken_for_this_ones(world: World) -> None:
    elsewhere = world.base / "elsewhere"
    one = Redis(world.servers, world.disk / "redis", "one", appends=False)
    other = Redis(world.servers, elsewhere, "other", appends=False)
    world.configure("redis", socket=str(other.socket), user="", password_file="")
    result = world.run()
    assert (result.status, level(result)) == (100, "filesystem")
    words = f"process {other.process.pid} of user id 1 listens there, not process {one.process.pid}"
    assert words in result.json["consistency"]["why"]
    with other.client() as client:
        assert "cmdstat_bgsave" not in client.info("commandstats")


def test_row_of_the_sockets_table_that_somebody_forged_leads_nobody_astray(world: World) -> None:
    real = Redis(world.servers, world.disk / "redis", "real", appends=False)
    # A path may hold line ends, and the table shows it as it is.
    (row,) = (
        line
        for line in Path("/proc/net/unix").read_text("utf-8", "replace").split("\n")
        if line.endswith(str(real.socket))
    )
    forged = f"a\n{row.rpartition(' ')[0]} /tmp/theirs"
    folder = world.base / "theirs"
    folder.mkdir()
    shutil.chown(folder, 65534)
    script = (
        "import os, socket, sys, time\n"
        "os.chdir(sys.argv[1])\n"
        "os.makedirs(os.path.dirname(sys.argv[2]), exist_ok=True)\n"
        "link = socket.socket(socket.AF_UNIX)\n"
        "link.bind(sys.argv[2])\n"
        "time.sleep(60)\n"
    )
    argv = [*NOBODY, PYTHON, "-c", script, folder, forged]
    world.servers.launch(*argv, log=world.base / "theirs.log")
    rig.wait_for(lambda: "/tmp/theirs" in Path("/proc/net/unix").read_text(), "the forged row")
    world.configure("redis", user="", password_file="")
    result = world.run("--on-quiesce-failure", "abort")
    assert (result.status, level(result)) == (0, "application")


def best_of_three(world: World) -> tuple[float, AgentResult]:
    """Return how long the quickest of three runs took, and the last one's result."""
    times = []
    for _ in range(3):
        begun = time.monotonic()
        result = world.run("--on-quiesce-failure", "abort")
        times.append(time.monotonic() - begun)
    return min(times), result


def test_many_impostors_are_one_note_and_cost_little(world: World) -> None:
    Redis(world.servers, world.disk / "redis", "real", appends=False)
    world.configure("redis", user="", password_file="")
    alone_s, alone = best_of_three(world)
    script = (
        "import ctypes, os, time\n"
        "for _ in range(200):\n"
        "    if not os.fork():\n"
        "        ctypes.CDLL(None).prctl(15, b'redis-server', 0, 0, 0)\n"
        "        time.sleep(60)\n"
        "        os._exit(0)\n"
        "time.sleep(60)\n"
    )
    world.servers.launch(*NOBODY, PYTHON, "-c", script, log=world.base / "many.log")
    time.sleep(1)
    taken_s, result = best_of_three(world)
    assert taken_s < alone_s + 1
    assert (alone.status, result.status, level(result)) == (0, 0, "application")
    (note,) = [each for each in result.json["notes"] if "65534" in each]
    assert "; and 195 more" in note


@pytest.mark.skipif(not POSTGRESQL.exists(), reason="needs postgresql")
def test_real_postgresql_is_brought_to_rest_beside_an_impostor(world: World) -> None:
    data = world.disk / "postgresql"
    data.mkdir(mode=0o700)
    shutil.chown(data, "postgres")
    made = world.servers.launch(
        *(POSTGRESQL / "initdb", "-D", data, "-A", "trust", "--no-sync"),
        log=world.base / "initdb.log",
        user="postgres",
    )
    assert made.wait() == 0
    real = PostgreSql(world.servers, data, "real")
    impostor = world.impostor("postgresql", "cleartext")
    world.configure("postgresql", user="postgres")
    try:
        result = world.run("--on-quiesce-failure", "abort")
    finally:
        real.end()
    assert impostor.told == b""
    assert (result.status, level(result)) == (0, "application")
    (rested,) = result.json["applications"]
    assert (rested["pid"], rested["account"]) == (real.process.pid, "postgres")


def test_password_file_of_somebody_else_is_not_read(world: World) -> None:
    mariadb(world)
    shutil.chown(world.base / "etc/password", 65534)
    world.configure("mariadb")
    result = world.run()
    assert (result.status, level(result)) == (100, "filesystem")
    assert "belongs to user id 65534" in result.json["consistency"]["why"]
