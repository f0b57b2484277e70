"""Databases in containers: brought to rest where that is switched on, and never believed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import applications_rig as rig
import pytest
from container_rig import ContainedMariaDb, ContainedPostgreSql, ContainedRedis, contain
from database_servers import ACCOUNT, AS_ACCOUNT, POSTGRESQL, MariaDb, PostgreSql, Redis
from hold_rig import RUN, Machine, machine

from agent_runner import AgentResult, AgentRunner
from fixtures_simulator import mounted_copy

rig.needs("mariadbd", "mariadb-install-db", "redis-server", "setpriv", "unshare", "pivot_root")
pytestmark = [pytest.mark.root, pytest.mark.slow]
NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
PYTHON = "/usr/bin/python3"
SOURCE = Path(__file__).with_name("impostor.py").read_text(encoding="utf-8")
PASSWORD = "told-to-no-container"
OWN = """
mount --bind "$1" /run/snap-self
mount -t overlay -o "lowerdir=$2:/etc" overlay /etc
shift 2
exec "$@"
"""


@dataclass
class World:
    """A cloud with one mounted disk, on which containers have their layers."""

    on: Machine
    base: Path
    agent: AgentRunner
    servers: rig.Place

    @property
    def disk(self) -> Path:
        """Return where the disk is mounted."""
        return next(iter(self.on.mounts.values()))

    def configure(self, *kinds: str, containers: bool | None = True, **how: str) -> None:
        """Have applications switched on."""
        given = {"use": "auto"} | how
        table = ", ".join(f"{key} = {json.dumps(value)}" for key, value in given.items())
        switch = "" if containers is None else f"containers = {json.dumps(containers)}\n"
        rows = "".join(f"{kind} = {{ {table} }}\n" for kind in kinds)
        text = f"[applications]\n{switch}{rows}"
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

    def impostor(
        self,
        kind: str,
        how: str,
        *before: str,
        user: str = "root",
        owner: str = "root",
        **container: Any,
    ) -> Path:
        """Start a program that calls itself a database in a container; return what it is told."""
        name = f"impostor-{kind}"
        made = contain(
            *(self.servers, self.disk, name, *before, PYTHON, "-c", SOURCE, kind, how, "/data"),
            "/tmp/told",
            owner=user,
            **container,
        )
        told = made.upper / "tmp/told"
        rig.wait_for((made.upper / "tmp/told.ready").exists, f"an impostor of {kind}")
        shutil.chown(made.root / "data", owner)
        return told


@pytest.fixture(scope="module")
def machine_alone(run_directory: Any) -> Iterator[tuple[Machine, Path]]:
    with tempfile.TemporaryDirectory(prefix="snap-self-containers-") as made:
        base = Path(made)
        base.chmod(0o755)
        with machine(base, "ext4") as on:
            yield on, base


@pytest.fixture
def world(machine_alone: tuple[Machine, Path], run_directory: Any) -> Iterator[World]:
    on, above = machine_alone
    base = Path(tempfile.mkdtemp(dir=above))
    base.chmod(0o755)
    (base / "etc/snap-self").mkdir(parents=True)
    (base / "etc/password").touch(mode=0o600)
    (base / "etc/password").write_text(PASSWORD, encoding="utf-8")
    RUN.mkdir(mode=0o700, exist_ok=True)
    state = run_directory.new_folder("state", "containers")
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


def level(result: AgentResult) -> str | None:
    """Return the level that a run says it reached."""
    reached: str | None = result.json["consistency"]["reached"]
    return reached


def assert_rested(result: AgentResult, kind: str, pid: int) -> None:
    """Hold a run to it: one server came to rest, and the level is claimed."""
    assert (result.status, level(result)) == (0, "application"), result.out
    (rested,) = result.json["applications"]
    assert (rested["kind"], rested["pid"], rested["at_rest"]) == (kind, pid, True)
    assert rested["data_dir"] == "/data"


@pytest.mark.parametrize("how", ["pivot", "chroot"])
@pytest.mark.parametrize("place", ["layer", "volume"])
def test_redis_in_a_container_is_brought_to_rest(world: World, how: str, place: str) -> None:
    volume = world.disk / "volume" if place == "volume" else None
    if volume:
        volume.mkdir()
        shutil.chown(volume, ACCOUNT)
    server = ContainedRedis(world.servers, world.disk, "cache", how=how, volume=volume)
    with server.client() as client:
        client.set("key", "kept")
    world.configure("redis")
    result = world.run("--on-quiesce-failure", "abort")
    assert_rested(result, "redis", server.container.pid)
    data = volume or server.container.upper / "data"
    snapshot = result.json["snapshots"][0]["snapshot_id"]
    with mounted_copy(world.on.cloud.process.captured_image(snapshot), "ext4", world.base) as copy:
        restored = copy / data.relative_to(world.disk)
        again = Redis(world.servers, restored, "again", appends=False)
        with again.client() as client:
            assert client.get("key") == b"kept"
        again.end()


def test_mariadb_in_a_container_is_brought_to_rest_and_the_image_holds_its_rows(
    world: World,
) -> None:
    server = ContainedMariaDb(world.servers, world.disk, "maria")
    server.ask("CREATE DATABASE t")
    server.ask("CREATE TABLE t.kept (n INT PRIMARY KEY) ENGINE=InnoDB")
    server.ask("INSERT INTO t.kept VALUES (4711)")
    world.configure("mariadb")
    result = world.run("--on-quiesce-failure", "abort")
    assert_rested(result, "mariadb", server.container.pid)
    data = (server.container.upper / "data").relative_to(world.disk)
    snapshot = result.json["snapshots"][0]["snapshot_id"]
    with mounted_copy(world.on.cloud.process.captured_image(snapshot), "ext4", world.base) as copy:
        again = MariaDb(world.servers, copy / data, "again")
        assert again.ask("SELECT n FROM t.kept") == [(4711,)]
        assert not rig.log_lines(again.log, "Starting crash recovery")
        again.process.kill()
        again.process.wait()


@pytest.mark.skipif(not POSTGRESQL.exists(), reason="needs postgresql")
def test_postgresql_in_a_container_is_brought_to_rest_and_the_image_holds_its_rows(
    world: World,
) -> None:
    server = ContainedPostgreSql(world.servers, world.disk, "pg")
    server.ask("CREATE TABLE kept (n INT)")
    server.ask("INSERT INTO kept VALUES (4711)")
    world.configure("postgresql", user="postgres")
    result = world.run("--on-quiesce-failure", "abort")
    assert_rested(result, "postgresql", server.container.pid)
    data = (server.container.upper / "data").relative_to(world.disk)
    snapshot = result.json["snapshots"][0]["snapshot_id"]
    with mounted_copy(world.on.cloud.process.captured_image(snapshot), "ext4", world.base) as copy:
        (copy / data / "postmaster.pid").unlink()
        again = PostgreSql(world.servers, copy / data, "again")
        assert again.ask("SELECT n FROM kept") == [(4711,)]
        again.end()


def test_redis_without_a_socket_is_reached_through_the_containers_network(world: World) -> None:
    server = ContainedRedis(world.servers, world.disk, "cache", "--port", "6379")
    world.configure("redis")
    result = world.run("--on-quiesce-failure", "abort")
    assert_rested(result, "redis", server.container.pid)


@pytest.mark.parametrize("key", [None, False])
def test_server_in_a_container_is_named_and_left_alone_where_the_key_is_not_true(
    world: World, key: bool | None
) -> None:
    server = ContainedRedis(world.servers, world.disk, "cache")
    world.configure("redis", containers=key)
    result = world.run()
    assert (result.status, level(result)) == (100, "filesystem")
    assert result.json["applications"] == []
    (note,) = [each for each in result.json["notes"] if "in a container" in each]
    assert f"process {server.container.pid} " in note
    assert "applications.containers = true" in note
    with server.client() as client:
        assert {"cmdstat_bgsave", "cmdstat_ping"}.isdisjoint(client.info("commandstats"))


STRANGERS = [
    pytest.param(NOBODY, "nobody", "root", id="nobody-in-roots-folder"),
    pytest.param(NOBODY, "nobody", "nobody", id="nobody-in-its-own"),
    pytest.param(AS_ACCOUNT, ACCOUNT, "root", id="an-account-in-roots-folder"),
    pytest.param((), "root", ACCOUNT, id="root-in-an-accounts-folder"),
]


@pytest.mark.parametrize(("kind", "how"), [("redis", "yes"), ("mariadb", "clear")])
@pytest.mark.parametrize(("before", "user", "owner"), STRANGERS)
def test_impostor_in_a_container_whose_data_is_anothers_is_told_nothing(
    world: World, kind: str, how: str, before: tuple[str, ...], user: str, owner: str
) -> None:
    told = world.impostor(kind, how, *before, user=user, owner=owner)
    world.configure(kind)
    result = world.run()
    assert told.read_bytes() == b""
    assert (result.status, level(result)) == (100, "filesystem")


@pytest.mark.parametrize(
    ("kind", "how"), [("redis", "yes"), ("mariadb", "clear"), ("postgresql", "cleartext")]
)
def test_root_of_a_container_that_plays_a_server_is_told_no_password(
    world: World, kind: str, how: str
) -> None:
    told = world.impostor(kind, how)
    world.configure(kind, user="snap-self", password_file="/etc/password")
    result = world.run()
    assert told.read_bytes() == b""
    assert (result.status, level(result)) == (100, "filesystem")
    assert "no password is told" in result.json["consistency"]["why"]


def test_server_in_a_container_that_stalls_holds_no_commits_of_the_machines_own(
    world: World,
) -> None:
    own = Redis(world.servers, world.disk / "redis", "own", appends=False)
    world.impostor("mariadb", "stall")
    text = (
        '[applications]\ntimeout = "3s"\ncontainers = true\nmariadb = "auto"\n'
        f'redis = {{ use = "auto", server_user = "{ACCOUNT}" }}\n'
    )
    (world.base / "etc/snap-self/config.toml").write_text(text, encoding="utf-8")
    begun = time.monotonic()
    result = world.run()
    assert time.monotonic() - begun < 15
    assert (result.status, level(result)) == (100, "filesystem")
    assert "mariadb in a container" in result.json["consistency"]["why"]
    with own.client() as client:
        assert "cmdstat_bgsave" not in client.info("commandstats")


def test_password_is_told_through_a_socket_that_is_named_by_its_path_on_the_machine(
    world: World,
) -> None:
    shared = world.base / "shared"
    shared.mkdir()
    shutil.chown(shared, ACCOUNT)
    password = ("--requirepass", PASSWORD, "--unixsocket", "/data/redis.sock")
    server = ContainedRedis(
        *(world.servers, world.disk, "cache", "--port", "0", *password),
        volume=world.servers.folder_of(ACCOUNT, "shared"),
    )
    world.configure("redis", password_file="/etc/password", socket=str(shared / "redis.sock"))
    result = world.run()
    # The volume, and with it the data, lies on no disk that gets a snapshot.
    assert result.json["applications"] == []
    server.container.kill()
    volume = world.disk / "volume"
    volume.mkdir()
    shutil.chown(volume, ACCOUNT)
    server = ContainedRedis(
        world.servers, world.disk, "cache2", "--port", "0", *password, volume=volume
    )
    world.configure("redis", password_file="/etc/password", socket=str(volume / "redis.sock"))
    result = world.run("--on-quiesce-failure", "abort")
    assert_rested(result, "redis", server.container.pid)


def test_container_that_is_killed_at_rest_costs_one_level(world: World) -> None:
    server = ContainedRedis(world.servers, world.disk, "cache")
    world.configure("redis")
    marker = world.on.loops.marker
    world.on.arm()
    try:
        running = world.agent.start(
            *("--before", "x", "--consistency", "application", "--wait", "cut", "--json")
        )
        rig.wait_for(lambda: marker.exists() or running.process.poll() is not None, "the freeze")
        assert running.process.poll() is None
        server.container.kill()
        result = running.wait()
    finally:
        world.on.loops.thaw_all()
        world.on.loops.disarm()
    assert (result.status, level(result)) == (100, "filesystem")
    assert len(result.json["snapshots"]) == 1


@pytest.mark.parametrize("kind", ["redis", "postgresql"])
def test_container_that_is_paused_costs_one_level(world: World, kind: str) -> None:
    server: ContainedRedis | ContainedPostgreSql
    if kind == "redis":
        server = ContainedRedis(world.servers, world.disk, "paused")
    else:
        server = ContainedPostgreSql(world.servers, world.disk, "paused")
    text = f'[applications]\ntimeout = "3s"\ncontainers = true\n{kind} = "auto"\n'
    (world.base / "etc/snap-self/config.toml").write_text(text, encoding="utf-8")
    os.kill(server.container.pid, signal.SIGSTOP)
    result = world.run()
    assert (result.status, level(result)) == (100, "filesystem")
    assert f"{kind} in a container" in result.json["consistency"]["why"]


def test_container_that_any_user_set_up_is_a_note_and_changes_nothing(world: World) -> None:
    Redis(world.servers, world.disk / "redis", "own", appends=False)
    data, logs = world.disk / "theirs", world.base / "theirs"
    for made in (data, logs):
        made.mkdir()
        shutil.chown(made, "nobody")
    own = ("unshare", "--user", "--map-root-user", "--mount", "--pid", "--fork", "--kill-child")
    argv = (*NOBODY, *own, PYTHON, "-c", SOURCE, "redis", "yes", data, logs / "told")
    world.servers.launch(*argv, log=world.base / "theirs.log")
    rig.wait_for((logs / "told.ready").exists, "an impostor")
    text = (
        "[applications]\ncontainers = true\n"
        f'redis = {{ use = "auto", server_user = "{ACCOUNT}" }}\n'
    )
    (world.base / "etc/snap-self/config.toml").write_text(text, encoding="utf-8")
    result = world.run("--on-quiesce-failure", "abort")
    assert (logs / "told").read_bytes() == b""
    assert (result.status, level(result)) == (0, "application")
    assert "user id 65534: it runs in a container" in " ".join(result.json["notes"])


@pytest.mark.parametrize("folder", ["/data", "/"])
def test_container_full_of_processes_with_such_names_costs_a_level_and_little_time(
    world: World, folder: str
) -> None:
    script = (
        "import ctypes, os, sys, time\n"
        "os.chdir(sys.argv[1])\n"
        "for _ in range(500):\n"
        "    if not os.fork():\n"
        "        ctypes.CDLL(None).prctl(15, b'redis-server', 0, 0, 0)\n"
        "        time.sleep(90)\n"
        "        os._exit(0)\n"
        "open('/tmp/ready', 'w').close()\n"
        "time.sleep(90)\n"
    )
    made = contain(world.servers, world.disk, "full", PYTHON, "-c", script, folder, owner="root")
    rig.wait_for((made.upper / "tmp/ready").exists, "500 processes")
    world.configure("redis")
    begun = time.monotonic()
    result = world.run()
    assert time.monotonic() - begun < 20
    assert (result.status, level(result)) == (100, "filesystem")
    assert len(result.out) < 8000
