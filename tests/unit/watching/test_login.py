"""What somebody who logs in is told: nothing where all is well, and each thing while it is true."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from fakes.records import STARTED
from snap_self.model.summary import DiskSummary, Interrupted, Summary, Unprotected
from snap_self.system.watching.login_file import due
from snap_self.watching.login import login_lines

WELL = Summary(
    written=STARTED,
    version="1",
    disks=(DiskSummary(disk_id="d-1", snapshot_id="s-1", cut=STARTED),),
)
BARE = Unprotected(at=STARTED, manager="apt", code="no-credentials")
DOUBT = Interrupted(at=STARTED, manager="zypper")
WEEK_S = 7 * 86400


def told(summary: Summary, at: datetime = STARTED, *, old_after_s: int | None = WEEK_S) -> str:
    return due(login_lines(summary, old_after_s=old_after_s), at)


def test_nothing_is_told_where_all_is_well() -> None:
    assert told(WELL) == ""
    assert told(replace(WELL, unprotected=replace(BARE, settled=True))) == ""
    assert told(replace(WELL, interrupted=replace(DOUBT, settled=True))) == ""
    assert told(replace(WELL, disks=())) == ""


@pytest.mark.parametrize(
    ("summary", "words"),
    [
        (replace(WELL, unprotected=BARE), ("apt", "WITHOUT A SNAPSHOT (no-credentials)", "doctor")),
        (replace(WELL, interrupted=DOUBT), ("hook of zypper", "may have changed", "list")),
        (replace(WELL, goes_back=STARTED + timedelta(hours=1)), ("09:32 UTC", "confirm")),
        (replace(WELL, went_back=STARTED), ("went back at 2026-11-22", "list")),
        (replace(WELL, went_back=STARTED, back_in_part=True), ("or may have, at 2026-11-22",)),
        (replace(WELL, upload_failed=1), ("came to nothing", "list")),
    ],
)
def test_what_is_wrong_is_told_on_one_line_with_what_to_do(
    summary: Summary, words: tuple[str, ...]
) -> None:
    text = told(summary)
    assert text.count("\n") == 1
    assert [word for word in words if word not in text] == []


def test_a_snapshot_is_old_from_its_age_on() -> None:
    late = STARTED + timedelta(seconds=WEEK_S)
    assert told(WELL, late - timedelta(seconds=1)) == ""
    assert "2026-11-22 08:32 UTC" in told(WELL, late)
    assert told(WELL, late, old_after_s=None) == ""


def test_the_disk_that_is_worst_off_decides() -> None:
    newer = DiskSummary(disk_id="d-2", cut=STARTED + timedelta(days=3))
    none = DiskSummary(disk_id="d-3")
    both = replace(WELL, disks=(newer, *WELL.disks, none))
    assert told(both, STARTED + timedelta(seconds=WEEK_S)) != ""


def test_what_waits_for_a_confirmation_is_told_until_its_time_has_come() -> None:
    deadline = STARTED + timedelta(hours=1)
    waits = replace(WELL, goes_back=deadline)
    assert told(waits, deadline - timedelta(seconds=1)) != ""
    assert told(waits, deadline) == ""
