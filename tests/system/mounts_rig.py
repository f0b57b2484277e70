"""Filesystems of a simulated cloud's loop disks, mounted as each test wants, and canaries in them.

A canary is written and not synced. Whether it is in what a snapshot captured decides whether the
level that the agent claimed is true.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agent_runner import AgentResult, AgentRunner
from fixtures_simulator import SimulatedDisk, SimulatorProcess, mounted_copy, simulator_running

FITHAW = 0xC0045878
TIMER_S = 30
LOOP_MAJOR = 7
FREE_LIMIT_S = 30.0
_TIMER = f"""\
import fcntl, sys, time
time.sleep(float(sys.argv[1]))
for number in sys.argv[2:]:
    try:
        fcntl.ioctl(int(number), int({FITHAW}), 0)
    except OSError:
        pass
"""
NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
CANARY = "canary"


def run(*argv: str | Path) -> str:
    """Run a program that must succeed; return its output."""
    done = subprocess.run([str(a) for a in argv], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{argv}: {done.stderr}"
    return done.stdout


@dataclass
class Namespace:
    """A process in a mount namespace of its own."""

    process: subprocess.Popen[bytes]

    @property
    def pid(self) -> int:
        """Return its process id."""
        return self.process.pid

    def run(self, *argv: str | Path) -> str:
        """Run a program in its mount namespace."""
        return run("nsenter", "--mount", f"--target={self.pid}", "--", *argv)

    def end(self) -> None:
        """End it, and with it all that was mounted only there."""
        self.process.kill()
        with self.process:  # closes the pipes
            pass


@dataclass
class Mounts:
    """The disks of one test, and everything to be undone after it, in reverse."""

    cloud: SimulatorProcess
    folder: Path
    undo: ExitStack
    canaries: dict[str, bytes] = field(default_factory=dict)

    @property
    def disks(self) -> Sequence[SimulatedDisk]:
        """Return the disks, none of which has a filesystem yet."""
        return self.cloud.disks

    def make(self, number: int, fstype: str = "ext4", *options: str) -> SimulatedDisk:
        """Make a new filesystem on a disk."""
        disk = self.disks[number]
        force = "-F" if fstype == "ext4" else "-f"
        wait_until_free(disk.device)
        run(f"mkfs.{fstype}", "-q", force, *options, disk.device)
        return disk

    def place(self, name: str) -> Path:
        """Make a folder to mount at."""
        place = self.folder / name
        place.mkdir(parents=True, exist_ok=True)
        return place

    def mount(self, source: str | Path, name: str, *options: str) -> Path:
        """Mount something until the end of the test."""
        place = self.place(name)
        run("mount", *options, source, place)
        self.undo.callback(unmount, place)
        return place

    def namespace(self, *, propagation: str = "private") -> Namespace:
        """Start a process with a mount namespace of its own."""
        argv = ["unshare", "--mount", f"--propagation={propagation}", "sh", "-c", "echo; exec cat"]
        process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        space = Namespace(process)
        self.undo.callback(space.end)
        assert process.stdout is not None
        process.stdout.readline()
        return space

    def canary(self, place: Path, disk: SimulatedDisk) -> None:
        """Write data without syncing it; what else is dirty goes to the disk before."""
        fd = os.open(place, os.O_RDONLY)
        os.sync()
        os.close(fd)
        content = os.urandom(1 << 16)
        (place / CANARY).write_bytes(content)
        self.canaries[disk.disk_id] = content

    def image(self, result: AgentResult, disk: SimulatedDisk) -> Path:
        """Return what a run captured of a disk."""
        shots = {each["disk_id"]: each["snapshot_id"] for each in result.json["snapshots"]}
        return self.cloud.captured_image(shots[disk.disk_id])

    def caught(self, result: AgentResult, disk: SimulatedDisk, fstype: str = "ext4") -> bool:
        """Tell whether the canary is in what a run captured of a disk."""
        with mounted_copy(self.image(result, disk), fstype, self.folder) as mounted:
            file = mounted / CANARY
            return file.exists() and file.read_bytes() == self.canaries[disk.disk_id]


def wait_until_free(device: str) -> None:
    """Wait until nothing has a block device for itself any more.

    A mount that was let go lives on while a process that hangs on it is being ended.
    """
    end = time.monotonic() + FREE_LIMIT_S
    while is_in_use(device):
        assert time.monotonic() < end, f"{device} is still in use after {FREE_LIMIT_S} s"
        time.sleep(0.05)


def is_in_use(device: str) -> bool:
    """Tell whether a filesystem, or whatever else, has a block device for itself."""
    try:
        os.close(os.open(device, os.O_RDONLY | os.O_EXCL))
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
        return True
    return False


@contextmanager
def mounts_on(cloud: SimulatorProcess) -> Iterator[Mounts]:
    """Give the disks of a cloud to a test, in a folder that every user may enter."""
    folder = Path(tempfile.mkdtemp(prefix="snap-self-mounts-", dir="/tmp"))
    folder.chmod(0o755)
    with ExitStack() as undo:
        undo.callback(shutil.rmtree, folder, ignore_errors=True)
        yield Mounts(cloud, folder, undo)


@contextmanager
def bare_cloud(disks: int = 2, category: str = "cloud_essd") -> Iterator[SimulatorProcess]:
    """Run a cloud whose loop disks hold nothing."""
    wanted = ["--disk", f"size=1,category={category}"] * disks
    with simulator_running("--storage", "loop", "--no-https", *wanted) as process:
        yield process


@contextmanager
def safe_to_freeze(agent: AgentRunner, mounts: Mounts, *places: Path) -> Iterator[AgentRunner]:
    """Give an agent that may freeze these mounts; they are thawed in the end, and by a timer.

    Its ``/run/snap-self`` is one of its own: another agent of this machine ends every freeze that
    it finds a marker of.
    """
    for place in places:  # also in other namespaces, so not by this one's mount table
        assert os.major(place.stat().st_dev) == LOOP_MAJOR, f"{place} is on no loop device"
    fds = [os.open(place, os.O_RDONLY | os.O_DIRECTORY) for place in places]
    numbers = [str(fd) for fd in fds]
    timer = subprocess.Popen(
        [sys.executable, "-c", _TIMER, str(TIMER_S), *numbers], pass_fds=fds, start_new_session=True
    )
    own_run = mounts.place("run")
    Path("/run/snap-self").mkdir(mode=0o700, exist_ok=True)
    try:
        yield agent.with_wrapper(*in_sandbox(f"mount --bind {own_run} /run/snap-self"))
    finally:
        for fd in fds:
            with contextlib.suppress(OSError):
                fcntl.ioctl(fd, FITHAW, 0)
            os.close(fd)
        timer.kill()
        timer.wait()


def in_sandbox(*steps: str) -> tuple[str, ...]:
    """Return a command's beginning: in a mount namespace of its own, after these steps."""
    script = " && ".join((*steps, 'exec "$@"'))
    return ("unshare", "--mount", "--propagation", "slave", "sh", "-ec", script, "sandbox")


def needs_recovery(image: Path) -> bool:
    """Tell whether an ext4 has a journal to be replayed: it was not frozen when it was cut."""
    return "needs_recovery" in run("dumpe2fs", "-h", image)


def unmount(place: Path) -> None:
    """Unmount, also what is busy; it is no fault if nothing is mounted there any more."""
    if not place.is_mount():
        return
    for _ in range(20):
        if subprocess.run(["umount", str(place)], capture_output=True).returncode == 0:
            return
        time.sleep(0.05)
    run("umount", "--lazy", place)


@contextmanager
def asking(cloud: SimulatorProcess, seconds: float) -> Iterator[None]:
    """Have the cloud take so long to say which disks there are."""
    cloud.control("PUT", "latencies", {"times_s": {"DescribeDisks": seconds}})
    try:
        yield
    finally:
        cloud.control("PUT", "latencies", {})


def job(agent: AgentRunner, *options: str) -> AgentResult:
    """Do the main job; return what came of it."""
    return agent.run("--before", "x", "--json", *options)


def consistency(result: AgentResult) -> dict[str, Any]:
    """Return what a run says of its level."""
    found: dict[str, Any] = result.json["consistency"]
    return found
