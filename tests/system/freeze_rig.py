"""Loop disks to freeze, an agent to kill, and what keeps this machine's own filesystems safe.

Rules: only what a test itself mounted from a loop device is ever frozen (``guard``); an outside
timer, a process of its own, is armed before each freeze; every test thaws in the end, whatever
happened (``Rig.close``).
"""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from snap_self.model.disks import Mount
from snap_self.quiesce.freeze.order import FreezeTarget
from snap_self.system.disks.calls import listed_mounts

MACHINE = ("/", "/tmp", "/run", "/dev/shm", "/home")
AGENT = Path(__file__).with_name("freeze_agent.py")
SIZES_MIB = {"ext4": 64, "xfs": 320, "btrfs": 128}
_NUMBERS = itertools.count()


def skip_reason(fstypes: Sequence[str] = ("ext4",)) -> str:
    """Return why this machine cannot run the system tests; empty if it can."""
    if os.geteuid() != 0:
        return "needs root"
    if not Path("/dev/loop-control").exists():
        return "needs loop devices"
    for program in ("losetup", "fsfreeze", *(f"mkfs.{fstype}" for fstype in fstypes)):
        if subprocess.run(["which", program], capture_output=True).returncode:
            return f"needs {program}"
    return ""


def guard(path: Path | str) -> None:
    """Refuse anything but a loop mount of a test's own: never this machine's own filesystems."""
    device = Path(path).stat().st_dev
    forbidden = {Path(place).stat().st_dev for place in MACHINE}
    if device in forbidden:
        raise AssertionError(f"{path} lies on a filesystem of this machine")
    mounts = os.fsdecode(Path("/proc/self/mountinfo").read_bytes())
    for line in filter(None, mounts.split("\n")):
        fields, _, tail = line.partition(" - ")
        if fields.split(" ")[4] == str(path) and tail.split(" ")[1].startswith("/dev/loop"):
            return
    raise AssertionError(f"{path} is not the mount point of a loop device")


