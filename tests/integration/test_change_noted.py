"""What a change made of the machine is noted, by `run` and by the follower, and `show` tells it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from fakes.foreground import FakeForeground
from fakes.inhibitor import FakeInhibitor
from fakes.lock import FakeLock
from fakes.looking import MadeUpMachine, MemoryAwaited, MemoryManifests, manifest, packages
from fakes.main_job import MainJob, main_job
from snap_self.errors import StateUnusable
from snap_self.model.command import Ended, NotStartable, OnSnapshotFailure
from snap_self.model.ids import RunId
from snap_self.model.looking import Since
from snap_self.model.report import Report, UploadWatch
from snap_self.model.request import Request
from snap_self.model.snapshots import WaitFor
from snap_self.output.differences import summary
from snap_self.system.clock import SystemClock
from snap_self.usecases.follow import CHANGE_TICK_S, Watching, follow
from snap_self.usecases.run_command import Change, Changed, run_change
from snap_self.usecases.show import show
from snap_self.usecases.tools import ManifestTools

ACTION, STARTED = 4711, 99
REQUEST = Request(before="os upgrade", wait=WaitFor.CUT, change_of=f"{ACTION}:{STARTED}")
LIMIT_S = 6 * 3600.0
NEVER = 1e6


class World:
    """A main job whose machine can be changed, and a package manager that runs meanwhile."""

    def __init__(self, job: MainJob) -> None:
        self.job = job
        self.store = MemoryManifests()
        self.machine = MadeUpMachine(manifest(packages=packages(a="1")))
        self.awaited = MemoryAwaited()
        self.alive = {ACTION: STARTED}
        self.started: list[RunId] = []
        self.inhibitor = FakeInhibitor()
        self.nobody = False
        job.tools = replace(
            job.tools,
            manifests=ManifestTools(reader=self.machine, store=self.store),
            awaited=self.awaited,
            process_started=self.alive.get,
            start_follower=self._start,
        )

    def _start(self, run_id: RunId) -> UploadWatch:
        self.started.append(run_id)
        until = None if self.nobody else self.job.clock.now()
        return UploadWatch(held=not self.nobody, until=until, why="")

    def upgrade(self) -> None:
        """Change the machine, as the package manager does."""
        self.machine.now = manifest(packages=packages(a="2", b="1"))

    def follow(self, meanwhile: Callable[[int], None]) -> str:
        """Follow to the end; ``meanwhile`` gets the number of each sleep."""
        slept: list[float] = []

        def on_sleep(seconds: float) -> None:
            slept.append(seconds)
            assert len(slept) < 500
            meanwhile(len(slept))

        self.job.clock.on_sleep = on_sleep
        self.slept = slept
        watching = Watching(inhibitor=self.inhibitor, lock=FakeLock(SystemClock()), limit_s=LIMIT_S)
        return follow(self.job.tools, watching)

    def since(self, run_id: RunId | None) -> str:
        """Return what `show` tells of it."""
        found = show(self.job.tools, str(run_id)).since
        return summary(found.differences) if found else ""


@pytest.fixture
def world() -> Iterator[World]:
    with main_job() as job:
        job.simulator.set_life(accomplished_s=NEVER)
        yield World(job)


def test_hooks_change_is_waited_for_and_noted_when_its_process_has_ended(world: World) -> None:
    report = world.job.run(REQUEST)
    assert world.started == [report.run_id]
    assert [each.pid for each in world.awaited.kept] == [ACTION]

    def meanwhile(number: int) -> None:
        if number == 3:
            world.job.simulator.finish_snapshots()
            world.upgrade()
        if number == 5:
            world.alive.clear()

    world.follow(meanwhile)
    assert world.since(report.run_id) == "2 packages"
    assert world.awaited.kept == []


def test_change_that_outlives_the_upload_is_waited_for_without_holding_a_reboot_back(
    world: World,
) -> None:
    world.job.simulator.set_life(accomplished_s=0.0)
    world.job.run(REQUEST)
    held: list[str] = []

    def meanwhile(number: int) -> None:
        held.append(world.inhibitor.held)
        if number == 300:
            world.upgrade()
            world.alive.clear()

    world.follow(meanwhile)
    assert held[-1] == ""
    assert max(world.slept[200:300]) <= CHANGE_TICK_S
    assert (world.job.journal.all()[0].run_id, True) in world.store.kept


def test_follower_is_started_for_a_change_alone(world: World) -> None:
    world.job.simulator.set_life(accomplished_s=0.0)
    request = replace(REQUEST, wait=WaitFor.ACCOMPLISHED)
    report = world.job.run(request)
    assert world.started == [report.run_id]


def test_without_a_followed_change_nothing_is_waited_for(world: World) -> None:
    world.job.run(replace(REQUEST, change_of=""))
    assert world.awaited.kept == []


def test_where_nobody_can_wait_nothing_is_kept_of_the_wait(world: World) -> None:
    world.nobody = True
    world.job.run(REQUEST)
    assert world.awaited.kept == []


def test_reused_snapshots_run_is_the_one_that_the_change_is_noted_with(world: World) -> None:
    first = world.job.run(replace(REQUEST, change_of=""))
    world.job.run(replace(REQUEST, reuse_s=3600.0))
    assert [each.run_id for each in world.awaited.kept] == [first.run_id]


def test_run_without_a_snapshot_waits_for_nothing(world: World) -> None:
    def refuse(action: str, answer: dict[str, object]) -> dict[str, object]:
        if action == "DescribeDisks":
            return {**answer, "Disks": {"Disk": []}, "TotalCount": 0}
        return answer

    world.job.edit = refuse
    world.job.run(REQUEST)
    assert (world.awaited.kept, world.started) == ([], [])


# --- run -- CMD ------------------------------------------------------------------------------


class View:
    """Keeps what it is told, in order."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def snapshot_ended(self, report: Report, *, starting: bool) -> None:
        """Keep it."""
        self.told.append(f"snapshot {starting}")

    def command_ended(self, changed: Changed) -> None:
        """Keep it."""
        self.told.append(f"command {changed.exit_status}")

    def waits(self, changed: Changed) -> None:
        """Note it."""
        self.told.append(f"waits {not changed.confirmed}")

    def machine_changed(self, report: Report, since: Since) -> None:
        """Keep it."""
        self.told.append(summary(since.differences))


