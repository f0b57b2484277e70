"""The ports a use case works with, wired by the command line."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from snap_self.cloud.client import EcsClient
from snap_self.model.ids import DiskId, RunId
from snap_self.model.progress import Listener
from snap_self.model.report import Report, UploadWatch
from snap_self.model.snapshots import Identity
from snap_self.ports import (
    Clock,
    Executions,
    Filesystems,
    FollowerStarter,
    MachineReader,
    RunLock,
    RunStore,
)
from snap_self.usecases.gate import Gate

if TYPE_CHECKING:  # only a run that freezes pays for the import
    from snap_self.model.changes import LoggedChange
    from snap_self.model.differences import Part
    from snap_self.model.summary import Holdings
    from snap_self.ports_looking_back import AwaitedChanges, ManifestReader, ManifestStore
    from snap_self.usecases.hold_tools import HoldTools


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """This process, as the journal names it."""

    pid: int
    boot_id: str


if TYPE_CHECKING:
    Usual = Mapping[Part, tuple[str, ...]]


def _nothing_usual() -> Usual:
    return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestTools:
    """What looks at the machine, and what keeps what was seen.

    Args:
        usual: gives patterns of what changes by itself.
    """

    reader: ManifestReader
    store: ManifestStore
    usual: Callable[[], Usual] = _nothing_usual


def unwatched(run_id: RunId) -> UploadWatch:
    """Start no follower."""
    del run_id
    return UploadWatch(held=False, until=None, why="uploads are not watched here")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """Everything outside that a use case may touch.

    Args:
        identify: asks the metadata service who and where this instance is.
        connect: gives a client for that instance's region; opens no connection yet.
        warm: does the slow imports that a cloud call will need; safe to run beside other reads.
        new_run_id: from the wall clock and a random part.
        busy: what makes the machine busy, in words, or an empty string.
        end_stale_freeze: ends a freeze that an interrupted run left behind, and tells what was
            done; empty when there was none. Call it only while holding the lock.
        random: gives 0 to 1, evenly.
        gate: passes events on to the listener.
        hold: what a freeze needs; None where nothing can be frozen.
        lock_wait_s: how long to wait for another run to end.
        process_started: when a process was started, in the kernel's ticks since boot; None when
            it has ended.
        start_follower: starts the process that watches uploads on.
        changes_of: the package managers' changes that a run's snapshot was made for.
        cut_short: is given the report of a run that has asked the cloud, when it ends or a signal
            ends it.
        manifests: None where the machine is not looked at, and by commands that need none.
        awaited: the changes whose end is waited for; None where none is.
        executions: gives the calls of the region's OOS, having found its host; None where OOS is
            not asked.
        tell_system_log: writes a line for whoever reads the system's log later.
        saw: is told what the cloud was seen to have of this instance.
    """

    clock: Clock
    machine: MachineReader
    filesystems: Filesystems
    store: RunStore
    lock: RunLock
    process: Process
    identify: Callable[[], Identity]
    connect: Callable[[Identity], EcsClient]
    warm: Callable[[], None]
    new_run_id: Callable[[], RunId]
    busy: Callable[[], str]
    end_stale_freeze: Callable[[], str]
    gate: Gate
    user_map: dict[str, DiskId]
    resume_s: float = 600.0
    lock_wait_s: float = 60.0
    random: Callable[[], float] = lambda: 0.5
    hold: HoldTools | None = None
    process_started: Callable[[int], int | None] = lambda pid: None  # noqa: ARG005
    start_follower: FollowerStarter = unwatched
    changes_of: Callable[[RunId], tuple[LoggedChange, ...]] = lambda run_id: ()  # noqa: ARG005
    cut_short: Callable[[Report], None] = lambda report: None  # noqa: ARG005
    manifests: ManifestTools | None = None
    awaited: AwaitedChanges | None = None
    executions: Callable[[Identity], Executions] | None = None
    tell_system_log: Callable[[str], None] = lambda text: None  # noqa: ARG005
    saw: Callable[[Holdings], None] = lambda seen: None  # noqa: ARG005

    def here(self) -> Here:
        """Return who we are with the one client of a command, which is made now."""
        self.warm()
        return self.here_as(self.identify())

    def here_as(self, identity: Identity) -> Here:
        """Return the same for an instance that is known already."""
        return Here(tools=self, identity=identity, cloud=self.connect(identity))

    @property
    def listener(self) -> Listener:
        """Who is told what happens; kept waiting while anything is frozen."""
        return self.gate


@dataclass(frozen=True, slots=True, kw_only=True)
class Here:
    """Who we are, and the one client that all of a command's questions go through."""

    tools: Tools
    identity: Identity
    cloud: EcsClient
