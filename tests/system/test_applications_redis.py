"""A real Redis under load: what starts from a snapshot, and what is left after each fault."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import applications_rig as rig
import pytest

from agent_runner import AgentRunner
from snap_self.errors import QuiesceFailed

NUMBERS = itertools.count()
pytestmark = [pytest.mark.root, pytest.mark.slow]
rig.needs("redis-server")
redis = pytest.importorskip("redis")


class Redis:
    """One server."""

    def __init__(self, where: rig.Place, data: Path, name: str, *, appends: bool) -> None:
        data.mkdir(exist_ok=True)
        self.log, self.socket = where.base / f"{name}.log", where.base / f"{name}.sock"
        self.process = where.launch(
            *("redis-server", "--port", "0", "--dir", data, "--unixsocket", self.socket),
            *("--appendonly", "yes" if appends else "no", "--save", ""),
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
        """Kill it."""
        self.process.kill()
        self.process.wait()


@pytest.fixture(scope="module")
def where(run_directory: Any) -> Iterator[rig.Place]:
    state = run_directory.new_folder("state", "redis")
    with rig.place(AgentRunner(run_directory=run_directory, state=state)) as place:
        yield place


@pytest.fixture(params=[False, True], ids=["dump", "append-only"])
def server(where: rig.Place, request: pytest.FixtureRequest) -> Iterator[Redis]:
    name = f"redis{next(NUMBERS)}"
    started = Redis(where, where.disk("ext4") / name, name, appends=request.param)
    yield started
    started.end()


def test_snapshot_at_rest_loads_whole_and_holds_exactly_its_rows(
    where: rig.Place, server: Redis
) -> None:
    with server.client() as client:
        appends = client.info("persistence")["aof_enabled"] == 1
    with rig.Load(server.writer) as load:
        cut = rig.cut(where, where.disk("ext4"), rig.quiescer("redis", where.disk("ext4")))
        load.wait_for_more()
    assert (cut.checked, cut.stopped) == ("", "")
    with rig.restored(where, cut.snapshot_id, "ext4") as folder:
        name = server.socket.stem
        copy = Redis(where, folder / name, f"copy-{name}", appends=appends)
        rows = copy.rows()
        copy.end()
    assert rig.log_lines(copy.log, "DB loaded from")
    assert not rig.log_lines(copy.log, "truncat", "Short read", "Bad file format")
    rig.assert_exact(load, rows, asked=cut.asked, last=cut.rested)


def test_pause_of_writes_ends_by_itself_when_the_agent_is_killed(
    where: rig.Place, server: Redis
) -> None:
    with (
        rig.Load(server.writer) as load,
        rig.held_by_another("redis", where.disk("ext4"), hold_s=2) as agent,
    ):
        agent.kill()
        load.assert_at_rest()
        load.wait_for_more()


def test_pause_that_ran_out_is_told(where: rig.Place, server: Redis) -> None:
    one = rig.quiescer("redis", where.disk("ext4"), hold_s=1)
    rig.start(one)
    assert one.check() == ""
    time.sleep(1.1)
    assert one.check() == "the pause of its writes ran out"
    assert one.stop() == "the pause of its writes ran out"


def test_check_tells_that_the_server_was_killed_and_stop_does_not_raise(
    where: rig.Place, server: Redis
) -> None:
    one = rig.quiescer("redis", where.disk("ext4"))
    rig.start(one)
    server.end()
    assert one.check() == "the server closed the connection"
    assert "connection was dropped" in one.stop()


def test_dump_that_fails_is_a_failure_and_leaves_writes_running(where: rig.Place) -> None:
    folder = where.disk("ext4") / "readonly"
    server = Redis(where, folder, "readonly", appends=False)
    # The name of the dump is a directory's, so it cannot be put in place.
    (folder / "dump.rdb").mkdir()
    one = rig.quiescer("redis", where.disk("ext4"))
    with pytest.raises(QuiesceFailed, match="its dump failed"):
        rig.start(one)
    with server.client() as client:
        client.config_set("stop-writes-on-bgsave-error", "no")
        client.rpush("rows", 1)
    server.end()


def test_user_with_the_named_grants_is_enough(where: rig.Place, server: Redis) -> None:
    with server.client() as client:
        grants = rig.grants_of("redis").replace("PASSWORD", rig.PASSWORD)
        client.execute_command(*grants.split())
    secret = str(rig.password_file(where))
    one = rig.quiescer("redis", where.disk("ext4"), user="snap-self", password_file=secret)
    rig.start(one)
    assert one.stop() == ""
