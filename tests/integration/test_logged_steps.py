"""What a run's log names is what its plan named: the same steps, for the same reasons, in order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import cast

import pytest

from ecs_simulator.faults import Fault
from fakes.freezing import FakeBoot, FakeFreezeCalls, FakeLink, FakeMarkers, FakeStarter
from fakes.main_job import MainJob, main_job
from snap_self.errors import ExitStatus
from snap_self.model.disks import Selection
from snap_self.model.flushing import MountWay
from snap_self.model.freezing import FreezeFacts
from snap_self.model.report import Report, StepReport
from snap_self.model.request import Request
from snap_self.model.servers import RestedServer
from snap_self.model.snapshots import Consistency, WaitFor
from snap_self.ports import MountOpener, OpenedMount
from snap_self.quiesce.freeze.session import FreezeLimits, FreezePorts
from snap_self.quiesce.freeze.wire import Cause, Kind, Message, Readiness
from snap_self.quiesce.quiescer import Quiescer
from snap_self.system.disks.recorded import RecordedFilesystems
from snap_self.usecases.hold_tools import HoldTools
from snap_self.usecases.job.planning import plan_snapshot

REQUEST = Request(before="os upgrade")
ONE_DISK = replace(REQUEST, selection=Selection(paths=("/srv",)))
NS = 10**9
FD = 101
READY = Message(Kind.READY, number=Readiness.MEMORY_LOCKED | Readiness.OOM_EXEMPT, first=502)


class Opener:
    """Opens whatever mount it is asked for, as the mount table has it."""

    def __init__(self) -> None:
        self._opened: list[OpenedMount] = []

    def open(self, way: MountWay) -> OpenedMount:
        opened = OpenedMount(
            fd=FD,
            mount_id=way.mount_id,
            device=50,
            listed_device=way.devno,
            listed_path=way.path,
        )
        self._opened.append(opened)
        return opened

    def close(self, fd: int) -> None:
        assert fd == FD

    def listing(self) -> Sequence[tuple[int, str, str]]:
        return [(m.mount_id, m.listed_device, m.listed_path) for m in self._opened]


class App:
    """Comes to rest."""

    name = "app"

    def start(self, *, deadline: float) -> None:
        del deadline

    def check(self) -> str:
        return ""

    def stop(self) -> str:
        return ""


class Apps:
    """One application."""

    quiescers: Sequence[Quiescer] = (App(),)
    notes: Sequence[str] = ()
    doubts: Sequence[str] = ()
    servers: Sequence[RestedServer | None] = (None,)

    def say_cut(self) -> None:
        pass

    def outputs(self) -> Sequence[str]:
        return ()

    def kept(self) -> Mapping[str, str]:
        return {}

    def close(self) -> None:
        pass


def hold_tools(job: MainJob) -> HoldTools:
    """Return what holds the one filesystem of the second disk."""
    now = int(job.clock.monotonic() * NS)
    frozen = (
        Message(Kind.SYNCED, first=now, second=now),
        Message(Kind.FROZEN, index=0, first=now, second=now + 500),
        Message(Kind.HELD),
    )
    thawed = Message(Kind.THAWED, number=0, first=now + NS, second=now + NS + 10**6)
    done = Message(Kind.DONE, cause=Cause.ASKED)
    link = FakeLink({Kind.FREEZE: frozen, Kind.THAW: (thawed, done, b"")})
    return HoldTools(
        ports=FreezePorts(
            opener=cast(MountOpener, Opener()),
            starter=FakeStarter(link, ready=READY),
            markers=FakeMarkers(),
            calls=FakeFreezeCalls(frozen=(FD,)),
            boot=FakeBoot(living={501: 11, 502: 12}),
            clock=job.clock,
        ),
        limits=FreezeLimits(hold_s=10, sync_s=30),
        facts=lambda _order: (FreezeFacts(release="6.12.0"), ()),
        applications=lambda _run, _coverage, _one: Apps(),
        renew=lambda _life: None,
        applications_limit_s=60,
    )


@pytest.fixture
def job() -> Iterator[MainJob]:
    with main_job() as one:
        yield one


def named(steps: Sequence[StepReport]) -> list[tuple[str, str]]:
    return [(step.name, step.reason) for step in steps]


def ran(job: MainJob, request: Request) -> Report:
    report = job.run(request, hold=hold_tools(job))
    assert report.error is None
    assert report.consistency.reached is request.consistency
    return report


@pytest.mark.parametrize(
    "request_",
    [
        REQUEST,
        ONE_DISK,
        replace(REQUEST, consistency=Consistency.CRASH, keep_s=None),
        replace(REQUEST, wait=WaitFor.ACCOMPLISHED),
        replace(ONE_DISK, consistency=Consistency.FILESYSTEM),
        replace(ONE_DISK, consistency=Consistency.APPLICATION),
        replace(ONE_DISK, consistency=Consistency.APPLICATION, wait=WaitFor.CUT),
    ],
    ids=["flush", "one-disk", "crash", "uploaded", "filesystem", "application", "cut"],
)
def test_every_step_of_the_plan_is_in_the_log_in_order(job: MainJob, request_: Request) -> None:
    planned = named(plan_snapshot(request_, job.tools).steps)
    logged = ran(job, request_).steps
    assert logged[0].name == "identify"
    assert named(logged[1:]) == planned
    assert all(step.seconds is not None for step in logged)
    # Retention has to wait for the upload.
    assert {step.result for step in logged if step.name != "retention"} == {"done"}


def test_run_that_does_not_wait_looks_for_what_it_asked_for_all_the_same(job: MainJob) -> None:
    request = replace(ONE_DISK, wait=WaitFor.NONE)
    planned = named(plan_snapshot(request, job.tools).steps)
    logged = named(ran(job, request).steps)
    assert logged[1:-1] == planned
    assert logged[-1][0] == "wait"


def test_filesystems_of_a_recorded_machine_are_told_as_not_flushed_and_the_run_goes_on(
    job: MainJob,
) -> None:
    # They give their target back with what they have learned of it.
    report = job.run(REQUEST, filesystems=RecordedFilesystems())
    assert report.exit_status is ExitStatus.WEAKER
    assert report.consistency.reached is Consistency.CRASH
    results = [step.result for step in report.steps if step.name == "flush"]
    assert len(results) == 2
    assert all(result.startswith("failed: ") for result in results)


def test_retention_counts_as_set_once_all_is_uploaded(job: MainJob) -> None:
    logged = ran(job, replace(REQUEST, wait=WaitFor.ACCOMPLISHED)).steps
    assert (logged[-1].name, logged[-1].result) == ("retention", "done")


def test_retention_is_skipped_as_long_as_the_upload_goes_on(job: MainJob) -> None:
    job.simulator.set_life(accomplished_s=5000.0)
    logged = ran(job, REQUEST).steps
    assert (logged[-1].name, logged[-1].result) == ("retention", "skipped: not uploaded yet")


def test_group_that_the_cloud_does_not_make_is_logged_as_refused_before_the_singles(
    job: MainJob,
) -> None:
    job.simulator.inject(
        Fault(kind="error:InvalidRegion.NotSupport:400", action="CreateSnapshotGroup")
    )
    report = job.run(REQUEST)
    creates = [step.result for step in report.steps if step.name == "create"]
    assert creates == ["failed: cloud-refused", "done", "done"]
    assert "retention" not in {step.name for step in report.steps}
