"""What lies at the beginning of a block device, read from its own bytes; pure.

Nothing here asks udev or blkid: what they cache may be the original's, whose ids the copy shares.

Source of the offsets: ``fs/ext4/ext4.h``, ``fs/xfs/libxfs/xfs_format.h``, ``fs/btrfs`` on-disk
format, ``lib/format_text/layout.h`` of LVM2, ``md_p.h``, the LUKS specifications,
``linux/swap.h``, ``linux/msdos_fs.h``, the UEFI specification.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from enum import Enum
from typing import NamedTuple

Read = Callable[[int, int], bytes]
"""Returns the bytes at an offset; fewer at the device's end."""

SECTOR = 512
_SECTOR_SIZES = (512, 4096)


class Kind(Enum):
    """What a signature stands for."""

    EXT = "ext4"
    XFS = "xfs"
    BTRFS = "btrfs"
    FAT = "vfat"
    SWAP = "swap"
    LVM = "lvm"
    LUKS = "luks"
    MD = "md"
    GPT = "gpt"
    MBR = "mbr"


TABLES = frozenset({Kind.GPT, Kind.MBR})
JOINED = frozenset({Kind.LVM, Kind.LUKS, Kind.MD})


class Magic(NamedTuple):
    """Bytes without which nobody recognises what follows them."""

    offset: int
    value: bytes


class Signature(NamedTuple):
    """One thing that was recognised.

    Args:
        magics: what to zero so that it is recognised no more.
        members: block devices that the filesystem is made of, its journal's included.
    """

    kind: Kind
    magics: tuple[Magic, ...]
    members: int = 1


def probe(read: Read, size: int) -> tuple[Signature, ...]:
    """Return all that is recognised on a device of that many bytes.

    Raises:
        OSError: it cannot be read.
    """
    found = [look(read) for look in _LOOKS] + [look(read, size) for look in _LOOKS_AT_SIZE]
    return tuple(signature for signature in found if signature is not None)


def family(fstype: str) -> Kind | None:
    """Return the kind of signature that a filesystem of this type has; None if it is not ours."""
    if fstype in ("ext2", "ext3", "ext4"):
        return Kind.EXT
    return {"xfs": Kind.XFS, "btrfs": Kind.BTRFS, "vfat": Kind.FAT}.get(fstype)


_EXT_SUPERBLOCK = 1024
_EXT_MAGIC = b"\x53\xef"
_EXT_HAS_JOURNAL = 0x4
_EXT_IS_JOURNAL = 0x8


def _ext(read: Read) -> Signature | None:
    block = read(_EXT_SUPERBLOCK, 1024)
    if block[0x38:0x3A] != _EXT_MAGIC or len(block) < 1024:
        return None
    compatible, incompatible = struct.unpack_from("<II", block, 0x5C)
    if incompatible & _EXT_IS_JOURNAL:
        return None
    (journal_device,) = struct.unpack_from("<I", block, 0xE4)
    outside = bool(compatible & _EXT_HAS_JOURNAL and journal_device)
    magic = Magic(offset=_EXT_SUPERBLOCK + 0x38, value=_EXT_MAGIC)
    return Signature(kind=Kind.EXT, magics=(magic,), members=1 + outside)


_XFS_MAGIC = b"XFSB"


def _xfs(read: Read) -> Signature | None:
    block = read(0, SECTOR)
    if block[:4] != _XFS_MAGIC or len(block) < SECTOR:
        return None
    realtime_blocks, log_start = struct.unpack_from(">16xQ24xQ", block)
    members = 1 + (realtime_blocks != 0) + (log_start == 0)
    return Signature(kind=Kind.XFS, magics=(Magic(offset=0, value=_XFS_MAGIC),), members=members)


_BTRFS_MAGIC = b"_BHRfS_M"
_BTRFS_PLACES = (0x10000, 0x4000000, 0x4000000000)


