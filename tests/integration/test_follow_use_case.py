"""The follower as a use case, beside a simulated ECS: how long it watches, and what it leaves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise

import pytest

from ecs_simulator.faults import Fault
from fakes.inhibitor import FakeInhibitor
from fakes.lock import FakeLock
from fakes.main_job import DISKS, MainJob, main_job
from snap_self.model.disks import Selection
from snap_self.model.report import UploadWatch
from snap_self.model.request import Request
from snap_self.model.run import RunRecord, Upload
from snap_self.model.snapshots import WaitFor
from snap_self.system.clock import SystemClock
from snap_self.usecases.following import UNSEEN_S, Watching, follow
from snap_self.usecases.gate import Gate
from snap_self.usecases.listing import list_snapshots, show
from snap_self.usecases.pending import MOST_TRIES, Pending, finish_pending
from snap_self.usecases.tools import Process, Tools

REQUEST = Request(before="os upgrade", wait=WaitFor.CUT)
LIMIT_S = 6 * 3600.0
NEVER = 1e6
DESCRIBES = ("DescribeSnapshots", "DescribeSnapshotGroups")
MODIFY = "ModifySnapshotAttribute"


@pytest.fixture
def job() -> Iterator[MainJob]:
    with main_job() as one:
        yield one


class Follower:
    """A follower whose sleeps can change the world."""

    def __init__(self, job: MainJob, *, limit_s: float = LIMIT_S, refuses: str = "") -> None:
        self.job = job
        self.inhibitor = FakeInhibitor(refuses=refuses)
        self.lock = FakeLock(SystemClock())
        self.held: list[str] = []
        self.watching = Watching(inhibitor=self.inhibitor, lock=self.lock, limit_s=limit_s)

    def run(self, *, meanwhile: Callable[[int], None] = lambda _: None) -> str:
        """Follow to the end; ``meanwhile`` is called with the number of each sleep, from 1."""
        return follow(replace(self.job.tools, clock=_Sleeping(self, meanwhile)), self.watching)


class _Sleeping:
    """The job's clock, which tells of each sleep."""

    def __init__(self, follower: Follower, meanwhile: Callable[[int], None]) -> None:
        self._clock = follower.job.clock
        self._follower = follower
        self._meanwhile = meanwhile
        self._sleeps = 0
        self.now = self._clock.now
        self.monotonic = self._clock.monotonic

    def sleep(self, seconds: float) -> None:
        self._sleeps += 1
        self._follower.held.append(self._follower.inhibitor.held)
        self._clock.sleep(seconds)
        self._meanwhile(self._sleeps)


def _upload(job: MainJob) -> Upload:
    upload = job.journal.all()[0].upload
    assert upload
    return upload


def _record(job: MainJob) -> RunRecord:
    return job.journal.all()[0]


def test_upload_that_goes_on_is_followed_to_its_end_and_retention_set(job: MainJob) -> None:
    job.simulator.set_life(accomplished_s=NEVER)
    report = job.run(REQUEST)
    follower = Follower(job)
    told = follower.run(meanwhile=lambda n: job.simulator.finish_snapshots() if n == 3 else None)
    assert told == "all uploads have ended"
    assert len(follower.held) == 3
    assert all(str(report.run_id) in words for words in follower.held)
    assert follower.inhibitor.held == ""
    assert _upload(job).text == "accomplished"
    assert not _upload(job).going_on
    kept = [shot["retention_days"] for shot in job.simulator.dump()["snapshots"].values()]
    assert kept == [14, 14]
    assert _record(job).orders[0].retention_pending == ()


def test_follower_signs_the_journal_while_it_watches(job: MainJob) -> None:
    job.simulator.set_life(accomplished_s=NEVER)
    job.run(REQUEST)
    Follower(job).run(meanwhile=lambda n: job.simulator.finish_snapshots())
    signed = next(r.upload.follower for r in job.journal.history if r.upload and r.upload.follower)
    assert (signed.pid, signed.boot_id, signed.held, signed.ended) == (1, "boot", True, "")
    assert (signed.until - _record(job).started).total_seconds() >= LIMIT_S


