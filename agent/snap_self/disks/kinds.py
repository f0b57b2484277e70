"""Recognise each kind of block device: what it is called and what lies below it.

There is one small function per kind; they are tried in the order of ``RECOGNISERS``. For a new
kind, write a function and put it before the more general ones.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

from snap_self.disks.blocks import Block, last_name
from snap_self.model.disks import PARTITION

DISK = "disk"
_DELETED = " (deleted)"


@dataclass(frozen=True, slots=True, kw_only=True)
class BackingFile:
    """The file below a loop device.

    Args:
        path: its name in the mount namespace in which the device was set up, at that time.
        devno: ``major:minor`` of its filesystem, from the kernel; empty if not known.
        mount_id: a mount through which the name leads to this very file; None if none is known.
    """

    path: str
    devno: str = ""
    mount_id: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """A block device, understood.

    Args:
        kind: ``partition``, ``lvm``, ``crypt``, ``md`` …; for a leaf ``disk``, or why it is none.
        label: as users know it.
        lower: names of the devices right below; empty for a leaf.
        backing: the file below a loop device.
        one_of_paths: the devices below are paths to the same disk.
    """

    block: Block
    kind: str
    label: str
    lower: tuple[str, ...] = ()
    backing: BackingFile | None = None
    one_of_paths: bool = False


class Blocks:
    """All block devices with the indexes that recognisers need."""

    def __init__(self, blocks: Mapping[str, Block]) -> None:
        self.by_name = blocks

    @cached_property
    def by_devno(self) -> Mapping[str, str]:
        """``major:minor`` to the name of the device that has it."""
        return {block.devno: name for name, block in self.by_name.items()}

    @cached_property
    def bcache_members(self) -> Mapping[str, tuple[str, ...]]:
        """``bcacheN`` to its backing device and the devices of its cache set."""
        caches: dict[str, list[str]] = defaultdict(list)
        for name, block in self.by_name.items():
            if cache_set := block.links.get("bcache/set"):
                caches[last_name(cache_set)].append(name)
        members = {}
        for name, block in self.by_name.items():
            if front := block.links.get("bcache/dev"):
                cache_set = last_name(block.links.get("bcache/cache", ""))
                members[last_name(front)] = (name, *sorted(caches.get(cache_set, ())))
        return members


Recogniser = Callable[[Block, Blocks], "Device | None"]


def recognise(block: Block, blocks: Blocks) -> Device:
    """Return what a block device is."""
    for recogniser in RECOGNISERS:
        if device := recogniser(block, blocks):
            return device
    return Device(block=block, kind="unknown", label=block.node)


def _partition(block: Block, blocks: Blocks) -> Device | None:
    if not block.parent or block.parent not in blocks.by_name:
        return None
    return Device(block=block, kind=PARTITION, label=block.node, lower=(block.parent,))


def _cloud_disk_link(block: Block, _blocks: Blocks) -> Device | None:
    """Recognise a cloud disk by udev's link, whatever kind of device presents it."""
    if block.serial_from == "by-id" and not block.lower:
        return Device(block=block, kind=DISK, label=block.node)
    return None


def _loop(block: Block, blocks: Blocks) -> Device | None:
    """Recognise a loop device; its file may be a block device, which counts by its number."""
    if not block.name.startswith("loop"):
        return None
    path = block.text.get("loop/backing_file", "").removesuffix(_DELETED)
    devno, _, rest = block.text.get("loop/file", "").partition(" ")
    number, _, own = rest.partition(" ")
    if lower := blocks.by_devno.get(own):
        return Device(block=block, kind="loop", label=block.node, lower=(lower,))
    backing = BackingFile(
        path=path, devno=devno, mount_id=int(number) if number.isdigit() else None
    )
    return Device(block=block, kind="loop", label=block.node, backing=backing if path else None)


def _dm(block: Block, _blocks: Blocks) -> Device | None:
    """Recognise a device-mapper target by the prefix its creator gave its uuid.

    Source: libdevmapper's documented UUID prefixes (lvm2, cryptsetup, multipath-tools, kpartx).
    """
    if "dm/name" not in block.text:
        return None
    uuid = block.text.get("dm/uuid", "")
    kind = next((kind for prefix, kind in _DM_KINDS if uuid.startswith(prefix)), "dm")
    if uuid.startswith("part") and "-mpath-" in uuid:
        kind = PARTITION
    label = block.text["dm/name"] or block.node
    return Device(
        block=block,
        kind=kind,
        label=label,
        lower=block.lower,
        one_of_paths=kind == "multipath",
    )


_DM_KINDS = (
    ("LVM-", "lvm"),
    ("mpath-", "multipath"),
    ("CRYPT-", "crypt"),
)


def _md(block: Block, _blocks: Blocks) -> Device | None:
    if "md/level" not in block.text:
        return None
    return Device(block=block, kind="md", label=block.node, lower=block.lower)


def _bcache(block: Block, blocks: Blocks) -> Device | None:
    """Recognise a cached device; dirty data may lie in the cache only, so both are below it."""
    if not block.name.startswith("bcache"):
        return None
    lower = dict.fromkeys((*blocks.bcache_members.get(block.name, ()), *block.lower))
    return Device(block=block, kind="bcache", label=block.node, lower=tuple(lower))


def _stacked(block: Block, _blocks: Blocks) -> Device | None:
    if not block.lower:
        return None
    return Device(block=block, kind="stacked", label=block.node, lower=block.lower)


def _no_cloud_disk(block: Block, _blocks: Blocks) -> Device | None:
    kind = next((kind for prefix, kind in _NO_CLOUD_DISK if block.name.startswith(prefix)), None)
    return Device(block=block, kind=kind, label=block.node) if kind else None


_NO_CLOUD_DISK = (
    ("zram", "zram"),
    ("ram", "ram"),
    ("nbd", "nbd"),
    ("rbd", "rbd"),
    ("drbd", "drbd"),
    ("sr", "rom"),
    ("fd", "floppy"),
    ("zd", "zvol"),
    ("pmem", "pmem"),
    ("ublk", "ublk"),
    ("mtdblock", "mtd"),
)


def _disk(block: Block, _blocks: Blocks) -> Device | None:
    """Recognise a disk by its ``device`` link, which only devices on a bus have."""
    if "device" not in block.links and not block.serial:
        return None
    return Device(block=block, kind=DISK, label=block.node)


RECOGNISERS: tuple[Recogniser, ...] = (
    _partition,
    _cloud_disk_link,
    _loop,
    _dm,
    _md,
    _bcache,
    _stacked,
    _no_cloud_disk,
    _disk,
)
