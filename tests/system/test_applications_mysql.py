"""A real MySQL under load: what starts from a snapshot, and what is left after each fault."""

from __future__ import annotations

import contextlib
import itertools
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import applications_rig as rig
import pytest
import real_mysql
from database_servers import ACCOUNT, MySql

from agent_runner import AgentResult, AgentRunner
from kept_builds import CannotBuild
from snap_self.errors import QuiesceFailed
from snap_self.quiesce.applications.finding import FoundApplications
from snap_self.quiesce.quiescer import Quiescer

NUMBERS = itertools.count()
pytestmark = [pytest.mark.root, pytest.mark.slow]
# A configuration and a folder for markers of the run's own, so that no other agent ends its freeze.
OWN = """
mkdir -p /run/snap-self
mount -t tmpfs -o mode=0700 none /run/snap-self
mount -t overlay -o "lowerdir=$1:/etc" overlay /etc
shift
exec "$@"
"""


@pytest.fixture(scope="module")
def where(run_directory: Any) -> Iterator[rig.Place]:
    agent = AgentRunner(
        run_directory=run_directory, state=run_directory.new_folder("state", "mysql")
    )
    with rig.place(agent) as place:
        yield place


@pytest.fixture(scope="module")
def program(where: rig.Place) -> real_mysql.MySqlProgram:
    try:
        return real_mysql.placed(where.base / "mysql-server")
    except CannotBuild as why:
        pytest.skip(f"no MySQL server can be had: {why}")


@pytest.fixture(scope="module")
def mount(where: rig.Place, program: real_mysql.MySqlProgram) -> Path:
    MySql.install(where, program, where.disk("ext4") / "mysql")
    return where.disk("ext4")


@pytest.fixture(scope="module")
def running(where: rig.Place, program: real_mysql.MySqlProgram, mount: Path) -> Iterator[MySql]:
    started = MySql(where, program, mount / "mysql", "running")
    yield started
    started.end()


@pytest.fixture
def server(running: MySql) -> MySql:
    running.ask("CREATE DATABASE IF NOT EXISTS t")
    running.ask("DROP TABLE IF EXISTS t.rows_")
    # New statistics, which InnoDB makes some seconds after many changes, would be a write at rest.
    running.ask(
        "CREATE TABLE t.rows_ (n INT PRIMARY KEY, v VARCHAR(100)) ENGINE=InnoDB STATS_AUTO_RECALC=0"
    )
    return running


@contextlib.contextmanager
def restarted(where: rig.Place, server: MySql, snapshot_id: str) -> Iterator[MySql]:
    """Start a server on what a snapshot captured."""
    with rig.restored(where, snapshot_id, "ext4") as folder:
        copy = MySql(where, server.origin, folder / "mysql", f"copy{next(NUMBERS)}")
        try:
            yield copy
        finally:
            copy.end()


def replayed(copy: MySql) -> int:
    """Return how many records of the redo log a server replayed at its start."""
    (line,) = rig.log_lines(copy.log, "[MY-012532]")
    return int("".join(re.findall(r"batch of (\d+) ", line)))


def quiescer_of(found: FoundApplications, data: Path) -> Quiescer:
    """Return the one of the server with its data there."""
    (only,) = (each for each in found.quiescers if each.name.endswith(str(data)))
    return only


def run_of_the_agent(where: rig.Place, mount: Path, **settings: str) -> AgentResult:
    """Do the main job at level application."""
    etc = where.base / "etc"
    (etc / "snap-self").mkdir(parents=True, exist_ok=True)
    rows = {"use": "on", "server_user": ACCOUNT, **settings}.items()
    table = ", ".join(f"{key} = {json.dumps(value)}" for key, value in rows)
    (etc / "snap-self/config.toml").write_text(f"applications.mysql = {{ {table} }}\n", "utf-8")
    own = ("unshare", "--mount", "--propagation", "slave", "sh", "-ec", OWN, "sh", str(etc))
    with rig.thawed_anyway(mount):
        return where.agent.with_wrapper(*own).run(
            *("--before", "x", "--path", str(mount), "--consistency", "application"),
            *("--wait", "cut", "--json"),
        )


def test_image_of_a_run_at_level_application_holds_exactly_what_was_committed_before_the_cut(
    where: rig.Place, mount: Path, server: MySql
) -> None:
    with contextlib.closing(server.connect()) as connection, rig.Load(server.writer) as load:
        cursor = connection.cursor()
        cursor.execute("BEGIN")
        cursor.execute("INSERT INTO t.rows_ VALUES (-1, 'open at the cut')")
        result = run_of_the_agent(where, mount)
        cursor.execute("COMMIT")
        load.wait_for_more()
    reached = result.json["consistency"]
    assert (result.status, reached["reached"]) == (0, "application"), reached["why"]
    (rested,) = result.json["applications"]
    told = {key: rested[key] for key in ("kind", "pid", "account", "executable", "at_rest")}
    assert told == {
        "kind": "mysql",
        "pid": server.process.pid,
        "account": ACCOUNT,
        "executable": str(server.origin.server),
        "at_rest": True,
    }
    # Writers were blocked once, and the cut fell into that time.
    told_at = sorted(load.told.values())
    gap, before = max((later - sooner, sooner) for sooner, later in itertools.pairwise(told_at))
    assert gap > result.json["frozen_s"]
    (snapshot,) = result.json["snapshots"]
    with restarted(where, server, snapshot["snapshot_id"]) as copy:
        assert copy.rows() == load.told_before(before + gap / 2)
        assert replayed(copy) <= 1


