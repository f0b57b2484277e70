"""What is attached to this instance now, as the kernel and the cloud tell it together."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from snap_self.disks.layout import read_layout
from snap_self.disks.mapping import DiskMap, map_disks
from snap_self.disks.selection import ITEM_HINT, Chooser
from snap_self.errors import UsageError
from snap_self.model.disks import CloudDisk, Layout, Selection
from snap_self.model.ids import DISK_ID, DiskId
from snap_self.usecases.tools import Here


@dataclass(frozen=True, slots=True, kw_only=True)
class Attached:
    """This machine's storage, and which of it is which cloud disk."""

    layout: Layout
    disk_map: DiskMap


def look_at(here: Here, disks: Sequence[CloudDisk]) -> Attached:
    """Return what lies on these disks, which are the cloud's.

    Raises:
        TopologyError: the kernel's description of the disks cannot be understood.
    """
    layout = read_layout(here.tools.machine.read())
    disk_map = map_disks(
        layout,
        disks,
        instance_id=here.identity.instance_id,
        serial_to_disk=here.identity.serial_to_disk,
        user_map=here.tools.user_map,
    )
    return Attached(layout=layout, disk_map=disk_map)


def disks_named(here: Here, items: Collection[str]) -> frozenset[DiskId]:
    """Return the disks that ids, devices and mount points name; an id may be of a detached one.

    Raises:
        UsageError, DiskUnmapped, NothingToSnapshot: as where a snapshot is asked for.
    """
    ids = frozenset(DiskId(item) for item in items if DISK_ID.fullmatch(item))
    others = tuple(item for item in items if item not in ids)
    if not others:
        return ids
    found = look_at(here, here.cloud.describe_disks(here.identity.instance_id))
    chooser = Chooser(found.layout, found.disk_map)
    try:
        return ids.union(chooser.wanted(Selection(disks=others), ()))
    except UsageError as error:  # its hint is for who may name a path too
        raise UsageError(error.message, hint=ITEM_HINT) from None
