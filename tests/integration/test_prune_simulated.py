"""`prune` against the simulated ECS: exactly the right ones go, whatever happens meanwhile."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ecs_simulator.config import LifeTimes
from ecs_simulator.faults import Fault, Throttle
from fakes.lock import FakeLock
from fakes.main_job import DISKS, MainJob, config, main_job
from snap_self.cloud.client import EcsClient
from snap_self.errors import ExitStatus, LockHeld
from snap_self.model.disks import Selection
from snap_self.model.request import Request
from snap_self.model.snapshots import OWNER_TAG, WaitFor
from snap_self.usecases.doctor import Verdict, diagnose
from snap_self.usecases.inventory.keep import PrunePolicy
from snap_self.usecases.job.planning import plan_snapshot
from snap_self.usecases.listing import list_snapshots
from snap_self.usecases.prune import Pruned, prune

ROLE = "SnapSelfRole"
DAY_S = 86400.0
RAM = Path(__file__).resolve().parents[2] / "packaging/ram"
QUICK = LifeTimes(cut_s=0.001, available_s=0.001, accomplished_s=0.002)
SLOW = {"cut_s": 0.001, "available_s": 0.001, "accomplished_s": 3600.0}
GROUP = Request(before="os upgrade", wait=WaitFor.ACCOMPLISHED)
SINGLE = replace(GROUP, selection=Selection(paths=("/srv",)))
ALL = {"Effect": "Allow", "Action": "*", "Resource": "*"}
NO_RETENTION = {"Effect": "Deny", "Action": "ecs:ModifySnapshotAttribute", "Resource": "*"}


def allow(job: MainJob, *statements: object) -> None:
    job.simulator.set_policies(ROLE, {"Version": "1", "Statement": list(statements)})


@pytest.fixture
def job() -> Iterator[MainJob]:
    with main_job(config(life=QUICK)) as one:
        allow(one, ALL, NO_RETENTION)
        yield one


def pass_days(job: MainJob, days: float) -> None:
    """Let time pass for the agent, and make what the cloud holds so much older.

    The cloud's own clock stays: it refuses calls whose time is wrong.
    """
    job.clock.sleep(days * DAY_S)
    job.simulator.state.shift(-days * DAY_S)


def pruned(job: MainJob, **policy: Any) -> Pruned:
    return prune(job.tools, PrunePolicy(**policy), dry_run=False)


def made(job: MainJob, request: Request = GROUP, *, times: int = 1) -> list[set[str]]:
    """Run the main job so often, ten days apart; return the snapshots of each run."""
    sets = []
    for _ in range(times):
        report = job.run(request)
        assert report.exit_status is ExitStatus.DONE, report.error
        sets.append({str(shot.snapshot_id) for shot in report.snapshots})
        pass_days(job, 10)
    return sets


def there(job: MainJob) -> set[str]:
    return set(job.simulator.dump()["snapshots"])


def deletions(job: MainJob) -> list[str]:
    return [c.action for c in job.simulator.calls if c.action.startswith("Delete")]


def filled(name: str) -> list[dict[str, Any]]:
    """Return the statements of a policy that is handed out, its placeholders replaced."""
    text = (RAM / name).read_text(encoding="utf-8")
    for old, new in (("REGION", "*"), ("ACCOUNT", "*"), ("DISK_ID", "*")):
        text = text.replace(old, new)
    return list(json.loads(text)["Statement"])


def own_policies(job: MainJob, *names: str) -> None:
    instance = json.dumps(job.tools.identify().instance_id)
    statements = [s for name in names for s in filled(name)]
    text = json.dumps(statements).replace('"INSTANCE_ID"', instance).replace("INSTANCE_ID", "*")
    allow(job, *json.loads(text), NO_RETENTION)


def test_hundred_runs_then_prune_leaves_exactly_the_right_ones(job: MainJob) -> None:
    allow(job, ALL)
    runs = []
    for _ in range(100):
        runs.append(job.run(GROUP))
        pass_days(job, 0.5)
    assert {report.exit_status for report in runs} == {ExitStatus.DONE}
    now = job.clock.now()
    wanted = {
        shot.snapshot_id
        for report in runs
        for shot in report.snapshots
        if shot.expires and shot.expires > now
    }
    before = there(job)
    assert (len(before), 50 < len(wanted) < 60) == (200, True)
    plan = prune(job.tools, PrunePolicy(), dry_run=True)
    assert there(job) == before
    assert not deletions(job)
    result = pruned(job)
    assert result.exit_status is ExitStatus.DONE, result.error
    assert there(job) == wanted
    assert (plan.due, result.deleted) == (200 - len(wanted), 200 - len(wanted))
    assert len(job.simulator.dump()["groups"]) == len(wanted) // 2
    assert pruned(job, keep_last=5).deleted == len(wanted) - 10
    assert there(job) == {s.snapshot_id for r in runs[-5:] for s in r.snapshots}


def test_prune_long_after_keeps_the_newest_good_set(job: MainJob) -> None:
    *_, last = made(job, times=4)
    pass_days(job, 100)
    assert pruned(job).deleted == 6
    assert there(job) == last


def test_prune_of_singles_without_retention_deletes_them_one_by_one(job: MainJob) -> None:
    with main_job(config(category="cloud_efficiency", life=QUICK)) as other:
        first, *_ = made(other, times=2)
        result = pruned(other, keep_last=1)
        assert result.exit_status is ExitStatus.DONE, result.error
        assert deletions(other) == ["DeleteSnapshot"] * 2
        assert not first & there(other)


def test_prune_leaves_foreign_snapshots_untouched(job: MainJob) -> None:
    _, last = made(job, times=2)
    tags = dict(next(iter(job.simulator.dump()["groups"].values()))["tags"])
    foreign = [
        {**tags, OWNER_TAG: "i-bp1someotherinstance"},
        {name: value for name, value in tags.items() if name != OWNER_TAG},
        {},
        {**tags, OWNER_TAG: tags[OWNER_TAG][:-1]},
        {**tags, OWNER_TAG: tags[OWNER_TAG].upper()},
    ]
    ids = {
        snapshot_id
        for each in foreign
        for snapshot_id in job.simulator.add_snapshots(DISKS[0], 1, tags=each, spacing_s=90 * DAY_S)
    }
    pass_days(job, 100)
    assert pruned(job, force=True).deleted == 2
    assert there(job) == last | ids


def test_half_failed_group_is_reported_and_finished_by_the_next_prune(job: MainJob) -> None:
    old, last = made(job, times=2)
    job.simulator.set_disk_life(DISKS[0], **SLOW)
    # Another program's: nothing of this disk is deleted while it is made.
    report = job.run(replace(GROUP, selection=Selection(paths=("/",)), wait=WaitFor.CUT))
    (busy,) = (str(shot.snapshot_id) for shot in report.snapshots)
    with_tags = job.simulator.state.snapshots[busy]
    with_tags.tags.clear()
    result = pruned(job, keep_last=1)
    (rest,) = old & there(job)
    assert (result.exit_status, result.deleted, result.left_over) == (ExitStatus.PRECONDITION, 1, 1)
    assert result.error is not None
    assert rest in result.error.message
    assert [dict(o.failed).keys() for o in result.outcomes if o.failed] == [{rest}]
    pass_days(job, 1)
    again = pruned(job, keep_last=1)
    assert (again.exit_status, again.deleted) == (ExitStatus.DONE, 1)
    assert there(job) == last | {busy}
    assert len(job.simulator.dump()["groups"]) == 1


def test_prune_keeps_a_group_that_an_image_uses_and_the_rest_goes(job: MainJob) -> None:
    used, free, last = made(job, times=3)
    job.simulator.mark_image(min(used))
    pass_days(job, 20)
    result = pruned(job, force=True)
    assert (result.exit_status, result.deleted) == (ExitStatus.DONE, 2)
    assert there(job) == used | last
    assert not free & there(job)


def test_prune_with_force_deletes_what_a_disk_was_made_from(job: MainJob) -> None:
    used, last = made(job, times=2)
    job.simulator.state.snapshots[min(used)].created_disks.add("d-bp1madefromit00000")
    pass_days(job, 20)
    assert pruned(job).deleted == 0
    result = pruned(job, force=True)
    assert (result.exit_status, there(job)) == (ExitStatus.DONE, last)


def test_prune_with_the_default_policy_names_the_second_one(job: MainJob) -> None:
    made(job, times=3)
    own_policies(job, "snap-self-create.json")
    before = there(job)
    pass_days(job, 20)
    result = pruned(job)
    assert result.exit_status is ExitStatus.CREDENTIALS
    assert result.error is not None
    assert "snap-self policy --prune" in result.error.hint
    assert there(job) == before
    assert len(deletions(job)) == 1


def test_prune_with_both_policies_deletes_groups_and_singles(job: MainJob) -> None:
    made(job, SINGLE, times=1)
    made(job, times=1)
    *_, last = made(job, times=1)
    own_policies(job, "snap-self-create.json", "snap-self-prune.json")
    result = pruned(job, keep_last=1)
    assert result.exit_status is ExitStatus.DONE, result.error
    assert there(job) == last


@pytest.mark.parametrize("kind", ["lost_reply", "html_502", "error:InternalError:500"])
@pytest.mark.parametrize("scoped", [True, False], ids=["scoped", "all-allowed"])
@pytest.mark.parametrize("request_", [GROUP, SINGLE], ids=["group", "single"])
def test_prune_with_a_lost_answer_still_ends_well(
    job: MainJob, request_: Request, kind: str, scoped: bool
) -> None:
    *_, last = made(job, request_, times=2)
    action = "DeleteSnapshotGroup" if request_ is GROUP else "DeleteSnapshot"
    if scoped:  # what is gone has no tag any more that the second try is allowed by
        own_policies(job, "snap-self-create.json", "snap-self-prune.json")
    job.simulator.inject(Fault(kind=kind, action=action, when="after"))
    result = pruned(job, keep_last=1)
    assert result.exit_status is ExitStatus.DONE, result.error
    assert (result.left_over, there(job)) == (0, last)
    assert len(deletions(job)) == 2


class SilentCloud:
    """A client whose group deletions come to nothing and tell nothing."""

    def __init__(self, cloud: EcsClient) -> None:
        self._cloud = cloud

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cloud, name)

    def delete_group(self, group_id: str) -> tuple[()]:
        return ()


def test_prune_of_a_group_whose_answer_names_no_member_looks_for_them(job: MainJob) -> None:
    old, _ = made(job, times=2)
    connect: Any = lambda identity: SilentCloud(job.tools.connect(identity))  # noqa: E731
    result = prune(replace(job.tools, connect=connect), PrunePolicy(keep_last=1), dry_run=False)
    assert (result.exit_status, result.deleted) == (ExitStatus.PRECONDITION, 0)
    assert {sid for o in result.outcomes for sid in o.failed} == old


def test_prune_that_is_throttled_waits_and_ends_well(job: MainJob) -> None:
    *_, last = made(job, times=4)
    job.simulator.set_throttles(Throttle(action="DeleteSnapshotGroup", limit=1, window_s=0.1))
    result = pruned(job, keep_last=1)
    assert (result.exit_status, there(job)) == (ExitStatus.DONE, last)


def test_prune_that_stays_throttled_stops_and_says_what_is_left(job: MainJob) -> None:
    made(job, times=4)
    job.simulator.set_throttles(Throttle(action="DeleteSnapshotGroup", limit=0))
    result = pruned(job, keep_last=1)
    assert (result.exit_status, result.left_over) == (ExitStatus.REFUSED, 6)
    assert [o.tried for o in result.outcomes if o.step.delete] == [True, False, False]


def test_prune_while_a_run_holds_the_lock_deletes_nothing(job: MainJob) -> None:
    made(job, times=2)
    busy = replace(job.tools, lock=FakeLock(job.clock, free_after_s=9.0), lock_wait_s=0.0)
    with pytest.raises(LockHeld):
        prune(busy, PrunePolicy(keep_last=1), dry_run=False)
    assert not deletions(job)


def test_prune_forgets_the_retention_of_what_it_deleted(job: MainJob) -> None:
    made(job, times=3)
    pass_days(job, 20)
    pruned(job)
    pending = [s for r in job.journal.all() for o in r.orders for s in o.retention_pending]
    assert set(pending) == there(job)
    assert {s.snapshot_id for s in list_snapshots(job.tools).snapshots} == there(job)


def test_doctor_and_plan_name_a_disk_that_nears_its_limit(job: MainJob) -> None:
    job.simulator.add_snapshots(DISKS[0], 240, tags={})
    job.simulator.add_snapshots(DISKS[1], 20, tags={})
    sentence = f"{DISKS[0]} has 240 manual snapshots"
    diagnosis = diagnose(
        job.tools, credentials=lambda: [("role", "ok")], root=True, try_freeze=None
    )
    (finding,) = (f for f in diagnosis.findings if f.check == "limit")
    assert (finding.verdict, sentence in finding.text) == (Verdict.WARN, True)
    assert "prune" in finding.hint
    report = plan_snapshot(GROUP, job.tools)
    assert [sentence in note for note in report.notes if "manual snapshots" in note] == [True]