def run(world: World, ending: Ended | None = None) -> tuple[Changed, View]:
    change = Change(
        request=replace(REQUEST, change_of=""), argv=("apt",), policy=OnSnapshotFailure.STOP
    )
    commands, view = FakeForeground(ending, while_running=world.upgrade), View()
    return run_change(change, world.job.tools, commands, view), view


@pytest.mark.parametrize("status", [0, 3])
def test_run_notes_what_its_command_made_of_the_machine(world: World, status: int) -> None:
    changed, view = run(world, Ended(status=status))
    assert view.told == ["snapshot True", f"command {status}", "2 packages"]
    assert world.machine.dropped
    assert changed.report is not None
    assert world.since(changed.report.run_id) == "2 packages"


def test_command_that_was_not_started_changed_nothing(world: World) -> None:
    change = Change(request=REQUEST, argv=("apt",), policy=OnSnapshotFailure.STOP)
    commands = FakeForeground(missing={"apt": NotStartable.NOT_FOUND})
    view = View()
    run_change(change, world.job.tools, commands, view)
    assert view.told == []


def test_manifest_that_cannot_be_kept_leaves_the_commands_status_alone(world: World) -> None:
    def spoil() -> None:
        world.store.fault = StateUnusable("no space left")

    change = Change(request=REQUEST, argv=("apt",), policy=OnSnapshotFailure.STOP)
    commands = FakeForeground(Ended(status=4), while_running=spoil)
    changed = run_change(change, world.job.tools, commands, View())
    assert (changed.exit_status, changed.since) == (4, None)
