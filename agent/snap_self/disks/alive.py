"""Find filesystems that the kernel has alive although no mount table shows them.

A filesystem that was unmounted lazily stays alive, and is written to, while one of its files is
open. A filesystem can also be mounted in a namespace that no process shows or that cannot be read.
"""

from __future__ import annotations

from collections.abc import Iterator

from snap_self.disks.superblocks import BTRFS, Superblocks
from snap_self.model.disks import Unseen
from snap_self.model.machine import MachineText

SUPERBLOCKS = "sys/fs/superblocks"


def unseen(machine: MachineText, superblocks: Superblocks) -> Iterator[Unseen]:
    """Yield each filesystem that is alive but in no mount table."""
    stack = superblocks.stack
    for line in machine.files.get(SUPERBLOCKS, "").split("\n"):
        fstype, _, name = line.partition(" ")
        if fstype == BTRFS:
            members = superblocks.members_of(name) if name in superblocks.untied else ()
        else:
            device = stack.devices.get(name)
            found = device is None or device.block.devno in superblocks.all
            members = () if found else (name,)
        disks = frozenset().union(*(stack.below(member).disks for member in members))
        if disks:
            shown = f"btrfs {name}" if fstype == BTRFS else f"/dev/{stack.devices[name].block.node}"
            yield Unseen(what=shown, fstype=fstype, disks=disks)
