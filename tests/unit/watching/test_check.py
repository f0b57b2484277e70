"""The verdict: what makes it WARNING, CRITICAL or UNKNOWN, and from when on."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from snap_self.model.snapshots import Consistency
from snap_self.model.summary import DiskSummary, Interrupted, LastRun, Summary, Unprotected
from snap_self.watching.check import (
    Finding,
    Judged,
    Kind,
    Present,
    Status,
    Thresholds,
    judge,
)

NOW = datetime(2026, 3, 20, 12, 0, tzinfo=timezone.utc)
DAY = timedelta(days=1)
SECOND = timedelta(seconds=1)
LIMITS = Thresholds(warning_s=7 * 86400, critical_s=14 * 86400, level=Consistency.FLUSH)
HERE = Present(now=NOW, boot_id="b1", timer=True)


def disk(name: str = "d-1", **changes: Any) -> DiskSummary:
    good = DiskSummary(disk_id=name, cut=NOW - DAY, consistency=Consistency.FLUSH, snapshots=3)
    return replace(good, **changes)


GOOD = Summary(
    written=NOW - timedelta(minutes=10),
    version="1",
    boot_id="b1",
    disks=(disk(),),
    runs=(LastRun(trigger="cli", started=NOW - DAY, exit_status=0, result="done"),),
)


def found(judged: Judged) -> list[Kind]:
    return [finding.kind for finding in judged.findings]


def test_machine_with_a_young_snapshot_is_well() -> None:
    judged = judge(GOOD, LIMITS, HERE)
    assert (judged.status, found(judged), judged.disks) == (Status.OK, [], GOOD.disks)


@pytest.mark.parametrize(
    ("age", "status"),
    [
        (7 * DAY, Status.OK),
        (7 * DAY + SECOND, Status.WARNING),
        (14 * DAY, Status.WARNING),
        (14 * DAY + SECOND, Status.CRITICAL),
        (-DAY, Status.OK),
    ],
)
def test_age_is_judged_by_the_thresholds(age: timedelta, status: Status) -> None:
    assert judge(replace(GOOD, disks=(disk(cut=NOW - age),)), LIMITS, HERE).status is status


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"disks": (disk(cut=None),)}, Kind.NO_SNAPSHOT),
        ({"disks": ()}, Kind.NO_SNAPSHOT),
        ({"disks": (disk(consistency=Consistency.CRASH),)}, Kind.WEAK),
        ({"disks": (disk(consistency=None),)}, Kind.WEAK),
        ({"disks": (disk(snapshots=241),)}, Kind.NEAR_LIMIT),
        ({"unprotected": Unprotected(at=NOW - DAY, manager="apt")}, Kind.UNPROTECTED_CHANGE),
        ({"interrupted": Interrupted(at=NOW - DAY, manager="apt")}, Kind.INTERRUPTED_CHANGE),
        ({"upload_failed": 1}, Kind.UPLOAD_FAILED),
        ({"went_back": NOW - DAY}, Kind.WENT_BACK),
        ({"goes_back": NOW + DAY}, Kind.GOES_BACK),
        (
            {"runs": (LastRun(trigger="apt", started=NOW, exit_status=5, result="failed"),)},
            Kind.LAST_RUN_FAILED,
        ),
        (
            {
                "runs": (LastRun(trigger="apt", started=NOW - DAY - SECOND, result="done"),),
                "retention_pending": 1,
            },
            Kind.RETENTION_PENDING,
        ),
    ],
)
def test_one_thing_wrong_is_found_alone(changes: dict[str, Any], kind: Kind) -> None:
    judged = judge(replace(GOOD, **changes), LIMITS, HERE)
    assert (found(judged), judged.status) == ([kind], kind.status)


@pytest.mark.parametrize(
    "changes",
    [
        {"disks": (disk(snapshots=240),)},
        {"disks": (disk(snapshots=None),)},
        {"disks": (disk(consistency=Consistency.APPLICATION),)},
        {"unprotected": Unprotected(at=NOW - DAY, manager="apt", settled=True)},
        {"interrupted": Interrupted(at=NOW - DAY, manager="apt", settled=True)},
        # Every run sets retention again, so it is pending for a while.
        {"retention_pending": 1},
        {"uploading": 1},
        {
            "runs": (
                LastRun(trigger="apt", started=NOW - 2 * DAY, exit_status=5, result="failed"),
                *GOOD.runs,
            )
        },
    ],
)
def test_what_is_usual_is_no_finding(changes: dict[str, Any]) -> None:
    assert found(judge(replace(GOOD, **changes), LIMITS, HERE)) == []


@pytest.mark.parametrize(
    ("since", "is_frozen"),
    [(None, False), (60 * SECOND, False), (61 * SECOND, True), (-SECOND, True)],
)
def test_freeze_that_is_longer_than_any_of_ours_is_critical(
    since: timedelta | None, *, is_frozen: bool
) -> None:
    present = replace(HERE, frozen_since=None if since is None else NOW - since)
    judged = judge(GOOD, LIMITS, present)
    assert (Kind.FROZEN in found(judged)) is is_frozen
    assert judged.status is (Status.CRITICAL if is_frozen else Status.OK)


@pytest.mark.parametrize(
    ("summary", "present", "kind"),
    [
        (None, HERE, Kind.NO_SUMMARY),
        (GOOD, replace(HERE, boot_id="b2"), Kind.BEFORE_BOOT),
        (replace(GOOD, written=NOW - 2 * DAY - SECOND), HERE, Kind.NOT_RENEWED),
        (replace(GOOD, written=NOW + timedelta(minutes=6)), HERE, Kind.OF_THE_FUTURE),
        (GOOD, replace(HERE, marker_hidden=True), Kind.MARKER_HIDDEN),
        (GOOD, replace(HERE, settings_hidden="/etc/x.toml"), Kind.SETTINGS_HIDDEN),
    ],
)
def test_what_cannot_be_known_is_unknown(
    summary: Summary | None, present: Present, kind: Kind
) -> None:
    judged = judge(summary, LIMITS, present)
    assert (found(judged), judged.status) == ([kind], Status.UNKNOWN)


@pytest.mark.parametrize("kind", [Kind.OLD, Kind.VERY_OLD, Kind.WEAK])
def test_what_a_hidden_threshold_may_judge_otherwise_is_not_judged(kind: Kind) -> None:
    age = {Kind.OLD: 8, Kind.VERY_OLD: 20, Kind.WEAK: 1}[kind]
    summary = replace(GOOD, disks=(disk(cut=NOW - age * DAY, consistency=Consistency.CRASH),))
    limits = replace(LIMITS, level=Consistency.FLUSH if kind is Kind.WEAK else Consistency.CRASH)
    assert found(judge(summary, limits, HERE)) == [kind]
    hidden = replace(HERE, settings_hidden="/etc/x.toml", unsure=frozenset({kind}))
    assert found(judge(summary, limits, hidden)) == [Kind.SETTINGS_HIDDEN]


@pytest.mark.parametrize(
    ("changes", "present"),
    [
        ({"written": NOW - 2 * DAY}, HERE),
        # Nobody renews it, and nothing has happened since.
        ({"written": NOW - 90 * DAY, "disks": (disk(),)}, replace(HERE, timer=False)),
        ({"written": NOW + timedelta(minutes=5)}, HERE),
        ({}, replace(HERE, boot_id="")),
    ],
)
def test_summary_that_still_holds_is_used(changes: dict[str, Any], present: Present) -> None:
    assert judge(replace(GOOD, **changes), LIMITS, present).status is Status.OK


def test_stale_summary_tells_neither_good_nor_bad() -> None:
    stale = replace(GOOD, upload_failed=1)
    judged = judge(stale, LIMITS, replace(HERE, boot_id="b2"))
    assert (found(judged), judged.disks, judged.summary) == ([Kind.BEFORE_BOOT], (), None)


def test_freeze_is_told_though_there_is_no_summary() -> None:
    judged = judge(None, LIMITS, replace(HERE, frozen_since=NOW - DAY))
    assert (found(judged), judged.status) == ([Kind.FROZEN, Kind.NO_SUMMARY], Status.CRITICAL)


def test_summary_that_cannot_be_read_says_why() -> None:
    why = Finding(kind=Kind.UNREADABLE, text="it is damaged")
    judged = judge(None, LIMITS, HERE, unreadable=why)
    assert (judged.findings, judged.status) == ((why,), Status.UNKNOWN)


def test_worst_comes_first() -> None:
    summary = replace(
        GOOD,
        disks=(disk("d-1", snapshots=250), disk("d-2", cut=NOW - 20 * DAY)),
        upload_failed=1,
    )
    judged = judge(summary, LIMITS, replace(HERE, marker_hidden=True))
    assert [each.status for each in judged.findings] == [
        Status.CRITICAL,
        Status.CRITICAL,
        Status.UNKNOWN,
        Status.WARNING,
    ]
    assert judged.status is Status.CRITICAL
    assert [each.disk_id for each in judged.disks] == ["d-2", "d-1"]


def test_one_disk_is_looked_at_alone() -> None:
    summary = replace(GOOD, disks=(disk("d-1"), disk("d-2", cut=None)))
    assert judge(summary, LIMITS, HERE, disk_id="d-1").status is Status.OK
    judged = judge(summary, LIMITS, HERE, disk_id="d-2")
    assert [each.disk_id for each in judged.disks] == ["d-2"]
    judged = judge(summary, LIMITS, HERE, disk_id="d-3")
    assert (found(judged), judged.status) == ([Kind.DISK_NOT_KNOWN], Status.UNKNOWN)


def test_machine_is_judged_whatever_disk_is_looked_at() -> None:
    summary = replace(GOOD, upload_failed=1)
    assert found(judge(summary, LIMITS, HERE, disk_id="d-1")) == [Kind.UPLOAD_FAILED]


def test_every_kind_has_a_status_that_is_not_ok() -> None:
    assert all(kind.status is not Status.OK for kind in Kind)
