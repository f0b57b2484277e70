"""Parse ``/proc/swaps``."""

from __future__ import annotations

from dataclasses import dataclass

from snap_self.disks.mountinfo import unescape

_DELETED = " (deleted)"


@dataclass(frozen=True, slots=True, kw_only=True)
class SwapArea:
    """One active swap area: a block device or a file."""

    path: str
    is_file: bool


def parse_swaps(text: str) -> list[SwapArea]:
    """Return the active swap areas.

    Source: proc_swaps(5); the path is escaped like in mountinfo and padded with spaces.
    """
    areas = []
    for line in text.split("\n")[1:]:
        fields = line.replace("\t", " ").split(" ")
        fields = [field for field in fields if field]
        if len(fields) >= 2:
            path = unescape(fields[0]).removesuffix(_DELETED)
            areas.append(SwapArea(path=path, is_file=fields[1] == "file"))
    return areas