def _btrfs(read: Read, size: int) -> Signature | None:
    block = read(_BTRFS_PLACES[0], 4096)
    if block[0x40:0x48] != _BTRFS_MAGIC:
        return None
    (members,) = struct.unpack_from("<Q", block, 0x88)
    magics = tuple(
        Magic(offset=place + 0x40, value=_BTRFS_MAGIC)
        for place in _BTRFS_PLACES
        if place + 4096 <= size and read(place + 0x40, 8) == _BTRFS_MAGIC
    )
    return Signature(kind=Kind.BTRFS, magics=magics, members=members)


_FAT_JUMPS = (b"\xeb", b"\xe9")
_FAT_SIZES = (512, 1024, 2048, 4096)
# Of FAT32 and of the two older ones: where the name of the type and the state of the volume are.
_FAT_NAMES = (0x52, 0x36)
_FAT32_STATE, _FAT16_STATE = 0x41, 0x25
_FAT_DIRTY = 1
_FAT_END = b"\x55\xaa"
_FSINFO = (b"RRaA", b"rrAa")
_FSINFO_SECOND, _FSINFO_FREE = 484, 488


def _fat(read: Read) -> Signature | None:
    sector = read(0, SECTOR)
    if not _is_fat(sector):
        return None
    # Whoever looks for one goes by any of these, and by what stands between them.
    parts = [(0, 3), *((place, 8) for place in _FAT_NAMES), (0x1FE, 2)]
    magics = [Magic(offset=place, value=sector[place : place + size]) for place, size in parts]
    known = (magics[0], *(each for each in magics[1:] if each.value.startswith((b"FAT", _FAT_END))))
    return Signature(kind=Kind.FAT, magics=known)


def _is_fat(sector: bytes) -> bool:
    if len(sector) < SECTOR:
        return False
    named = any(sector[place : place + 3] == b"FAT" for place in _FAT_NAMES)
    size, cluster, reserved, tables, media = struct.unpack_from("<HBHB4xB", sector, 0x0B)
    return (
        (named or sector[:1] in _FAT_JUMPS)
        and size in _FAT_SIZES
        and cluster.bit_count() == 1
        and reserved > 0
        and tables in (1, 2)
        and (media == 0xF0 or media >= 0xF8)
    )


def as_unmounted(kind: Kind, read: Read) -> tuple[tuple[int, bytes], ...]:
    """Return offset and bytes of what a mounted filesystem has otherwise than an unmounted one.

    A vfat is marked as dirty for as long as it is mounted, and counts its free clusters in memory;
    it has no log. Its checker takes both for faults, though no file hangs on them.

    Source: ``fs/fat/inode.c`` (``fat_set_state``, ``fat_clusters_flush``); dosfstools'
    ``src/boot.c`` and ``src/fat.c``.

    Raises:
        OSError: it cannot be read.
    """
    if kind is not Kind.FAT:
        return ()
    sector = read(0, SECTOR)
    is_32 = not any(sector[0x16:0x18])
    place = _FAT32_STATE if is_32 else _FAT16_STATE
    changes = [(place, bytes([sector[place] & ~_FAT_DIRTY]))]
    size, info = (int.from_bytes(sector[at : at + 2], "little") for at in (0x0B, 0x30))
    if is_32 and info:
        found = read(info * size, SECTOR)
        if (found[:4], found[_FSINFO_SECOND:_FSINFO_FREE]) == _FSINFO:
            changes.append((info * size + _FSINFO_FREE, b"\xff" * 4))
    return tuple(changes)


_SWAP_MAGICS = (b"SWAPSPACE2", b"SWAP-SPACE", b"S1SUSPEND\0", b"S2SUSPEND\0", b"LINHIB0001")
_PAGES = (4096, 8192, 16384, 65536)


def _swap(read: Read) -> Signature | None:
    for page in _PAGES:
        value = read(page - 10, 10)
        if value in _SWAP_MAGICS:
            return Signature(kind=Kind.SWAP, magics=(Magic(offset=page - 10, value=value),))
    return None


_LVM_ID = b"LABELONE"
_LVM_TYPE = b"LVM2 001"
_LVM_TYPE_AT = 24


