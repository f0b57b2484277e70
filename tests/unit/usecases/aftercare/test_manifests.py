"""When nothing is left that a manifest could be compared for."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from fakes.records import STARTED, order_record, run_record
from snap_self.model.ids import DiskId, SnapshotId
from snap_self.model.run import RunRecord, Stage
from snap_self.usecases.aftercare.manifests import AFTER_EXPIRY, UNMADE, is_outlived

EXPIRES = STARTED + timedelta(days=14)
MADE = replace(order_record(), snapshot_ids={DiskId("d-a"): SnapshotId("s-a")})
UNSET = replace(MADE, retention_pending=(SnapshotId("s-a"),))
SECOND = timedelta(seconds=1)


def made() -> RunRecord:
    return replace(run_record(stage=Stage.FINISHED, orders=(MADE,)), expires=EXPIRES)


def test_manifest_is_outlived_a_day_after_its_snapshots_are_due() -> None:
    assert not is_outlived(made(), EXPIRES + AFTER_EXPIRY)
    assert is_outlived(made(), EXPIRES + AFTER_EXPIRY + SECOND)


@pytest.mark.parametrize(
    "record",
    [
        replace(made(), expires=None),
        replace(made(), orders=(UNSET,)),
        replace(made(), stage=Stage.COMMAND),
        replace(made(), stage=Stage.CREATED),
    ],
    ids=["for-ever", "no-retention", "command-runs", "unfinished"],
)
def test_manifest_of_a_run_whose_snapshots_may_be_there_is_never_outlived(
    record: RunRecord,
) -> None:
    assert not is_outlived(record, EXPIRES + timedelta(days=10_000))


def test_manifest_of_a_run_that_made_nothing_is_kept_for_a_while() -> None:
    record = replace(made(), orders=(order_record(),))
    assert not is_outlived(record, record.started + UNMADE)
    assert is_outlived(record, record.started + UNMADE + SECOND)
