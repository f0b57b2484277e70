"""What the agent keeps in its state directory, as whoever empties it is told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path


class TextfileEnd(Enum):
    """What became of the file of the key ``metrics.textfile``, which lies outside the state."""

    NONE = "none"  # none is set, or there is none
    REMOVED = "removed"
    LEFT = "left"  # what it holds is not ours, or it could not be removed


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptPart:
    """One kind of what is kept.

    Args:
        name: for programs (``runs``); does not change.
        words: for people.
        files: with whole paths.
    """

    name: str
    words: str
    files: tuple[Path, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptState:
    """What of this instance lies in a state directory.

    Args:
        parts: those that have files.
        folders: in which these lie, the inner ones first.
        strange: what lies there and was not written by the agent.
    """

    folder: Path
    parts: Sequence[KeptPart] = ()
    folders: Sequence[Path] = ()
    strange: Sequence[Path] = ()

    @property
    def files(self) -> tuple[Path, ...]:
        """All files, in the order in which they are to go."""
        return tuple(path for part in self.parts for path in part.files)
