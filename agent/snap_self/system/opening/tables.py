"""The partitions of a disk, from its own table; pure.

The kernel's own view is not enough: a kernel may have no reader for the table, and a copy's nodes
are asked for before udev has made them.

Source: UEFI specification 5.3 (GPT); the four primary and the chained logical entries of an MBR.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

from snap_self.system.opening.superblocks import (
    GPT_MAGIC,
    MBR_MAGIC,
    SECTOR,
    Read,
    mbr_entries,
)

_SECTOR_SIZES = (512, 4096)
_MOST_ENTRIES = 1024
_MOST_LOGICAL = 256
_EXTENDED = (0x05, 0x0F, 0x85)
_PROTECTIVE = 0xEE


class Partition(NamedTuple):
    """One partition, in bytes from the disk's beginning."""

    start: int
    length: int


def partitions(read: Read, sector_size: int = SECTOR) -> tuple[Partition, ...]:
    """Return the partitions in the order of the table; none if there is no table.

    Args:
        sector_size: the disk's logical sector size, in which an MBR counts.

    Raises:
        OSError: the disk cannot be read.
    """
    found = tuple(_gpt(read)) or tuple(_mbr(read, sector_size))
    return tuple(each for each in found if each.length > 0)


def _gpt(read: Read) -> Iterator[Partition]:
    for sector in _SECTOR_SIZES:
        header = read(sector, 92)
        if header[:8] != GPT_MAGIC or len(header) < 92:
            continue
        place, count, entry_size = struct.unpack_from("<QII", header, 72)
        if entry_size < 128 or count > _MOST_ENTRIES:
            return
        table = read(place * sector, count * entry_size)
        for offset in range(0, len(table) - entry_size + 1, entry_size):
            first, last = struct.unpack_from("<QQ", table, offset + 32)
            if table[offset : offset + 16] != bytes(16) and last >= first:
                yield Partition(start=first * sector, length=(last - first + 1) * sector)
        return


def _mbr(read: Read, size: int) -> Iterator[Partition]:
    sector = read(0, SECTOR)
    if sector[0x1FE:] != MBR_MAGIC:
        return
    for _, kind, first, length in mbr_entries(sector):
        if kind in _EXTENDED:
            yield from _logical(read, first, size)
        elif kind and kind != _PROTECTIVE:
            yield Partition(start=first * size, length=length * size)


def _logical(read: Read, extended: int, size: int) -> Iterator[Partition]:
    here = extended
    for _ in range(_MOST_LOGICAL):
        sector = read(here * size, SECTOR)
        if sector[0x1FE:] != MBR_MAGIC:
            return
        entries = list(mbr_entries(sector))
        _, kind, first, length = entries[0]
        if kind:
            yield Partition(start=(here + first) * size, length=length * size)
        _, kind, first, _ = entries[1]
        if kind not in _EXTENDED:
            return
        here = extended + first
