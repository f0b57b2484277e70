"""Find the member devices of a btrfs; its device number does not tell them.

A btrfs shows anonymous device numbers and names only one member as its mount source; the kernel
lists all members in ``/sys/fs/btrfs/FSID/devices``.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping

from snap_self.model.machine import MachineText

_MEMBER = re.compile(r"sys/fs/btrfs/([^/]+)/devices/([^/]+)")
_TOLD = "sys/fs/btrfs-mounted/"


def members_by_fsid(machine: MachineText) -> dict[str, frozenset[str]]:
    """Return filesystem id to the names of its block devices."""
    members: dict[str, set[str]] = defaultdict(set)
    for path in machine.links:
        if match := _MEMBER.fullmatch(path):
            members[match[1]].add(match[2])
    return {fsid: frozenset(names) for fsid, names in members.items()}


def told_ids(machine: MachineText) -> dict[str, str]:
    """Return mountinfo's device number to the filesystem id that the kernel gives for a mount."""
    return {
        path.removeprefix(_TOLD): text.strip()
        for path, text in machine.files.items()
        if path.startswith(_TOLD)
    }


def assign(
    members: Mapping[str, frozenset[str]],
    sources: Mapping[str, Iterable[str]],
    told: Mapping[str, str],
) -> dict[str, str]:
    """Return the filesystem id of each mounted superblock: from the kernel, or by its source.

    Args:
        sources: mountinfo's device number to the block device names that its mounts give as
            source; an unknown source (``/dev/root``) gives none.
    """
    owner = {device: fsid for fsid, names in members.items() for device in names}
    found = {devno: told[devno] for devno in sources if told.get(devno) in members}
    for devno, names in sources.items():
        for name in names if devno not in found else ():
            if name in owner:
                found[devno] = owner[name]
                break
    left_superblocks = [devno for devno in sources if devno not in found]
    left_ids = [fsid for fsid in members if fsid not in found.values()]
    # A root mounted by the kernel itself names no device; the one left over must be it.
    if len(left_superblocks) == len(left_ids) == 1:
        found[left_superblocks[0]] = left_ids[0]
    return found
