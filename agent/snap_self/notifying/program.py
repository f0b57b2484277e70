"""What a command is told beside the JSON: variables that a shell can use as they are."""

from __future__ import annotations

from collections.abc import Mapping

from snap_self.model.notifying import Notice
from snap_self.model.shown import printable
from snap_self.notifying.message import cut

PREFIX = "SNAP_SELF_"
# The kernel takes no string of more than 128 KiB (execve(2)).
MOST_BYTES = 8192


def variables(notice: Notice, host: str, text: str) -> Mapping[str, str]:
    """Return the variables, by their names.

    Args:
        text: the message in the words for people.
    """
    one = notice.occurrence
    values = {
        "EVENT": notice.event,
        "TEXT": one.text,
        "HINT": one.hint,
        "HOST": host,
        "INSTANCE": one.instance_id,
        "REGION": one.region,
        "RUN_ID": one.run_id,
        "RESULT": one.result,
        "CODE": one.code,
    }
    shown = {name: cut(printable(value), MOST_BYTES) for name, value in values.items()}
    return {f"{PREFIX}{name}": value for name, value in {**shown, "MESSAGE": text}.items()}