def test_image_of_the_freeze_alone_has_a_redo_log_to_replay(
    where: rig.Place, mount: Path, server: MySql
) -> None:
    with rig.Load(server.writer) as load:
        cut = rig.cut(where, mount, None)
        load.wait_for_more()
    with restarted(where, server, cut.snapshot_id) as copy:
        assert load.told_before(cut.asked) <= copy.rows()
        assert replayed(copy) > 10


def test_writes_go_on_when_the_agent_is_killed_or_stopped_for_too_long(
    mount: Path, server: MySql
) -> None:
    with rig.Load(server.writer) as load:
        with rig.held_by_another("mysql", mount, hold_s=60) as agent:
            load.assert_at_rest()
            agent.kill()
            load.wait_for_more()
        with rig.held_by_another("mysql", mount, hold_s=1):
            load.wait_for_more()


def test_lock_in_the_way_is_given_up_in_time_and_another_backup_is_none(
    mount: Path, server: MySql
) -> None:
    with contextlib.closing(server.connect()) as holder, rig.Load(server.writer) as load:
        cursor = holder.cursor()
        server.ask("CREATE TABLE IF NOT EXISTS t.other (n INT) ENGINE=MyISAM")
        cursor.execute("LOCK TABLES t.other WRITE")
        one = rig.quiescer("mysql", mount, timeout_s=2)
        with pytest.raises(QuiesceFailed, match="the lock was not granted"):
            rig.start(one)
        load.wait_for_more()
        # What was in the way goes on.
        cursor.execute("INSERT INTO t.other VALUES (1)")
        cursor.execute("UNLOCK TABLES")
        cursor.execute("LOCK INSTANCE FOR BACKUP")
        one = rig.quiescer("mysql", mount)
        rig.start(one)
        assert (one.check(), one.stop()) == ("", "")


@pytest.mark.parametrize(
    ("how", "has_password"),
    [
        # Over the socket and without TLS, the first time: the server has no hash to compare with.
        (f"WITH caching_sha2_password BY '{rig.PASSWORD}'", True),
        ("WITH auth_socket AS 'root'", False),
    ],
    ids=["password", "no-password"],
)
def test_user_with_the_named_grants_is_enough_and_with_fewer_is_told(
    where: rig.Place, mount: Path, server: MySql, how: str, has_password: bool
) -> None:
    server.ask("DROP USER IF EXISTS 'snap-self'@'localhost'")
    server.ask(f"CREATE USER 'snap-self'@'localhost' IDENTIFIED {how}")
    given = {"user": "snap-self"}
    if has_password:
        given["password_file"] = str(rig.password_file(where))
    with pytest.raises(QuiesceFailed, match="BACKUP_ADMIN"):
        rig.start(rig.quiescer("mysql", mount, **given))
    server.ask(rig.grants_of("mysql"))
    server.ask("FLUSH PRIVILEGES")
    one = rig.quiescer("mysql", mount, **given)
    rig.start(one)
    assert (one.check(), one.stop()) == ("", "")


def test_server_that_is_another_kind_than_configured_is_told(mount: Path, server: MySql) -> None:
    with pytest.raises(QuiesceFailed, match="this is MySQL") as caught:
        rig.start(rig.quiescer("mariadb", mount))
    assert "applications.mysql" in caught.value.hint


def test_server_without_a_redo_log_is_not_brought_to_rest(mount: Path, server: MySql) -> None:
    server.ask("ALTER INSTANCE DISABLE INNODB REDO_LOG")
    try:
        with pytest.raises(QuiesceFailed, match="redo log is disabled"):
            rig.start(rig.quiescer("mysql", mount))
    finally:
        server.ask("ALTER INSTANCE ENABLE INNODB REDO_LOG")


def test_data_on_a_disk_that_gets_no_snapshot_cost_the_level_open_or_not(
    where: rig.Place, mount: Path, server: MySql
) -> None:
    places = {name: where.disk("xfs") / name for name in ("redo", "undo", "log", "tables")}
    data = where.disk("ext4") / "split"
    for folder in (*places.values(), data):
        folder.mkdir()
        shutil.chown(folder, ACCOUNT)
    options = (
        f"--innodb-log-group-home-dir={places['redo']}",
        f"--innodb-undo-directory={places['undo']}",
        f"--log-bin={places['log']}/binlog",
        f"--innodb-directories={places['tables']}",
    )
    MySql.install(
        *(where, server.origin, data, "CREATE DATABASE far"),
        f"CREATE TABLE far.away (n INT PRIMARY KEY) DATA DIRECTORY='{places['tables']}'",
        "CREATE USER 'snap-self'@'localhost' IDENTIFIED WITH auth_socket AS 'root'",
        rig.grants_of("mysql"),
        options=options,
    )
    # Where there are more tables than it may have open, those that nobody uses are not.
    few = (*options, "--innodb-open-files=10")
    split = MySql(where, server.origin, data, "split", options=few)
    try:
        alone = rig.found("mysql", mount)
        for user in ("root", "snap-self"):
            one = quiescer_of(rig.found("mysql", mount, user=user), data)
            with pytest.raises(QuiesceFailed, match=f"has data in .*{places['tables']}"):
                rig.start(one)
        both = rig.found("mysql", mount, where.disk("xfs"))
        rig.start(one := quiescer_of(both, data))
        assert one.stop() == ""
    finally:
        split.end()
    told = [
        name for name, path in places.items() if any(str(path) in each for each in alone.doubts)
    ]
    # Whether the table is open, and so is told as well, is the server's choice.
    assert told[:3] == ["redo", "undo", "log"]
    assert both.doubts == ()