def _lvm(read: Read) -> Signature | None:
    """Recognise a label by its type, as LVM does: without its id only blkid knows it no more."""
    head = read(0, 4 * SECTOR)
    for place in range(0, len(head) - SECTOR + 1, SECTOR):
        here = {place: _LVM_ID, place + _LVM_TYPE_AT: _LVM_TYPE}
        found = [Magic(offset=at, value=v) for at, v in here.items() if head[at : at + 8] == v]
        if found and found[-1].value == _LVM_TYPE:
            return Signature(kind=Kind.LVM, magics=tuple(found))
    return None


_LUKS_MAGIC = b"LUKS\xba\xbe"


def _luks(read: Read) -> Signature | None:
    if read(0, 6) != _LUKS_MAGIC:
        return None
    return Signature(kind=Kind.LUKS, magics=(Magic(offset=0, value=_LUKS_MAGIC),))


_MD_MAGIC = struct.pack("<I", 0xA92B4EFC)


def _md(read: Read, size: int) -> Signature | None:
    last_sectors = size // SECTOR
    places = (
        (size & ~0xFFFF) - 0x10000,  # 0.90
        ((last_sectors - 16) & ~7) * SECTOR,  # 1.0
        0,  # 1.1
        4096,  # 1.2
    )
    for place in places:
        if place >= 0 and _is_md(read(place, 152), place):
            return Signature(kind=Kind.MD, magics=(Magic(offset=place, value=_MD_MAGIC),))
    return None


def _is_md(block: bytes, place: int) -> bool:
    """Tell a superblock from bytes of a file: it has a version, and from 1 on knows its place."""
    if block[:4] != _MD_MAGIC or len(block) < 152:
        return False
    major, minor = struct.unpack_from("<II", block, 4)
    (told,) = struct.unpack_from("<Q", block, 144)
    return (major, minor) == (0, 90) or (major == 1 and told * SECTOR == place)


GPT_MAGIC = b"EFI PART"


def _gpt(read: Read, size: int) -> Signature | None:
    for sector in _SECTOR_SIZES:
        header = read(sector, 92)
        if header[:8] == GPT_MAGIC:
            (alternate,) = struct.unpack_from("<Q", header, 32)
            # The header at the end stays where the disk ended when it was smaller.
            places = dict.fromkeys((sector, alternate * sector, (size // sector - 1) * sector))
            magics = [
                Magic(offset=place, value=GPT_MAGIC)
                for place in places
                if 0 < place <= size - sector and read(place, 8) == GPT_MAGIC
            ]
            return Signature(kind=Kind.GPT, magics=tuple(magics))
    return None


MBR_MAGIC = b"\x55\xaa"
MBR_TABLE = 0x1BE


def _mbr(read: Read) -> Signature | None:
    sector = read(0, SECTOR)
    if sector[0x1FE:] != MBR_MAGIC or not _has_table(sector):
        return None
    # The disk's own number, by which a kernel's command line can name its partitions.
    number = sector[0x1B8:0x1BC]
    magics = [Magic(offset=0x1FE, value=MBR_MAGIC)]
    if number != bytes(4):
        magics.append(Magic(offset=0x1B8, value=number))
    return Signature(kind=Kind.MBR, magics=tuple(magics))


def _has_table(sector: bytes) -> bool:
    """Tell a table of partitions from the code that a filesystem's boot sector has there."""
    entries = list(mbr_entries(sector))
    sane = all(flag in (0, 0x80) for flag, _, _, _ in entries)
    return sane and any(kind and length for _, kind, _, length in entries)


def mbr_entries(sector: bytes) -> Iterator[tuple[int, int, int, int]]:
    """Yield flag, type, first sector and number of sectors of a table's four entries."""
    for place in range(MBR_TABLE, MBR_TABLE + 64, 16):
        yield struct.unpack_from("<B3xB3xII", sector, place)


_LOOKS = (_ext, _xfs, _fat, _swap, _lvm, _luks, _mbr)
_LOOKS_AT_SIZE = (_btrfs, _md, _gpt)
