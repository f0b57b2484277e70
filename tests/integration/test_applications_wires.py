"""MySQL and MongoDB drivers, their real client libraries against servers of the tests' own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fakes.applications import SERVER, fake_tools
from fakes.clock import FakeClock
from fakes.database_wires import FakeMongoDb, FakeMySql, Rows, SqlRefusal, listening
from snap_self.errors import QuiesceFailed
from snap_self.model.applications import ApplicationSettings
from snap_self.model.identity import ProcessIdentity
from snap_self.model.machine import PathFact
from snap_self.model.servers import ProcessFact
from snap_self.ports import FileText
from snap_self.quiesce.applications.base import Driver, Limit, Server, Tools
from snap_self.quiesce.applications.mariadb import MariaDbDriver
from snap_self.quiesce.applications.mongodb import UNLOCKER, MongoDbDriver
from snap_self.quiesce.applications.mysql import MySqlDriver
from snap_self.quiesce.applications.mysql_session import MySqlSession
from snap_self.quiesce.applications.quiescers import ApplicationQuiescer
from snap_self.system.applications.links import silent_link
from snap_self.system.applications.server_sockets import LocalServerSockets
from snap_self.system.applications.unlockers import UnlockerProcess, UnlockerProcesses

pytest.importorskip("pymysql")
pytest.importorskip("pymongo")
PASSWORD = "shown-to-nobody"
STRANGER = 2
"""A process that is neither the test's nor related to it."""
CHECKOUT = Path(__file__).resolve().parents[2]


@pytest.fixture
def folder() -> Iterator[Path]:
    # A local socket's path holds at most 107 bytes.
    with tempfile.TemporaryDirectory(prefix="wires-") as made:
        yield Path(made)


def tools(clock: FakeClock, folder: Path) -> Tools:
    return replace(
        fake_tools(clock, files={"/password": FileText(text=PASSWORD, mode=0o600)}),
        link=silent_link,
        sockets=LocalServerSockets(str(folder / "names")),
        unlockers=UnlockerProcesses(),
    )


def server(label: str, path: Path, pid: int, **settings: str) -> Server:
    """Return what is known of a server that listens in a process of the test's own user."""
    identity = ProcessIdentity(pid=pid, name=label, uids=(os.getuid(),), gid=os.getgid())
    return Server(
        label=label,
        process=ProcessFact(identity=identity),
        data_dir=str(path.parent),
        settings=ApplicationSettings(**{"socket": str(path), **settings}),
        one_cut=True,
        covers=lambda _: True,
    )


def quiescer(driver: Driver, clock: FakeClock) -> ApplicationQuiescer:
    return ApplicationQuiescer("it", driver, clock, server=SERVER, timeout_s=20)


def start(one: ApplicationQuiescer, clock: FakeClock) -> None:
    one.start(deadline=clock.monotonic() + 20)


class InnoDb:
    """What a MySQL server says of its redo log: it comes to rest after some looks."""

    def __init__(self, ages: list[int], *, refused: str = "", error: int = 0) -> None:
        self.ages, self.refused, self.error = ages, refused, error
        self.grown = 0

    def __call__(self, statement: str) -> Rows:
        if self.refused and statement.startswith(self.refused):
            raise SqlRefusal(self.error, "the server says no")
        if "STATUS" not in statement:
            return ()
        age = self.ages.pop(0) if len(self.ages) > 1 else self.ages[0]
        end = 5000 + self.grown
        return (
            ("Innodb_redo_log_current_lsn", str(end)),
            ("Innodb_redo_log_checkpoint_lsn", str(end - age)),
        )


def mysql(folder: Path, clock: FakeClock) -> ApplicationQuiescer:
    known = server("mysql", folder / "my.sock", os.getpid())
    return quiescer(MySqlDriver(known, tools(clock, folder)), clock)