def run(*argv: str | Path) -> str:
    """Run a program that must succeed; return its output."""
    done = subprocess.run([str(a) for a in argv], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{argv}: {done.stderr}"
    return done.stdout


def target(path: Path | str, *, rank: int = 0) -> FreezeTarget:
    """Return the mount at ``path`` as a freeze target."""
    guard(path)
    found = [row for row in listed_mounts() if row[2] == str(path)][-1]
    mount = Mount(
        mount_id=found[0],
        path=found[2],
        fstype="any",
        root="/",
        read_only=False,
        namespace=None,
        hidden=False,
    )
    return FreezeTarget(key="", fstype="any", mounts=(mount,), devno=found[1], rank=rank)


@dataclass(frozen=True)
class Disk:
    """A filesystem on a loop device."""

    path: Path
    device: str
    image: Path


class Rig:
    """Makes loop disks and takes them down again, thawed."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.disks: list[Disk] = []
        self._extra: list[Path] = []
        self._timers: list[subprocess.Popen[bytes]] = []
        self._probes: list[subprocess.Popen[bytes]] = []
        self._agents: list[Agent] = []
        self.markers = base / "run"
        self._store = base / "store"
        for place in (self.markers, self._store):
            place.mkdir()
            run("mount", "-t", "tmpfs", "-o", "size=4g,mode=0700", "tmpfs", place)
            self._extra.append(place)

    @property
    def marker(self) -> Path:
        """Return where the marker is while something is frozen."""
        return self.markers / "frozen.json"

    def disk(self, fstype: str = "ext4", *, store: Path | None = None, size_mib: int = 0) -> Disk:
        """Make and mount a filesystem; its image lies on a tmpfs, or in ``store``."""
        number = next(_NUMBERS)
        image = (store or self._store) / f"image{number}"
        path = self.base / f"disk{number}"
        path.mkdir()
        with image.open("wb") as file:
            file.truncate((size_mib or SIZES_MIB[fstype]) << 20)
        quiet = ("-q", "-F") if fstype == "ext4" else ("-q",)
        run(f"mkfs.{fstype}", *quiet, image)
        device = run("losetup", "--find", "--show", image).strip()
        run("mount", device, path)
        made = Disk(path=path, device=device, image=image)
        self.disks.append(made)
        guard(path)
        return made

    def arm(self, seconds: int) -> None:
        """Arm the outside timer: a process of its own that thaws all disks by name."""
        thaws = "".join(f"fsfreeze --unfreeze {d.path} 2>/dev/null;" for d in reversed(self.disks))
        self._timers.append(
            subprocess.Popen(["sh", "-c", f"sleep {seconds}; {thaws}"], start_new_session=True)
        )

    def disarm(self) -> None:
        """Take the outside timers away, once all is thawed: one left would thaw a later freeze."""
        while self._timers:
            timer = self._timers.pop()
            with contextlib.suppress(ProcessLookupError):
                os.killpg(timer.pid, signal.SIGKILL)
            timer.wait()

    def agent(
        self,
        *disks: Disk | Path,
        hold_s: float = 3.0,
        new_group: bool = True,
        in_order: bool = False,
    ) -> Agent:
        """Start an agent process for these disks, the outside timer armed first.

        Args:
            in_order: freeze one after the other, not side by side.
        """
        paths = [d.path if isinstance(d, Disk) else d for d in disks]
        for path in paths:
            guard(path)
        self.arm(int(hold_s) + 20)
        named = [f"{path}@{number * in_order}" for number, path in enumerate(paths)]
        agent = Agent(named, hold_s=hold_s, markers=self.markers, new_group=new_group)
        self._agents.append(agent)
        return agent

    def writable(self, disk: Disk | Path, *, within_s: float) -> bool:
        """Tell whether a new file can be made there within so many seconds."""
        path = disk.path if isinstance(disk, Disk) else disk
        probe = subprocess.Popen(["touch", str(path / f"probe{next(_NUMBERS)}")])
        self._probes.append(probe)
        try:
            return probe.wait(within_s) == 0
        except subprocess.TimeoutExpired:
            return False

    def blocked(self, disk: Disk, *, within_s: float) -> bool:
        """Tell whether writing there gets blocked within so many seconds."""
        end = time.monotonic() + within_s
        while time.monotonic() < end:
            if not self.writable(disk, within_s=0.2):
                return True
        return False

    def all_writable(self, *, within_s: float) -> bool:
        """Tell the same of all disks, all within the same time."""
        end = time.monotonic() + within_s
        return all(self.writable(d, within_s=max(0.01, end - time.monotonic())) for d in self.disks)

    def busy(self, disk: Disk) -> None:
        """Wait until a writer has put something there."""
        end = time.monotonic() + 20
        while len(list(disk.path.rglob("f*"))) < 30:
            assert time.monotonic() < end, "the writer does not write"
            time.sleep(0.02)

    def gone(self, path: Path, *, within_s: float) -> bool:
        """Tell whether a file is gone within so many seconds."""
        end = time.monotonic() + within_s
        while path.exists():
            if time.monotonic() > end:
                return False
            time.sleep(0.01)
        return True

    def thaw_all(self) -> None:
        """Thaw everything of ours, outermost first; it is no fault if it is not frozen."""
        for disk in self.disks:
            subprocess.run(["fsfreeze", "--unfreeze", str(disk.path)], capture_output=True)

    def close(self) -> None:
        """Thaw, end every process of ours, unmount, detach."""
        self.thaw_all()
        for agent in self._agents:
            agent.close()
        self.thaw_all()
        for probe in self._probes:
            probe.wait(10)
        self.disarm()
        for disk in reversed(self.disks):
            if disk.path.is_mount():  # one that carries an image is busy until its loop is gone
                unmount(disk.path)
            for _ in range(50):
                if not subprocess.run(
                    ["losetup", "-d", disk.device], capture_output=True
                ).returncode:
                    break
                time.sleep(0.1)
        for place in reversed(self._extra):
            unmount(place)


def unmount(place: str | Path) -> None:
    """Unmount a place; what a process that is just ending holds there is waited for.

    A mount namespace of somebody else's, made meanwhile, keeps a copy of the loop mounts and with
    them the image busy for as long as it lives: then the place is unmounted lazily.
    """
    for _ in range(100):
        if not subprocess.run(["umount", "-R", str(place)], capture_output=True).returncode:
            return
        time.sleep(0.1)
    run("umount", "--lazy", place)


class Agent:
    """A process that freezes step by step, as told; see ``freeze_agent.py``."""

    def __init__(
        self, paths: Sequence[str], *, hold_s: float, markers: Path, new_group: bool
    ) -> None:
        argv = [sys.executable, "-B", str(AGENT), str(markers), str(hold_s)]
        self.process = subprocess.Popen(
            [*argv, *paths],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
            start_new_session=new_group,
        )
        self.guardian = 0
        self.understudy = 0

    def tell(self, step: str) -> None:
        """Let it make a step, and do not wait for the answer."""
        assert self.process.stdin is not None
        self.process.stdin.write(step + "\n")
        self.process.stdin.flush()

    def answer(self) -> str:
        """Wait for its answer."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline().strip()
        assert line, "the agent died"
        return line

    def do(self, step: str) -> str:
        """Let it make a step; return its answer."""
        self.tell(step)
        answer = self.answer()
        if step == "prepare" and answer.startswith("ok "):
            self.guardian, self.understudy = (int(n) for n in answer.split()[1:3])
        return answer

    def kill(self) -> None:
        """Kill it, as kill -9 does."""
        self.process.kill()
        self.process.wait()

    def close(self) -> None:
        """End it, and wait until the guardian's processes have let go of the mounts."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.settle()
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                with contextlib.suppress(BrokenPipeError):
                    stream.close()

    def settle(self) -> None:
        """Wait until both processes of the guardian are gone; kill them if they stay."""
        end = time.monotonic() + 5
        while left := [p for p in (self.guardian, self.understudy) if p and _alive(p)]:
            if time.monotonic() > end:
                for pid in left:
                    os.kill(pid, signal.SIGKILL)
                end += 5
            time.sleep(0.01)


def _alive(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


@contextlib.contextmanager
def rig(base: Path) -> Iterator[Rig]:
    """Yield a rig; taken down, thawed, in the end."""
    made = Rig(base)
    try:
        yield made
    finally:
        made.close()


_TRACER = """
import ctypes, sys
ptrace = ctypes.CDLL(None).ptrace
seize, interrupt = 0x4206, 0x4207
for pid in map(int, sys.argv[1:]):
    assert ptrace(seize, pid, None, None) == 0 and ptrace(interrupt, pid, None, None) == 0
print("stopped", flush=True)
sys.stdin.read()
"""


@contextlib.contextmanager
def traced_and_stopped(*pids: int) -> Iterator[None]:
    """Keep processes stopped as a debugger does: they cannot be continued, only killed."""
    argv = [sys.executable, "-c", _TRACER, *map(str, pids)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as tracer:
        assert tracer.stdout is not None
        assert tracer.stdout.readline() == "stopped\n"
        yield


@contextlib.contextmanager
def frozen_by_another(disk: Disk) -> Iterator[None]:
    """Freeze a disk as another tool would, and thaw it in the end."""
    guard(disk.path)
    run("fsfreeze", "--freeze", disk.path)
    try:
        yield
    finally:
        subprocess.run(["fsfreeze", "--unfreeze", str(disk.path)], capture_output=True)
