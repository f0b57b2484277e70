"""Whether the cloud will delete a snapshot by itself, and what is said of that."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from fakes.builders import NOW, snapshot
from snap_self.model.retention import (
    Retention,
    expires_by_itself,
    kept_until,
    kept_words,
    retention_of,
)
from snap_self.model.snapshots import Snapshot, SnapshotStatus

LATER = NOW + timedelta(days=14)
SHOT = snapshot()
UPLOADING = replace(SHOT, status=SnapshotStatus.PROGRESSING)
KEPT = replace(SHOT, retention_days=14)
UNREAD = replace(SHOT, unread=frozenset({"RetentionDays"}))


@pytest.mark.parametrize(
    ("shot", "pending", "refused", "found"),
    [
        (KEPT, True, True, Retention.SET),
        (UNREAD, True, True, Retention.NOT_KNOWN),
        (SHOT, True, True, Retention.REFUSED),
        (SHOT, True, False, Retention.PENDING),
        (SHOT, False, False, Retention.NOT_SET),
        (UPLOADING, False, False, Retention.SET),
        (UPLOADING, True, False, Retention.PENDING),
        (None, True, False, Retention.PENDING),
        (None, False, False, Retention.SET),
    ],
)
def test_retention_when_told_then_what_the_cloud_shows_goes_before_what_was_meant(
    shot: Snapshot | None, pending: bool, refused: bool, found: Retention
) -> None:
    assert retention_of(shot, expires=LATER, pending=pending, refused=refused) is found


def test_retention_when_it_is_to_be_kept_for_ever_then_there_is_none() -> None:
    assert retention_of(SHOT, expires=None, pending=False) is Retention.NONE


def test_retention_when_somebody_set_one_on_what_is_to_be_kept_then_it_is_set() -> None:
    assert retention_of(KEPT, expires=None, pending=False) is Retention.SET
    assert expires_by_itself(KEPT) == NOW + timedelta(days=14)
    assert expires_by_itself(SHOT) is None


@pytest.mark.parametrize(
    ("states", "said", "unsaid"),
    [
        ({Retention.SET}, "kept until 2026-12-06; ", "once"),
        ({Retention.SET, Retention.PENDING}, "once the retention is set", "somebody"),
        ({Retention.SET, Retention.REFUSED}, "until somebody deletes them", "once the"),
        ({Retention.PENDING, Retention.NOT_SET}, "until somebody deletes them", "once the"),
        ({Retention.NOT_KNOWN, Retention.SET}, "which is not known", "once the"),
    ],
)
def test_words_when_states_differ_then_the_worst_counts(
    states: set[Retention], said: str, unsaid: str
) -> None:
    words = kept_words(LATER, states)
    assert said in words
    assert unsaid not in words


@pytest.mark.parametrize(
    ("asked", "days"),
    [
        (timedelta(seconds=1), 1),
        (timedelta(hours=1), 1),
        (timedelta(days=1), 1),
        (timedelta(days=1, seconds=1), 2),
        # It was asked for before the cut, from which the cloud counts.
        (timedelta(days=14) - timedelta(seconds=5), 14),
        (timedelta(seconds=-5), 1),
    ],
)
def test_end_when_told_then_is_that_of_the_last_whole_day(asked: timedelta, days: int) -> None:
    assert kept_until(NOW + asked, NOW) == NOW + timedelta(days=days)


@pytest.mark.parametrize("behind", [timedelta(milliseconds=400), timedelta(minutes=2)])
def test_end_when_the_clouds_clock_is_behind_then_is_no_day_later(behind: timedelta) -> None:
    cut, kept = NOW - behind, timedelta(days=14)
    assert kept_until(NOW + kept, cut, asked=NOW) == cut + kept


def test_end_when_it_is_kept_for_ever_or_beyond_the_calendar_then_there_is_none() -> None:
    assert kept_until(None, NOW) is None
    far = NOW.replace(year=9999, month=12, day=31)
    assert kept_until(far, far - timedelta(hours=1)) is None
