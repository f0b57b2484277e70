"""Whether a boot may have written to a copy that was attached and not opened: pure.

Until it is opened a copy has all ids of its original. Where the power goes before that, what boots
takes either of the two, and all that is written then lies on the copy.
"""

from __future__ import annotations

from datetime import datetime
from enum import Enum

from snap_self.model.opening import CopySigns
from snap_self.model.run import rebooted
from snap_self.model.temporary import CopyRecord, Stage

# What boots find that holds nobody's files.
_NO_FILES = frozenset({"gpt", "mbr", "swap"})
# The clocks of two boots may differ by that.
CLOCKS_S = 60.0


class Written(Enum):
    """What is known of it."""

    # Nothing on it can be found by a boot, or nothing was mounted since it was made.
    NO = "no"
    YES = "yes"
    UNKNOWN = "unknown"


def may_be_written(record: CopyRecord, boot_id: str) -> bool:
    """Tell whether the machine was started since a copy was attached that was not opened."""
    attached = record.stage.at_least(Stage.ATTACHING) and record.opened is None
    return attached and rebooted(record.boot_id, boot_id)


def written_to(signs: CopySigns | None, made: datetime | None) -> Written:
    """Return what the disk itself proves.

    Args:
        signs: None where the disk is not attached here, so that nothing can be read.
        made: when it was first known to exist.
    """
    if signs is None or made is None:
        return Written.UNKNOWN
    found = [each for each in signs.signs if each.kind not in _NO_FILES]
    times = [each.mounted for each in found if each.mounted is not None]
    first = made.timestamp() - CLOCKS_S
    if any(time > made.timestamp() for time in times):
        return Written.YES
    if len(times) == len(found) and all(time < first for time in times):
        return Written.NO
    return Written.UNKNOWN


def doubt_words(disk_id: str, written: Written) -> str:
    """Return why a disk is not deleted unasked; empty if nothing speaks against that."""
    if written is Written.NO:
        return ""
    begun = f"the machine was started while {disk_id} was attached with all ids of its original"
    if written is Written.YES:
        return f"{begun}, and a filesystem of it was mounted since: what was written there is on it"
    return f"{begun}; whether it ran from it and wrote there is not known"
