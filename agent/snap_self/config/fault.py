"""One fault of the configuration: where it stands, of which key it is, and what is accepted."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where something of the configuration stands.

    Args:
        file: empty for what stands in none.
        line: None where it is not known.
        word: what is said instead of the file.
    """

    file: str = ""
    line: int | None = None
    word: str = ""

    def __str__(self) -> str:
        """Return it as it is shown."""
        return f"{self.file}:{self.line}" if self.line else self.file or self.word


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One fault.

    Args:
        told: the whole of it in a sentence, its place too.
        key: section and key, or a section, or a variable, as written; empty where it is of none.
        accepted: the values that this key takes, for people; empty for one that there is not.
    """

    told: str
    place: Place
    key: str = ""
    accepted: str = ""
