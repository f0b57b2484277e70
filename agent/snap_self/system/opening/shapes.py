"""Where an original lies on its disks, as sysfs and its own superblock tell."""

from __future__ import annotations

from contextlib import suppress

from snap_self.errors import TopologyError
from snap_self.model.disks import Filesystem, Layer
from snap_self.model.opening import CopyShape, LogicalVolume
from snap_self.system.opening import kernel, magics
from snap_self.system.opening.finding import Serials
from snap_self.system.opening.lvm import split_mapped_name
from snap_self.system.opening.stacked import SECTOR, attribute, node_of
from snap_self.system.opening.superblocks import family


def shape_of(filesystem: Filesystem, *, subvolume: str, serials: Serials) -> CopyShape:
    """Return a filesystem's shape; see ``ports_looking_back.CopyOpener``.

    Raises:
        TopologyError: sysfs does not tell where its partition or volume lies.
    """
    layers = [layer for way in filesystem.ways for layer in way]
    is_btrfs = filesystem.fstype == "btrfs"
    return CopyShape(
        fstype=filesystem.fstype,
        partition=_partition(filesystem),
        lvm=_volume(layers),
        subvolume=subvolume.strip("/") if is_btrfs else "",
        layers=tuple(dict.fromkeys(layer.kind for layer in layers)),
        members=_members(filesystem),
        disks=frozenset(filter(None, map(serials.serial_of, filesystem.disks))),
        what=filesystem.mounts[0].path if filesystem.mounts else filesystem.source,
    )


def _partition(filesystem: Filesystem) -> tuple[int, int] | None:
    """Return the partition that holds the filesystem itself, if one does."""
    devices = [way[_first(way)] for way in filesystem.ways if len(way) > _first(way)]
    if len(devices) != 1 or devices[0].kind != "partition":
        return None
    name = devices[0].device
    start, size = attribute(name, "start"), attribute(name, "size")
    if not (start.isdigit() and size.isdigit()):
        raise TopologyError(f"/sys/class/block/{name} does not tell where the partition begins")
    return int(start) * SECTOR, int(size) * SECTOR


def _first(way: tuple[Layer, ...]) -> int:
    """Return the place of the topmost device in a way."""
    return next((place for place, layer in enumerate(way) if layer.device), len(way))


def _volume(layers: list[Layer]) -> LogicalVolume | None:
    for layer in layers:
        if layer.kind == "lvm":
            names = split_mapped_name(attribute(layer.device, "dm/name") or layer.name)
            if names is None:
                raise TopologyError(f"{layer.name} is a volume of LVM without a group in its name")
            return LogicalVolume(group=names[0], name=names[1])
    return None


def _members(filesystem: Filesystem) -> int:
    """Return how many devices it is made of: by its own superblock, else by its ways."""
    tops = {way[_first(way)].device for way in filesystem.ways if len(way) > _first(way)}
    kind = family(filesystem.fstype)
    found = len(tops)
    for name in tops:
        with suppress(OSError), kernel.opened(node_of(name)) as fd:
            looked = magics.look(fd)
            found = max([found, *(each.members for each in looked if each.kind is kind)])
    return max(found, 1)
