"""The keys of what those are told who watch this machine."""

from __future__ import annotations

from snap_self.config import parsers
from snap_self.config.key import DURATION, Key
from snap_self.model.snapshots import Consistency

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
        accepted=f"{DURATION}; or off",
        doc="Whoever logs in is told of a disk whose newest good snapshot is this old.",
    ),
    Key(
        section="check",
        name="warning",
        field="warning_s",
        parse=parsers.duration,
        default="7d",
        accepted=DURATION,
        doc="`snap-self check` warns if a disk's newest good snapshot is older.",
    ),
    Key(
        section="check",
        name="critical",
        field="critical_s",
        parse=parsers.duration,
        default="14d",
        accepted=DURATION,
        doc="The same for critical.",
    ),
    Key(
        section="check",
        name="level",
        parse=parsers.Choice(Consistency),
        default="crash",
        accepted="crash, flush, filesystem, application",
        doc="It warns if that snapshot is worth less.",
    ),
    Key(
        section="metrics",
        name="textfile",
        parse=parsers.textfile,
        default="",
        accepted="an absolute path that ends in .prom; or empty",
        doc="The file that node_exporter's textfile collector reads; written after each run.",
        example='"/var/lib/prometheus/node-exporter/snap-self.prom"',
    ),
)
