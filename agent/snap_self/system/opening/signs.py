"""What a boot would have found on a disk, and when the kernel last mounted it; pure.

Source: ``fs/ext4/ext4.h``, struct ext4_super_block: ``s_mtime``, ``s_mtime_hi``; ext4 sets it at
every mount that writes, as at the one that makes a read-only one writable (``ext4_setup_super``).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from snap_self.system.opening.superblocks import SECTOR, Kind, Read, probe
from snap_self.system.opening.tables import partitions

_SUPERBLOCK = 1024
_MOUNTED, _MOUNTED_HIGH = 0x2C, 0x275


class Sign(NamedTuple):
    """One thing that would be found.

    Args:
        kind: of ``superblocks.Kind``, by its value.
        mounted: when it was last mounted to be written to, in seconds since 1970; 0 for never, and
            None where its kind does not tell.
    """

    kind: str
    mounted: int | None


def signs_on(read: Read, size: int, sector_size: int = SECTOR) -> tuple[Sign, ...]:
    """Return what is found on a whole disk and in its partitions.

    Raises:
        OSError: the disk cannot be read.
    """
    found = [*_signs(read, size)]
    for part in partitions(read, sector_size):

        def inside(offset: int, length: int, start: int = part.start) -> bytes:
            return read(start + offset, length)

        found += _signs(inside, part.length)
    return tuple(found)


def _signs(read: Read, size: int) -> Iterator[Sign]:
    for each in probe(read, size):
        yield Sign(each.kind.value, _mounted(read) if each.kind is Kind.EXT else None)


def _mounted(read: Read) -> int:
    block = read(_SUPERBLOCK, 1024)
    low = int.from_bytes(block[_MOUNTED : _MOUNTED + 4], "little")
    return low | block[_MOUNTED_HIGH] << 32
