"""How far a snapshot is, and what can be done with it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fakes.builders import snapshot
from fakes.samples import sample
from snap_self.model.listed import ListedSnapshot, SnapshotState
from snap_self.model.snapshots import SnapshotStatus

STATES = [
    (SnapshotStatus.ACCOMPLISHED, True, SnapshotState.ACCOMPLISHED),
    (SnapshotStatus.ACCOMPLISHED, False, SnapshotState.ACCOMPLISHED),
    (SnapshotStatus.PROGRESSING, True, SnapshotState.AVAILABLE),
    (SnapshotStatus.PROGRESSING, False, SnapshotState.PROGRESSING),
    (SnapshotStatus.UNKNOWN, True, SnapshotState.AVAILABLE),
    (SnapshotStatus.UNKNOWN, False, SnapshotState.UNKNOWN),
    (SnapshotStatus.FAILED, True, SnapshotState.FAILED),
]


@pytest.mark.parametrize(("status", "available", "state"), STATES)
def test_state_says_whether_a_snapshot_that_is_no_end_yet_can_be_used(
    status: SnapshotStatus, state: SnapshotState, *, available: bool
) -> None:
    assert SnapshotState.of(snapshot(status=status, available=available)) is state


@pytest.mark.parametrize(
    ("state", "failed", "usable", "uploaded"),
    [
        (SnapshotState.ACCOMPLISHED, False, True, True),
        (SnapshotState.AVAILABLE, False, True, False),
        (SnapshotState.PROGRESSING, False, False, False),
        (SnapshotState.UNKNOWN, False, False, False),
        (SnapshotState.FAILED, True, False, False),
    ],
)
def test_snapshot_answers_what_can_be_done_with_it(
    state: SnapshotState, *, failed: bool, usable: bool, uploaded: bool
) -> None:
    shot = replace(sample(ListedSnapshot, lambda place: place), state=state)
    assert (shot.failed, shot.usable, shot.uploaded) == (failed, usable, uploaded)
