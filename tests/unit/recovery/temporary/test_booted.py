"""When a copy that was attached and not opened may hold what a boot has written."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest

from snap_self.model.ids import InstanceId, RegionId
from snap_self.model.opening import CopySign, CopySigns
from snap_self.model.temporary import CopyRecord, Purpose, RestoreId, Stage
from snap_self.recovery.temporary.booted import (
    Written,
    doubt_words,
    may_be_written,
    written_to,
)

MADE = datetime(2026, 3, 4, 5, 6, 7, tzinfo=timezone.utc)
BEFORE, AFTER = int(MADE.timestamp()) - 3600, int(MADE.timestamp()) + 5
RECORD = CopyRecord(
    restore_id=RestoreId("r1"),
    purpose=Purpose.RESTORE,
    instance_id=InstanceId("i-1"),
    region=RegionId("cn-hangzhou"),
    run_id="",
    snapshot="s-1",
    started=MADE,
    until=MADE,
    stage=Stage.ATTACHING,
    disks=(),
    attached_before=(),
)


def signs(*found: tuple[str, int | None]) -> CopySigns:
    return CopySigns(signs=tuple(CopySign(kind=kind, mounted=at) for kind, at in found))


@pytest.mark.parametrize(
    ("found", "written"),
    [
        # Its ids were taken away: it was opened in the boot in which it was attached.
        ((), Written.NO),
        ((("gpt", None),), Written.NO),
        ((("ext4", BEFORE),), Written.NO),
        ((("mbr", None), ("ext4", BEFORE), ("swap", None)), Written.NO),
        ((("ext4", 0),), Written.NO),
        ((("ext4", AFTER),), Written.YES),
        ((("vfat", None), ("ext4", BEFORE), ("ext4", AFTER)), Written.YES),
        # The clocks of two boots need not agree.
        ((("ext4", int(MADE.timestamp()) - 30),), Written.UNKNOWN),
        ((("xfs", None),), Written.UNKNOWN),
        ((("lvm", None),), Written.UNKNOWN),
        ((("gpt", None), ("vfat", None), ("ext4", BEFORE)), Written.UNKNOWN),
    ],
)
def test_disk_itself_proves_that_nothing_was_written_or_that_something_was(
    found: tuple[tuple[str, int | None], ...], written: Written
) -> None:
    assert written_to(signs(*found), MADE) is written


def test_what_is_not_attached_and_what_has_no_time_proves_nothing() -> None:
    assert written_to(None, MADE) is Written.UNKNOWN
    assert written_to(signs(), None) is Written.UNKNOWN


@pytest.mark.parametrize(
    ("stage", "then", "opened", "may"),
    [
        (Stage.ATTACHING, "one", False, True),
        (Stage.DETACHING, "one", False, True),
        (Stage.ATTACHING, "two", False, False),
        (Stage.ATTACHING, "", False, False),
        (Stage.GUARDED, "one", False, False),
        (Stage.OPEN, "one", True, False),
    ],
)
def test_only_what_was_attached_unopened_over_a_start_of_the_machine_is_in_doubt(
    stage: Stage, then: str, *, opened: bool, may: bool
) -> None:
    at = MADE + timedelta(seconds=9) if opened else None
    record = replace(RECORD, stage=stage, boot_id=then, opened=at)
    assert may_be_written(record, "two") is may


def test_words_claim_no_more_than_is_known() -> None:
    assert doubt_words("d-1", Written.NO) == ""
    assert "was mounted since" in doubt_words("d-1", Written.YES)
    assert "is not known" in doubt_words("d-1", Written.UNKNOWN)
