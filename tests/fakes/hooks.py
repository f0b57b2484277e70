"""Memory twins of what hooks need: files, processes, the keeper's pipes."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from fakes.clock import FakeClock
from snap_self.model.hooks import (
    HookCommand,
    HookFacts,
    ProcessView,
    StepOutcome,
)
from snap_self.model.trust import PathHop, PathKind
from snap_self.quiesce.hooks.wire import Answer, KeeperPlan, Request, decode, encode

FACTS = HookFacts(run_id="run-7", before="dnf upgrade", disks=("d-1", "d-2"), mounts=("/",))


@dataclass
class FakeHookFiles:
    """Files that all belong to root; every folder above them does too.

    Args:
        modes: path to permission bits, of files and of folders that are not 0755.
        owners: path to user id, where it is not root.
        texts: path to content.
    """

    modes: dict[str, int] = field(default_factory=dict)
    owners: dict[str, int] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    folders: set[str] = field(default_factory=set)

    def walk(self, path: str) -> Sequence[PathHop]:
        """Return the folders above and the file."""
        if path not in self.modes and path not in self.folders:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        above = [str(each) for each in reversed(PurePosixPath(path).parents)]
        kind = PathKind.FOLDER if path in self.folders else PathKind.FILE
        return [*(self._hop(each, PathKind.FOLDER) for each in above), self._hop(path, kind)]

    def _hop(self, path: str, kind: PathKind) -> PathHop:
        mode = self.modes.get(path, 0o755)
        return PathHop(path=path, kind=kind, mode=mode, owner=self.owners.get(path, 0))

    def names(self, folder: str) -> Sequence[str]:
        """Return the names of what lies in a folder."""
        if folder not in self.folders:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), folder)
        inside = [PurePosixPath(each) for each in (*self.modes, *self.folders)]
        return [each.name for each in inside if str(each.parent) == folder and each.name]

    def read(self, path: str) -> str:
        """Return a file's content."""
        if path not in self.texts:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        return self.texts[path]


@dataclass(kw_only=True)
class Script:
    """How a program behaves.

    Args:
        seconds: how long it runs.
        ready_s: when it says READY; None: never.
        holds: it ends only when its input is closed, and then with ``status``.
    """

    status: int = 0
    seconds: float = 0.0
    output: str = ""
    ready_s: float | None = None
    holds: bool = False


@dataclass
class _Started:
    command: HookCommand
    script: Script
    begun_s: float
    ended: int | None = None
    closed: bool = False


class FakeHookProcesses:
    """Programs that do as their scripts say, on a clock that stands still unless waited for."""

    def __init__(
        self, clock: FakeClock, scripts: Mapping[str, Sequence[Script]] | None = None
    ) -> None:
        self._clock = clock
        self._scripts = {path: list(each) for path, each in (scripts or {}).items()}
        self._running: dict[int, _Started] = {}
        self.commands: list[HookCommand] = []
        self.killed: list[str] = []
        self.strangers: list[tuple[int, str]] = []
        self.forgotten: list[int] = []
        self.watching = True
        self.on_wait: Callable[[], None] = lambda: None

    def start(self, command: HookCommand) -> int:
        """Start the next script of that path; one that succeeds at once where there is none."""
        self.commands.append(command)
        left = self._scripts.get(command.script, [])
        script = left.pop(0) if left else Script()
        pid = 100 + len(self.commands)
        self._running[pid] = _Started(command, script, self._clock.monotonic())
        return pid

    def look(self, pid: int) -> ProcessView:
        """Return how it is by the clock."""
        started = self._running[pid]
        script, passed_s = started.script, self._clock.monotonic() - started.begun_s
        if started.ended is None and passed_s >= script.seconds:
            started.ended = script.status if not script.holds or started.closed else None
        return ProcessView(
            ready=script.ready_s is not None and passed_s >= script.ready_s,
            status=started.ended,
            output=script.output,
        )

    def wait(self, seconds: float) -> None:
        """Let a little time pass."""
        self._clock.advance(min(seconds, 0.1))
        self.on_wait()

    def close_input(self, pid: int) -> None:
        """Note it."""
        self._running[pid].closed = True

    def kill(self, pid: int) -> None:
        """End it."""
        self._running[pid].ended = -9
        self.killed.append(self._running[pid].command.script)

    def forget(self, pid: int) -> None:
        """Note it."""
        self.forgotten.append(pid)

    def kill_stranger(self, pid: int, *, proof: str) -> None:
        """Note it."""
        self.strangers.append((pid, proof))

    def stop_watching(self) -> None:
        """Note it."""
        self.watching = False

    @property
    def run(self) -> list[str]:
        """Return what was started, with its arguments."""
        return [" ".join(command.argv) for command in self.commands]


class FakeSeat:
    """The keeper's pipes: lines to take, lines told; at their end the agent is gone."""

    def __init__(self, *asked: str) -> None:
        self.asked = list(asked)
        self.told: list[str] = []
        self.hides = 0

    def pending(self) -> bool:
        """Tell that there is something to take, unless it is hidden for so many looks."""
        self.hides -= 1
        return self.hides < 0

    def take(self) -> str:
        """Return the next line."""
        return self.asked.pop(0) if self.asked else ""

    def tell(self, line: str) -> None:
        """Keep it."""
        self.told.append(line)


class FakeKeeperLink:
    """A keeper that answers as the test says.

    Args:
        outcomes: what it says to each request in turn; None: it dies instead; all is well once
            they are used up.
    """

    pid = 4711

    def __init__(self, *outcomes: StepOutcome | None) -> None:
        self.outcomes = list(outcomes)
        self.plans: list[KeeperPlan] = []
        self.requests: list[Request] = []
        self.first: list[str] = []
        self.dead = False
        self.closed = False
        self._interrupts: dict[str, int] = {}
        self._interrupted: list[str] = []

    def interrupt_at(self, call: str, *, place: int) -> list[str]:
        """Have a signal come in a later call of that name; return where it came."""
        self._interrupts[call] = place + (call == "send")  # the plan is sent too
        return self._interrupted

    def _signal(self, call: str) -> None:
        left = self._interrupts.pop(call, None)
        if left:
            self._interrupts[call] = left - 1
        elif left == 0:
            self._interrupted.append(call)
            raise KeyboardInterrupt

    def send(self, line: str) -> bool:
        """Take the plan, then requests."""
        self._signal("send")
        if self.dead:
            return False
        if not self.plans:
            self.plans.append(decode(KeeperPlan, line))
        else:
            self.requests.append(decode(Request, line))
        return True

    def receive(self, timeout_s: float) -> str | None:
        """Return the next answer, first those that the test put in its way."""
        self._signal("receive")
        if self.first:
            return self.first.pop(0)
        outcome = self.outcomes.pop(0) if self.outcomes else StepOutcome(begun=True)
        if outcome is None:
            self.dead = True
            return ""
        return encode(Answer(number=self.requests[-1].number, outcome=outcome))

    def close(self) -> None:
        """Note it."""
        self.closed = True

    def kill(self) -> None:
        """Note it."""
        self._signal("kill")
        self.dead = True


class FakeKeepers:
    """Starts the link it was given; none: it cannot."""

    def __init__(self, link: FakeKeeperLink | None) -> None:
        self.link = link
        self.count = 0

    def start(self) -> FakeKeeperLink:
        """Return the link."""
        self.count += 1
        if self.link is None:
            raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        return self.link
