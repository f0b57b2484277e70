"""The main job against the simulated ECS: one snapshot set, whatever the network does."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from dataclasses import replace

import pytest

from ecs_simulator.faults import Fault, Throttle
from fakes.filesystems import FakeFilesystems
from fakes.machine_builder import MachineBuilder
from fakes.main_job import DISKS, SERIALS, MainJob, config, main_job
from snap_self.errors import ExitStatus, UsageError
from snap_self.model.disks import Selection
from snap_self.model.ids import SnapshotId
from snap_self.model.machine import PathFact
from snap_self.model.request import OnQuiesceFailure, Request
from snap_self.model.result import Result
from snap_self.model.run import Stage
from snap_self.model.snapshots import Consistency, WaitFor
from snap_self.system.disks.recorded import RecordedMachine
from snap_self.usecases.aftercare.pending import Pending, finish_pending
from snap_self.usecases.listing import list_snapshots

REQUEST = Request(before="os upgrade")
# The cloud takes one snapshot of a disk at a time: a second set must wait for the first's upload.
PATIENT = replace(REQUEST, wait=WaitFor.ACCOMPLISHED)
ONE_DISK = replace(REQUEST, selection=Selection(paths=("/srv",)))


@pytest.fixture
def job() -> Iterator[MainJob]:
    with main_job() as one:
        yield one


@pytest.fixture
def old_disks() -> Iterator[MainJob]:
    with main_job(config(category="cloud_efficiency")) as one:
        yield one


def test_two_disks_become_one_available_group(job: MainJob) -> None:
    report = job.run(REQUEST)
    assert report.exit_status is ExitStatus.DONE
    assert {shot.disk_id for shot in report.snapshots} == set(DISKS)
    assert len({shot.group_id for shot in report.snapshots}) == 1
    assert all(shot.available and shot.cut_time for shot in report.snapshots)
    assert job.sets() == 1


def test_flush_comes_before_the_create_call(job: MainJob) -> None:
    report = job.run(REQUEST)
    assert sorted(job.filesystems.synced) == ["/", "/srv"]
    assert report.consistency.reached is Consistency.FLUSH
    names = [step.name for step in report.steps]
    assert names.index("flush") < names.index("create")


class OverlayMachine(RecordedMachine):
    """An overlay whose upper layer, on the second disk, was renamed since."""

    def __init__(self) -> None:
        builder = MachineBuilder()
        for name, size, serial in zip(("vda", "vdb"), (40, 100), SERIALS, strict=True):
            builder.virtio(name, size, serial)
        self.root = builder.mount("/", "ext4", "/dev/vda", device="vda")
        builder.mount("/srv", "xfs", "/dev/vdb", device="vdb")
        extra = "rw,lowerdir=/low,upperdir=/srv/u,workdir=/srv/w"
        self.merged = builder.mount("/m", "overlay", "overlay", number="0:50", extra=extra)
        self.line = f"{self.merged} {self.root} 0:50 / /m rw - overlay overlay {extra}"
        super().__init__(builder.text())

    def locate(self, path: str) -> PathFact:
        """Return where the kernel would say that it is."""
        if path.startswith("/srv/"):
            raise UsageError(f"path {path!r} cannot be looked at: no such file")
        if path.startswith("/m/"):
            return PathFact(asked=path, real=path, mount_id=self.merged, overlay=self.line)
        return PathFact(asked=path, real=path, mount_id=self.root)


def test_path_in_an_overlay_takes_the_disk_of_a_layer_that_is_not_found_by_its_name_any_more(
    job: MainJob,
) -> None:
    request = replace(REQUEST, selection=Selection(paths=("/m/f",)))
    report = job.run(request, machine=OverlayMachine())
    assert {shot.disk_id for shot in report.snapshots} == set(DISKS)


def test_path_selects_only_its_disk_with_retention(job: MainJob) -> None:
    report = job.run(ONE_DISK)
    (shot,) = report.snapshots
    assert (shot.disk_id, shot.group_id) == (DISKS[1], None)
    (made,) = job.simulator.dump()["snapshots"].values()
    assert made["retention_days"] == 14


def test_old_categories_become_singles_side_by_side(old_disks: MainJob) -> None:
    report = old_disks.run(REQUEST)
    assert report.exit_status is ExitStatus.DONE
    assert {shot.group_id for shot in report.snapshots} == {None}
    assert old_disks.sets() == 2


def test_volume_over_ungroupable_disks_makes_no_snapshot() -> None:
    with main_job(config(category="cloud_efficiency"), lvm=True) as job:
        report = job.run(REQUEST)
        assert report.error is not None
        assert (report.exit_status, report.error.code) == (ExitStatus.PRECONDITION, "torn-set")
        assert job.creates() == 0


LOST = [
    Fault(kind="lost_reply", action="*"),
    Fault(kind="reset", action="*"),
    Fault(kind="html_502", action="*", when="before"),
    Fault(kind="html_502", action="*", when="after"),
    Fault(kind="empty_body", action="*"),
    Fault(kind="not_json", action="*"),
    Fault(kind="truncated", action="*"),
    Fault(kind="error:InternalError:500", action="*"),
    Fault(kind="error:ServiceUnavailable:503", action="*"),
    Fault(kind="error:Throttling.User:400", action="*"),
    Fault(kind="error:OperationConflict:409", action="*"),
    Fault(kind="error:SignatureNonceUsed:400", action="*"),
    Fault(kind="lost_reply", action="*", when="during", seconds=0.05),
]


def _name(fault: Fault) -> str:
    return f"{fault.kind}-{fault.when or 'usual'}"


@pytest.mark.parametrize("fault", LOST, ids=_name)
@pytest.mark.parametrize("action", ["CreateSnapshotGroup", "CreateSnapshot"])
def test_one_fault_on_create_still_makes_exactly_one_set(
    job: MainJob, action: str, fault: Fault
) -> None:
    job.simulator.inject(replace(fault, action=action))
    report = job.run(REQUEST if action.endswith("Group") else ONE_DISK)
    assert report.exit_status is ExitStatus.DONE, report.error
    assert job.creates() >= 2
    assert job.sets() == 1


@pytest.mark.parametrize("fault", LOST, ids=_name)
def test_one_fault_on_every_describe_is_survived(job: MainJob, fault: Fault) -> None:
    for action in ("DescribeDisks", "DescribeSnapshots", "DescribeSnapshotGroups"):
        job.simulator.inject(replace(fault, action=action))
    report = job.run(REQUEST)
    assert report.exit_status is ExitStatus.DONE, report.error
    assert job.sets() == 1


def test_throttled_minute_is_waited_out(job: MainJob) -> None:
    job.clock.moves_cloud = True
    job.simulator.set_throttles(Throttle(action="CreateSnapshot", limit=1))
    patient = replace(ONE_DISK, wait=WaitFor.ACCOMPLISHED)
    reports = [job.run(replace(patient, before=f"change {n}")) for n in range(3)]
    assert [report.error for report in reports] == [None] * 3
    assert job.sets() == 3
    assert any(call.code.startswith("Throttling") for call in job.simulator.calls)


def test_token_that_expires_in_the_middle_is_replaced(job: MainJob) -> None:
    job.simulator.inject(
        Fault(kind="error:InvalidSecurityToken.Expired:400", action="CreateSnapshotGroup")
    )
    report = job.run(REQUEST)
    assert report.exit_status is ExitStatus.DONE, report.error
    assert job.sets() == 1


def test_cloud_that_never_answers_the_create_is_a_clear_error(job: MainJob) -> None:
    job.simulator.inject(Fault(kind="reset", action="CreateSnapshotGroup", count=1000))
    report = job.run(REQUEST)
    assert report.exit_status is ExitStatus.UNREACHABLE
    assert report.error
    assert report.error.hint
    assert job.sets() == 0


def test_refusal_by_policy_names_the_action(job: MainJob) -> None:
    job.simulator.inject(
        Fault(kind="error:Forbidden.RAM:403", action="CreateSnapshotGroup", count=1000)
    )
    report = job.run(REQUEST)
    assert report.exit_status is ExitStatus.CREDENTIALS
    assert report.error
    assert "CreateSnapshotGroup" in report.error.message + report.error.hint


def test_group_not_available_here_falls_back_to_singles(job: MainJob) -> None:
    job.simulator.inject(
        Fault(kind="error:InvalidRegion.NotSupport:403", action="CreateSnapshotGroup")
    )
    report = job.run(REQUEST)
    assert report.exit_status is ExitStatus.DONE, report.error
    assert {shot.group_id for shot in report.snapshots} == {None}
    assert len(report.snapshots) == 2


def test_group_not_available_here_is_no_fallback_for_a_volume() -> None:
    with main_job(lvm=True) as job:
        job.simulator.inject(
            Fault(kind="error:InvalidRegion.NotSupport:403", action="CreateSnapshotGroup")
        )
        report = job.run(REQUEST)
        assert report.exit_status not in (ExitStatus.DONE, ExitStatus.LEFT_OUT)
        assert job.sets() == 0


def test_disk_left_out_of_the_group_silently_is_said(job: MainJob) -> None:
    job.simulator.set_group_behaviour(left_out_disks=[DISKS[1]])
    report = job.run(REQUEST)
    assert report.exit_status is ExitStatus.LEFT_OUT
    assert [skipped.disk_id for skipped in report.skipped] == [DISKS[1]]
    assert [target.cloud.disk_id for target in report.targets] == [DISKS[0]]


def test_disk_of_a_volume_left_out_of_the_group_is_a_failure() -> None:
    with main_job(lvm=True) as job:
        job.simulator.set_group_behaviour(left_out_disks=[DISKS[1]])
        report = job.run(REQUEST)
        assert report.error
        assert report.error.code == "snapshot-set-torn"
        assert report.exit_status is ExitStatus.SNAPSHOT_FAILED


def test_members_that_appear_late_are_waited_for(job: MainJob) -> None:
    job.simulator.set_life(visible_lag_s=0.05, member_lag_s=0.1)
    report = job.run(REQUEST)
    assert report.exit_status is ExitStatus.DONE
    assert len(report.snapshots) == 2


@pytest.mark.parametrize("lvm", [False, True], ids=["two-volumes", "one-volume"])
def test_members_not_seen_within_wait_none_are_not_called_left_out(*, lvm: bool) -> None:
    with main_job(lvm=lvm) as job:
        job.simulator.set_life(member_lag_s=5000.0)
        report = job.run(replace(REQUEST, wait=WaitFor.NONE))
        assert report.exit_status is ExitStatus.DONE, report.error
        assert report.skipped == ()
        assert [shot.snapshot_id for shot in report.snapshots] == [None, None]


@pytest.mark.parametrize("action", ["DescribeInstances", "DescribeSnapshots"])
@pytest.mark.parametrize("code", ["Forbidden.RAM:403", "Throttling.User:400"])
def test_advice_that_cannot_be_had_does_not_keep_the_job_waiting(
    job: MainJob, action: str, code: str
) -> None:
    fault = Fault(kind=f"error:{code}", action=action, count=1000)
    job.simulator.inject(fault)
    began_s = job.clock.monotonic()
    job.run(replace(REQUEST, wait=WaitFor.NONE))
    assert job.sets() == 1
    assert job.clock.monotonic() - began_s < 30


@pytest.mark.parametrize("stage", ["before_cut", "after_cut", "after_available"])
def test_snapshot_that_fails_is_told(job: MainJob, stage: str) -> None:
    job.simulator.set_life(fail_at=stage)
    report = job.run(replace(REQUEST, wait=WaitFor.ACCOMPLISHED))
    assert report.exit_status is ExitStatus.SNAPSHOT_FAILED
    assert report.result is Result.PARTIAL


def test_wait_that_runs_out_keeps_the_snapshot(job: MainJob) -> None:
    job.simulator.set_life(cut_s=5000.0)
    report = job.run(replace(REQUEST, timeout_s=60.0))
    assert report.exit_status is ExitStatus.WAIT_RAN_OUT
    assert len(report.snapshots) == 2
    assert job.sets() == 1


def test_wait_none_returns_before_the_cut(job: MainJob) -> None:
    job.simulator.set_life(cut_s=5000.0)
    report = job.run(replace(REQUEST, wait=WaitFor.NONE))
    assert report.exit_status is ExitStatus.DONE
    assert all(shot.cut_time is None for shot in report.snapshots)


def test_wait_accomplished_sets_retention_on_every_member(job: MainJob) -> None:
    report = job.run(replace(REQUEST, wait=WaitFor.ACCOMPLISHED))
    assert report.exit_status is ExitStatus.DONE
    made = job.simulator.dump()["snapshots"].values()
    assert [shot["retention_days"] for shot in made] == [14, 14]


def test_usual_wait_leaves_retention_pending_in_the_journal(job: MainJob) -> None:
    job.simulator.set_life(accomplished_s=1e6)
    job.run(REQUEST)
    (record,) = job.journal.all()
    assert len(record.orders[0].retention_pending) == 2


def _retentions(job: MainJob) -> list[int | None]:
    return [shot["retention_days"] for shot in job.simulator.dump()["snapshots"].values()]


def _finish_pending(job: MainJob) -> Pending:
    identity = job.tools.identify()
    cloud = job.tools.connect(identity)
    return finish_pending(job.tools, cloud, identity.instance_id)


def _let_it_upload(job: MainJob) -> None:
    while any(
        shot["status"] != "accomplished" for shot in job.simulator.dump()["snapshots"].values()
    ):
        job.clock.sleep(0.01)


def test_next_run_sets_the_retention_that_the_last_one_left_pending(job: MainJob) -> None:
    job.run(REQUEST)
    _let_it_upload(job)
    # Before the upload of another one has ended, the cloud refuses it.
    job.run(replace(PATIENT, before="another thing"))
    assert _retentions(job)[:2] == [14, 14]


def test_members_that_nobody_saw_appear_get_their_retention_later(job: MainJob) -> None:
    job.simulator.set_life(member_lag_s=5.0)
    job.run(replace(REQUEST, wait=WaitFor.NONE))
    assert job.journal.all()[0].orders[0].snapshot_ids == {}
    job.simulator.set_clock_offset(10.0)
    _let_it_upload(job)
    assert _finish_pending(job).left == 0
    assert _retentions(job) == [14, 14]


def test_retention_of_a_snapshot_deleted_meanwhile_is_not_pending_for_ever(job: MainJob) -> None:
    report = job.run(REQUEST)
    job.clock.sleep(3600)
    _let_it_upload(job)
    cloud = job.tools.connect(job.tools.identify())
    cloud.delete_snapshot(SnapshotId(str(report.snapshots[0].snapshot_id)))
    assert _finish_pending(job).left == 0


def test_retention_that_is_refused_is_tried_once_per_command(job: MainJob) -> None:
    job.simulator.set_life(accomplished_s=3600.0)  # else the run itself may be in time to set it
    job.run(REQUEST)
    job.simulator.finish_snapshots()
    action = "ModifySnapshotAttribute"
    job.simulator.inject(Fault(kind="error:Forbidden.RAM:403", action=action, count=1000))
    assert _finish_pending(job).left == 2
    assert sum(call.action == action for call in job.simulator.calls) == 1


def test_made_snapshots_are_named_when_the_role_may_not_look_at_them(job: MainJob) -> None:
    for action in ("DescribeSnapshots", "DescribeSnapshotGroups"):
        job.simulator.inject(Fault(kind="error:Forbidden.RAM:403", action=action, count=1000))
    report = job.run(REQUEST)
    assert report.exit_status is ExitStatus.CREDENTIALS
    assert report.result is Result.ASKED
    assert all(shot.group_id for shot in report.snapshots)


def test_list_shows_what_it_can_when_the_groups_may_not_be_seen(job: MainJob) -> None:
    job.run(ONE_DISK)
    action = "DescribeSnapshotGroups"
    job.simulator.inject(Fault(kind="error:Forbidden.RAM:403", action=action, count=1000))
    listing = list_snapshots(job.tools)
    assert [shot.disk_id for shot in listing.snapshots] == [DISKS[1]]
    assert any("DescribeSnapshotGroups" in note for note in listing.notes)


def test_reuse_waits_for_what_was_asked(job: MainJob) -> None:
    job.simulator.set_life(cut_s=0.01, available_s=0.3, accomplished_s=0.6)
    job.run(replace(REQUEST, wait=WaitFor.CUT))
    report = job.run(replace(REQUEST, wait=WaitFor.ACCOMPLISHED, reuse_s=3600.0))
    assert report.result is Result.REUSED
    assert [shot.status for shot in report.snapshots] == ["accomplished"] * 2
    assert job.sets() == 1


def test_flush_that_fails_makes_the_snapshot_weaker(job: MainJob) -> None:
    broken = FakeFilesystems(failing={"/srv": errno.EIO})
    report = job.run(REQUEST, filesystems=broken)
    assert report.exit_status is ExitStatus.WEAKER
    assert report.consistency.reached is Consistency.CRASH
    assert "/srv" in report.consistency.why
    tags = next(iter(job.simulator.dump()["groups"].values()))["tags"]
    assert tags["snap-self-consistency"] == "crash"


def test_flush_that_fails_makes_none_if_the_user_said_abort(job: MainJob) -> None:
    broken = FakeFilesystems(failing={"/srv": errno.EIO})
    strict = replace(REQUEST, on_quiesce_failure=OnQuiesceFailure.ABORT)
    report = job.run(strict, filesystems=broken)
    assert report.exit_status is ExitStatus.QUIESCE
    assert job.creates() == 0
    assert job.journal.unfinished() == ()


def test_reuse_is_content_with_a_fresh_set(job: MainJob) -> None:
    first = job.run(REQUEST)
    second = job.run(replace(REQUEST, reuse_s=1800.0))
    assert second.result is Result.REUSED
    assert {s.snapshot_id for s in second.snapshots} == {s.snapshot_id for s in first.snapshots}
    assert job.sets() == 1


def test_reuse_does_not_wait_for_the_end_of_the_run_that_made_the_set(job: MainJob) -> None:
    first = job.run(REQUEST)
    with job.tools.lock.hold(timeout_s=0.0, purpose="wait for the upload"):
        second = job.run(replace(REQUEST, reuse_s=1800.0))
    assert (second.result, second.run_id) == (Result.REUSED, first.run_id)


def test_lock_is_waited_for_no_longer_than_the_snapshot(job: MainJob) -> None:
    begun = job.tools.clock.monotonic()
    with job.tools.lock.hold(timeout_s=0.0, purpose="another"):
        report = job.run(replace(REQUEST, reuse_s=1800.0, timeout_s=2.0))
    assert report.exit_status is ExitStatus.LOCKED
    assert 2.0 <= job.tools.clock.monotonic() - begun < 20.0


def test_reuse_of_an_old_set_makes_a_new_one(job: MainJob) -> None:
    job.run(PATIENT)
    job.clock.sleep(3600)
    report = job.run(replace(REQUEST, reuse_s=1800.0))
    assert report.result is Result.DONE
    assert job.sets() == 2


def test_reuse_of_a_weaker_set_makes_a_new_one(job: MainJob) -> None:
    job.run(replace(PATIENT, consistency=Consistency.CRASH))
    report = job.run(replace(REQUEST, reuse_s=1800.0))
    assert report.result is Result.DONE
    assert job.sets() == 2


def test_reuse_for_one_disk_is_served_by_a_set_of_both(job: MainJob) -> None:
    job.run(REQUEST)
    report = job.run(replace(ONE_DISK, reuse_s=1800.0))
    assert report.result is Result.REUSED
    assert [shot.disk_id for shot in report.snapshots] == [DISKS[1]]


def test_excluded_disk_is_no_fault(job: MainJob) -> None:
    report = job.run(replace(REQUEST, selection=Selection(exclude=("/srv",))))
    assert report.exit_status is ExitStatus.DONE
    assert [shot.disk_id for shot in report.snapshots] == [DISKS[0]]


def with_foreign_disk() -> RecordedMachine:
    """Return the machine with a third disk, mounted, that the cloud does not list."""
    builder = MachineBuilder()
    for name, size, serial in zip(("vda", "vdb"), (40, 100), SERIALS, strict=True):
        builder.virtio(name, size, serial)
    builder.virtio("vdc", 20, "bp1notlistedbythecloud")
    builder.mount("/", "ext4", "/dev/vda", device="vda")
    builder.mount("/srv", "xfs", "/dev/vdb", device="vdb")
    builder.mount("/srv/m1", "xfs", "/dev/vdc", device="vdc")
    return RecordedMachine(builder.text())


def test_filesystem_on_a_disk_that_the_cloud_does_not_list_makes_the_set_partial(
    job: MainJob,
) -> None:
    report = job.run(REQUEST, machine=with_foreign_disk())
    assert (report.exit_status, report.result) == (ExitStatus.LEFT_OUT, Result.PARTIAL)
    assert [gap.what for gap in report.not_covered if gap.left_out] == ["/srv/m1"]
    assert {shot.disk_id for shot in report.snapshots} == set(DISKS)
    (record,) = job.journal.all()
    assert (record.exit_status, record.result) == (101, Result.PARTIAL)
    assert record.stage is Stage.FINISHED


def test_filesystem_that_is_excluded_by_its_mount_point_makes_nothing_partial(
    job: MainJob,
) -> None:
    selection = Selection(exclude=("/srv/m1",))
    report = job.run(replace(REQUEST, selection=selection), machine=with_foreign_disk())
    assert (report.exit_status, report.result) == (ExitStatus.DONE, Result.DONE)
    assert [gap.what for gap in report.excluded] == ["/srv/m1"]


def test_reuse_of_a_partial_set_is_partial_until_the_gap_is_excluded(job: MainJob) -> None:
    job.run(REQUEST, machine=with_foreign_disk())
    again = replace(REQUEST, reuse_s=1800.0)
    report = job.run(again, machine=with_foreign_disk())
    assert (report.exit_status, report.result) == (ExitStatus.LEFT_OUT, Result.PARTIAL)
    assert report.of_earlier
    without = replace(again, selection=Selection(exclude=("/srv/m1",)))
    report = job.run(without, machine=with_foreign_disk())
    assert (report.exit_status, report.result) == (ExitStatus.DONE, Result.REUSED)
    assert job.sets() == 1


def test_journal_is_written_before_the_create_call(job: MainJob) -> None:
    job.run(REQUEST)
    stages = [record.stage for record in job.journal.history]
    assert stages.index(Stage.PLANNED) < stages.index(Stage.CREATING)
    creating = next(r for r in job.journal.history if r.stage is Stage.CREATING)
    assert all(order.sent and not order.group_id for order in creating.orders)
