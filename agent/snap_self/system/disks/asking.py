"""What is asked about mounts beyond their text: device numbers behind names, ids of btrfs.

A device name in the mount table is the text given at mount time, valid in the mount namespace of
that moment. Nothing else tells which device the log of an xfs lies on. The kernel tells which btrfs
a mount belongs to.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from snap_self.system.disks.aside import Pending, SideCalls
from snap_self.system.mangled import unmangled

# Answers are noted below this path, which is not one of the kernel's, by the mount's device.
FSID = "sys/fs/btrfs-mounted/"

_NAMED = re.compile(r"[ ,](?:logdev|rtdev)=(/[^, \n]+)")
_BTRFS = re.compile(r"^(\d+) \d+ (\S+) \S+ (\S+) [^\n]* - btrfs ", re.MULTILINE)
_TRIES = 3


def named_devices(
    texts: Mapping[str, tuple[str, str]], calls: SideCalls, root: str
) -> dict[str, Pending]:
    """Ask for the device number of each device that an xfs names in its options.

    Args:
        texts: for each namespace, where its answers are noted, to the mount table and a process
            in the namespace.
        root: directory in which ``proc`` lies.
    """
    asked = {}
    for place, (text, pid) in texts.items():
        prefix = f"{root}proc/{pid}/root" if pid else root.rstrip("/")
        for name in set(_NAMED.findall(text)) if "dev=/" in text else ():
            path = unmangled(name)
            asked[f"{place}/number{path}"] = calls.begin("number", prefix + path)
    return asked


def btrfs_ids(
    texts: Mapping[str, tuple[str, str]], calls: SideCalls, known: int
) -> Iterator[tuple[str, Pending]]:
    """Ask for the id of each mounted btrfs, through a few mounts of each.

    Args:
        known: how many btrfs the kernel has alive; with only one there is nothing to ask.
    """
    tries: dict[str, int] = {}
    found = [
        (match, pid)
        for text, pid in texts.values()
        if " - btrfs " in text
        for match in _BTRFS.finditer(text)
    ]
    if known == 1 and len({match[2] for match, _ in found}) == 1:
        return
    for match, pid in found:
        devno = match[2]
        tries[devno] = tries.get(devno, 0) + 1
        if tries[devno] <= _TRIES:
            way = (unmangled(match[3]), int(match[1]), devno, "", int(pid) if pid else None)
            yield devno, calls.begin("fsid", way)
