"""Twins of everything a freeze touches: no process, no descriptor, no ioctl."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from errno import EBUSY, EINVAL

from fakes.clock import FakeClock
from snap_self.model.disks import Filesystem, Mount
from snap_self.model.flushing import MountWay
from snap_self.model.guardian import Source
from snap_self.model.trust import Distrust, Distrusted
from snap_self.ports import OpenedMount, ProcessState
from snap_self.quiesce.freeze.order import FreezeTarget
from snap_self.quiesce.freeze.wire import HeldMount, Kind, Message, decode


class FakeFreezeCalls:
    """Superblocks that freeze without counting and thaw once, as the kernel's do.

    Args:
        frozen: descriptors of what another tool has frozen already.
        refuse: descriptor to the errno its freeze, or with ``thaw_refuse`` its thaw, always gives.
        moved: descriptors that are no longer what they were.
        unlisted: mount ids that the mount table lacks.
    """

    def __init__(
        self,
        *,
        frozen: Iterable[int] = (),
        refuse: Mapping[int, int] | None = None,
        thaw_refuse: Mapping[int, int] | None = None,
        moved: Iterable[int] = (),
        unlisted: Iterable[int] = (),
    ) -> None:
        self.frozen = set(frozen)
        self.refuse = dict(refuse or {})
        self.thaw_refuse = dict(thaw_refuse or {})
        self.sync_refuse: dict[int, int] = {}
        self.moved = set(moved)
        self.unlisted = set(unlisted)
        self.on_freeze: Callable[[], None] = lambda: None
        self.calls: list[tuple[str, int]] = []

    def sync(self, fd: int) -> int:
        self.calls.append(("sync", fd))
        return self.sync_refuse.get(fd, 0)

    def freeze(self, fd: int) -> int:
        self.calls.append(("freeze", fd))
        self.on_freeze()
        if fd in self.refuse:
            return self.refuse[fd]
        if fd in self.frozen:
            return EBUSY
        self.frozen.add(fd)
        return 0

    def thaw(self, fd: int) -> int:
        self.calls.append(("thaw", fd))
        if fd in self.thaw_refuse:
            return self.thaw_refuse[fd]
        if fd not in self.frozen:
            return EINVAL
        self.frozen.remove(fd)
        return 0

    def in_place(self, fd: int, *, mount_id: int, device: int) -> bool:
        return fd not in self.moved

    def listed(self, *, mount_id: int, listed_device: str) -> bool:
        return mount_id not in self.unlisted

    def made(self, name: str) -> list[int]:
        """Return the descriptors of all calls of that name, in order."""
        return [fd for call, fd in self.calls if call == name]


class NothingMoreComes(Exception):
    """The script of a seat is at its end, while the process still waits."""


class FakeSeat:
    """A seat whose inputs are written beforehand, and whose clock moves a millisecond a look."""

    def __init__(self, *inputs: tuple[Source, Message | bytes]) -> None:
        self._inputs = deque(
            (source, item.encode() if isinstance(item, Message) else item)
            for source, item in inputs
        )
        self.to_agent: list[Message] = []
        self.to_partner: list[Message] = []
        self.armed: list[float] = []
        self.deeds: list[str] = []
        self.marker = True
        self.partner_ended = False
        self.hanging: dict[int, bytes] = {}
        self._hangs: set[int] = set()
        self._answers: deque[bytes] = deque()
        self._work: Callable[[bytes], bytes] = lambda data: data
        self._now_ns = 10**12

    def add(self, source: Source, item: Message | bytes) -> None:
        """Let something more come."""
        self._inputs.append((source, item.encode() if isinstance(item, Message) else item))

    def hang(self, *places: int) -> None:
        """Let the orders to these helpers be begun only once ``unhang`` is called."""
        self._hangs.update(places)

    def unhang(self) -> None:
        """Let the calls that hang come to their ends."""
        self._hangs.clear()
        while self.hanging:
            place = min(self.hanging)
            self.order_helper(place, self.hanging.pop(place))

    def wait(self) -> tuple[Source, bytes]:
        if self._answers:
            return Source.HELPER, self._answers.popleft()
        if not self._inputs:
            raise NothingMoreComes
        return self._inputs.popleft()

    def tell_agent(self, data: bytes) -> None:
        self.to_agent.append(decode(data))

    def tell_partner(self, data: bytes) -> None:
        self.to_partner.append(decode(data))
        self.deeds.append(self.to_partner[-1].kind.name)

    def arm(self, seconds: float) -> None:
        self.armed.append(seconds)
        self.deeds.append(f"arm {seconds:g}")

    def now_ns(self) -> int:
        self._now_ns += 1_000_000
        return self._now_ns

    def pass_time(self, seconds: float) -> None:
        """Move the clock on."""
        self._now_ns += int(seconds * 1e9)

    def forget_marker(self) -> None:
        self.marker = False

    def end_partner(self) -> None:
        self.partner_ended = True

    def start_helpers(self, count: int, work: Callable[[bytes], bytes]) -> None:
        self._work = work
        self.deeds.append(f"helpers {count}")

    def order_helper(self, place: int, data: bytes) -> None:
        if place in self._hangs:
            self.hanging[place] = data
        else:
            self._answers.append(self._work(data))

    def pause(self, seconds: float) -> None:
        self.pass_time(1)

    def told(self, kind: Kind) -> list[Message]:
        """Return what the agent was told of that kind."""
        return [message for message in self.to_agent if message.kind is kind]


class FakeOpener:
    """Mount points by path; descriptor 100 is the first opened.

    Args:
        mounts: path to what opening it shows.
    """

    def __init__(self, mounts: Mapping[str, OpenedMount]) -> None:
        self.mounts = dict(mounts)
        self.refuse: dict[str, int] = {}
        self.open_fds: set[int] = set()

    def open(self, way: MountWay) -> OpenedMount:
        if number := self.refuse.get(way.path):
            raise OSError(number, os.strerror(number))
        if way.path not in self.mounts:
            raise FileNotFoundError(2, "No such file or directory")
        opened = self.mounts[way.path]
        self.open_fds.add(opened.fd)
        return opened

    def close(self, fd: int) -> None:
        self.open_fds.remove(fd)

    def listing(self) -> Sequence[tuple[int, str, str]]:
        return [(m.mount_id, m.listed_device, m.listed_path) for m in self.mounts.values()]


class FakeLink:
    """A guardian as the agent sees it: each message it is sent sets off scripted answers.

    An answer of no bytes is the end of the pipe.

    Args:
        clock: moves on while nothing comes.
    """

    pid = 501

    def __init__(
        self, script: Mapping[Kind, Sequence[Message | bytes]], clock: FakeClock | None = None
    ) -> None:
        self._script = dict(script)
        self._clock = clock
        self.waited: list[float] = []
        self._coming: deque[bytes] = deque()
        self.sent: list[Message] = []
        self.closed = False
        self.interrupted = False

    def come(self, *items: Message | bytes) -> None:
        """Let answers come by themselves."""
        self._coming.extend(i.encode() if isinstance(i, Message) else i for i in items)

    def send(self, data: bytes) -> bool:
        message = decode(data)
        self.sent.append(message)
        self.come(*self._script.pop(message.kind, ()))
        return True

    def receive(self, timeout_s: float) -> bytes | None:
        if self.interrupted:
            raise KeyboardInterrupt
        if self._coming:
            return self._coming.popleft()
        self.waited.append(round(timeout_s, 6))
        if self._clock is not None:
            self._clock.advance(timeout_s)
        return None

    def close(self) -> None:
        self.closed = True


class FakeStarter:
    """Hands out one link, which says that it is ready first.

    Args:
        ready: None for a guardian that never gets ready.
    """

    def __init__(
        self, link: FakeLink, *, ready: Message | None = None, fails: bool = False
    ) -> None:
        self.link = link
        self._ready = ready
        self.fails = fails
        self.mounts: list[str] = []
        self.fds: list[int] = []

    def start(self, *, mounts: Sequence[str], fds: Sequence[int]) -> FakeLink:
        if self.fails:
            raise OSError(12, "Cannot allocate memory")
        self.mounts, self.fds = list(mounts), list(fds)
        if self._ready is not None:
            self.link.come(self._ready)
        return self.link


class FakeMarkers:
    """A marker in memory, and a record of what was done to it.

    ``refuse`` holds the errno that a call ends with, ``distrust`` why root does not believe it.
    """

    def __init__(self, text: str | None = None, *, device: int = 1) -> None:
        self.text = text
        self.refuse: dict[str, int] = {}
        self.distrust: Distrust | None = None
        self._device = device
        self.history: list[str] = []

    def write(self, text: str) -> None:
        self._fail("write")
        if self.text is not None:
            raise FileExistsError
        self.history.append("written")
        self.text = text

    def read(self) -> str | None:
        if self.distrust is not None:
            raise Distrusted(self.distrust)
        self._fail("read")
        return self.text

    def remove(self) -> None:
        self._fail("remove")
        self.history.append("removed")
        self.text = None

    def device(self) -> int:
        self._fail("device")
        return self._device

    def _fail(self, call: str) -> None:
        if number := self.refuse.get(call):
            raise OSError(number, os.strerror(number))


class FakeBoot:
    """A boot with living processes.

    Args:
        boot_id: empty for a kernel that does not show it.
        living: process id to start time; one that is terminated lives no more, unless stubborn.
        stopped: those among them that see a signal only once they are continued.
        states: what those that do not end are at.
        deathless: not even a kill ends one.
    """

    def __init__(
        self,
        *,
        boot_id: str = "boot-1",
        living: Mapping[int, int] | None = None,
        stubborn: bool = False,
        stopped: Collection[int] = (),
        states: Mapping[int, ProcessState] | None = None,
        deathless: bool = False,
    ) -> None:
        self._stopped = set(stopped)
        self._states = dict(states or {})
        self._deathless = deathless
        self.killed: list[int] = []
        self._boot_id = boot_id
        self.living = dict(living or {})
        self._stubborn = stubborn
        self.terminated: list[int] = []

    def boot_id(self) -> str:
        if not self._boot_id:
            raise FileNotFoundError(2, "No such file or directory")
        return self._boot_id

    def started(self, pid: int) -> int | None:
        return self.living.get(pid)

    def terminate(self, pid: int) -> None:
        self.terminated.append(pid)
        if not self._stubborn and pid not in self._stopped:
            self.living.pop(pid, None)

    def state(self, pid: int) -> ProcessState:
        if pid not in self.living:
            return ProcessState.GONE
        if pid in self._stopped:
            return ProcessState.STOPPED
        return self._states.get(pid, ProcessState.RUNNING)

    def resume(self, pid: int) -> None:
        self._stopped.discard(pid)
        if pid in self.terminated and not self._stubborn:
            self.living.pop(pid, None)

    def kill(self, pid: int) -> None:
        self.killed.append(pid)
        if not self._deathless:
            self.living.pop(pid, None)


def held_mount(fd: int, *, rank: int = 0) -> HeldMount:
    """Return a mount of descriptor ``fd``."""
    return HeldMount(
        fd=fd, mount_id=fd + 1000, device=fd + 2000, listed_device=f"8:{fd}", rank=rank
    )


def mount(path: str, **fields: object) -> Mount:
    """Return a plain, writable mount of this namespace."""
    values: dict[str, object] = {
        "mount_id": 20 + len(path),
        "path": path,
        "fstype": "ext4",
        "root": "/",
        "read_only": False,
        "namespace": None,
        "hidden": False,
    }
    return Mount(**{**values, **fields})  # type: ignore[arg-type]


def filesystem(path: str, **fields: object) -> Filesystem:
    """Return an ext4 filesystem mounted at ``path``, its key derived from the path."""
    values: dict[str, object] = {
        "key": f"key:{path}",
        "fstype": "ext4",
        "source": "/dev/vdb1",
        "mounts": (mount(path),),
        "disks": frozenset({"vdb"}),
        "ways": (),
        "parents": frozenset(),
        "devno": fields.get("key", f"key:{path}"),
    }
    return Filesystem(**{**values, **fields})  # type: ignore[arg-type]


def freeze_target(path: str, *, key: str = "") -> FreezeTarget:
    """Return a target mounted at ``path``."""
    key = key or f"key:{path}"
    return FreezeTarget(key=key, fstype="ext4", mounts=(mount(path),), devno=key)
