"""Metrics: names, help, labels and values as Prometheus' text format wants them."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import datetime, timezone

import pytest

from snap_self.model.packages import MANAGERS
from snap_self.model.snapshots import Consistency
from snap_self.model.summary import (
    Counts,
    DiskSummary,
    Interrupted,
    LastRun,
    Summary,
    Unprotected,
)
from snap_self.watching.metrics import METRICS, RESULTS, exposition

AT = datetime(2026, 3, 1, 12, 0, 0, 900_000, tzinfo=timezone.utc)
SECONDS = 1772366400
FULL = Summary(
    written=AT,
    version="1.2",
    instance_id="i-1",
    region="cn-x",
    boot_id="b",
    disks=(
        DiskSummary(disk_id="d-1", cut=AT, consistency=Consistency.FILESYSTEM, snapshots=241),
        DiskSummary(disk_id="d-2"),
    ),
    runs=(
        LastRun(
            trigger="apt", started=AT, exit_status=5, result="failed", seconds=2.25, frozen_s=0.5
        ),
        LastRun(trigger="cli", started=AT),
    ),
    unprotected=Unprotected(at=AT, manager="apt"),
    interrupted=Interrupted(at=AT, manager="zypper"),
    uploading=1,
    upload_failed=2,
    retention_pending=3,
    goes_back=AT,
    went_back=AT,
    counts=Counts(
        runs={"apt": {"done": 7, "odd": 1}},
        unprotected={"apt": 2},
        interrupted={"zypper": 4},
        calls={"CreateSnapshotGroup": 9},
        throttled={"CreateSnapshotGroup": 3},
    ),
)
EMPTY = Summary(written=AT, version="1.2")
LINE = re.compile(r'(\w+)(?:\{((?:\w+="(?:[^"\\]|\\.)*",?)+)\})? (\S+)')


def values(text: str) -> dict[str, float]:
    """Return each sample's value by its name and labels."""
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    assert all(LINE.fullmatch(line) for line in lines), lines
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines}


@pytest.mark.parametrize(
    ("sample", "value"),
    [
        ('snap_self_info{version="1.2",instance_id="i-1",region="cn-x"}', 1),
        ("snap_self_written_timestamp_seconds", SECONDS),
        ('snap_self_last_run_timestamp_seconds{trigger="cli"}', SECONDS),
        ('snap_self_last_run_status{trigger="apt"}', 5),
        ('snap_self_last_success_timestamp_seconds{disk_id="d-1"}', SECONDS),
        ('snap_self_last_success_timestamp_seconds{disk_id="d-2"}', 0),
        ('snap_self_last_success_consistency{disk_id="d-1"}', 2),
        ('snap_self_runs_total{trigger="apt",result="done"}', 7),
        ('snap_self_runs_total{trigger="apt",result="odd"}', 1),
        ('snap_self_runs_total{trigger="apt",result="failed"}', 0),
        ('snap_self_runs_total{trigger="cli",result="done"}', 0),
        ('snap_self_unprotected_changes_total{manager="apt"}', 2),
        ("snap_self_unprotected_change", 1),
        ('snap_self_interrupted_changes_total{manager="zypper"}', 4),
        ('snap_self_interrupted_changes_total{manager="apt"}', 0),
        ("snap_self_interrupted_change", 1),
        ("snap_self_upload_in_progress", 1),
        ("snap_self_upload_failed", 2),
        ('snap_self_snapshots{disk_id="d-1"}', 241),
        ('snap_self_snapshot_limit{disk_id="d-2"}', 256),
        ("snap_self_retention_pending", 3),
        ('snap_self_api_calls_total{action="CreateSnapshotGroup"}', 9),
        ('snap_self_api_throttled_total{action="CreateSnapshotGroup"}', 3),
        ('snap_self_run_duration_seconds{trigger="apt"}', 2.25),
        ('snap_self_frozen_seconds{trigger="apt"}', 0.5),
        ("snap_self_frozen", 0),
        ("snap_self_goes_back_timestamp_seconds", SECONDS),
        ("snap_self_went_back_timestamp_seconds", SECONDS),
    ],
)
def test_value_is_that_of_the_summary(sample: str, value: float) -> None:
    assert values(exposition(FULL, frozen=False))[sample] == value


