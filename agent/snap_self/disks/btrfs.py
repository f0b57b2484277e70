"""Find the member devices of a btrfs, which its device number does not tell.

A btrfs shows anonymous device numbers and names only one member as its mount source; the kernel
lists all members in ``/sys/fs/btrfs/FSID/devices``.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

from snap_self.model.machine import MachineText

_SYSFS = "sys/fs/btrfs/"


def members_by_fsid(machine: MachineText) -> dict[str, frozenset[str]]:
    """Return filesystem id to the names of its block devices."""
    members: dict[str, set[str]] = defaultdict(set)
    for path in machine.links:
        if path.startswith(_SYSFS):
            fsid, _, rest = path[len(_SYSFS) :].partition("/")
            folder, _, device = rest.partition("/")
            if folder == "devices" and device:
                members[fsid].add(device)
    return {fsid: frozenset(names) for fsid, names in members.items()}


def assign(
    members: Mapping[str, frozenset[str]], sources: Mapping[str, Iterable[str]]
) -> dict[str, str]:
    """Return the filesystem id of each mounted superblock.

    Args:
        sources: mountinfo's device number to the block device names that its mounts give as
            source; an unknown source (``/dev/root``) gives none.
    """
    owner = {device: fsid for fsid, names in members.items() for device in names}
    found: dict[str, str] = {}
    for devno, names in sources.items():
        for name in names:
            if name in owner:
                found[devno] = owner[name]
                break
    left_superblocks = [devno for devno in sources if devno not in found]
    left_ids = [fsid for fsid in members if fsid not in found.values()]
    # A root mounted by the kernel itself names no device; what is left over must be it.
    if len(left_superblocks) == len(left_ids) == 1:
        found[left_superblocks[0]] = left_ids[0]
    return found
