"""Walk from a block device down to the whole disks below it, and keep the way."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

from snap_self.disks.blocks import Block
from snap_self.disks.kinds import Blocks, Device, recognise
from snap_self.errors import TopologyError

ARROW = " ← "
MAX_LAYERS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Below:
    """What lies below a device or filesystem.

    Args:
        chains: whole disk to the way down to it, in words.
        carriers: keys of filesystems of which a file is the next thing below.
    """

    chains: Mapping[str, str] = field(default_factory=dict)
    carriers: frozenset[str] = frozenset()

    @property
    def disks(self) -> frozenset[str]:
        """Names of the whole disks."""
        return frozenset(self.chains)


FileBelow = Callable[[str, Collection[str]], Below]


class Stack:
    """The block devices of a machine, each resolved once.

    Args:
        file_below: tells what lies below a file, looking through the mounts of some devices.
    """

    def __init__(self, blocks: Mapping[str, Block], file_below: FileBelow) -> None:
        self._blocks = Blocks(blocks)
        self._file_below = file_below
        self._known: dict[str, Below] = {}
        self._open: dict[str, Device] = {}
        self.devices = {
            name: recognise(block, self._blocks) for name, block in sorted(blocks.items())
        }

    def below(self, name: str) -> Below:
        """Return the disks below a device; a leaf lies below itself.

        Raises:
            TopologyError: devices lie on each other in a ring, or too deep.
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
        if device.backing_file:
            # An image may be mounted over the folder it lies in: look through what is open.
            open_numbers = [entry.block.devno for entry in self._open.values()]
            inside = self._file_below(device.backing_file, open_numbers)
            if inside.chains:
                title = f"{device.label} (image {device.backing_file})"
                return Below(
                    chains={disk: title + ARROW + way for disk, way in inside.chains.items()},
                    carriers=inside.carriers,
                )
        parts = [self.below(lower) for lower in device.lower]
        if device.one_of_paths and self._is_one_disk(device):
            parts = parts[:1]
        if not any(part.chains for part in parts):
            return Below(chains={name: title_of(device)})
        title = title_of(device)
        return Below(
            chains={
                disk: title + ARROW + way for part in parts for disk, way in part.chains.items()
            },
            carriers=frozenset().union(*(part.carriers for part in parts)),
        )

    def _is_one_disk(self, device: Device) -> bool:
        serials = {self.devices[n].block.serial for n in device.lower if n in self.devices}
        return len(serials) == 1


def title_of(device: Device) -> str:
    """Return the device's name with its kind where the name does not tell it."""
    if device.kind in ("partition", "disk"):
        return device.label
    return f"{device.label} ({device.kind})"