def test_main_job_starts_a_follower_only_for_uploads_that_go_on(job: MainJob) -> None:
    started: list[str] = []

    def start(run_id: str) -> UploadWatch:
        started.append(run_id)
        return UploadWatch(held=True, until=job.clock.now(), why="")

    job.run(replace(REQUEST, wait=WaitFor.ACCOMPLISHED), start_follower=start)
    assert started == []
    job.simulator.set_life(accomplished_s=NEVER)
    report = job.run(REQUEST, start_follower=start)
    assert started == [report.run_id]
    assert report.watch
    assert report.watch.held


def test_interrupted_main_job_starts_a_follower_all_the_same(job: MainJob) -> None:
    class Ended(BaseException):
        pass

    started: list[str] = []
    job.simulator.set_life(accomplished_s=NEVER, cut_s=NEVER)

    def start(run_id: str) -> UploadWatch:
        started.append(run_id)
        return UploadWatch(held=True, until=None, why="")

    def interrupt(event: object) -> None:
        if getattr(event, "state", "") == "wait":
            raise Ended

    with pytest.raises(Ended):
        job.run(REQUEST, start_follower=start, gate=Gate(interrupt))
    assert started == [_record(job).run_id]
    assert _upload(job).going_on


def test_nothing_to_follow_holds_nothing_and_asks_nobody(job: MainJob) -> None:
    job.run(replace(REQUEST, wait=WaitFor.ACCOMPLISHED))
    before = len(job.simulator.calls)
    follower = Follower(job)
    assert follower.run() == "nothing is being uploaded"
    assert follower.inhibitor.said == []
    assert len(job.simulator.calls) == before


def test_second_follower_leaves_it_to_the_first(job: MainJob) -> None:
    job.simulator.set_life(accomplished_s=NEVER)
    job.run(REQUEST)
    follower = Follower(job)
    with follower.lock.hold(timeout_s=0, purpose="follow uploads"):
        assert follower.run() == "another follower watches already"
    assert follower.inhibitor.said == []


def test_one_follower_serves_runs_that_come_while_it_watches(job: MainJob) -> None:
    job.simulator.set_life(accomplished_s=NEVER)
    first = job.run(replace(REQUEST, selection=Selection(disks=DISKS[:1])))
    runs = [str(first.run_id)]

    def meanwhile(number: int) -> None:
        if number == 1:
            second = replace(REQUEST, selection=Selection(disks=DISKS[1:]))
            runs.append(str(job.run(second).run_id))
        if number == 3:
            job.simulator.finish_snapshots()

    follower = Follower(job)
    follower.run(meanwhile=meanwhile)
    assert all(run in follower.held[2] for run in runs)
    assert [r.upload.text for r in job.journal.all() if r.upload] == ["accomplished"] * 2


def test_limit_ends_the_hold_while_the_upload_goes_on(job: MainJob) -> None:
    job.simulator.set_life(accomplished_s=NEVER)
    job.run(REQUEST)
    follower = Follower(job, limit_s=300.0)
    began = job.clock.monotonic()
    assert "follow.limit" in follower.run()
    assert 300.0 <= job.clock.monotonic() - began < 400.0
    assert follower.inhibitor.held == ""
    assert _upload(job).going_on
    one = _upload(job).follower
    assert one
    assert "follow.limit" in one.ended
    assert "nothing holds a reboot back" in show(job.tools, _record(job).run_id).upload
    assert Follower(job).run() == "nothing is being uploaded"


def test_run_left_at_its_limit_is_settled_by_a_later_command(job: MainJob) -> None:
    job.simulator.set_life(accomplished_s=NEVER)
    job.run(REQUEST)
    Follower(job, limit_s=60.0).run()
    job.simulator.finish_snapshots()
    list_snapshots(job.tools)
    assert _upload(job).text == "accomplished"


