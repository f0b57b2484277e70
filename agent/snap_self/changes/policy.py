"""What came of the snapshot before a change, and whether that stops the change: tables. Pure."""

from __future__ import annotations

from enum import Enum, unique

from snap_self.model.job_end import Ending

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from snap_self.model.job_end import JobEnd


@unique
class Outcome(Enum):
    """What came of the snapshot."""

    MADE = "made"
    MADE_LESS = "made, but less than asked"
    # The cloud was asked for it, and its cut was not seen.
    ASKED = "asked, not seen"
    FAILED = "failed"
    FROZEN = "maybe frozen"
    INTERRUPTED = "interrupted"


# The main job's exit statuses; every other one is a failure.
_BY_STATUS: Mapping[int | None, Outcome] = {
    0: Outcome.MADE,
    100: Outcome.MADE_LESS,
    101: Outcome.MADE_LESS,
    20: Outcome.FROZEN,
}
_BY_ENDING: Mapping[Ending, Outcome] = {
    Ending.TIMED_OUT: Outcome.FAILED,
    Ending.KILLED: Outcome.FAILED,
    Ending.NOT_STARTED: Outcome.FAILED,
    Ending.SIGNALLED: Outcome.INTERRUPTED,
}
# Of the outcomes without a snapshot to rely on: does it stop the change when a failure is to be
# continued from, and when it is to abort?
_STOPS: Mapping[Outcome, tuple[bool, bool]] = {
    Outcome.ASKED: (False, True),
    Outcome.FAILED: (False, True),
    # A package manager that writes to a frozen filesystem hangs in the middle of its change.
    Outcome.FROZEN: (True, True),
}


def outcome_of(ended: JobEnd, *, asked: bool = False) -> Outcome:
    """Return what came of the snapshot by how its process ended.

    Args:
        asked: the cloud is known to have been asked for one.
    """
    if ended.ending is Ending.EXITED:
        outcome = _BY_STATUS.get(ended.status, Outcome.FAILED)
    else:
        outcome = _BY_ENDING[ended.ending]
    return Outcome.ASKED if asked and outcome is Outcome.FAILED else outcome


def stops(outcome: Outcome, *, abort: bool, must_go_on: bool = False) -> bool:
    """Tell whether the change is to stop for want of a snapshot to rely on.

    Args:
        outcome: asked for, failed or maybe frozen; with any other one there is nothing to decide.
        abort: the configuration's policy for this manager.
        must_go_on: a stop would leave the system worse than no snapshot does, as in the middle of
            a release upgrade, whose sources are already those of the new release.

    Raises:
        KeyError: there is nothing to decide.
    """
    return _STOPS[outcome][abort] and not must_go_on
