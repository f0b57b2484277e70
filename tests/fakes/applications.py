"""Twins of what application drivers reach the world with."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any

from fakes.clock import FakeClock
from snap_self.config.load import default_config
from snap_self.config.settings import ApplicationsSettings
from snap_self.errors import UsageError
from snap_self.model.applications import ApplicationSettings
from snap_self.model.identity import AccountRules, Peer, ProcessIdentity
from snap_self.model.machine import PathFact
from snap_self.model.servers import ProcessFact, RestedServer
from snap_self.model.trust import Distrust
from snap_self.ports import FileText, PinnedSocket, Unlocker
from snap_self.quiesce.applications.base import Limit, Tools


@dataclass
class FakeProcesses:
    """The memory twin of ``SystemProcesses``."""

    running: Sequence[ProcessFact]
    looked_at: list[int] = field(default_factory=list)

    def named(self, names: Collection[str]) -> Sequence[ProcessIdentity]:
        """Return those with one of the names."""
        return [each.identity for each in self.running if each.name in names]

    def look_at(self, process: ProcessIdentity) -> ProcessFact:
        """Return the fact, and note that it was asked for."""
        self.looked_at.append(process.pid)
        (fact,) = (each for each in self.running if each.identity == process)
        return fact

    def is_contained(self, process: ProcessIdentity) -> bool:
        """Tell what the fact says."""
        return any(each.contained for each in self.running if each.identity == process)

    def look_inside(self, process: ProcessIdentity) -> ProcessFact:
        """Return the fact, and note that it was asked for."""
        return self.look_at(process)


def process(pid: int, name: str, *, uid: int = 0, **given: Any) -> ProcessFact:
    """Return a server of a system account's, which has no systemd."""
    own = {key: given.pop(key) for key in ("cgroup", "own_users", "own_pids") if key in given}
    identity = ProcessIdentity(pid=pid, name=name, uids=(uid,) * 4, gid=uid, **own)
    return ProcessFact(identity=identity, executable=f"/usr/sbin/{name}", **given)


SERVER = RestedServer(
    kind="redis", data_dir="/data", pid=7, uid=102, account="redis", executable="/usr/bin/redis"
)


@dataclass
class FakeAccounts:
    """The memory twin of ``SystemAccounts``."""

    known: dict[str, int] = field(
        default_factory=lambda: {"root": 0, "mysql": 111, "redis": 102, "joe": 1000}
    )
    has_manager: bool = False

    def rules(self) -> AccountRules:
        """Return the usual rules."""
        return AccountRules(first_ordinary=1000, has_manager=self.has_manager)

    def uid_of(self, account: str) -> int | None:
        """Return it, if it is known."""
        return self.known.get(account)

    def name_of(self, uid: int) -> str:
        """Return it, if it is known."""
        return next((name for name, number in self.known.items() if number == uid), "")


class NoSockets:
    """Reaches nobody."""

    folder = ""

    def pin(self, path: str, *, root: str) -> PinnedSocket:
        """Fail."""
        raise FileNotFoundError(2, "No such file or directory", path)

    def connect_loopback(self, pid: int, port: int, timeout_s: float) -> Any:
        """Fail."""
        raise ConnectionRefusedError(111, "Connection refused")

    def pin_inside(self, pid: int, path: str) -> PinnedSocket:
        """Fail."""
        raise FileNotFoundError(2, "No such file or directory", path)

    def connect_inside(self, pid: int, port: int, timeout_s: float) -> tuple[Any, Peer]:
        """Fail."""
        raise ConnectionRefusedError(111, "Connection refused")

    def cut_off(self, descriptor: int, seconds: float) -> AbstractContextManager[None]:
        """Do nothing."""
        return nullcontext()

    def peer(self, descriptor: int) -> Peer:
        """Return root."""
        return Peer(pid=1, uid=0)

    def owner(self, path: str, *, root: str) -> int:
        """Return root."""
        return 0


class NoUnlockers:
    """Starts none."""

    def start(self, module: str, *, orders: str, timeout_s: float) -> Unlocker:
        """Fail."""
        raise OSError(module)


def located(mounts: dict[str, int]) -> Callable[[int, str], PathFact]:
    """Return what finds paths below mount points by their mount ids."""

    def locate(pid: int, path: str) -> PathFact:
        fits = [mount for mount in mounts if path.startswith(mount)]
        if not fits:
            raise UsageError(f"no {path} of process {pid}")
        return PathFact(asked=path, real=path, mount_id=mounts[max(fits, key=len)])

    return locate


def fake_tools(
    clock: FakeClock,
    mounts: dict[str, int] | None = None,
    files: dict[str, FileText] | None = None,
    distrusted: dict[str, Distrust] | None = None,
) -> Tools:
    """Return tools that reach nothing."""

    def read_text(path: str) -> FileText:
        if path not in (files or {}):
            raise FileNotFoundError(2, "No such file or directory", path)
        return (files or {})[path]

    return Tools(
        clock=clock,
        link=lambda _: "",
        read_text=read_text,
        distrust=(distrusted or {}).get,
        locate=located(mounts or {}),
        leads=lambda _pid, _path: (),
        accounts=FakeAccounts(),
        sockets=NoSockets(),
        unlockers=NoUnlockers(),
    )


class LibraryError(Exception):
    """What the scripted driver's library raises."""


@dataclass
class ScriptedDriver:
    """A driver that does as it is told and notes what it was asked.

    Args:
        clock: moved on by ``hold_takes_s`` in steps, as a driver that polls does.
        failing: a method's name to what it raises.
    """

    clock: FakeClock
    hold_takes_s: float = 0.0
    failing: dict[str, BaseException] = field(default_factory=dict)
    told: str = ""
    asked: list[str] = field(default_factory=list)

    def open(self, limit: Limit) -> None:
        """Connect."""
        self._do("open")

    def hold(self, limit: Limit) -> None:
        """Come to rest."""
        end = self.clock.monotonic() + self.hold_takes_s
        while self.clock.monotonic() < end:
            limit.pause(0.5)
        self._do("hold")

    def state(self) -> str:
        """Tell."""
        self._do("state")
        return self.told

    def release(self) -> str:
        """Let go."""
        self._do("release")
        return self.told

    def close(self) -> None:
        """Note it."""
        self._do("close")

    def _do(self, what: str) -> None:
        self.asked.append(what)
        if what in self.failing:
            raise self.failing[what]


def application_settings(
    *, containers: bool = False, **kinds: ApplicationSettings
) -> ApplicationsSettings:
    """Return the default settings with some kinds set."""
    default = default_config().applications
    return replace(default, containers=containers, kinds={**default.kinds, **kinds})
