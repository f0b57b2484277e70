"""Real database servers on loop disks, clients that write numbered rows, and cuts in between."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from freeze_rig import guard, run

from agent_runner import AgentRunner
from fixtures_simulator import SimulatorProcess, mounted_copy, simulator_running
from snap_self.config.load import default_config
from snap_self.config.settings import ApplicationsSettings
from snap_self.model.applications import ApplicationSettings, Use
from snap_self.model.disks import CloudDisk, Coverage, DiskKind, Filesystem, Mount, Target
from snap_self.model.ids import DiskId
from snap_self.quiesce.applications.base import Tools
from snap_self.quiesce.applications.finding import FoundApplications, find_applications
from snap_self.quiesce.applications.registry import KINDS
from snap_self.quiesce.quiescer import Quiescer
from snap_self.system.accounts import SystemAccounts
from snap_self.system.applications.links import silent_link
from snap_self.system.applications.processes import SystemProcesses
from snap_self.system.applications.server_sockets import LocalServerSockets
from snap_self.system.applications.unlockers import UnlockerProcesses
from snap_self.system.clock import SystemClock
from snap_self.system.disks.aside import AsideProcess
from snap_self.system.disks.machine import KernelMachineReader
from snap_self.system.textfile import read_text_file
from snap_self.system.trust import distrust

CLOCK = SystemClock()
START_LIMIT_S = 30.0
# A system account that every machine has; PostgreSQL's package makes its own.
ACCOUNT = "daemon"
FREEZE_LIMIT_S = 20
RUN_DIRECTORY = "/run/snap-self"
TESTS = Path(__file__).resolve().parent.parent


def tools(*, hold_s: int = 60) -> Tools:
    """Return the real tools."""
    machine = KernelMachineReader(AsideProcess())
    return Tools(
        clock=CLOCK,
        link=silent_link,
        read_text=read_text_file,
        distrust=distrust,
        locate=machine.locate_of,
        leads=machine.leads_of,
        accounts=SystemAccounts(),
        sockets=LocalServerSockets(RUN_DIRECTORY),
        unlockers=UnlockerProcesses(),
        hold_s=hold_s,
    )


def needs(*programs: str) -> None:
    """Skip the module aloud where a server is not installed."""
    for program in programs:
        if shutil.which(program) is None:
            pytest.skip(f"needs {program}", allow_module_level=True)


def wait_for(true: Callable[[], object], what: str, *, limit_s: float = START_LIMIT_S) -> None:
    """Return when ``true`` is, or fail loudly."""
    end = time.monotonic() + limit_s
    while not true():
        assert time.monotonic() < end, f"never came: {what}"
        time.sleep(0.02)


@dataclass
class Place:
    """A simulated cloud with two mounted loop disks, where any user may go."""

    base: Path
    cloud: SimulatorProcess
    agent: AgentRunner
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def disk(self, fs: str) -> Path:
        """Return where the disk with this filesystem is mounted."""
        return self.base / fs

    def launch(self, *argv: str | Path, log: Path, user: str = "root") -> subprocess.Popen[bytes]:
        """Start a server that ends with the test."""
        with log.open("ab") as out:
            process = subprocess.Popen(
                [str(each) for each in argv],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                user=user,
                cwd="/",
                start_new_session=True,
            )
        self.processes.append(process)
        return process

    def folder_of(self, account: str, name: str) -> Path:
        """Make a folder for an account's sockets, as ``RuntimeDirectory=`` does."""
        folder = self.base / name
        folder.mkdir(exist_ok=True)
        shutil.chown(folder, account)
        return folder

    def close(self) -> None:
        """End all servers at once."""
        for process in self.processes:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@contextlib.contextmanager
def place(agent: AgentRunner) -> Iterator[Place]:
    """Make a place; take it down with everything in it."""
    base = Path(tempfile.mkdtemp(prefix="snap-self-applications-"))
    base.chmod(0o755)
    try:
        with simulator_running(
            *("--storage", "loop"),
            *("--disk", f"size=1,fs=ext4,mount={base}/ext4"),
            *("--disk", f"size=1,fs=xfs,mount={base}/xfs"),
        ) as cloud:
            made = Place(base, cloud, agent.against(cloud))
            try:
                yield made
            finally:
                made.close()
    finally:
        shutil.rmtree(base, ignore_errors=True)


