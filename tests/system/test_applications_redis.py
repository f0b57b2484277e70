"""A real Redis under load: what starts from a snapshot, and what is left after each fault."""

from __future__ import annotations

import contextlib
import itertools
import shutil
import time
from collections.abc import Iterator, Sequence
from typing import Any

import applications_rig as rig
import pytest
from database_servers import ACCOUNT, Redis

from agent_runner import AgentRunner
from snap_self.errors import QuiesceFailed

NUMBERS = itertools.count()
pytestmark = [pytest.mark.root, pytest.mark.slow]
rig.needs("redis-server")


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


def test_writes_go_on_at_once_when_the_server_dropped_the_idle_agent(where: rig.Place) -> None:
    with running(where, options=("--save", "", "--timeout", "1")) as server:
        one = rig.quiescer("redis", where.disk("xfs"), timeout_s=2)
        rig.start(one)
        rig.wait_for(one.check, "the end of an idle connection")
        assert "connection was dropped" in one.stop()
        with server.client() as client:
            begun = time.monotonic()
            client.set("after", 1)
        assert time.monotonic() - begun < 5


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


def test_append_only_file_that_stays_busy_is_a_failure_and_leaves_writes_running(
    where: rig.Place,
) -> None:
    with running(where, options=("--appendonly", "yes", "--save", "")) as server:
        with server.client() as client:
            client.rpush("rows", *range(10))
            # Redis' own means of having its tests meet a slow rewrite: µs for each key.
            client.config_set("rdb-key-save-delay", 60_000_000)
            client.bgrewriteaof()
        one = rig.quiescer("redis", where.disk("xfs"), timeout_s=1, hold_s=20)
        with pytest.raises(QuiesceFailed, match="in time"):
            rig.start(one)
        begun = time.monotonic()
        with server.client() as client:
            client.rpush("rows", 1)
        assert time.monotonic() - begun < 5


@pytest.mark.parametrize("renamed", ["BGSAVE", "CLIENT"])
def test_server_whose_command_was_renamed_is_not_called_at_rest(
    where: rig.Place, renamed: str
) -> None:
    options = ("--rename-command", renamed, "hidden", "--save", "3600 1000000")
    with running(where, options=options) as server:
        with pytest.raises(QuiesceFailed, match="unknown command"):
            rig.start(rig.quiescer("redis", where.disk("xfs")))
        with server.client() as client:
            begun = time.monotonic()
            client.rpush("rows", 1)
        assert time.monotonic() - begun < 5


def test_two_servers_come_to_rest_and_are_released_each_by_itself(where: rig.Place) -> None:
    with (
        running(where, options=("--save", "3600 1000000")) as first,
        running(where, options=("--save", "", "--appendonly", "yes")),
    ):
        assert first.process.poll() is None
        quiescers = rig.found("redis", where.disk("xfs")).quiescers
        assert len(quiescers) == 2
        for one in quiescers:
            rig.start(one)
        assert [one.check() for one in quiescers] == ["", ""]
        assert [one.stop() for one in quiescers] == ["", ""]


def test_user_with_the_named_grants_is_enough(where: rig.Place, server: Redis) -> None:
    with server.client() as client:
        grants = rig.grants_of("redis").replace("PASSWORD", rig.PASSWORD)
        client.execute_command(*grants.split())
    secret = str(rig.password_file(where))
    one = rig.quiescer("redis", where.disk("ext4"), user="snap-self", password_file=secret)
    rig.start(one)
    assert one.stop() == ""


@contextlib.contextmanager
def running(where: rig.Place, *before: str, options: Sequence[str]) -> Iterator[Redis]:
    """Run one on a disk of its own kind, with an empty folder."""
    name = f"odd{next(NUMBERS)}"
    server = Redis(where, where.disk("xfs") / name, name, *before, appends=False, options=options)
    try:
        yield server
    finally:
        server.end()


def rest(where: rig.Place) -> None:
    """Bring what is on that disk to rest, and let it go."""
    one = rig.quiescer("redis", where.disk("xfs"))
    rig.start(one)
    assert (one.check(), one.stop()) == ("", "")


def test_mere_cache_is_given_no_dump_that_it_would_load_later(where: rig.Place) -> None:
    with running(where, options=("--save", "")) as server:
        with server.client() as client:
            client.set("volatile", 1)
        rest(where)
        assert list((where.disk("xfs") / server.socket.stem).iterdir()) == []


def test_dump_that_is_there_is_made_anew_also_without_save_points(where: rig.Place) -> None:
    with running(where, options=("--save", "")) as server, server.client() as client:
        client.set("kept", 1)
        client.save()
        before = client.lastsave()
        time.sleep(1.1)
        rest(where)
        assert client.lastsave() > before


def test_user_who_may_not_ask_whether_it_is_a_cache_has_it_dumped(where: rig.Place) -> None:
    with running(where, options=("--save", "")) as server:
        with server.client() as client:
            client.execute_command("ACL", "SETUSER", "default", "-config")
        rest(where)
        assert [each.name for each in (where.disk("xfs") / server.socket.stem).iterdir()]


def test_sentinel_is_left_alone(where: rig.Place) -> None:
    config = where.base / "sentinel.conf"
    config.write_text("port 0\n", encoding="utf-8")
    shutil.chown(config, ACCOUNT)
    folder = where.folder_of(ACCOUNT, "sentinel")
    data = where.disk("xfs") / "sentinel"
    data.mkdir()
    shutil.chown(data, ACCOUNT)
    shutil.move(config, folder)
    process = where.launch(
        *("redis-server", folder / "sentinel.conf", "--sentinel", "--dir", data),
        *("--unixsocket", folder / "s.sock"),
        log=where.base / "sentinel.log",
        user=ACCOUNT,
    )
    rig.wait_for((folder / "s.sock").exists, "the sentinel")
    try:
        rest(where)
    finally:
        process.kill()
        process.wait()


def test_server_in_a_network_namespace_of_its_own_is_reached(where: rig.Place) -> None:
    with running(where, "unshare", "--net", options=("--save", "")):
        rest(where)


def test_relative_and_long_paths_of_sockets_are_reached(where: rig.Place) -> None:
    options = ("--unixsocket", "./here.sock", "--save", "")
    with running(where, options=options):
        rest(where)
    deep = where.folder_of(ACCOUNT, "d" * (100 - len(str(where.base))))
    with running(where, options=("--unixsocket", f"{deep}/s.s", "--save", "")):
        rest(where)


def test_password_that_is_asked_for_and_not_configured_is_told(where: rig.Place) -> None:
    with (
        running(where, options=("--requirepass", "x")),
        pytest.raises(QuiesceFailed, match="asks for a password, and none is configured"),
    ):
        rest(where)
