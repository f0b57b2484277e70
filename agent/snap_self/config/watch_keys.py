"""The keys of what those are told who watch this machine."""

from __future__ import annotations

from snap_self.config import parsers
from snap_self.config.key import Key

_DURATION = "a duration: 90s, 30m, 12h, 14d"

WATCH_KEYS: tuple[Key, ...] = (
    Key(
        section="watch",
        name="journal",
        parse=parsers.switch,
        default=True,
        accepted="true, false",
        doc="Tell the system's journal what happens, with fields and message ids.",
    ),
    Key(
        section="watch",
        name="old_after",
        field="old_after_s",
        parse=parsers.duration_or_off,
        default="7d",
        accepted=f"{_DURATION}; or off",
        doc="Whoever logs in is told of a disk whose newest good snapshot is this old.",
    ),
)