def test_mysql_takes_both_locks_waits_for_its_pages_and_releases_in_one_session(
    folder: Path,
) -> None:
    fake, clock = FakeMySql(InnoDb([900, 900, 900, 0])), FakeClock()
    with listening(folder / "my.sock", fake.serve):
        one = mysql(folder, clock)
        start(one, clock)
        assert one.check() == ""
        assert one.stop() == ""
        assert fake.ended.wait(20)
    locks = [each for each in fake.statements if "LOCK" in each and "SET" not in each]
    assert locks == [
        "LOCK INSTANCE FOR BACKUP",
        "FLUSH TABLES WITH READ LOCK",
        "UNLOCK TABLES",
        "UNLOCK INSTANCE",
    ]
    before = fake.statements[: fake.statements.index(locks[0])]
    assert "SET SESSION lock_wait_timeout=5" in before
    assert "SET SESSION wait_timeout=60" in before
    assert sum(clock.sleeps) > 0


@pytest.mark.parametrize(
    ("driver", "version"),
    [(MySqlDriver, "8.0.36"), (MariaDbDriver, "5.5.5-10.11.19-MariaDB")],
    ids=["mysql", "mariadb"],
)
@pytest.mark.parametrize("covered", [True, False])
def test_server_with_a_shut_table_on_a_disk_that_gets_no_snapshot_does_not_count_as_at_rest(
    folder: Path, driver: type[MySqlSession], version: str, *, covered: bool
) -> None:
    fake, clock = FakeMySql(InnoDb([0]), version), FakeClock()
    known = replace(
        server("it", folder / "my.sock", os.getpid()),
        covers=lambda fact: covered or not fact.asked.endswith("/shop/t.MYD"),
    )
    own = replace(
        tools(clock, folder),
        locate=lambda _pid, path: PathFact(asked=path, real=path, mount_id=1),
        leads=lambda _pid, _path: ("shop/t.MYD",),
    )
    with listening(folder / "my.sock", fake.serve):
        one = quiescer(driver(known, own), clock)
        if covered:
            start(one, clock)
            one.stop()
        else:
            with pytest.raises(QuiesceFailed, match=r"it has data in '.*/shop/t.MYD', on no disk"):
                start(one, clock)
        assert fake.ended.wait(20)


def test_mysql_whose_redo_log_never_empties_fails_in_time_and_is_let_go(folder: Path) -> None:
    fake, clock = FakeMySql(InnoDb([900])), FakeClock()
    with listening(folder / "my.sock", fake.serve):
        one = mysql(folder, clock)
        with pytest.raises(QuiesceFailed, match="redo log did not come to rest"):
            start(one, clock)
        assert fake.ended.wait(20), "the connection that held the locks is still open"


def test_mysql_that_grew_its_redo_log_while_held_is_told(folder: Path) -> None:
    innodb = InnoDb([0])
    fake, clock = FakeMySql(innodb), FakeClock()
    with listening(folder / "my.sock", fake.serve):
        one = mysql(folder, clock)
        start(one, clock)
        innodb.grown = 70
        assert one.stop() == "it wrote 70 bytes to its redo log while at rest"


@pytest.mark.parametrize(
    ("refused", "error", "words"),
    [
        ("FLUSH", 1205, "the lock was not granted"),
        ("LOCK INSTANCE", 1227, "the server says no"),
    ],
)
def test_mysql_that_refuses_a_lock_is_let_go(
    folder: Path, refused: str, error: int, words: str
) -> None:
    fake, clock = FakeMySql(InnoDb([0], refused=refused, error=error)), FakeClock()
    with listening(folder / "my.sock", fake.serve):
        with pytest.raises(QuiesceFailed, match=words):
            start(mysql(folder, clock), clock)
        assert fake.ended.wait(20)


def test_mysql_driver_does_not_touch_a_mariadb(folder: Path) -> None:
    fake, clock = FakeMySql(InnoDb([0]), version="5.5.5-10.4.1-MariaDB"), FakeClock()
    with (
        listening(folder / "my.sock", fake.serve),
        pytest.raises(QuiesceFailed, match="this is MariaDB"),
    ):
        start(mysql(folder, clock), clock)
    assert not [each for each in fake.statements if each.startswith(("LOCK", "FLUSH"))]