def test_polls_are_few_even_when_the_upload_takes_hours(job: MainJob) -> None:
    job.simulator.set_life(accomplished_s=NEVER)
    job.run(REQUEST)
    before = len(job.simulator.calls)
    Follower(job, limit_s=3600.0).run()
    assert 30 < len(job.simulator.calls) - before < 80


def test_failed_upload_ends_the_hold_and_list_tells_it_once(job: MainJob) -> None:
    job.simulator.set_life(accomplished_s=NEVER)
    report = job.run(REQUEST)
    failed, other = (str(shot.snapshot_id) for shot in report.snapshots)

    def meanwhile(number: int) -> None:
        del number
        job.simulator.fail_snapshot(failed)
        job.simulator.finish_snapshots()

    Follower(job).run(meanwhile=meanwhile)
    assert _upload(job).failed == (failed,)
    assert f"failed, and of no use: {failed}" in _upload(job).text
    assert f"accomplished: {other}" in _upload(job).text
    assert failed in show(job.tools, str(report.run_id)).upload


def test_cloud_out_of_reach_for_long_ends_the_hold(job: MainJob) -> None:
    job.simulator.set_life(accomplished_s=NEVER)
    job.run(REQUEST)
    for action in DESCRIBES:
        job.simulator.inject(Fault(kind="reset", action=action, count=100_000))
    began = job.clock.monotonic()
    assert "not watched any more" in Follower(job).run()
    assert UNSEEN_S <= job.clock.monotonic() - began < 2 * UNSEEN_S
    assert _upload(job).going_on


def test_role_that_may_not_look_ends_the_hold_at_once(job: MainJob) -> None:
    job.simulator.set_life(accomplished_s=NEVER)
    job.run(REQUEST)
    for action in DESCRIBES:
        job.simulator.inject(Fault(kind="error:Forbidden.RAM:403", action=action, count=1000))
    follower = Follower(job)
    assert "not watched any more" in follower.run()
    assert follower.held == []


def test_without_logind_the_upload_is_watched_all_the_same(job: MainJob) -> None:
    job.simulator.set_life(accomplished_s=NEVER)
    job.run(REQUEST)
    follower = Follower(job, refuses="logind does not run here")
    follower.run(meanwhile=lambda n: job.simulator.finish_snapshots())
    assert not _upload(job).going_on
    signed = next(r.upload.follower for r in job.journal.history if r.upload and r.upload.follower)
    assert (signed.held, signed.why) == (False, "logind does not run here")


def test_record_that_another_run_changes_meanwhile_is_not_overwritten(job: MainJob) -> None:
    job.simulator.set_life(accomplished_s=NEVER)
    job.run(REQUEST)

    def meanwhile(number: int) -> None:
        if number == 1:
            job.journal.save(replace(_record(job), outcome="done after 1 s"))
            job.simulator.finish_snapshots()

    Follower(job).run(meanwhile=meanwhile)
    assert _record(job).outcome == "done after 1 s"
    assert not _upload(job).going_on


def _rebooted(job: MainJob) -> Tools:
    return replace(job.tools, process=Process(pid=2, boot_id="next boot"))


def test_first_command_after_a_reboot_says_that_the_upload_came_through(job: MainJob) -> None:
    job.simulator.set_life(accomplished_s=NEVER)
    job.run(REQUEST)
    job.simulator.finish_snapshots()
    notes = list_snapshots(_rebooted(job)).notes
    assert any("was restarted" in n and "accomplished all the same" in n for n in notes)
    assert list_snapshots(_rebooted(job)).notes == ()


def test_first_command_after_a_reboot_says_that_it_spoiled_the_upload(job: MainJob) -> None:
    job.simulator.set_life(accomplished_s=NEVER)
    report = job.run(REQUEST)
    for shot in report.snapshots:
        job.simulator.fail_snapshot(str(shot.snapshot_id))
    notes = list_snapshots(_rebooted(job)).notes
    assert any("failed, and of no use" in n and "restarted meanwhile" in n for n in notes)


