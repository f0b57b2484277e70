"""What is told of this machine's protection, from journal and counters."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from fakes.records import STARTED, order_record, run_record
from snap_self.model.asked import CutUnseen
from snap_self.model.executions import DEADLINE_FORM, DONE, FAILED, Back, Execution
from snap_self.model.ids import DiskId, InstanceId, SnapshotId
from snap_self.model.result import Result
from snap_self.model.run import ArmedRecord, RunRecord, Stage, Upload
from snap_self.model.snapshots import DEADLINE_TAG, Consistency
from snap_self.model.summary import DiskSummary, Interrupted, Summary, Tally, Unprotected
from snap_self.model.verification import Verdict, Verification
from snap_self.watching.summing import Moment, summarize

DISK = DiskId("d-bp1aaaabbbbccccdddd1")
NOW = STARTED + timedelta(days=1)
OWN = run_record().instance_id
MOMENT = Moment(now=NOW, version="1", boot_id="b", machine="m")
TALLY = Tally(instance_id=OWN, machine="m")


def made(number: int, *, result: Result = Result.DONE, upload: Upload | None = None) -> RunRecord:
    order = replace(order_record(sent=True), snapshot_ids={DISK: SnapshotId(f"s-{number}")})
    return replace(
        run_record(number, stage=Stage.FINISHED, orders=(order,)),
        result=result,
        upload=upload,
        consistency_reached=Consistency.FLUSH,
    )


def ended(*, failed: tuple[str, ...] = (), accomplished: bool = False) -> Upload:
    return Upload(
        going_on=False,
        boot_id="b",
        failed=tuple(SnapshotId(each) for each in failed),
        accomplished=accomplished,
    )


def of(*records: RunRecord, tally: Tally = TALLY, known: Summary | None = None) -> Summary:
    """Sum up what a journal with these records, the newest first, tells."""
    return summarize(records, tally, MOMENT, known, whole=known is None)


def newest(summary: Summary) -> str:
    (disk,) = summary.disks
    return disk.snapshot_id


def test_newest_good_snapshot_is_that_of_the_newest_good_run() -> None:
    summary = of(made(3, result=Result.FAILED), made(2), made(1))
    (disk,) = summary.disks
    assert (disk.snapshot_id, disk.consistency) == ("s-2", Consistency.FLUSH)
    assert disk.cut == made(2).started


@pytest.mark.parametrize(
    "record",
    [
        made(2, result=Result.FAILED),
        made(2, result=Result.OPEN),
        made(2, result=Result.INTERRUPTED),
        replace(made(2, result=Result.ASKED), unseen=CutUnseen.THROTTLED),
        made(2, upload=ended(failed=("s-2",))),
        replace(made(2, upload=ended(failed=("s-2",))), result=Result.PARTIAL),
    ],
)
def test_what_is_not_proved_is_no_good_snapshot(record: RunRecord) -> None:
    assert newest(of(record, made(1))) == "s-1"


@pytest.mark.parametrize("result", [Result.ASKED, Result.INTERRUPTED])
def test_a_snapshot_that_nobody_waited_for_is_good_once_it_was_seen_accomplished(
    result: Result,
) -> None:
    assert newest(of(made(2, result=result, upload=ended(accomplished=True)), made(1))) == "s-2"


def test_of_runs_that_failed_only_one_whose_wait_ran_out_may_have_become_good() -> None:
    late = made(2, result=Result.FAILED, upload=ended(accomplished=True))
    assert newest(of(late, made(1))) == "s-1"
    assert newest(of(replace(late, exit_status=12), made(1))) == "s-2"


def test_an_upload_whose_end_nobody_saw_makes_no_good_snapshot() -> None:
    lost = of(made(2, upload=ended()), made(1))
    assert (newest(lost), lost.upload_failed) == ("s-1", 1)


def test_a_snapshot_is_good_until_it_may_be_deleted() -> None:
    assert newest(of(replace(made(2), expires=NOW), made(1))) == "s-1"
    later = replace(made(2), expires=NOW + timedelta(seconds=1))
    assert newest(of(later, made(1))) == "s-2"
    (disk,) = of(later).disks
    assert disk.expires == later.expires


def test_a_snapshot_that_was_opened_and_found_damaged_is_not_good() -> None:
    looked = Verification(result=Verdict.DAMAGED, at=NOW)
    bad = replace(made(2), verified={SnapshotId("s-2"): looked})
    assert newest(of(bad, made(1))) == "s-1"


def test_a_run_of_the_future_hides_none_and_settles_nothing() -> None:
    ahead = replace(made(3), started=NOW + timedelta(hours=1))
    bare = Unprotected(at=made(2).started, manager="apt")
    summary = of(ahead, made(1), tally=replace(TALLY, unprotected=bare))
    assert (newest(summary), summary.unprotected) == ("s-1", bare)


def test_a_disk_that_a_snapshot_is_wanted_of_is_told_before_there_is_one() -> None:
    tally = replace(TALLY, attached=(DISK, "d-new"), wanted=(DISK, "d-new"))
    assert [each.snapshot_id for each in of(made(1), tally=tally).disks] == ["s-1", ""]


def test_a_change_is_not_settled_by_a_snapshot_of_one_disk_of_two() -> None:
    bare = Unprotected(at=made(1).started, manager="apt")
    tally = replace(TALLY, unprotected=bare, attached=(DISK, "d-2"), wanted=(DISK, "d-2"))
    assert of(made(2), tally=tally).unprotected == bare


def test_an_interrupted_change_is_settled_by_a_good_snapshot_after_it() -> None:
    doubt = Interrupted(at=made(1).started, manager="zypper")
    tally = replace(TALLY, interrupted=doubt)
    assert of(made(1), tally=tally).interrupted == doubt
    assert of(made(2), made(1), tally=tally).interrupted == replace(doubt, settled=True)


def test_a_disk_without_any_good_snapshot_is_told_without_one() -> None:
    assert of(made(1, result=Result.FAILED)).disks == (DiskSummary(disk_id=DISK),)


def test_a_disk_that_is_not_attached_any_more_is_not_told() -> None:
    assert of(made(1), tally=replace(TALLY, attached=("d-other",))).disks == ()
    assert of(made(1), tally=replace(TALLY, attached=("d-other", DISK))).disks != ()


def test_what_is_gone_in_the_cloud_is_no_good_snapshot() -> None:
    tally = replace(TALLY, gone=("s-2",), seen={DISK: 7})
    (disk,) = of(made(2), made(1), tally=tally).disks
    assert (disk.snapshot_id, disk.snapshots) == ("s-1", 7)


def test_records_and_counters_of_another_instance_are_not_told() -> None:
    stranger = replace(made(2), instance_id=InstanceId("i-other"))
    assert newest(of(stranger, made(1))) == "s-1"
    copied = of(made(2), tally=replace(TALLY, machine="another"))
    assert (copied.disks, copied.instance_id, copied.runs) == ((), "", ())


def test_a_machine_whose_firmware_tells_no_name_keeps_what_was_counted() -> None:
    moment = replace(MOMENT, machine="")
    assert summarize((made(1),), TALLY, moment, whole=True).disks


def test_disks_beyond_the_records_looked_at_are_known_from_before() -> None:
    before = Summary(
        written=NOW,
        version="1",
        instance_id=OWN,
        disks=(DiskSummary(disk_id="d-other", snapshot_id="s-old", run_id="r", cut=STARTED),),
    )
    assert [each.snapshot_id for each in of(made(2), known=before).disks] == ["s-2", "s-old"]
    foreign = replace(before, instance_id="i-other")
    assert [each.snapshot_id for each in of(made(2), known=foreign).disks] == ["s-2"]
    gone = replace(TALLY, gone=("s-old",))
    assert [each.snapshot_id for each in of(made(2), tally=gone, known=before).disks] == ["s-2", ""]


def test_a_run_that_was_good_and_is_not_any_more_is_not_known_from_before() -> None:
    before = of(made(2))
    assert newest(of(made(2, upload=ended(failed=("s-2",))), known=before)) == ""


def test_change_without_a_snapshot_is_settled_by_a_later_good_one() -> None:
    bare = Unprotected(at=made(1).started, manager="apt", code="no-credentials")
    tally = replace(TALLY, unprotected=bare)
    assert of(made(1), tally=tally).unprotected == bare
    settled = of(made(2), made(1), tally=tally).unprotected
    assert settled is not None
    assert settled.settled


def test_failed_upload_counts_until_its_disks_have_a_good_snapshot_again() -> None:
    broken = made(2, upload=ended(failed=("s-2",)))
    assert of(broken, made(1)).upload_failed == 1
    assert of(made(3), broken).upload_failed == 0


def test_what_a_good_snapshot_has_settled_stays_so_when_its_time_is_up() -> None:
    back = Execution(execution_id="exec-1", status=DONE, finished=made(1).started)
    broken = replace(made(1, upload=ended(failed=("s-1",))), went_back=back)
    tally = replace(
        TALLY,
        unprotected=Unprotected(at=made(1).started, manager="apt"),
        interrupted=Interrupted(at=made(1).started, manager="dnf"),
    )
    over = replace(made(2), expires=NOW)
    for later, gone in ((over, ()), (made(2), ("s-2",))):
        summary = of(later, broken, tally=replace(tally, gone=gone))
        assert newest(summary) == ""  # which is told, and is all that is wrong now
        assert summary.unprotected == replace(tally.unprotected, settled=True)
        assert summary.interrupted == replace(tally.interrupted, settled=True)
        assert (summary.upload_failed, summary.went_back) == (0, None)


def test_what_was_settled_stays_so_when_a_disk_is_added() -> None:
    bare = Unprotected(at=made(1).started, manager="apt")
    before = of(made(2), tally=replace(TALLY, unprotected=bare))
    more = replace(TALLY, unprotected=bare, attached=(DISK, "d-new"), wanted=(DISK, "d-new"))
    assert of(made(2), tally=more).unprotected == bare

    def settled(tally: Tally) -> bool:
        found = summarize((made(2),), tally, MOMENT, before, whole=True).unprotected
        return found is not None and found.settled

    assert settled(more)
    # A new change is another one, and nothing of another instance's is taken.
    assert not settled(replace(more, unprotected=replace(bare, at=NOW)))
    assert not settled(replace(more, instance_id="i-other"))


def test_upload_that_failed_is_over_for_a_disk_that_is_not_judged_any_more() -> None:
    order = replace(
        order_record(sent=True),
        snapshot_ids={DISK: SnapshotId("s-2"), DiskId("d-bp1zzz"): SnapshotId("s-z")},
    )
    broken = replace(made(2, upload=ended(failed=("s-z",))), orders=(order,))
    both = replace(TALLY, attached=(DISK, "d-bp1zzz"), wanted=(DISK, "d-bp1zzz"))
    assert of(made(3), broken, tally=both).upload_failed == 1
    assert of(made(3), broken, tally=replace(TALLY, attached=(DISK,))).upload_failed == 0
    # Of the disk whose snapshot came to nothing: the other one has been good all the time.
    other = replace(
        made(3), orders=(replace(order, snapshot_ids={DiskId("d-bp1zzz"): SnapshotId("s-3")}),)
    )
    assert of(other, broken, tally=both).upload_failed == 0


def test_having_gone_back_is_over_when_the_disks_that_did_have_a_good_snapshot() -> None:
    back = Execution(execution_id="exec-1", status=DONE, finished=made(1).started)
    record = replace(made(1), went_back=back)
    both = replace(TALLY, attached=(DISK, "d-new"), wanted=(DISK, "d-new"))
    assert of(record, tally=both).went_back == made(1).started
    assert of(made(2), record, tally=both).went_back is None


def test_what_waits_and_what_goes_on_is_counted() -> None:
    going = made(1, upload=Upload(going_on=True, boot_id="b"))
    late = order_record(grouped=True, sent=True)
    pending = replace(made(2), orders=(replace(late, retention_pending=(SnapshotId("s-x"),)),))
    summary = of(pending, going)
    assert (summary.uploading, summary.retention_pending) == (1, 1)


def armed(deadline: datetime, *, unconfirmed: bool) -> RunRecord:
    waiting = ArmedRecord(
        asked=STARTED,
        within_s=60,
        deadline=deadline,
        client_token="t",
        execution_id="exec-1",
        unconfirmed=unconfirmed,
    )
    return replace(made(1), armed=waiting)


def test_the_earliest_rollback_that_waits_is_told() -> None:
    assert of(armed(NOW, unconfirmed=True)).goes_back == NOW
    assert of(armed(NOW, unconfirmed=False)).goes_back is None


def test_having_gone_back_is_told_until_a_good_snapshot_is_made() -> None:
    back = Execution(execution_id="exec-1", status=DONE, finished=NOW)
    record = replace(made(1), went_back=back)
    assert of(record).went_back == NOW
    later = replace(made(2), started=NOW + timedelta(minutes=1))
    assert of(later, record).went_back is None


@pytest.mark.parametrize(
    ("reset", "told"), [(Back.ALL, (NOW, False)), (Back.PART, (NOW, True)), (None, (NOW, True))]
)
def test_having_gone_back_is_told_of_an_execution_that_failed_afterwards(
    reset: Back | None, told: tuple[datetime, bool]
) -> None:
    back = Execution(execution_id="exec-1", status=FAILED, finished=NOW, reset=reset)
    summary = of(replace(made(1), went_back=back))
    assert (summary.went_back, summary.back_in_part) == told
    nothing = of(replace(made(1), went_back=replace(back, reset=Back.NONE)))
    assert (nothing.went_back, nothing.back_in_part) == (None, False)


def test_machine_that_went_back_is_told_of_before_its_boot_check_has_ended() -> None:
    deadline = NOW - timedelta(hours=1)
    back = Execution(
        execution_id="exec-1",
        status="Running",
        began=STARTED,
        tags={DEADLINE_TAG: f"{deadline:{DEADLINE_FORM}}"},
        tasks=("bootCheck",),
    )
    told = of(replace(made(1), went_back=back)).went_back
    assert told == deadline.replace(microsecond=0)
    resets = replace(back, tasks=("settled",))
    assert of(replace(made(1), went_back=resets)).went_back is None
