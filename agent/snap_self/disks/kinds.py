"""Recognise each kind of block device: what it is called and what lies below it.

One small function per kind, tried in the order of ``RECOGNISERS``. To teach the agent a new kind,
write one and put it in front of the more general ones.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

from snap_self.disks.blocks import Block, last_name

DISK = "disk"
_DELETED = " (deleted)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """A block device, understood.

    Args:
        kind: ``partition``, ``lvm``, ``crypt``, ``md`` …; ``disk`` or why it is none for a leaf.
        label: as users know it.
        lower: names of the devices right below; empty for a leaf.
        backing_file: path of the file below a loop device.
        one_of_paths: the devices below are paths to one and the same disk.
    """

    block: Block
    kind: str
    label: str
    lower: tuple[str, ...] = ()
    backing_file: str = ""
    one_of_paths: bool = False


class Blocks:
    """All block devices with the indexes that recognisers need."""

    def __init__(self, blocks: Mapping[str, Block]) -> None:
        self.by_name = blocks

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
    return Device(block=block, kind="partition", label=block.node, lower=(block.parent,))


def _cloud_disk_link(block: Block, _blocks: Blocks) -> Device | None:
    """Take what udev links as a cloud disk for one, whatever device presents it."""
    if block.serial_from == "by-id" and not block.lower:
        return Device(block=block, kind=DISK, label=block.node)
    return None


def _loop(block: Block, _blocks: Blocks) -> Device | None:
    if not block.name.startswith("loop"):
        return None
    backing = block.text.get("loop/backing_file", "").removesuffix(_DELETED)
    return Device(block=block, kind="loop", label=block.node, backing_file=backing)


def _dm(block: Block, _blocks: Blocks) -> Device | None:
    """Recognise a device-mapper target by the prefix its creator gave its uuid.

    Source: libdevmapper's documented UUID prefixes (lvm2, cryptsetup, multipath-tools, kpartx).
    """
    if "dm/name" not in block.text:
        return None
    uuid = block.text.get("dm/uuid", "")
    kind = next((kind for prefix, kind in _DM_KINDS if uuid.startswith(prefix)), "dm")
    if uuid.startswith("part") and "-mpath-" in uuid:
        kind = "partition"
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
    """Recognise a disk by its ``device`` link, which only what sits on a bus has."""
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
