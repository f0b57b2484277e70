"""Every way in which the snapshot's process ends, and what stops a change, by policy."""

from __future__ import annotations

import pytest

from snap_self.changes.policy import Outcome, outcome_of, stops
from snap_self.errors import ExitStatus
from snap_self.model.job_end import Ending, JobEnd

# The main job's exit status; every other one is a failure.
GOOD: dict[int, Outcome] = {
    ExitStatus.DONE: Outcome.MADE,
    ExitStatus.WEAKER: Outcome.MADE_LESS,
    ExitStatus.LEFT_OUT: Outcome.MADE_LESS,
    ExitStatus.MAYBE_FROZEN: Outcome.FROZEN,
}
OTHERS = (*ExitStatus, 98, 99, 126, 127, 130, 143, 255)
STATUSES = {**dict.fromkeys(OTHERS, Outcome.FAILED), **GOOD}
ENDINGS = [
    *((JobEnd(Ending.EXITED, status=int(status)), outcome) for status, outcome in STATUSES.items()),
    (JobEnd(Ending.TIMED_OUT), Outcome.FAILED),
    (JobEnd(Ending.KILLED), Outcome.FAILED),
    (JobEnd(Ending.NOT_STARTED), Outcome.FAILED),
    (JobEnd(Ending.SIGNALLED, number=2), Outcome.INTERRUPTED),
]
# on_failure = continue, abort, abort in a release upgrade.
STOPS = [
    (Outcome.ASKED, (False, True, False)),
    (Outcome.FAILED, (False, True, False)),
    (Outcome.FROZEN, (True, True, False)),
]


def test_every_ending_has_its_row() -> None:
    assert {ended.ending for ended, _ in ENDINGS} == set(Ending)


@pytest.mark.parametrize(("ended", "outcome"), ENDINGS)
def test_outcome_follows_from_how_the_job_ended(ended: JobEnd, outcome: Outcome) -> None:
    assert outcome_of(ended) is outcome


@pytest.mark.parametrize("outcome", Outcome)
def test_only_a_failure_becomes_another_outcome_once_a_snapshot_was_asked_for(
    outcome: Outcome,
) -> None:
    ended = next((ended for ended, found in ENDINGS if found is outcome), None)
    if ended is not None:
        expected = Outcome.ASKED if outcome is Outcome.FAILED else outcome
        assert outcome_of(ended, asked=True) is expected


@pytest.mark.parametrize(("outcome", "row"), STOPS)
def test_row_of_the_table(outcome: Outcome, row: tuple[bool, bool, bool]) -> None:
    found = (
        stops(outcome, abort=False),
        stops(outcome, abort=True),
        stops(outcome, abort=True, must_go_on=True),
    )
    assert found == row


@pytest.mark.parametrize("outcome", [each for each in Outcome if each not in dict(STOPS)])
def test_nothing_is_to_be_decided_with_a_snapshot_or_after_an_interruption(
    outcome: Outcome,
) -> None:
    with pytest.raises(KeyError):
        stops(outcome, abort=True)


def test_release_upgrade_goes_on_even_when_something_may_be_frozen() -> None:
    assert not stops(Outcome.FROZEN, abort=False, must_go_on=True)


def test_ending_that_is_not_known_raises() -> None:
    lost: Ending = "lost"  # type: ignore[assignment]
    with pytest.raises(KeyError):
        outcome_of(JobEnd(lost))