@pytest.mark.parametrize(
    "plugin",
    [b"mysql_clear_password", b"dialog", b"mysql_old_password", b"sha256_password", b"unheard_of"],
)
def test_mysql_that_asks_for_the_password_itself_is_not_given_it(
    folder: Path, plugin: bytes
) -> None:
    fake, clock = FakeMySql(InnoDb([0]), plugin=plugin), FakeClock()
    path = folder / "my.sock"
    known = server("mysql", path, os.getpid(), user="snap-self", password_file="/password")
    one = quiescer(MySqlDriver(known, tools(clock, folder)), clock)
    with listening(path, fake.serve), pytest.raises(QuiesceFailed):
        start(one, clock)
    assert fake.ended.wait(20)
    assert PASSWORD.encode() not in b"".join(fake.log_ins)
    assert fake.log_ins[1:] == [b""], "it was answered"


def test_mysql_that_asks_for_a_file_of_the_agents_costs_one_level(folder: Path) -> None:
    fake, clock = FakeMySql(InnoDb([0]), raw=b"\xfb/etc/shadow"), FakeClock()
    with (
        listening(folder / "my.sock", fake.serve),
        pytest.raises(QuiesceFailed, match="LOAD_LOCAL"),
    ):
        start(mysql(folder, clock), clock)
    assert fake.ended.wait(20)


@pytest.mark.parametrize("names", [("s.sock", "plain.sock"), ("plain.sock", "s.sock")])
def test_mysql_is_reached_past_the_socket_of_its_other_protocol(
    folder: Path, names: tuple[str, str]
) -> None:
    fake, clock = FakeMySql(InnoDb([0])), FakeClock()
    known = server("mysql", folder / "s.sock", os.getpid(), socket="")
    found = tuple(str(folder / name) for name in names)
    known = replace(known, process=replace(known.process, sockets=found))
    one = quiescer(MySqlDriver(known, tools(clock, folder)), clock)
    with (
        listening(folder / "s.sock", fake.serve),
        listening(folder / "plain.sock", greet_as_mysqlx),
    ):
        start(one, clock)
        assert (one.check(), one.stop()) == ("", "")


def greet_as_mysqlx(stream: Any) -> None:
    """Send the notice that MySQL's X plugin begins with, as version 9.7 does."""
    stream.write(b"\x05\x00\x00\x00\x0b\x08\x05\x1a\x00")
    stream.flush()
    stream.read(1)


def test_server_that_is_not_the_one_found_is_sent_nothing(folder: Path) -> None:
    fake, clock = FakeMySql(InnoDb([0])), FakeClock()
    known = server("mysql", folder / "my.sock", STRANGER)
    one = quiescer(MySqlDriver(known, tools(clock, folder)), clock)
    with (
        listening(folder / "my.sock", fake.serve),
        pytest.raises(QuiesceFailed, match="does not lead to it"),
    ):
        start(one, clock)
    assert [each for each in fake.log_ins if each] == []


def mongodb_driver(folder: Path, clock: FakeClock, pid: int) -> MongoDbDriver:
    known = server("mongodb", folder / "mongodb-27017.sock", pid)
    return MongoDbDriver(known, tools(clock, folder))


def mongodb(folder: Path, clock: FakeClock, pid: int = os.getpid()) -> ApplicationQuiescer:
    return quiescer(mongodb_driver(folder, clock, pid), clock)


def test_mongodb_is_locked_and_unlocked_once(folder: Path) -> None:
    fake, clock = FakeMongoDb(), FakeClock()
    with listening(folder / "mongodb-27017.sock", fake.serve):
        one = mongodb(folder, clock)
        start(one, clock)
        assert (fake.locks, one.check()) == (1, "")
        assert (one.stop(), one.stop()) == ("", "")
    names = [next(iter(each)) for each in fake.commands]
    assert (names.count("fsync"), names.count("fsyncUnlock")) == (1, 1)
    (lock,) = (each for each in fake.commands if "fsync" in each)
    assert lock["fsyncLockAcquisitionTimeoutMillis"] <= 20_000


def test_mongodb_before_7_1_is_asked_without_the_limit_it_does_not_know(folder: Path) -> None:
    fake, clock = FakeMongoDb(version="6.0.14"), FakeClock()
    with listening(folder / "mongodb-27017.sock", fake.serve):
        one = mongodb(folder, clock)
        start(one, clock)
        one.stop()
    (lock,) = (each for each in fake.commands if "fsync" in each)
    assert "fsyncLockAcquisitionTimeoutMillis" not in lock