def test_command_after_a_reboot_says_that_the_upload_goes_on(job: MainJob) -> None:
    job.simulator.set_life(accomplished_s=NEVER)
    job.run(REQUEST)
    notes = list_snapshots(_rebooted(job)).notes
    assert any("was restarted" in n and "not finished yet" in n for n in notes)
    assert "the follower was ended" not in show(_rebooted(job), _record(job).run_id).upload


def test_refused_retention_is_tried_ever_more_rarely_and_then_no_more(job: MainJob) -> None:
    job.run(replace(REQUEST, wait=WaitFor.AVAILABLE))
    job.simulator.finish_snapshots()
    job.simulator.inject(Fault(kind="error:Forbidden.RAM:403", action=MODIFY, count=100_000))
    tries = []
    for _ in range(130):
        before = _modifications(job)
        _finish_pending(job)
        tries.append(_modifications(job) - before)
        job.clock.sleep(300.0)
    assert sum(tries) == MOST_TRIES
    gaps = [i for i, tried in enumerate(tries) if tried]
    assert [b - a for a, b in pairwise(gaps)] == [2, 4, 8, 16, 32]
    left = _finish_pending(job)
    assert (left.left, left.given_up) == (2, 2)
    assert MODIFY in left.refused


def test_doctor_tries_once_more_what_was_given_up(job: MainJob) -> None:
    job.run(replace(REQUEST, wait=WaitFor.AVAILABLE))
    job.simulator.finish_snapshots()
    fault = Fault(kind="error:Forbidden.RAM:403", action=MODIFY, count=100_000)
    job.simulator.inject(fault)
    for _ in range(MOST_TRIES):
        _finish_pending(job, insist=True)
    job.simulator.api.faults.clear()
    assert _finish_pending(job).left == 2
    assert _finish_pending(job, insist=True).left == 0


def _two_runs(job: MainJob) -> None:
    """Leave two runs whose members are uploaded and lack their retention."""
    job.simulator.set_life(accomplished_s=NEVER)
    for before in ("one change", "another change"):
        busy = Fault(kind="error:IncorrectDiskStatus.CreatingSnapshot:403", action=MODIFY, count=2)
        job.simulator.inject(busy)
        job.run(replace(REQUEST, before=before, wait=WaitFor.AVAILABLE))
        job.simulator.api.faults.clear()
        job.simulator.finish_snapshots()
    assert _retentions(job) == [0, 0, 0, 0]


def _retentions(job: MainJob) -> list[int]:
    return sorted(
        shot["retention_days"] or 0 for shot in job.simulator.dump()["snapshots"].values()
    )


def test_snapshot_that_somebody_keeps_longer_holds_up_no_other(job: MainJob) -> None:
    _two_runs(job)
    kept = _record(job).orders[0].retention_pending[0]
    job.tools.connect(job.tools.identify()).set_retention(kept, 30)
    assert _finish_pending(job).left == 0
    assert _retentions(job) == [14, 14, 14, 30]


@pytest.mark.parametrize(
    "code", ["InvalidSnapshotId.NotFound:404", "InvalidOperation.ResourceManagedByCloudProduct:403"]
)
def test_refusal_of_one_snapshot_counts_for_its_run_alone(job: MainJob, code: str) -> None:
    _two_runs(job)
    job.simulator.inject(Fault(kind=f"error:{code}", action=MODIFY, count=1))
    assert _finish_pending(job).left == 1
    tries = [record.retention and record.retention.count for record in job.journal.all()]
    assert tries == [1, None]
    assert _retentions(job) == [0, 14, 14, 14]


def _finish_pending(job: MainJob, *, insist: bool = False) -> Pending:
    identity = job.tools.identify()
    cloud = job.tools.connect(identity)
    return finish_pending(job.tools, cloud, identity.instance_id, insist=insist)


def _modifications(job: MainJob) -> int:
    return sum(call.action == MODIFY for call in job.simulator.calls)
