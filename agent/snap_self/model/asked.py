"""A snapshot that was asked for and not seen to be cut: why, as a value.

Looking is what a busy account runs out of first, so a set often exists long before its cut is seen.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, unique


@unique
class Asked(Enum):
    """What of a run that a signal ended had been asked of the cloud by then."""

    NOTHING = "nothing"
    # The request was on its way, and its answer had not come.
    NOT_KNOWN = "not-known"
    MADE = "made"


@unique
class CutUnseen(Enum):
    """Why the cut of a snapshot that was asked for was not seen."""

    THROTTLED = "throttled"
    UNREACHABLE = "unreachable"
    REFUSED = "refused"
    NOT_SHOWN = "not-shown"
    NOT_CUT = "not-cut"
    NO_ANSWER = "no-answer"
    ENDED = "ended"

    @property
    def words(self) -> str:
        """The same for people."""
        return _WORDS[self]


_WORDS: Mapping[CutUnseen, str] = {
    CutUnseen.THROTTLED: "too many calls in this account",
    CutUnseen.UNREACHABLE: "the cloud could not be reached",
    CutUnseen.REFUSED: "the cloud refused to show it",
    CutUnseen.NOT_SHOWN: "the cloud does not show it yet",
    CutUnseen.NOT_CUT: "the cloud had not made it yet",
    CutUnseen.NO_ANSWER: "the answer to the request did not come",
    CutUnseen.ENDED: "snap-self was ended before",
}
