"""What becomes of the change when its snapshot did, or did not, come about: a table. Pure."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

GO_ON = "go on"
# The change goes on, and whoever waits is told that it has no good snapshot.
GO_ON_WARNED = "go on, warned"
STOP = "stop"
INTERRUPTED = "interrupted"

# How the process that makes the snapshot can end, beside its exit statuses.
TIMED_OUT = "timed out"
KILLED = "killed"
NOT_STARTED = "not started"
SIGNALLED = "signalled"

MADE = "made"
MADE_LESS = "made, but less than asked"
FAILED = "failed"
FROZEN = "maybe frozen"

_BY_STATUS = {0: MADE, 100: MADE_LESS, 101: MADE_LESS, 20: FROZEN}
_BY_WORD = {
    TIMED_OUT: FAILED,
    KILLED: FAILED,
    NOT_STARTED: FAILED,
    SIGNALLED: INTERRUPTED,
}
# Outcome to what follows when a failure is to be continued from, and when it is to abort.
_TABLE: Mapping[str, tuple[str, str]] = {
    MADE: (GO_ON, GO_ON),
    MADE_LESS: (GO_ON_WARNED, GO_ON_WARNED),
    FAILED: (GO_ON_WARNED, STOP),
    # A package manager that writes to a frozen filesystem hangs in the middle of its change.
    FROZEN: (STOP, STOP),
    INTERRUPTED: (INTERRUPTED, INTERRUPTED),
}


def outcome_of(ending: int | str) -> str:
    """Return the outcome by an exit status, or by the word for another ending."""
    if isinstance(ending, str):
        return _BY_WORD.get(ending, FAILED)
    return _BY_STATUS.get(ending, FAILED)


def decide(outcome: str, *, abort: bool, must_go_on: bool = False) -> str:
    """Return what follows.

    Args:
        abort: the configuration's policy for this manager.
        must_go_on: a stop would leave the system worse than no snapshot does, as in the middle of
            a release upgrade, whose sources are already those of the new release.
    """
    verdict = _TABLE[outcome][abort]
    return GO_ON_WARNED if verdict == STOP and must_go_on else verdict
