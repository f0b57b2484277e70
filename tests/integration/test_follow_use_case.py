"""The follower as a use case, beside a simulated ECS: how long it watches, and what it leaves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise

import pytest

from ecs_simulator.faults import Fault, Throttle
from fakes.inhibitor import FakeInhibitor
from fakes.lock import FakeLock
from fakes.main_job import DISKS, MainJob, main_job
from snap_self.model.disks import Selection
from snap_self.model.report import UploadWatch
from snap_self.model.request import Request
from snap_self.model.run import RunRecord, Upload
from snap_self.model.snapshots import WaitFor
from snap_self.system.clock import SystemClock
from snap_self.usecases.aftercare.pending import MOST_TRIES, Pending, finish_pending
from snap_self.usecases.follow import (
    FIRST_LOOK_S,
    LATER_TRIES,
    MOST_TICK_S,
    UNSEEN_S,
    Watching,
    follow,
    pause_s,
)
from snap_self.usecases.gate import Gate
from snap_self.usecases.listing import list_snapshots
from snap_self.usecases.show import show
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
    assert len(follower.held) >= 3
    assert all(str(report.run_id) in words for words in follower.held)
    assert follower.inhibitor.held == ""
    assert _upload(job).text == "accomplished"
    assert not _upload(job).going_on
    kept = [shot["retention_days"] for shot in job.simulator.dump()["snapshots"].values()]
    assert kept == [14, 14]
    assert _record(job).orders[0].retention_pending == ()


def test_earlier_group_whose_retention_is_due_gets_it_once_nothing_is_being_made(
    job: MainJob,
) -> None:
    job.simulator.set_life(accomplished_s=NEVER)
    job.run(REQUEST)
    job.simulator.finish_snapshots()
    list_snapshots(job.tools)  # sees the end of that upload
    job.run(replace(REQUEST, before="another"))
    Follower(job).run(meanwhile=lambda n: job.simulator.finish_snapshots() if n == 3 else None)
    kept = [shot["retention_days"] for shot in job.simulator.dump()["snapshots"].values()]
    assert kept == [14] * 4


def test_retention_that_is_put_off_is_set_in_the_next_minutes_without_a_reboot_held_back(
    job: MainJob,
) -> None:
    job.simulator.set_life(accomplished_s=NEVER)
    job.run(REQUEST)
    job.simulator.finish_snapshots()
    job.simulator.inject(Fault(kind="error:Throttling.User:400", action=MODIFY, count=2))
    follower = Follower(job)
    assert follower.run() == "all uploads have ended"
    kept = [shot["retention_days"] for shot in job.simulator.dump()["snapshots"].values()]
    assert kept == [14, 14]
    assert follower.held[-1] == ""


def test_retention_that_is_put_off_for_long_is_left_after_a_few_tries(job: MainJob) -> None:
    job.simulator.set_life(accomplished_s=NEVER)
    job.run(REQUEST)
    job.simulator.finish_snapshots()
    job.simulator.inject(Fault(kind="error:Throttling.User:400", action=MODIFY, count=1000))
    ended = job.clock.monotonic() + 600
    assert Follower(job).run() == "all uploads have ended"
    assert job.clock.monotonic() < ended
    assert sum(call.action == MODIFY for call in job.simulator.calls) <= 2 + LATER_TRIES


def test_run_that_comes_while_a_retention_is_put_off_is_watched(job: MainJob) -> None:
    job.simulator.set_life(accomplished_s=NEVER)
    job.run(REQUEST)
    job.simulator.finish_snapshots()
    job.simulator.inject(Fault(kind="error:Throttling.User:400", action=MODIFY, count=1000))
    follower, came = Follower(job), []

    def meanwhile(_number: int) -> None:
        if not _upload(job).going_on and not came:
            came.append(str(job.run(replace(REQUEST, before="another")).run_id))
        elif came and any(came[0] in words for words in follower.held):
            job.simulator.finish_snapshots()

    follower.run(meanwhile=meanwhile)
    assert came
    assert any(came[0] in words for words in follower.held)
    assert not _upload(job).going_on


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
    # At 2, 12, 22, 32, 42 and 52 minutes.
    looks = [call.action for call in job.simulator.calls[before:]]
    assert looks.count("DescribeSnapshots") == 6
    assert len(looks) == 6


@pytest.mark.parametrize(
    ("wanted_s", "chance", "seconds"),
    [
        *((120.0, 0.5, 120.0), (120.0, 0.0, 90.0), (120.0, 1.0, 150.0)),
        *((0.0, 0.5, 60.0), (59.9, 0.5, 60.0), (60.1, 0.5, 60.1), (0.0, 0.0, 45.0)),
        *((599.9, 0.5, 599.9), (600.1, 0.5, 600.0), (1e6, 1.0, 750.0)),
    ],
)
def test_pause_is_between_one_and_ten_minutes_give_or_take_a_quarter(
    wanted_s: float, chance: float, seconds: float
) -> None:
    assert pause_s(wanted_s, most_s=600.0, chance=chance) == pytest.approx(seconds)


def test_pause_when_the_configured_one_is_shorter_than_a_minute_then_is_that() -> None:
    assert pause_s(120.0, most_s=2.0, chance=0.5) == 2.0


def _looks(job: MainJob, follower: Follower) -> list[float]:
    """Follow, and return when the cloud was asked, in minutes."""
    began, before = job.clock.monotonic(), len(job.simulator.calls)
    at: list[float] = []

    def meanwhile(number: int) -> None:
        del number
        asked = len(job.simulator.calls) - before
        at.extend([round((job.clock.monotonic() - began) / 60, 1)] * (asked - len(at)))

    follower.run(meanwhile=meanwhile)
    return at


def test_looks_come_at_half_of_the_time_that_the_cloud_names(job: MainJob) -> None:
    job.simulator.set_life(accomplished_s=NEVER)
    job.run(REQUEST)
    left_s = iter([1000, 500, 3600, 10])

    def edit(action: str, answer: dict[str, object]) -> dict[str, object]:
        shots = answer.get("Snapshots")
        if isinstance(shots, dict):
            seconds = next(left_s, 0)
            for shot, more in zip(shots["Snapshot"], (0, 5000), strict=False):
                shot["RemainTime"] = seconds + more
        return answer

    job.edit = edit
    looks = _looks(job, Follower(job, limit_s=2000.0))
    # What ends first counts. A tick late at most: 2 min, + 500 s, + 250 s, + 600 s, + 60 s.
    expected = [2.0, 10.3, 14.5, 24.5, 25.5]
    assert all(0 <= seen - due <= 1.0 for seen, due in zip(looks, expected, strict=False)), looks


def test_looks_without_a_guess_come_ever_more_rarely(job: MainJob) -> None:
    job.simulator.set_life(accomplished_s=NEVER)
    job.run(REQUEST)

    def edit(action: str, answer: dict[str, object]) -> dict[str, object]:
        shots = answer.get("Snapshots")
        for shot in shots["Snapshot"] if isinstance(shots, dict) else ():
            shot["RemainTime"] = "unknown"
        return answer

    job.edit = edit
    looks = _looks(job, Follower(job, limit_s=2400.0))
    expected = [2.0, 6.0, 14.0, 24.0, 34.0]
    assert all(0 <= seen - due <= 1.0 for seen, due in zip(looks, expected, strict=True)), looks


@pytest.mark.parametrize("told", [True, False])
def test_throttled_look_is_skipped_and_the_watch_goes_on(job: MainJob, told: bool) -> None:
    job.simulator.set_life(accomplished_s=NEVER)
    report = job.run(REQUEST)
    job.simulator.set_throttles(Throttle(action="DescribeSnapshots", limit=0, told=told))
    before = len(job.simulator.calls)
    follower = Follower(job, limit_s=3600.0)
    assert "follow.limit" in follower.run()
    refused = [call.code for call in job.simulator.calls[before:]]
    assert refused == ["Throttling"] * len(refused)
    assert 5 <= len(refused) <= 7
    assert all(str(report.run_id) in words for words in follower.held)


def test_upload_that_another_command_saw_end_is_let_go_without_a_look(job: MainJob) -> None:
    job.simulator.set_life(accomplished_s=NEVER)
    job.run(REQUEST)
    asked: list[int] = []
    began = job.clock.monotonic()

    def meanwhile(number: int) -> None:
        if number == 1:
            job.simulator.finish_snapshots()
            list_snapshots(job.tools)
            asked.append(len(job.simulator.calls))

    follower = Follower(job)
    assert follower.run(meanwhile=meanwhile) == "all uploads have ended"
    assert len(job.simulator.calls) == asked[0]
    assert job.clock.monotonic() - began <= 2 * MOST_TICK_S
    assert follower.inhibitor.held == ""


def test_run_that_comes_between_two_looks_is_looked_at_early_enough(job: MainJob) -> None:
    job.simulator.set_life(accomplished_s=NEVER)
    job.run(replace(REQUEST, selection=Selection(disks=DISKS[:1])))
    began = job.clock.monotonic()
    ended: list[float] = []

    def meanwhile(number: int) -> None:
        if not ended and job.clock.monotonic() - began > 200:
            job.run(replace(REQUEST, selection=Selection(disks=DISKS[1:])))
            ended.append(job.clock.monotonic())
            job.simulator.finish_snapshots()

    Follower(job).run(meanwhile=meanwhile)
    assert job.clock.monotonic() - ended[0] <= FIRST_LOOK_S + 2 * MOST_TICK_S


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
    began = job.clock.monotonic()
    assert "not watched any more" in follower.run()
    assert job.clock.monotonic() - began < 2 * FIRST_LOOK_S


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
    job.simulator.set_life(accomplished_s=3600.0)  # else the run itself may be in time to set it
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
    job.simulator.set_life(accomplished_s=3600.0)  # else the run itself may be in time to set it
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
