"""Parse the mounts of the agent's own namespace, and of others where they add something.

A host can run thousands of containers, each with its own namespace. Nearly everything they mount
is already known or holds no data. So another namespace is parsed only if it mounts a filesystem
that cannot be reached from the agent's own namespace.
"""

from __future__ import annotations

import re
from collections.abc import Collection

from snap_self.disks import fstypes
from snap_self.disks.mountinfo import parse_mountinfo
from snap_self.disks.mounts import MountTable
from snap_self.errors import TopologyError
from snap_self.model.machine import MachineText

OWN_MOUNTS = "proc/self/mountinfo"
FOLDER = "proc/ns/"
_FILE = re.compile(r"proc/ns/(\d{1,20})/mountinfo")
_DEVNO_FIELD = 2


def mount_tables(machine: MachineText) -> list[MountTable]:
    """Return the agent's own mounts first, then those of other namespaces that add something.

    Raises:
        TopologyError: the agent's own mounts are missing, or a line cannot be understood.
    """
    own = machine.files.get(OWN_MOUNTS)
    if own is None:
        why = machine.failures.get(OWN_MOUNTS, "it is missing")
        raise TopologyError(f"/{OWN_MOUNTS} could not be read: {why}", hint="is /proc mounted?")
    table = MountTable(parse_mountinfo(own, origin=f"/{OWN_MOUNTS}"))
    tables = [table]
    known = {line.devno for line in table.lines if line.mount_id not in table.hidden}
    for path, text in machine.files.items():
        match = _FILE.fullmatch(path)
        if match and _adds_something(text, known):
            pid = machine.files.get(f"{FOLDER}{match[1]}/pid", "").strip()
            tables.append(
                MountTable(
                    parse_mountinfo(text, origin=f"/{path}"),
                    namespace=int(match[1]),
                    pid=int(pid) if re.fullmatch(r"[0-9]{1,10}", pid) else None,
                )
            )
    return tables


def _adds_something(text: str, known: Collection[str]) -> bool:
    for line in text.split("\n"):
        fields = line.split(" ", _DEVNO_FIELD + 1)
        if len(fields) > _DEVNO_FIELD and fields[_DEVNO_FIELD] not in known:
            fstype = line.partition(" - ")[2].partition(" ")[0]
            if fstype not in fstypes.PSEUDO:
                return True
    return False
