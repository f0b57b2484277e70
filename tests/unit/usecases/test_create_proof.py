"""What earlier runs show of the right to create snapshots."""

from __future__ import annotations

from dataclasses import replace

from fakes.records import order_record, run_record
from snap_self.errors import ExitStatus
from snap_self.model.ids import DiskId, GroupId, InstanceId, SnapshotId
from snap_self.model.run import RunRecord, Stage
from snap_self.usecases.create_proof import CreateProof, create_proof

ME = run_record().instance_id
DISK = order_record().order.disk_ids[0]
REFUSED = int(ExitStatus.CREDENTIALS)


def worked(number: int, keys: str = "instance role R") -> RunRecord:
    """Return a run that made a snapshot of one disk."""
    order = replace(order_record(sent=True), snapshot_ids={DISK: SnapshotId("s-1")})
    return replace(run_record(number, stage=Stage.FINISHED, orders=(order,)), keys=keys)


def refused(number: int) -> RunRecord:
    """Return a run whose create the cloud did not allow."""
    return replace(run_record(number, stage=Stage.FINISHED), exit_status=REFUSED)


def test_empty_journal_proves_nothing() -> None:
    assert create_proof([], ME) == CreateProof()


def test_last_create_that_worked_counts_with_its_keys() -> None:
    proof = create_proof([worked(3, "A"), worked(2, "B")], ME)
    assert (proof.worked, proof.keys) == (worked(3).started, "A")
    assert proof.disks == {DISK}


def test_run_that_asked_and_made_nothing_proves_nothing() -> None:
    asked = run_record(1, stage=Stage.CREATING, orders=(order_record(sent=True),))
    assert create_proof([asked], ME).worked is None


def test_run_of_another_instance_counts_for_nothing() -> None:
    assert create_proof([worked(1), refused(2)], InstanceId("i-other")) == CreateProof()


def test_refusal_counts_only_after_the_last_that_worked() -> None:
    assert create_proof([refused(3), worked(2)], ME).refused == refused(3).run_id
    assert create_proof([worked(3), refused(2)], ME).refused is None
    assert create_proof([refused(1)], ME).refused == refused(1).run_id


def test_run_that_failed_otherwise_is_no_refusal() -> None:
    failed = replace(refused(3), exit_status=int(ExitStatus.UNREACHABLE))
    assert create_proof([failed, worked(2)], ME).refused is None


def test_group_proves_all_disks_that_were_ordered_with_it() -> None:
    two = (DISK, DiskId("d-2"))
    order = order_record(grouped=True, sent=True)
    order = replace(order, order=replace(order.order, disk_ids=two), group_id=GroupId("ssg-1"))
    proof = create_proof([run_record(1, orders=(order,))], ME)
    assert proof.unproved([*two, DiskId("d-3")]) == (DiskId("d-3"),)
