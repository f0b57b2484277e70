"""That a snapshot was opened and looked at, as journal and tags keep it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timezone
from enum import Enum

FORM = "%Y-%m-%dT%H:%M:%SZ"


class Verdict(Enum):
    """What a verification has come to, worst first."""

    DAMAGED = "damaged"
    # It could not be opened here, so nothing is known.
    NOT_OPENED = "not-opened"
    # Nothing spoke against it, and not all that was to be proved is.
    IN_PART = "in-part"
    PROVED = "proved"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """What one snapshot has come to, and when that was."""

    at: datetime
    result: Verdict

    @property
    def tag(self) -> str:
        """It as the value of a tag."""
        return f"{self.result.value} {self.at.astimezone(timezone.utc).strftime(FORM)}"

    @classmethod
    def of_tag(cls, text: str) -> Verification | None:
        """Return what a tag tells; None where it tells nothing that is understood."""
        word, _, instant = text.partition(" ")
        try:
            at = datetime.strptime(instant, FORM).replace(tzinfo=timezone.utc)
            return cls(at=at, result=Verdict(word))
        except ValueError:
            return None


def worst(verdicts: list[Verdict]) -> Verdict:
    """Return what several filesystems' verdicts come to; at least one is given.

    What could not be opened beside others is a proof of a part.
    """
    if Verdict.DAMAGED in verdicts:
        return Verdict.DAMAGED
    first = verdicts[0]
    return first if all(each is first for each in verdicts) else Verdict.IN_PART
