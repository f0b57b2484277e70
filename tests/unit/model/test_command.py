"""When a command may be started, and what is passed on of how it ended."""

from __future__ import annotations

import pytest

from snap_self.errors import ExitStatus
from snap_self.model.command import Ended, OnSnapshotFailure, lasted, may_start

MADE = (ExitStatus.DONE, ExitStatus.WEAKER, ExitStatus.LEFT_OUT)
OTHERS = [status for status in ExitStatus if status not in MADE]


@pytest.mark.parametrize("status", range(256))
def test_exit_status_is_passed_on_as_it_is(status: int) -> None:
    assert Ended(status=status).exit_status == status


@pytest.mark.parametrize("number", range(1, 65))
def test_signal_is_passed_on_as_a_shell_says_it(number: int) -> None:
    assert Ended(signal=number).exit_status == 128 + number


def test_only_status_0_is_no_failure() -> None:
    assert [s for s in range(256) if not Ended(status=s).failed] == [0]
    assert Ended(signal=15).failed


@pytest.mark.parametrize("policy", OnSnapshotFailure)
@pytest.mark.parametrize("snapshot", MADE)
def test_command_starts_after_a_snapshot(snapshot: ExitStatus, policy: OnSnapshotFailure) -> None:
    assert may_start(snapshot, policy)


@pytest.mark.parametrize("snapshot", OTHERS)
def test_command_does_not_start_without_one_by_default(snapshot: ExitStatus) -> None:
    assert not may_start(snapshot, OnSnapshotFailure.STOP)


@pytest.mark.parametrize("snapshot", OTHERS)
def test_command_starts_without_one_if_asked_unless_something_is_frozen(
    snapshot: ExitStatus,
) -> None:
    allowed = may_start(snapshot, OnSnapshotFailure.RUN)
    assert allowed == (snapshot is not ExitStatus.MAYBE_FROZEN)


@pytest.mark.parametrize(
    ("ended", "words"),
    [
        (Ended(status=0), "done"),
        (Ended(status=3), "failed with status 3"),
        (Ended(signal=9, signal_name="SIGKILL"), "ended by SIGKILL"),
        (Ended(signal=35), "ended by signal 35"),
    ],
)
def test_ending_is_said_in_words(ended: Ended, words: str) -> None:
    assert ended.words() == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.04, "0.0 s"),
        (59.4, "59.4 s"),
        (60, "1 min 0 s"),
        (3599.6, "1 h 0 min"),
        (7260, "2 h 1 min"),
    ],
)
def test_time_is_said_in_words(seconds: float, words: str) -> None:
    assert lasted(seconds) == words