def test_mongodb_that_refuses_keeps_the_lock_of_somebody_else(folder: Path) -> None:
    fake, clock = FakeMongoDb(refusal="not authorized"), FakeClock()
    fake.locks = 1
    with (
        listening(folder / "mongodb-27017.sock", fake.serve),
        pytest.raises(QuiesceFailed, match="not authorized"),
    ):
        start(mongodb(folder, clock), clock)
    assert fake.locks == 1


def test_mongodb_unlocked_by_somebody_else_is_told(folder: Path) -> None:
    fake, clock = FakeMongoDb(), FakeClock()
    with listening(folder / "mongodb-27017.sock", fake.serve):
        one = mongodb(folder, clock)
        start(one, clock)
        fake.locks = 0
        assert one.check() == "it is no longer locked"
        assert "not locked" in one.stop()


def test_mongodb_that_is_not_the_one_found_is_sent_nothing(folder: Path) -> None:
    fake, clock = FakeMongoDb(), FakeClock()
    with (
        listening(folder / "mongodb-27017.sock", fake.serve),
        pytest.raises(QuiesceFailed, match="does not lead to it"),
    ):
        start(mongodb(folder, clock, STRANGER), clock)
    assert fake.commands == []


def test_mongodbs_unlocker_proves_the_server_by_itself(folder: Path) -> None:
    fake = FakeMongoDb()
    path = folder / "mongodb-27017.sock"
    orders = {
        "host": "",
        "user": "",
        "password": "",
        "timeout_ms": 5000,
        "hold_s": 60,
        "path": str(path),
        "root": "",
        "peer": {"pid": STRANGER, "parent": 0, "uid": 0, "owner": 0},
        "folder": str(folder / "names"),
    }
    with listening(path, fake.serve), pytest.raises(TimeoutError):
        UnlockerProcesses().start(UNLOCKER, orders=json.dumps(orders), timeout_s=10)
    assert fake.commands == []


HOLDER = """
import os
import sys
from pathlib import Path
from fakes.clock import FakeClock
from test_applications_wires import mongodb, start
clock = FakeClock()
one = mongodb(Path(sys.argv[1]), clock, os.getppid())
start(one, clock)
print("HELD", flush=True)
sys.stdin.read()
"""


def test_mongodb_lock_of_somebody_else_outlives_an_agent_that_took_none(folder: Path) -> None:
    fake, clock = FakeMongoDb(), FakeClock()
    with listening(folder / "mongodb-27017.sock", fake.serve):
        driver = mongodb_driver(folder, clock, os.getpid())
        driver.open(Limit(clock, clock.monotonic() + 20))
        fake.locks = 1
        assert isinstance(driver._unlocker, UnlockerProcess)
        assert driver._unlocker.end() == 0  # its pipe ends, as when the agent is killed
        driver._unlocker = None
        driver.close()
    assert fake.locks == 1


def test_mongodb_that_cannot_be_unlocked_is_said_to_be_locked_maybe(folder: Path) -> None:
    fake, clock = FakeMongoDb(), FakeClock()
    with listening(folder / "mongodb-27017.sock", fake.serve):
        one = mongodb(folder, clock)
        start(one, clock)
        fake.stuck = True
        assert one.stop().startswith("it may still be locked (db.fsyncUnlock() ends that): ")


def test_mongodb_is_unlocked_when_the_agent_is_killed(folder: Path) -> None:
    fake = FakeMongoDb()
    path = os.pathsep.join(str(CHECKOUT / each) for each in ("agent", "tests", "tests/integration"))
    with (
        listening(folder / "mongodb-27017.sock", fake.serve),
        subprocess.Popen(
            [sys.executable, "-c", HOLDER, str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": path},
        ) as agent,
    ):
        assert agent.stdout is not None
        assert agent.stdout.readline() == b"HELD\n"
        assert fake.locks == 1
        agent.send_signal(signal.SIGKILL)
        assert fake.wait_for_locks(0)
