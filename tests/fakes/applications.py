"""Twins of what application drivers reach the world with."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

from fakes.clock import FakeClock
from snap_self.errors import UsageError
from snap_self.model.applications import ProcessFact
from snap_self.model.machine import PathFact
from snap_self.ports import FileText, Unlocker
from snap_self.quiesce.applications.base import Limit, Tools


@dataclass
class FakeProcesses:
    """The memory twin of ``SystemProcesses``."""

    running: Sequence[ProcessFact]

    def named(self, names: Collection[str]) -> Sequence[ProcessFact]:
        """Return those with one of the names."""
        return [each for each in self.running if each.name in names]


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
        locate=located(mounts or {}),
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

    def errors(self) -> tuple[type[Exception], ...]:
        """Return what its library raises."""
        if "errors" in self.failing:
            raise self.failing["errors"]
        return (LibraryError,)

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
        self.asked.append("close")

    def _do(self, what: str) -> None:
        self.asked.append(what)
        if what in self.failing:
            raise self.failing[what]