def test_full_summary_shows_every_metric_and_nothing_else() -> None:
    shown = values(exposition(FULL, frozen=True))
    assert {sample.partition("{")[0] for sample in shown} == {metric.name for metric in METRICS}


@pytest.mark.parametrize(
    "sample",
    [
        'snap_self_last_run_status{trigger="cli"}',
        'snap_self_run_duration_seconds{trigger="cli"}',
        'snap_self_frozen_seconds{trigger="cli"}',
        'snap_self_last_success_consistency{disk_id="d-2"}',
        'snap_self_snapshots{disk_id="d-2"}',
    ],
)
def test_what_is_not_known_has_no_sample(sample: str) -> None:
    assert sample not in values(exposition(FULL, frozen=False))


def test_counters_are_there_before_they_count() -> None:
    # `increase()` does not see the first value of a series that comes into being.
    shown = values(exposition(EMPTY, frozen=False))
    assert [
        shown[f'snap_self_unprotected_changes_total{{manager="{each}"}}'] for each in MANAGERS
    ] == [0] * len(MANAGERS)
    begun = replace(EMPTY, runs=FULL.runs, counts=Counts(calls={"X": 1}))
    shown = values(exposition(begun, frozen=False))
    assert [
        shown[f'snap_self_runs_total{{trigger="apt",result="{each}"}}'] for each in RESULTS
    ] == [0] * len(RESULTS)
    assert shown['snap_self_api_throttled_total{action="X"}'] == 0


@pytest.mark.parametrize(("frozen", "expected"), [(True, 1), (False, 0), (None, None)])
def test_freeze_that_cannot_be_seen_is_not_denied(
    frozen: bool | None,
    expected: int | None,
) -> None:
    assert values(exposition(EMPTY, frozen=frozen)).get("snap_self_frozen") == expected


def test_settled_change_is_over() -> None:
    settled = replace(FULL, unprotected=Unprotected(at=AT, manager="apt", settled=True))
    shown = values(exposition(settled, frozen=False))
    assert (shown["snap_self_unprotected_change"], shown["snap_self_interrupted_change"]) == (0, 1)


def test_interrupted_change_is_over_once_it_is_settled() -> None:
    settled = replace(FULL, interrupted=Interrupted(at=AT, manager="apt", settled=True))
    shown = values(exposition(settled, frozen=False))
    assert (shown["snap_self_unprotected_change"], shown["snap_self_interrupted_change"]) == (1, 0)
    assert values(exposition(EMPTY, frozen=False))["snap_self_interrupted_change"] == 0


def test_label_with_odd_characters_stays_on_its_line() -> None:
    odd = replace(EMPTY, counts=Counts(calls={'a"b\\c\nd|': 1}))
    text = exposition(odd, frozen=False)
    assert 'snap_self_api_calls_total{action="a\\"b\\\\c\\nd|"} 1\n' in text
    values(text)


def test_each_metric_has_its_help_and_type_once_before_its_samples() -> None:
    lines = exposition(FULL, frozen=False).splitlines()
    named = [line.split()[2] for line in lines if line.startswith("# HELP ")]
    typed = [line.split()[2] for line in lines if line.startswith("# TYPE ")]
    assert named == typed == [metric.name for metric in METRICS]
    for name in named:
        own = [n for n, line in enumerate(lines) if re.search(rf"(^|# \w+ ){name}[ {{]", line)]
        assert own == list(range(own[0], own[0] + len(own)))


def test_text_ends_with_a_newline_and_has_no_timestamps() -> None:
    text = exposition(FULL, frozen=False)
    assert text.endswith("\n")
    assert "\n\n" not in text
    assert all(
        len(line.rpartition("}")[2].split()) <= 2 for line in text.splitlines() if "#" not in line
    )


def test_names_follow_the_conventions() -> None:
    for metric in METRICS:
        assert metric.name.startswith("snap_self_")
        assert metric.name.endswith("_total") == (metric.kind == "counter"), metric.name
        assert "\n" not in metric.help
    labels = {
        label for metric in METRICS if metric.name != "snap_self_info" for label in metric.labels
    }
    # A label that changes by itself makes new series, and false alarms.
    assert labels == {"trigger", "disk_id", "result", "manager", "action"}