def coverage_of(*paths: Path) -> Coverage:
    """Return the mounts at these paths as what gets a snapshot."""
    return Coverage(
        targets=tuple(_target(path) for path in paths),
        skipped=(),
        spans=(),
        torn=(),
        not_covered=(),
    )


def _target(path: Path) -> Target:
    mount_id = KernelMachineReader(AsideProcess()).locate(str(path)).mount_id
    assert mount_id is not None
    device = path.stat().st_dev
    mount = Mount(
        mount_id=mount_id,
        path=str(path),
        fstype="any",
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
        size_gib=1,
        status="In_use",
        zone="",
        device_label="",
        attached_to=frozenset(),
        multi_attach=False,
        encrypted=False,
    )
    filesystem = Filesystem(
        key=str(path),
        fstype="any",
        source="",
        mounts=(mount,),
        disks=frozenset({path.name}),
        ways=(),
        parents=frozenset(),
        devno=f"{os.major(device)}:{os.minor(device)}",
    )
    return Target(cloud=disk, local=None, how="", filesystems=(filesystem,), why="")


def settings(kind: str, *, timeout_s: int = 20, **given: Any) -> ApplicationsSettings:
    """Return settings with one application switched on."""
    own = {
        each.key: ApplicationSettings(server_user="" if each.key == "postgresql" else ACCOUNT)
        for each in KINDS
    }
    own[kind] = replace(own[kind], **{"use": Use.ON, **given})
    return replace(default_config().applications, timeout_s=timeout_s, kinds=own)


def found(
    kind: str,
    *paths: Path,
    timeout_s: int = 20,
    one_cut: bool = True,
    hold_s: int = 60,
    **given: Any,
) -> FoundApplications:
    """Return what the agent finds of one application on these mounts."""
    return find_applications(
        settings(kind, timeout_s=timeout_s, **given),
        SystemProcesses(),
        coverage_of(*paths),
        one_cut=one_cut,
        tools=tools(hold_s=hold_s),
    )


def quiescer(kind: str, *paths: Path, **how: Any) -> Quiescer:
    """Return the one quiescer there is."""
    (only,) = found(kind, *paths, **how).quiescers
    return only


def start(one: Quiescer, seconds: float = 30.0) -> None:
    """Bring it to rest."""
    one.start(deadline=CLOCK.monotonic() + seconds)


