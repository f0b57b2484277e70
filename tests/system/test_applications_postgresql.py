"""A real PostgreSQL under load: what starts from a snapshot, and what is left after each fault."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import applications_rig as rig
import pytest
from database_servers import POSTGRESQL as BIN
from database_servers import PostgreSql, psycopg

from agent_runner import AgentRunner
from snap_self.errors import QuiesceFailed
from snap_self.quiesce.applications.quiescers import ApplicationQuiescer

pytestmark = [pytest.mark.root, pytest.mark.slow]
if not BIN.exists():
    pytest.skip("needs postgresql", allow_module_level=True)
Begin = Callable[..., Any]


@pytest.fixture
def where(run_directory: Any) -> Iterator[rig.Place]:
    state = run_directory.new_folder("state", "postgresql")
    with rig.place(AgentRunner(run_directory=run_directory, state=state)) as place:
        yield place


@pytest.fixture
def data(where: rig.Place) -> Path:
    folder = where.disk("xfs") / "postgresql"
    folder.mkdir(mode=0o700)
    shutil.chown(folder, "postgres")
    made = where.launch(
        *(BIN / "initdb", "-D", folder, "-A", "trust", "--no-sync"),
        log=where.base / "initdb.log",
        user="postgres",
    )
    assert made.wait() == 0
    return folder


@pytest.fixture
def begin(where: rig.Place, data: Path) -> Iterator[Callable[..., PostgreSql]]:
    started: list[PostgreSql] = []

    def begin(*options: str) -> PostgreSql:
        server = PostgreSql(where, data, "server", *options)
        started.append(server)
        server.ask("CREATE TABLE rows_ (n INT PRIMARY KEY)")
        return server

    yield begin
    for server in started:
        server.end()


def test_snapshot_replays_only_what_was_written_after_the_checkpoint(
    where: rig.Place, data: Path, begin: Begin
) -> None:
    server = begin()
    with rig.Load(server.writer) as load:
        cut = rig.cut(where, where.disk("xfs"), rig.quiescer("postgresql", where.disk("xfs")))
        load.wait_for_more()
    assert (cut.checked, cut.stopped) == ("", "")
    with rig.restored(where, cut.snapshot_id, "xfs") as folder:
        (folder / "postgresql/postmaster.pid").unlink()
        copy = PostgreSql(where, folder / "postgresql", "copy")
        rows = copy.rows()
        copy.end()
    # The freeze is what stops commits here, so it is the line between the rows.
    rig.assert_exact(load, rows, asked=cut.asked, last=cut.frozen)
    assert replayed(copy.log) < 16 << 20
    assert not rig.log_lines(copy.log, "PANIC", "FATAL", "could not")


def replayed(log: Path) -> int:
    """Return how many bytes of WAL a start replayed; PostgreSQL always says that it recovers."""
    text = log.read_text()
    assert "automatic recovery in progress" in text
    points = re.search(r"redo starts at (\w+)/(\w+)[\s\S]*redo done at (\w+)/(\w+)", text)
    if not points:
        return 0
    high, low, high_end, low_end = (int(each, 16) for each in points.groups())
    return ((high_end - high) << 32) + low_end - low


def test_spread_files_without_archived_wal_are_refused(
    where: rig.Place, data: Path, begin: Begin
) -> None:
    spread(where, data)
    begin()
    one = rig.quiescer("postgresql", where.disk("xfs"), where.disk("ext4"), one_cut=False)
    with pytest.raises(QuiesceFailed, match="it archives no WAL"):
        rig.start(one)


def test_spread_files_get_a_backup_session_whose_label_is_kept(
    where: rig.Place, data: Path, begin: Begin
) -> None:
    spread(where, data)
    begin("archive_mode=on", "archive_command=true")
    one = rig.quiescer("postgresql", where.disk("xfs"), where.disk("ext4"), one_cut=False)
    rig.start(one)
    assert one.check() == ""
    assert one.stop() == ""
    assert isinstance(one, ApplicationQuiescer)
    assert "LABEL: snap-self" in one.kept["backup_label"]


def test_spread_files_with_one_cut_need_no_backup_session(
    where: rig.Place, data: Path, begin: Begin
) -> None:
    spread(where, data)
    begin()
    one = rig.quiescer("postgresql", where.disk("xfs"), where.disk("ext4"))
    rig.start(one)
    assert one.stop() == ""
    assert isinstance(one, ApplicationQuiescer)
    assert one.kept == {}


def spread(where: rig.Place, data: Path) -> None:
    """Move the WAL to the other disk."""
    elsewhere = where.disk("ext4") / "wal"
    shutil.move(data / "pg_wal", elsewhere)
    for each in (elsewhere, *elsewhere.rglob("*")):
        shutil.chown(each, "postgres")
    (data / "pg_wal").symlink_to(elsewhere)


def test_log_on_a_disk_that_gets_no_snapshot_is_refused(
    where: rig.Place, data: Path, begin: Begin
) -> None:
    spread(where, data)
    begin()
    with pytest.raises(QuiesceFailed, match=r"it has data in '.*/pg_wal', on no disk"):
        rig.start(rig.quiescer("postgresql", where.disk("xfs")))


def test_tablespace_on_a_disk_that_gets_no_snapshot_is_refused(
    where: rig.Place, data: Path, begin: Begin
) -> None:
    space = where.disk("ext4") / "space"
    space.mkdir(mode=0o700)
    shutil.chown(space, "postgres")
    server = begin()
    server.ask(f"CREATE TABLESPACE other LOCATION '{space}'")
    with pytest.raises(QuiesceFailed, match=rf"it has data in '{space}', on no disk"):
        rig.start(rig.quiescer("postgresql", where.disk("xfs")))


def test_server_without_the_usual_database_is_reached(where: rig.Place, begin: Begin) -> None:
    server = begin()
    with psycopg.connect(
        host=str(server.sockets), user="postgres", dbname="template1", autocommit=True
    ) as connection:
        connection.execute("DROP DATABASE postgres")
    one = rig.quiescer("postgresql", where.disk("xfs"))
    rig.start(one)
    assert (one.check(), one.stop()) == ("", "")


def test_backup_session_ends_with_a_killed_agent(where: rig.Place, begin: Begin) -> None:
    server = begin()
    with rig.held_by_another("postgresql", where.disk("xfs"), hold_s=60) as agent:
        assert sessions(server) == 1
        agent.kill()
        rig.wait_for(lambda: sessions(server) == 0, "the end of the agent's session")


def sessions(server: PostgreSql) -> int:
    """Return how many sessions of the agent there are."""
    query = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'snap-self'"
    return int(server.ask(query)[0][0])


def test_check_tells_that_the_server_was_killed_and_stop_does_not_raise(
    where: rig.Place, data: Path, begin: Begin
) -> None:
    server = begin()
    one = rig.quiescer("postgresql", where.disk("xfs"))
    rig.start(one)
    assert one.check() == ""
    server.end()
    assert one.check() == "the server closed the connection"
    assert one.stop() == ""


def test_role_with_the_named_grants_is_enough(where: rig.Place, data: Path, begin: Begin) -> None:
    spread(where, data)
    server = begin("archive_mode=on", "archive_command=true")
    server.ask('CREATE ROLE "snap-self" LOGIN')
    for grant in rig.grants_of("postgresql").split("; "):
        server.ask(grant)
    for one_cut in (True, False):
        both = (where.disk("xfs"), where.disk("ext4"))
        one = rig.quiescer("postgresql", *both, user="snap-self", one_cut=one_cut)
        rig.start(one)
        assert one.stop() == ""
