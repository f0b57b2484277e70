"""What became of a run, in one word: in its report, and in the journal."""

from __future__ import annotations

from enum import Enum, unique


@unique
class Result(Enum):
    """Its value is the word that the JSON and the journal have.

    A word of another version is kept as it is: ``Result(word)`` gives a value that is none of
    these, and the same one each time.
    """

    # The run has not ended, so nothing is known yet.
    OPEN = ""
    DONE = "done"
    PLANNED = "planned"
    REUSED = "reused"
    RESUMED = "resumed"
    # A snapshot was asked for, and its cut was not seen.
    ASKED = "asked"
    # Something was made, and not all that was asked for: it lacks a disk or a filesystem, or
    # something failed.
    PARTIAL = "partial"
    FAILED = "failed"
    # Noted by a later command.
    INTERRUPTED = "interrupted"

    @classmethod
    def _missing_(cls, value: object) -> Result | None:
        if not isinstance(value, str):
            return None
        other = object.__new__(cls)
        other._name_, other._value_ = "OTHER", value
        cls._value2member_map_[value] = other
        return other

    @property
    def of_earlier(self) -> bool:
        """Tell whether the snapshots are, or may be, those of an earlier run."""
        return self in (Result.REUSED, Result.RESUMED)
