"""A real MariaDB under load: what starts from a snapshot, and what is left after each fault."""

from __future__ import annotations

import contextlib
import itertools
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import applications_rig as rig
import pytest
from database_servers import ACCOUNT, MariaDb

from agent_runner import AgentRunner
from snap_self.errors import QuiesceFailed

NUMBERS = itertools.count()
pytestmark = [pytest.mark.root, pytest.mark.slow]
rig.needs("mariadbd", "mariadb-install-db")


@pytest.fixture(scope="module")
def where(tmp_path_factory: pytest.TempPathFactory, run_directory: Any) -> Iterator[rig.Place]:
    agent = AgentRunner(
        run_directory=run_directory, state=run_directory.new_folder("state", "mariadb")
    )
    with rig.place(agent) as place:
        yield place


@pytest.fixture(scope="module")
def mount(where: rig.Place) -> Path:
    data = where.disk("ext4") / "mysql"
    install = ("--auth-root-authentication-method=socket", "--auth-root-socket-user=root")
    rig.run(
        *("mariadb-install-db", "--no-defaults", f"--user={ACCOUNT}", "--skip-test-db", *install),
        f"--datadir={data}",
    )
    return where.disk("ext4")


@pytest.fixture
def server(where: rig.Place, mount: Path, request: pytest.FixtureRequest) -> Iterator[MariaDb]:
    started = MariaDb(where, mount / "mysql", f"s{next(NUMBERS)}")
    started.ask("CREATE DATABASE IF NOT EXISTS t")
    started.ask("DROP TABLE IF EXISTS t.rows_")
    started.ask("CREATE TABLE t.rows_ (n INT PRIMARY KEY, v VARCHAR(100)) ENGINE=InnoDB")
    yield started
    started.process.kill()
    started.process.wait()


def restart(where: rig.Place, folder: Path, name: str) -> tuple[set[int], Path]:
    """Start a server on restored files; return its rows and log."""
    copy = MariaDb(where, folder / "mysql", name)
    try:
        return copy.rows(), copy.log
    finally:
        copy.process.kill()
        copy.process.wait()


def test_snapshot_at_rest_starts_without_innodb_recovery_and_holds_exactly_its_rows(
    where: rig.Place, mount: Path, server: MariaDb
) -> None:
    with rig.Load(server.writer) as load:
        cut = rig.cut(where, mount, rig.quiescer("mariadb", mount))
        load.wait_for_more()
    assert (cut.checked, cut.stopped) == ("", "")
    with rig.restored(where, cut.snapshot_id, "ext4") as folder:
        rows, log = restart(where, folder, "rested")
    assert not rig.log_lines(log, "InnoDB: Starting crash recovery", "InnoDB: To recover")
    rig.assert_exact(load, rows, asked=cut.asked, last=cut.rested)


def test_server_with_a_mount_namespace_of_its_own_is_found(where: rig.Place, mount: Path) -> None:
    private = ("unshare", "--mount", "--propagation", "private")
    server = MariaDb(where, mount / "mysql", "private", *private)
    try:
        found = rig.found("mariadb", mount)
        rig.start(only := found.quiescers[0])
        assert (only.check(), only.stop(), found.notes) == ("", "", ())
    finally:
        server.process.kill()
        server.process.wait()


def test_snapshot_of_the_freeze_alone_starts_with_innodb_recovery(
    where: rig.Place, mount: Path, server: MariaDb
) -> None:
    with rig.Load(server.writer) as load:
        cut = rig.cut(where, mount, None)
        load.wait_for_more()
    with rig.restored(where, cut.snapshot_id, "ext4") as folder:
        rows, log = restart(where, folder, "frozen")
    assert rig.log_lines(log, "InnoDB: Starting crash recovery")
    assert load.told_before(cut.asked) <= rows


def test_lock_that_is_not_granted_fails_in_time_and_leaves_nothing_held(
    mount: Path, server: MariaDb
) -> None:
    server.ask("CREATE OR REPLACE TABLE t.other (n INT) ENGINE=MyISAM")
    with contextlib.closing(server.connect()) as holder, rig.Load(server.writer) as load:
        cursor = holder.cursor()
        cursor.execute("LOCK TABLES t.other WRITE")
        one = rig.quiescer("mariadb", mount, timeout_s=2)
        with pytest.raises(QuiesceFailed, match="the lock was not granted"):
            rig.start(one)
        load.wait_for_more()
        # The query that was in the way goes on.
        cursor.execute("INSERT INTO t.other VALUES (1)")
    assert one.stop() == ""


