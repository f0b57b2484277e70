"""A rollback as one shell script for another machine; pure.

The script is the same for everybody but for the lines that say what is brought back.
Source: POSIX.1-2017, Shell Command Language.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone

from snap_self.model.ids import DiskId, SnapshotId
from snap_self.model.shell import quoted
from snap_self.model.snapshots import Identity

BEGIN = "# begin: what is brought back\n"
END = "# end: what is brought back\n"


def rollback_script(
    body: str,
    identity: Identity,
    pairs: Mapping[DiskId, SnapshotId],
    *,
    run: str,
    since: datetime | None,
) -> str:
    """Return the script.

    Args:
        body: the script with the lines of an example.
        pairs: disk to snapshot, in the order in which they go back.
        run: the name of the run that made them.
        since: everything written after this is lost; None where it is not known.
    """
    before, _, rest = body.partition(BEGIN)
    _, _, after = rest.partition(END)
    values = {
        "REGION": identity.region,
        "INSTANCE": identity.instance_id,
        "RUN": run,
        "SINCE": _words(since),
        "PAIRS": " ".join(f"{disk_id}:{shot}" for disk_id, shot in pairs.items()),
    }
    lines = "".join(f"{name}={quoted(value)}\n" for name, value in values.items())
    return f"{before}{BEGIN}{lines}{END}{after}"


def _words(since: datetime | None) -> str:
    if since is None:
        return "the snapshots"
    return f"{since.astimezone(timezone.utc):%Y-%m-%d %H:%M:%S} UTC"
