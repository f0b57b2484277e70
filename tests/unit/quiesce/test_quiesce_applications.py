"""What all application drivers share: limits, words, each release once; and how they are found."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from fakes.applications import (
    FakeProcesses,
    LibraryError,
    ScriptedDriver,
    fake_tools,
)
from fakes.clock import FakeClock
from snap_self.config.load import default_config
from snap_self.errors import QuiesceFailed
from snap_self.model.applications import ApplicationSettings, ProcessFact, Use
from snap_self.model.disks import (
    CloudDisk,
    Coverage,
    DiskKind,
    Filesystem,
    Mount,
    Target,
)
from snap_self.model.ids import DiskId
from snap_self.model.machine import PathFact
from snap_self.ports import FileText
from snap_self.quiesce.applications.base import (
    ApplicationQuiescer,
    Limit,
    Server,
    library,
    password_of,
)
from snap_self.quiesce.applications.finding import FoundApplications, find_applications
from snap_self.quiesce.applications.mongodb import MongoDbDriver
from snap_self.quiesce.applications.redis import RedisDriver
from snap_self.quiesce.applications.registry import KINDS

CLOCK = FakeClock()


def quiescer(clock: FakeClock, driver: ScriptedDriver, timeout_s: float = 20) -> Any:
    return ApplicationQuiescer("redis /data", driver, clock, timeout_s=timeout_s)


def started(**how: Any) -> tuple[Any, ScriptedDriver]:
    clock = FakeClock()
    driver = ScriptedDriver(clock, **how)
    one = quiescer(clock, driver)
    one.start(deadline=clock.monotonic() + 30)
    return one, driver


def test_release_happens_once_and_closes_the_connection() -> None:
    one, driver = started()
    assert [one.stop(), one.stop()] == ["", ""]
    assert driver.asked == ["open", "hold", "release", "close"]


@pytest.mark.parametrize("step", ["open", "hold"])
def test_library_error_on_the_way_names_the_application_and_leaves_nothing_open(step: str) -> None:
    clock = FakeClock()
    driver = ScriptedDriver(clock, failing={step: LibraryError(1045, "Access denied")})
    with pytest.raises(QuiesceFailed, match=r"^redis /data: Access denied$") as caught:
        quiescer(clock, driver).start(deadline=clock.monotonic() + 30)
    assert "grants" in caught.value.hint
    assert driver.asked[-1] == "close"


@pytest.mark.parametrize(("own_s", "outer_s"), [(3, 30), (30, 3)])
def test_the_earlier_limit_ends_a_hold_that_takes_too_long(own_s: float, outer_s: float) -> None:
    clock = FakeClock()
    begun = clock.monotonic()
    driver = ScriptedDriver(clock, hold_takes_s=60)
    with pytest.raises(QuiesceFailed, match="did not come to rest in time"):
        quiescer(clock, driver, own_s).start(deadline=begun + outer_s)
    assert clock.monotonic() - begun == pytest.approx(3)
    assert driver.asked == ["open", "close"]


def test_fault_that_is_not_the_librarys_still_closes_the_connection() -> None:
    clock = FakeClock()
    driver = ScriptedDriver(clock, failing={"hold": KeyboardInterrupt()})
    with pytest.raises(KeyboardInterrupt):
        quiescer(clock, driver).start(deadline=clock.monotonic() + 30)
    assert driver.asked[-1] == "close"


def test_missing_library_is_told_with_what_to_install() -> None:
    with pytest.raises(QuiesceFailed, match="PyNoSuch is not installed") as caught:
        library("no_such_library", "PyNoSuch")
    assert "pip install PyNoSuch" in caught.value.hint


def test_check_before_the_start_and_after_the_stop_says_it_is_not_at_rest() -> None:
    one, _ = started()
    one.stop()
    assert one.check() == "it is not at rest"


def test_check_that_fails_is_a_reason_not_an_exception() -> None:
    one, _ = started(failing={"state": LibraryError("gone")})
    assert one.check() == "gone"


def test_release_that_fails_is_told_and_the_connection_dropped() -> None:
    one, driver = started(failing={"release": LibraryError("gone")})
    assert one.stop() == "the release failed, so the connection was dropped: gone"
    assert driver.asked[-1] == "close"


def test_password_is_the_files_first_line() -> None:
    tools = fake_tools(CLOCK, files={"/p": FileText(text="hush\nmore\n", mode=0o600)})
    assert password_of(ApplicationSettings(password_file="/p"), tools.read_text) == "hush"


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o602])
def test_password_file_that_others_may_use_is_refused_without_its_content(mode: int) -> None:
    tools = fake_tools(CLOCK, files={"/p": FileText(text="hush", mode=mode)})
    with pytest.raises(QuiesceFailed, match="can be read by others") as caught:
        password_of(ApplicationSettings(password_file="/p"), tools.read_text)
    assert "hush" not in f"{caught.value!r}{caught.value.hint}"


def test_password_file_that_is_missing_is_named() -> None:
    with pytest.raises(QuiesceFailed, match=r"/p: No such file"):
        password_of(ApplicationSettings(password_file="/p"), fake_tools(CLOCK).read_text)


DATA = {
    "mariadb": ProcessFact(pid=5, name="mariadbd", cwd="/data/mysql"),
    "mysql": ProcessFact(pid=6, name="mysqld", cwd="/data/mysql"),
    "postgresql": ProcessFact(pid=7, name="postgres", cwd="/data/main"),
    "redis": ProcessFact(pid=8, name="redis-server", cwd="/data/redis"),
    "mongodb": ProcessFact(pid=9, name="mongod", cwd="/", files=("/data/db/WiredTiger.lock",)),
}


def coverage() -> Coverage:
    mount = Mount(
        mount_id=40,
        path="/data",
        fstype="ext4",
        root="/",
        read_only=False,
        namespace=None,
        hidden=False,
    )
    disk = CloudDisk(
        disk_id=DiskId("d-bp1aaaabbbbccccdddde"),
        name="",
        serial="",
        category="cloud_essd",
        kind=DiskKind.DATA,
        size_gib=20,
        status="In_use",
        zone="",
        device_label="",
        attached_to=frozenset(),
        multi_attach=False,
        encrypted=False,
    )
    filesystem = Filesystem(
        key="253:16",
        fstype="ext4",
        source="/dev/vdb",
        mounts=(mount,),
        disks=frozenset({"vdb"}),
        chain=(),
        parents=frozenset(),
        devno="253:16",
    )
    target = Target(cloud=disk, local=None, how="", filesystems=(filesystem,), why="")
    return Coverage(targets=(target,), skipped=(), spans=(), torn=(), not_covered=())


def find(*running: ProcessFact, **uses: Use) -> FoundApplications:
    own: dict[str, Any] = {key: ApplicationSettings(use=use) for key, use in uses.items()}
    return find_applications(
        replace(default_config().applications, **own),
        FakeProcesses(running),
        coverage(),
        one_cut=True,
        tools=fake_tools(CLOCK, {"/": 20, "/data": 40}),
    )


@pytest.mark.parametrize("key", list(DATA))
@pytest.mark.parametrize("use", [Use.AUTO, Use.ON])
def test_application_on_a_disk_concerned_is_found(key: str, use: Use) -> None:
    found = find(DATA[key], **{key: use})
    assert [each.name.split()[0] for each in found.quiescers] == [key]
    assert found.notes == ()


def test_every_kind_can_be_configured() -> None:
    applications = default_config().applications
    assert all(getattr(applications, kind.key).use is Use.OFF for kind in KINDS)
    assert {kind.key for kind in KINDS} == set(DATA)


@pytest.mark.parametrize("key", list(DATA))
def test_application_that_is_off_is_only_noted(key: str) -> None:
    found = find(DATA[key])
    assert found.quiescers == ()
    assert [f'applications.{key} = "auto"' in note for note in found.notes] == [True]


def test_application_on_another_disk_is_no_concern() -> None:
    found = find(replace(DATA["redis"], cwd="/var/lib/redis"), redis=Use.AUTO)
    assert (found.quiescers, found.notes) == ((), ())


def test_what_holds_commits_back_comes_to_rest_after_what_does_not() -> None:
    running = [DATA[key] for key in ("mariadb", "redis", "postgresql")]
    found = find(*running, mariadb=Use.ON, postgresql=Use.ON, redis=Use.ON)
    names = [each.name.split()[0] for each in found.quiescers]
    assert names == ["postgresql", "redis", "mariadb"]


@pytest.mark.parametrize(("devno", "found"), [("253:16", 1), ("253:0", 0)])
def test_application_with_mounts_of_its_own_is_found_by_its_filesystem(
    devno: str, found: int
) -> None:
    own = ApplicationSettings(use=Use.AUTO)
    here = PathFact(asked="", real="/elsewhere", mount_id=4711, devno=devno)
    seen = find_applications(
        replace(default_config().applications, redis=own),
        FakeProcesses((DATA["redis"],)),
        coverage(),
        one_cut=True,
        tools=replace(fake_tools(CLOCK), locate=lambda pid, path: here),
    )
    assert len(seen.quiescers) == found


def test_data_directory_that_cannot_be_looked_at_is_a_doubt() -> None:
    found = find(replace(DATA["redis"], cwd="gone"), redis=Use.AUTO)
    assert found.quiescers == ()
    assert "is left alone: no gone" in found.doubts[0]


def test_data_directory_of_what_is_off_is_only_noted_when_it_cannot_be_looked_at() -> None:
    found = find(replace(DATA["redis"], cwd="gone"))
    assert "is left alone: no gone" in found.notes[0]
    assert found.doubts == ()


@pytest.mark.parametrize(("socket", "reached"), [("/run/2.sock", "/data/2"), ("/x", "/data/1")])
def test_two_servers_and_one_socket_named_leave_a_doubt_and_ask_one(
    socket: str, reached: str
) -> None:
    one, two = (
        replace(DATA["redis"], pid=n, cwd=f"/data/{n}", sockets=(f"/run/{n}.sock",)) for n in (1, 2)
    )
    own = ApplicationSettings(use=Use.AUTO, socket=socket)
    found = find_applications(
        replace(default_config().applications, redis=own),
        FakeProcesses((one, two)),
        coverage(),
        one_cut=True,
        tools=fake_tools(CLOCK, {"/": 20, "/data": 40}),
    )
    assert [each.name for each in found.quiescers] == [f"redis {reached}"]
    assert "/data/1, /data/2" in found.doubts[0]


def test_application_that_has_to_be_there_and_is_not_fails_when_started() -> None:
    (absent,) = find(redis=Use.ON).quiescers
    with pytest.raises(QuiesceFailed, match="redis: none is running"):
        absent.start(deadline=0)
    assert absent.check()
    assert absent.stop() == ""


def test_application_that_may_be_missing_is_no_failure() -> None:
    assert find(redis=Use.AUTO).quiescers == ()


def test_data_directory_that_cannot_be_told_is_a_doubt() -> None:
    found = find(replace(DATA["mongodb"], files=()), mongodb=Use.AUTO)
    assert found.quiescers == ()
    assert "where its data lies cannot be told" in found.doubts[0]


def test_mongodb_that_listens_nowhere_here_is_not_looked_for_at_the_usual_port() -> None:
    server = Server(
        label="mongodb",
        process=DATA["mongodb"],
        data_dir="/data/db",
        settings=ApplicationSettings(),
        one_cut=True,
    )
    with pytest.raises(QuiesceFailed, match="neither on a local socket nor on loopback"):
        MongoDbDriver(server, fake_tools(CLOCK)).open(Limit(CLOCK, CLOCK.monotonic() + 5))


class Dumping:
    """A Redis client: its server's facts, one set for each look at them, and the clock."""

    def __init__(self, clock: FakeClock, *facts: tuple[int, int, str]) -> None:
        self._clock = clock
        self._facts = list(facts)
        self.ordered = 0

    def info(self, section: str) -> dict[str, Any]:
        assert section == "persistence"
        busy, saved, status = self._facts.pop(0)
        return {
            "rdb_bgsave_in_progress": busy,
            "rdb_last_save_time": saved,
            "rdb_last_bgsave_status": status,
        }

    def time(self) -> tuple[int, int]:
        return int(self._clock.monotonic()), 0

    def execute_command(self, *words: str) -> None:
        self.ordered += 1

    @property
    def looks_left(self) -> int:
        return len(self._facts)


