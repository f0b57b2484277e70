"""What the journal says of uploads: by values that hooks and the news read, and in words."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from fakes.records import STARTED, order_record, run_record
from snap_self.model.ids import DiskId, SnapshotId
from snap_self.model.run import RunRecord, Stage, Upload
from snap_self.model.snapshots import SnapshotStatus
from snap_self.usecases.aftercare.uploads import looked_at, news

SOON, LATER = STARTED + timedelta(minutes=2), STARTED + timedelta(hours=1)
A, B = SnapshotId("s-a"), SnapshotId("s-b")
DONE, FAILED = SnapshotStatus.ACCOMPLISHED, SnapshotStatus.FAILED


def uploading() -> RunRecord:
    order = replace(order_record(), snapshot_ids={DiskId("d-a"): A, DiskId("d-b"): B})
    upload = Upload(going_on=True, boot_id="boot")
    return replace(run_record(stage=Stage.FINISHED, orders=(order,)), upload=upload)


def ended(record: RunRecord) -> Upload:
    assert record.upload is not None
    assert not record.upload.going_on
    return record.upload


@pytest.mark.parametrize(
    ("shown", "failed", "deleted", "accomplished"),
    [
        ({A: DONE, B: DONE}, (), (), True),
        ({A: DONE, B: FAILED}, (B,), (), False),
        ({A: DONE}, (), (B,), False),
        ({A: FAILED}, (A,), (B,), False),
    ],
)
def test_upload_when_it_has_ended_then_values_tell_what_was_lost(
    shown: dict[SnapshotId, SnapshotStatus],
    failed: tuple[SnapshotId, ...],
    deleted: tuple[SnapshotId, ...],
    accomplished: bool,
) -> None:
    upload = ended(looked_at(uploading(), shown, LATER))
    found = (upload.failed, upload.deleted, upload.accomplished)
    assert found == (failed, deleted, accomplished)


def test_upload_when_nothing_is_shown_then_nothing_is_said_to_be_deleted() -> None:
    for gone in ((), (A, B)):
        record = looked_at(uploading(), {}, LATER, gone=gone)
        assert record.upload is not None
        assert record.upload.going_on


def test_upload_when_a_snapshot_that_was_seen_is_gone_then_needs_no_waiting_to_say_so() -> None:
    early = looked_at(uploading(), {A: DONE}, SOON)
    assert early.upload is not None
    assert early.upload.going_on
    assert ended(looked_at(uploading(), {A: DONE}, SOON, gone=(B,))).deleted == (B,)


def test_news_when_all_came_through_a_reboot_then_go_by_the_value_and_not_by_the_words() -> None:
    before = uploading()
    upload = replace(ended(looked_at(before, {A: DONE, B: DONE}, LATER)), text="reworded")
    assert "accomplished all the same" in news(before, replace(before, upload=upload), "next boot")


def test_news_when_the_end_was_never_seen_then_do_not_say_that_all_came_through() -> None:
    before = uploading()
    after = looked_at(before, {}, STARTED + timedelta(days=8))
    assert "accomplished" not in news(before, after, "next boot")
