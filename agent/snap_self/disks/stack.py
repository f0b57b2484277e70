"""Walk from a block device down to the whole disks below it, and keep the path."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from snap_self.disks.blocks import Block
from snap_self.disks.kinds import BackingFile, Blocks, Device, recognise
from snap_self.errors import TopologyError
from snap_self.model.disks import Layer

MAX_LAYERS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Below:
    """What lies below a device or filesystem.

    Args:
        ways: whole disk to the layers down to it; the disk itself is the last.
        carriers: keys of the filesystems that hold the files right below.
    """

    ways: Mapping[str, tuple[Layer, ...]] = field(default_factory=dict)
    carriers: frozenset[str] = frozenset()

    @property
    def disks(self) -> frozenset[str]:
        """Names of the whole disks."""
        return frozenset(self.ways)

    def under(self, upper: Layer) -> Mapping[str, tuple[Layer, ...]]:
        """Return the ways, starting at a layer that lies on all of this."""
        return {disk: (upper, *way) for disk, way in self.ways.items()}


def joined(parts: Sequence[Below]) -> Below:
    """Return what lies below all of several parts."""
    ways: dict[str, tuple[Layer, ...]] = {}
    for part in parts:
        for disk, way in part.ways.items():
            ways.setdefault(disk, way)
    return Below(ways=ways, carriers=frozenset().union(*(p.carriers for p in parts)))


ImageBelow = Callable[[BackingFile, Collection[str]], Below]


class Stack:
    """The block devices of a machine, each resolved once.

    Args:
        image_below: returns what lies below an image, ignoring the mounts of some devices.
    """

    def __init__(self, blocks: Mapping[str, Block], image_below: ImageBelow) -> None:
        self._blocks = Blocks(blocks)
        self._image_below = image_below
        self._known: dict[str, Below] = {}
        self._open: dict[str, Device] = {}
        self.devices = {
            name: recognise(block, self._blocks) for name, block in sorted(blocks.items())
        }

    def below(self, name: str) -> Below:
        """Return the disks below a device; a leaf lies below itself.

        Raises:
            TopologyError: devices lie on each other in a ring, or are stacked too deep.
        """
        known = self._known.get(name)
        if known is not None:
            return known
        device = self.devices.get(name)
        if device is None:  # gone between two reads of sysfs, or hidden
            return Below()
        if name in self._open or len(self._open) >= MAX_LAYERS:
            raise TopologyError(
                f"the block devices {', '.join([*self._open, name][-8:])} lie on each other in a "
                f"ring or more than {MAX_LAYERS} deep",
                hint="look at /sys/class/block/*/slaves",
            )
        self._open[name] = device
        try:
            result = self._walk(device)
        finally:
            del self._open[name]
        self._known[name] = result
        return result

    def _walk(self, device: Device) -> Below:
        name = device.block.name
        if device.backing:
            # An image may be mounted over the folder it lies in: ignore the devices in progress.
            open_numbers = [entry.block.devno for entry in self._open.values()]
            inside = self._image_below(device.backing, open_numbers)
            if inside.ways:
                loop = _layer(device, image=device.backing.path)
                return Below(ways=inside.under(loop), carriers=inside.carriers)
        parts = [self.below(lower) for lower in device.lower]
        if device.one_of_paths and self._is_one_disk(device):
            parts = parts[:1]
        layer = _layer(device)
        if not any(part.ways for part in parts):
            return Below(ways={name: (layer,)})
        return Below(
            ways={disk: way for part in parts for disk, way in part.under(layer).items()},
            carriers=frozenset().union(*(part.carriers for part in parts)),
        )

    def _is_one_disk(self, device: Device) -> bool:
        serials = {self.devices[n].block.serial for n in device.lower if n in self.devices}
        return len(serials) == 1


def _layer(device: Device, *, image: str = "") -> Layer:
    return Layer(kind=device.kind, name=device.label, device=device.block.name, image=image)