@contextlib.contextmanager
def thawed_anyway(mount: Path) -> Iterator[None]:
    """Have a loop mount thawed after the block, by a process outside if need be."""
    guard(mount)
    timer = subprocess.Popen(
        ["sh", "-c", f"sleep {FREEZE_LIMIT_S + 5}; fsfreeze --unfreeze {mount}"],
        start_new_session=True,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        subprocess.run(["fsfreeze", "--unfreeze", mount], check=False, stderr=subprocess.DEVNULL)
        os.killpg(timer.pid, signal.SIGKILL)
        timer.wait()


@contextlib.contextmanager
def frozen(mount: Path) -> Iterator[None]:
    """Freeze a loop mount inside the block."""
    with thawed_anyway(mount):
        run("sync", "--file-system", mount)
        run("fsfreeze", "--freeze", mount)
        try:
            yield
        finally:
            run("fsfreeze", "--unfreeze", mount)


def snapshot(where: Place, mount: Path) -> str:
    """Have the agent make a snapshot of the disk mounted there; return its id."""
    result = where.agent.run(
        *("--before", "a test", "--path", str(mount)),
        *("--consistency", "crash", "--wait", "cut", "--json"),
        timeout_s=FREEZE_LIMIT_S,
    )
    assert result.status == 0, result.err
    snapshot_id: str = result.json["snapshots"][0]["snapshot_id"]
    return snapshot_id


@dataclass(frozen=True, kw_only=True)
class Cut:
    """When things happened around a cut, by the monotonic clock."""

    snapshot_id: str
    asked: float
    rested: float
    frozen: float
    checked: str
    stopped: str


def cut(where: Place, mount: Path, one: Quiescer | None) -> Cut:
    """Quiesce, freeze, snapshot, thaw and release."""
    asked = time.monotonic()
    if one:
        start(one)
    rested = time.monotonic()
    try:
        with frozen(mount):
            is_frozen = time.monotonic()
            snapshot_id = snapshot(where, mount)
            checked = one.check() if one else ""
    finally:
        stopped = one.stop() if one else ""
    return Cut(
        snapshot_id=snapshot_id,
        asked=asked,
        rested=rested,
        frozen=is_frozen,
        checked=checked,
        stopped=stopped,
    )


@contextlib.contextmanager
def restored(where: Place, snapshot_id: str, fs: str) -> Iterator[Path]:
    """Mount a copy of what a snapshot captured."""
    image = where.cloud.captured_image(snapshot_id)
    with mounted_copy(image, fs, where.base) as folder:
        yield folder


Writer = tuple[Callable[[int], object], Callable[[], object]]


class Load:
    """Threads that write numbered rows one after the other and note when each was begun and told.

    Args:
        connect: makes a writer of its own connection: write the row with a number, and close.
    """

    def __init__(self, connect: Callable[[], Writer], threads: int = 3) -> None:
        self._connect = connect
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._next = 0
        self.begun: dict[int, float] = {}
        self.told: dict[int, float] = {}
        self._threads = [threading.Thread(target=self._write) for _ in range(threads)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        self.wait_for_more(100)
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(START_LIMIT_S)
            assert not thread.is_alive(), "a writer hangs"

    def wait_for_more(self, rows: int = 20) -> None:
        """Return when so many more rows were written."""
        goal = len(self.told) + rows
        wait_for(lambda: len(self.told) >= goal, f"{rows} more rows", limit_s=15)

    def assert_at_rest(self) -> None:
        """Hold for a while that no row is written; replies to earlier ones may be on their way."""
        rested = time.monotonic()
        time.sleep(0.3)
        written = self.begun_after(rested) & self.told_before(time.monotonic())
        assert not written, f"{len(written)} rows were written at rest"

    def told_before(self, when: float) -> set[int]:
        """Return the rows whose writers were told before that time that they are safe."""
        with self._lock:
            return {row for row, at in self.told.items() if at < when}

    def begun_after(self, when: float) -> set[int]:
        """Return the rows that were begun after that time."""
        with self._lock:
            return {row for row, at in self.begun.items() if at > when}

    def _write(self) -> None:
        write, close = self._connect()
        try:
            # A server that is killed ends its writers.
            with contextlib.suppress(Exception):
                self._write_rows(write)
        finally:
            with contextlib.suppress(Exception):
                close()

    def _write_rows(self, write: Callable[[int], object]) -> None:
        while not self._stop.is_set():
            with self._lock:
                self._next += 1
                row = self._next
                self.begun[row] = time.monotonic()
            write(row)
            with self._lock:
                self.told[row] = time.monotonic()


def assert_exact(load: Load, rows: set[int], *, asked: float, last: float) -> None:
    """Hold what a restored server has against what its writers were told."""
    missing = load.told_before(asked) - rows
    assert not missing, f"{len(missing)} rows are lost that were safe before the quiesce"
    early = load.begun_after(last) & rows
    assert not early, f"{len(early)} rows are there that were begun after it"
    assert load.begun_after(last), "nothing was written after it, so the test shows nothing"


def grants_of(key: str) -> str:
    """Return the grants that the manual names for an application."""
    (kind,) = (kind for kind in KINDS if kind.key == key)
    return kind.grants


def password_file(where: Place) -> Path:
    """Make a password file that root alone may read."""
    path = where.base / "password"
    path.touch(mode=0o600)
    path.write_text(f"{PASSWORD}\n")
    return path


PASSWORD = "least-privilege"
HOLDER = """
import sys
sys.path[:0] = sys.argv[1:3]
from pathlib import Path
from applications_rig import quiescer, start
one = quiescer(sys.argv[3], Path(sys.argv[4]), hold_s=int(sys.argv[5]))
start(one)
print("HELD", flush=True)
sys.stdin.read()
"""


@contextlib.contextmanager
def held_by_another(kind: str, mount: Path, *, hold_s: int) -> Iterator[subprocess.Popen[bytes]]:
    """Have a process of its own, which may be killed, bring an application to rest."""
    folders = (str(TESTS.parent / "agent"), str(TESTS))
    path = os.pathsep.join((*folders, str(TESTS / "system")))
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, *folders, kind, str(mount), str(hold_s)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": path},
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"HELD\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def log_lines(log: Path, *words: str) -> Sequence[str]:
    """Return a log's lines that hold one of the words."""
    lines = log.read_text(errors="replace").splitlines()
    return [line for line in lines if any(word in line for word in words)]