def test_backup_of_somebody_else_is_named_as_what_is_in_the_way(
    mount: Path, server: MariaDb
) -> None:
    with contextlib.closing(server.connect()) as holder:
        holder.cursor().execute("BACKUP STAGE START")
        one = rig.quiescer("mariadb", mount, timeout_s=2)
        with pytest.raises(QuiesceFailed, match="another backup is in the way"):
            rig.start(one)


def test_writes_go_on_when_the_agent_is_killed(mount: Path, server: MariaDb) -> None:
    with (
        rig.Load(server.writer) as load,
        rig.held_by_another("mariadb", mount, hold_s=60) as agent,
    ):
        load.assert_at_rest()
        agent.kill()
        load.wait_for_more()


def test_writes_go_on_when_the_agent_is_stopped_for_too_long(mount: Path, server: MariaDb) -> None:
    with (
        rig.Load(server.writer) as load,
        rig.held_by_another("mariadb", mount, hold_s=1),
    ):
        load.wait_for_more()


def test_check_tells_that_the_server_was_killed_and_stop_does_not_raise(
    mount: Path, server: MariaDb
) -> None:
    one = rig.quiescer("mariadb", mount)
    rig.start(one)
    assert one.check() == ""
    server.process.kill()
    server.process.wait()
    assert one.check() == "the server closed the connection"
    assert "connection was dropped" in one.stop()
    assert one.stop() == ""


def test_log_on_a_disk_that_gets_no_snapshot_is_a_doubt(where: rig.Place, mount: Path) -> None:
    elsewhere = where.disk("xfs") / "log"
    elsewhere.mkdir()
    shutil.chown(elsewhere, ACCOUNT)
    data = where.disk("ext4") / "split"
    shutil.copytree(mount / "mysql", data)
    for each in (data, *data.rglob("*")):
        shutil.chown(each, ACCOUNT)
    shutil.move(data / "ib_logfile0", elsewhere)
    shutil.chown(elsewhere / "ib_logfile0", ACCOUNT)
    server = MariaDb(where, data, "split", options=(f"--innodb-log-group-home-dir={elsewhere}",))
    try:
        alone = rig.found("mariadb", mount)
        both = rig.found("mariadb", mount, where.disk("xfs"))
    finally:
        server.process.kill()
        server.process.wait()
    assert [str(elsewhere) in doubt for doubt in alone.doubts] == [True]
    assert both.doubts == ()


def test_application_that_is_switched_off_is_named(mount: Path, server: MariaDb) -> None:
    known = rig.found("redis", mount)
    assert any('applications.mariadb = "auto"' in note for note in known.notes)


def test_user_with_the_named_grants_is_enough(
    where: rig.Place, mount: Path, server: MariaDb
) -> None:
    server.ask(f"CREATE USER 'snap-self'@'localhost' IDENTIFIED BY '{rig.PASSWORD}'")
    server.ask(rig.grants_of("mariadb"))
    secret = str(rig.password_file(where))
    one = rig.quiescer("mariadb", mount, user="snap-self", password_file=secret)
    rig.start(one)
    assert one.stop() == ""


def test_user_without_the_checkpoints_privilege_is_told_so(
    where: rig.Place, mount: Path, server: MariaDb
) -> None:
    server.ask(f"CREATE USER 'lesser'@'localhost' IDENTIFIED BY '{rig.PASSWORD}'")
    server.ask("GRANT RELOAD ON *.* TO 'lesser'@'localhost'")
    secret = str(rig.password_file(where))
    one = rig.quiescer("mariadb", mount, user="lesser", password_file=secret, timeout_s=3)
    with pytest.raises(QuiesceFailed, match="redo log did not come to rest") as caught:
        rig.start(one)
    assert "SUPER" in caught.value.hint
    server.ask("INSERT INTO t.rows_ VALUES (1, '')")


def test_transaction_that_is_open_at_the_cut_goes_on_and_is_not_in_the_snapshot(
    where: rig.Place, mount: Path, server: MariaDb
) -> None:
    server.ask("INSERT INTO t.rows_ VALUES (1, '')")
    with contextlib.closing(server.connect()) as connection:
        cursor = connection.cursor()
        cursor.execute("BEGIN")
        cursor.execute("INSERT INTO t.rows_ VALUES (2, '')")
        cut = rig.cut(where, mount, rig.quiescer("mariadb", mount))
        cursor.execute("COMMIT")
    assert (cut.checked, cut.stopped) == ("", "")
    assert server.rows() == {1, 2}
    with rig.restored(where, cut.snapshot_id, "ext4") as folder:
        rows, log = restart(where, folder, "open")
    assert rows == {1}
    assert not rig.log_lines(log, "InnoDB: Starting crash recovery")
