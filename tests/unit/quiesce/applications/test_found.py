"""What all application drivers share: limits, words, each release once; and how they are found."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from fakes.applications import (
    SERVER,
    FakeAccounts,
    FakeProcesses,
    LibraryError,
    ScriptedDriver,
    application_settings,
    fake_tools,
    located,
    process,
)
from fakes.clock import FakeClock
from snap_self.config.load import default_config
from snap_self.errors import QuiesceFailed, UsageError
from snap_self.model.applications import APPLICATIONS, ApplicationSettings, Use
from snap_self.model.disks import (
    CloudDisk,
    Coverage,
    DiskKind,
    Filesystem,
    Mount,
    Target,
)
from snap_self.model.identity import ProcessIdentity
from snap_self.model.ids import DiskId
from snap_self.model.machine import PathFact
from snap_self.model.servers import ProcessFact
from snap_self.model.trust import Distrust, PathHop, PathKind
from snap_self.ports import FileText
from snap_self.quiesce.applications.base import (
    AGENT,
    Limit,
    Server,
    library,
    password_for,
    password_of,
)
from snap_self.quiesce.applications.finding import FoundApplications, find_applications
from snap_self.quiesce.applications.mongodb import MongoDbDriver
from snap_self.quiesce.applications.quiescers import ApplicationQuiescer
from snap_self.quiesce.applications.redis import RedisDriver
from snap_self.quiesce.applications.registry import KINDS

CLOCK = FakeClock()


def quiescer(clock: FakeClock, driver: ScriptedDriver, timeout_s: float = 20) -> Any:
    return ApplicationQuiescer("redis /data", driver, clock, server=SERVER, timeout_s=timeout_s)


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


FOREIGN = [
    RuntimeError("received LOAD_LOCAL"),
    KeyError("aof_enabled"),
    AssertionError(),
    UnicodeDecodeError("utf-8", b"x", 0, 1, "bad"),
    MemoryError(),
    UsageError("no such path"),
]


@pytest.mark.parametrize("fault", FOREIGN, ids=lambda fault: type(fault).__name__)
@pytest.mark.parametrize("step", ["open", "hold"])
def test_whatever_a_library_raises_costs_one_level_and_never_the_run(
    step: str, fault: Exception
) -> None:
    clock = FakeClock()
    driver = ScriptedDriver(clock, failing={step: fault})
    with pytest.raises(QuiesceFailed, match=r"^redis /data: \w+"):
        quiescer(clock, driver).start(deadline=clock.monotonic() + 30)
    assert driver.asked[-1] == "close"


@pytest.mark.parametrize("fault", FOREIGN, ids=lambda fault: type(fault).__name__)
def test_whatever_a_library_raises_later_is_a_reason(fault: Exception) -> None:
    one, driver = started(failing={"state": fault, "release": fault, "close": fault})
    assert one.check()
    assert one.stop().startswith("the release failed, so the connection was dropped: ")
    assert driver.asked[-1] == "close"


def test_connection_that_cannot_be_dropped_is_told() -> None:
    one, _ = started(failing={"close": RuntimeError("stuck")})
    assert one.stop() == "its connection could not be dropped: RuntimeError: stuck"


def test_missing_library_is_told_with_what_to_install() -> None:
    with pytest.raises(QuiesceFailed, match="PyNoSuch is not installed") as caught:
        library("no_such_library", "PyNoSuch")
    assert "pip install '.[applications]'" in caught.value.hint


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
    assert password_of(ApplicationSettings(password_file="/p"), tools) == "hush"


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o602])
def test_password_file_that_others_may_use_is_refused_without_its_content(mode: int) -> None:
    tools = fake_tools(CLOCK, files={"/p": FileText(text="hush", mode=mode)})
    with pytest.raises(QuiesceFailed, match="can be read by others") as caught:
        password_of(ApplicationSettings(password_file="/p"), tools)
    assert "hush" not in f"{caught.value!r}{caught.value.hint}"


def test_password_file_that_others_could_exchange_is_refused_unread() -> None:
    hop = PathHop(path="/p", kind=PathKind.FILE, mode=0o600, owner=65534)
    found = Distrust(hop=hop, why="/p belongs to user id 65534, not to root", hint="chown root /p")
    tools = fake_tools(
        CLOCK, files={"/p": FileText(text="hush", mode=0o600)}, distrusted={"/p": found}
    )
    with pytest.raises(QuiesceFailed, match="belongs to user id 65534") as caught:
        password_of(ApplicationSettings(password_file="/p"), tools)
    assert caught.value.hint == "chown root /p"


def test_password_file_that_is_missing_is_named() -> None:
    with pytest.raises(QuiesceFailed, match=r"/p: No such file"):
        password_of(ApplicationSettings(password_file="/p"), fake_tools(CLOCK))


DATA = {
    "mariadb": process(5, "mariadbd", cwd="/data/mysql"),
    "mysql": process(6, "mysqld", cwd="/data/mysql"),
    "postgresql": process(7, "postgres", cwd="/data/main"),
    "redis": process(8, "redis-server", cwd="/data/redis"),
    "mongodb": process(9, "mongod", cwd="/", files=("/data/db/WiredTiger.lock",)),
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
        ways=(),
        parents=frozenset(),
        devno="253:16",
    )
    target = Target(cloud=disk, local=None, how="", filesystems=(filesystem,), why="")
    return Coverage(targets=(target,), skipped=(), spans=(), torn=(), not_covered=())


def find(*running: ProcessFact, **uses: Use) -> FoundApplications:
    own: dict[str, Any] = {key: ApplicationSettings(use=use) for key, use in uses.items()}
    return find_applications(
        application_settings(**own),
        FakeProcesses(running),
        coverage(),
        one_cut=True,
        tools=fake_tools(CLOCK, {"/": 20, "/data": 40}),
    )


def search(
    *running: ProcessFact, own: ApplicationSettings, accounts: FakeAccounts | None = None
) -> tuple[FoundApplications, list[int]]:
    """Look for Redis; return what was found and which processes were looked at."""
    processes = FakeProcesses(running)
    tools = replace(fake_tools(CLOCK, {"/": 20, "/data": 40}), accounts=accounts or FakeAccounts())
    settings = application_settings(redis=own)
    found = find_applications(settings, processes, coverage(), one_cut=True, tools=tools)
    return found, processes.looked_at


AUTO = ApplicationSettings(use=Use.AUTO)
STRANGERS = {
    "ordinary": process(50, "redis-server", uid=1000, cwd="/data/redis"),
    "web": process(54, "redis-server", uid=33, cwd="/data/redis"),
    "nobody": process(51, "redis-server", uid=65534, cwd="/"),
    "container": process(52, "redis-server", own_pids=True, cwd="/data/redis"),
    "users": process(53, "redis-server", uid=102, own_users=True, cwd="/data/redis"),
}


@pytest.mark.parametrize("key", list(STRANGERS))
def test_process_that_is_not_proved_is_one_note_and_not_looked_at(key: str) -> None:
    found, looked_at = search(STRANGERS[key], DATA["redis"], own=AUTO)
    assert [each.name for each in found.quiescers] == ["redis /data/redis"]
    assert (looked_at, found.doubts) == ([8], ())
    (note,) = found.notes
    assert f"process {STRANGERS[key].pid} of user id {STRANGERS[key].identity.uid}: " in note


def test_process_whose_program_others_can_change_is_a_note() -> None:
    odd = replace(DATA["redis"], distrust="what it runs can be changed by others: /opt/x")
    found, _ = search(odd, own=AUTO)
    assert (found.quiescers, found.doubts) == ((), ())
    assert "/opt/x" in found.notes[0]


def test_strangers_do_not_make_up_for_an_application_that_has_to_be_there() -> None:
    found, _ = search(*STRANGERS.values(), own=ApplicationSettings(use=Use.ON))
    with pytest.raises(QuiesceFailed, match="redis: none is running"):
        found.quiescers[0].start(deadline=0)


def test_many_strangers_are_one_short_note() -> None:
    many = [process(n, "redis-server", uid=1000) for n in range(100, 400)]
    (note,) = search(*many, own=AUTO)[0].notes
    assert note.endswith("; and 295 more")
    assert len(note) < 600


def test_strangers_are_no_matter_where_the_application_is_off() -> None:
    found, looked_at = search(*STRANGERS.values(), own=ApplicationSettings())
    assert (found.notes, found.doubts, looked_at) == ((), (), [])


def test_server_outside_of_a_service_is_a_note_where_there_is_systemd() -> None:
    service = process(
        9, "redis-server", uid=102, cwd="/data/redis", cgroup="/system.slice/redis.service"
    )
    found, _ = search(service, DATA["redis"], own=AUTO, accounts=FakeAccounts(has_manager=True))
    assert len(found.quiescers) == 1
    assert "process 8 of user id 0: it does not run in a service" in found.notes[0]


def test_account_that_is_named_is_the_only_one_that_counts() -> None:
    joes = process(10, "redis-server", uid=1000, cwd="/data/joe")
    found, _ = search(joes, DATA["redis"], own=replace(AUTO, server_user="joe"))
    assert [each.name for each in found.quiescers] == ["redis /data/joe"]
    assert "process 8 of user id 0" in found.notes[0]


def test_account_that_is_named_and_does_not_exist_is_a_doubt() -> None:
    found, _ = search(DATA["redis"], own=replace(AUTO, server_user="nosuch"))
    assert found.quiescers == ()
    assert "'nosuch', an account that does not exist" in found.doubts[0]


CONTAINED = process(
    60, "redis-server", uid=999, own_pids=True, cwd="/inner", files=("/inner/x",), contained=True
)
OVERLAY = "99 98 0:50 / / rw - overlay overlay rw,lowerdir=/l,upperdir={},workdir=/w"


def search_inside(
    *running: ProcessFact, upper: str = "/data/docker/up", containers: bool = True, **own: Any
) -> tuple[FoundApplications, list[int]]:
    """Look for servers whose own root directory is an overlay; return too what was looked at."""
    processes = FakeProcesses(running)
    given = {key: ApplicationSettings(use=Use.AUTO) for key in ("redis", "postgresql")} | own

    def locate(pid: int, path: str) -> PathFact:
        if path.startswith("/gone"):
            raise UsageError("it is gone")
        if pid in (AGENT, DATA["postgresql"].pid):
            return located({"/": 20, "/data": 40})(pid, path)
        assert path in (".", "/inner"), "it is found by no name but its own"
        overlay = OVERLAY.format(upper)
        return PathFact(asked=path, real=path, mount_id=99, devno="0:50", overlay=overlay)

    found = find_applications(
        application_settings(containers=containers, **given),
        processes,
        coverage(),
        one_cut=True,
        tools=replace(fake_tools(CLOCK), locate=locate),
    )
    return found, processes.looked_at


def test_server_in_a_container_is_found_by_its_overlays_upper_layer() -> None:
    found, _ = search_inside(CONTAINED)
    assert [each.name for each in found.quiescers] == ["redis in a container '/inner'"]
    (one,) = found.quiescers
    assert isinstance(one, ApplicationQuiescer)
    assert (one.server.data_dir, one.server.contained) == ("/inner", True)
    assert "process 60 in a container of user id 999" in one.server.described
    assert (found.notes, found.doubts) == ((), ())


def test_server_in_a_container_whose_layer_is_elsewhere_is_no_concern() -> None:
    found, _ = search_inside(CONTAINED, upper="/elsewhere")
    assert (found.quiescers, found.notes, found.doubts) == ((), (), ())


@pytest.mark.parametrize("upper", ["up", "/gone/up"])
def test_overlay_whose_upper_layer_cannot_be_told_is_a_doubt(upper: str) -> None:
    found, _ = search_inside(CONTAINED, upper=upper)
    assert (found.quiescers, found.notes) == ((), ())
    assert "Redis (process 60 in a container) is left alone: " in found.doubts[0]


def test_data_of_a_container_that_there_is_no_time_to_look_for_are_a_doubt() -> None:
    clock = FakeClock()
    files = tuple(f"/inner/{number}/t.ibd" for number in range(100))
    server = process(
        *(62, "mariadbd"),
        uid=999,
        own_pids=True,
        contained=True,
        cwd="/inner",
        files=files,
    )
    looked_for = []

    def locate(pid: int, path: str) -> PathFact:
        clock.sleep(2)
        looked_for.append(path)
        return PathFact(asked=path, real=path, mount_id=40)

    found = find_applications(
        application_settings(containers=True, mariadb=AUTO),
        FakeProcesses((server,)),
        coverage(),
        one_cut=True,
        tools=replace(fake_tools(clock), locate=locate),
    )
    assert len(looked_for) == 3
    assert "has data in more folders than could be looked at" in found.doubts[0]


def test_server_in_a_container_is_not_looked_at_unless_that_is_switched_on() -> None:
    found, looked_at = search_inside(CONTAINED, containers=False)
    assert (found.quiescers, looked_at) == ((), [])
    (note,) = found.notes
    assert "process 60 of user id 999: it runs in a container" in note
    assert note.endswith("applications.containers = true has those in containers looked at")


def test_servers_in_containers_come_to_rest_before_the_machines_own() -> None:
    found, _ = search_inside(DATA["postgresql"], CONTAINED)
    assert [each.name.split()[0] for each in found.quiescers] == ["redis", "postgresql"]


def test_user_namespace_of_a_named_account_is_a_doubt_and_anybody_elses_a_note() -> None:
    joes = replace(CONTAINED, identity=replace(CONTAINED.identity, own_users=True))
    found, looked_at = search_inside(joes)
    assert (found.doubts, looked_at, len(found.notes)) == ((), [], 1)
    joes = replace(joes, identity=replace(joes.identity, uids=(1000,) * 4))
    named = ApplicationSettings(use=Use.AUTO, server_user="joe")
    (doubt,) = search_inside(joes, redis=named)[0].doubts
    assert "Redis is left alone: process 60 of user id 1000" in doubt


def test_mongodb_in_a_container_is_left_to_a_hook_and_the_level_falls() -> None:
    mongod = process(
        *(61, "mongod"),
        uid=999,
        own_pids=True,
        contained=True,
        cwd="/",
        files=("/inner/WiredTiger.lock",),
    )
    found, _ = search_inside(mongod, mongodb=ApplicationSettings(use=Use.AUTO))
    assert found.quiescers == ()
    assert "MongoDB (process 61 in a container) is left alone: a hook" in found.doubts[0]


def test_containers_that_there_is_no_time_for_are_a_doubt() -> None:
    clock = FakeClock()

    class Slow(FakeProcesses):
        def look_inside(self, process: ProcessIdentity) -> ProcessFact:
            clock.sleep(2)
            return super().look_inside(process)

    many = [
        replace(CONTAINED, identity=replace(CONTAINED.identity, pid=pid)) for pid in range(100, 110)
    ]
    processes = Slow(many)
    found = find_applications(
        application_settings(containers=True, redis=AUTO),
        processes,
        coverage(),
        one_cut=True,
        tools=fake_tools(clock, {".": 20}),
    )
    assert len(processes.looked_at) == 3
    assert "7 processes in containers that are called like Redis" in found.doubts[0]


def test_no_password_is_told_in_a_container_but_through_a_socket_that_is_named() -> None:
    tools = fake_tools(CLOCK, files={"/p": FileText(text="hush", mode=0o600)})
    own = ApplicationSettings(password_file="/p")
    server = Server(
        label="redis",
        process=CONTAINED,
        data_dir=".",
        settings=own,
        one_cut=True,
        covers=lambda _: True,
    )
    with pytest.raises(QuiesceFailed, match="no password is told") as caught:
        password_for(server, tools)
    assert "applications.redis.socket" in caught.value.hint
    assert password_for(replace(server, settings=replace(own, socket="/srv/s")), tools) == "hush"
    assert password_for(replace(server, process=DATA["redis"]), tools) == "hush"


def test_server_found_is_known_by_process_account_and_program() -> None:
    mysql = process(5, "mariadbd", uid=111, cwd="/data/mysql")
    (one,) = find(mysql, mariadb=Use.AUTO).quiescers
    assert isinstance(one, ApplicationQuiescer)
    assert one.server.described == "process 5 of mysql, user id 111, '/usr/sbin/mariadbd'"


@pytest.mark.parametrize("key", list(DATA))
@pytest.mark.parametrize("use", [Use.AUTO, Use.ON])
def test_application_on_a_disk_concerned_is_found(key: str, use: Use) -> None:
    found = find(DATA[key], **{key: use})
    assert [each.name.split()[0] for each in found.quiescers] == [key]
    assert found.notes == ()


def test_every_kind_can_be_configured() -> None:
    kinds = default_config().applications.kinds
    assert all(kinds[kind.key].use is Use.OFF for kind in KINDS)
    assert {kind.key for kind in KINDS} == set(DATA) == set(APPLICATIONS)


@pytest.mark.parametrize("key", list(DATA))
def test_application_that_is_off_is_only_noted(key: str) -> None:
    found = find(DATA[key])
    assert found.quiescers == ()
    assert [f'applications.{key} = "auto"' in note for note in found.notes] == [True]


def test_application_on_another_disk_is_no_concern() -> None:
    found = find(replace(DATA["redis"], cwd="/var/lib/redis"), redis=Use.AUTO)
    assert (found.quiescers, found.notes) == ((), ())


@pytest.mark.parametrize(
    ("key", "name", "matters"),
    [
        ("mariadb", "app/t.ibd", True),
        ("mariadb", "ib_logfile0", True),
        ("mysql", "#innodb_redo/#ib_redo12", True),
        ("mariadb", "undo001", True),
        ("mariadb", "bin.000042", True),
        ("mariadb", "app/t.MYD", True),
        ("mariadb", "aria_log.00000001", True),
        ("mariadb", "error.log", False),
        ("mariadb", "mysqld.pid", False),
        ("mongodb", "journal/WiredTigerLog.0000000001", True),
        ("mongodb", "collection-0--1.wt", True),
        ("mongodb", "mongod.log", False),
        ("redis", "appendonlydir/appendonly.aof.1.incr.aof", True),
        ("redis", "redis.log", False),
    ],
)
def test_data_on_a_disk_that_gets_no_snapshot_is_a_doubt(
    key: str, name: str, *, matters: bool
) -> None:
    server = replace(DATA[key], files=(*DATA[key].files, f"/other/{name}"))
    found = find(server, **{key: Use.AUTO})
    assert len(found.quiescers) == 1
    folder = f"/other/{name}".rpartition("/")[0]
    said = [f"has data in '{folder}', on no disk" in doubt for doubt in found.doubts]
    assert said == ([True] if matters else [])


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
        application_settings(redis=own),
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
        process(n, "redis-server", cwd=f"/data/{n}", sockets=(f"/run/{n}.sock",)) for n in (1, 2)
    )
    own = ApplicationSettings(use=Use.AUTO, socket=socket)
    found = find_applications(
        application_settings(redis=own),
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
        covers=lambda _: True,
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
        covers=lambda _: True,
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
    other = process(18, "redis-server", cwd="/data/other")
    found = find(DATA["redis"], other, redis=Use.AUTO)
    assert [each.name for each in found.quiescers] == ["redis /data/redis", "redis /data/other"]
