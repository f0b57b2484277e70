"""The whole table: every way in which the snapshot's process ends, by policy."""

from __future__ import annotations

import pytest

from snap_self.changes.policy import (
    GO_ON,
    GO_ON_WARNED,
    INTERRUPTED,
    KILLED,
    NOT_STARTED,
    SIGNALLED,
    STOP,
    TIMED_OUT,
    decide,
    outcome_of,
)
from snap_self.errors import ExitStatus

ENDINGS: dict[int | str, tuple[str, str, str]] = {
    # ending: on_failure = continue, abort, abort in a release upgrade
    ExitStatus.DONE: (GO_ON, GO_ON, GO_ON),
    ExitStatus.WEAKER: (GO_ON_WARNED, GO_ON_WARNED, GO_ON_WARNED),
    ExitStatus.LEFT_OUT: (GO_ON_WARNED, GO_ON_WARNED, GO_ON_WARNED),
    ExitStatus.MAYBE_FROZEN: (STOP, STOP, GO_ON_WARNED),
    SIGNALLED: (INTERRUPTED, INTERRUPTED, INTERRUPTED),
    **dict.fromkeys(
        (
            ExitStatus.BUG,
            ExitStatus.USAGE,
            ExitStatus.CONFIG,
            ExitStatus.ENVIRONMENT,
            ExitStatus.CREDENTIALS,
            ExitStatus.UNMAPPED,
            ExitStatus.PRECONDITION,
            ExitStatus.QUIESCE,
            ExitStatus.REFUSED,
            ExitStatus.UNREACHABLE,
            ExitStatus.SNAPSHOT_FAILED,
            ExitStatus.WAIT_RAN_OUT,
            ExitStatus.LOCKED,
            ExitStatus.NOT_STARTED,
            TIMED_OUT,
            KILLED,
            NOT_STARTED,
            126,
            127,
            130,
            143,
            255,
        ),
        (GO_ON_WARNED, STOP, GO_ON_WARNED),
    ),
}
CELLS = [
    (ending, abort, must, row[2 if must and abort else int(abort)])
    for ending, row in ENDINGS.items()
    for abort in (False, True)
    for must in (False, True)
    if not (must and not abort)
]


def test_every_exit_status_has_its_row() -> None:
    assert set(ExitStatus) <= set(ENDINGS)


@pytest.mark.parametrize(("ending", "abort", "must_go_on", "verdict"), CELLS)
def test_cell_of_the_table(ending: int | str, abort: bool, must_go_on: bool, verdict: str) -> None:
    ending = int(ending) if isinstance(ending, int) else ending
    assert decide(outcome_of(ending), abort=abort, must_go_on=must_go_on) == verdict


def test_release_upgrade_goes_on_even_when_something_may_be_frozen() -> None:
    assert decide(outcome_of(20), abort=False, must_go_on=True) == GO_ON_WARNED


def test_word_that_is_not_known_is_a_failure() -> None:
    assert outcome_of("lost") == outcome_of(1)