def dump(*facts: tuple[int, int, str]) -> Dumping:
    """Have a dump made by a server whose clock stands at 1000 s; return its client."""
    clock = FakeClock()
    client = Dumping(clock, *facts)
    server = Server(
        label="redis",
        process=DATA["redis"],
        data_dir="/data/redis",
        settings=ApplicationSettings(),
        one_cut=True,
    )
    driver = RedisDriver(server, replace(fake_tools(CLOCK), clock=clock))
    driver._client = client
    driver._dump(Limit(clock, clock.monotonic() + 30))
    assert client.ordered == 1
    return client


def test_redis_dump_of_the_same_second_does_not_pass_for_one_that_is_only_scheduled() -> None:
    # A look for each 50 ms until the second is over, then one while scheduled, one under way.
    same = [(0, 1000, "ok")] * 20
    assert dump(*same, (0, 1000, "ok"), (0, 1000, "ok"), (1, 1000, "ok"), (0, 1002, "ok"))


def test_redis_dump_that_fails_is_told() -> None:
    with pytest.raises(QuiesceFailed, match="its dump failed"):
        dump((0, 900, "ok"), (1, 900, "ok"), (0, 900, "err"))


def test_redis_dump_that_failed_before_is_tried_again() -> None:
    assert dump((0, 900, "err"), (1, 900, "err"), (0, 1000, "ok")).looks_left == 0


def test_mysqld_is_old_mariadb_where_only_mariadb_is_switched_on() -> None:
    found = find(DATA["mysql"], mariadb=Use.AUTO)
    assert [each.name for each in found.quiescers] == ["mariadb /data/mysql"]


def test_two_servers_of_one_kind_are_both_found() -> None:
    other = ProcessFact(pid=18, name="redis-server", cwd="/data/other")
    found = find(DATA["redis"], other, redis=Use.AUTO)
    assert [each.name for each in found.quiescers] == ["redis /data/redis", "redis /data/other"]
