"""The keys of what brings files and disks back."""

from __future__ import annotations

from snap_self.config import parsers
from snap_self.config.key import Key

BRINGING_BACK_KEYS: tuple[Key, ...] = (
    Key(
        section="restore",
        name="max_gib",
        parse=parsers.count,
        default=500,
        accepted="a whole number",
        doc="A larger temporary disk is made of a snapshot only with --yes.",
    ),
    Key(
        section="rollback",
        name="role",
        parse=parsers.role,
        default="",
        accepted="a RAM role's name; or empty",
        doc="The role that OOS brings disks back with; empty: as `policy --rollback` names it.",
    ),
    Key(
        section="rollback",
        name="stored_template",
        parse=parsers.switch,
        default=False,
        accepted="true, false",
        doc="Start the template that the account keeps as snap-self-rollback, not the agent's own.",
    ),
)
