"""What a boot would find on a disk, and when that was last mounted, from its bytes."""

from __future__ import annotations

import struct

from snap_self.system.opening.signs import Sign, signs_on

MIB = 1 << 20


def ext(mounted: int) -> bytes:
    """Return the beginning of an ext4 that was mounted then."""
    block = bytearray(1024)
    struct.pack_into("<I", block, 0x2C, mounted & 0xFFFFFFFF)
    block[0x275] = mounted >> 32
    block[0x38:0x3A] = b"\x53\xef"
    return bytes(1024) + bytes(block)


def disk(*parts: tuple[int, bytes]) -> bytearray:
    made = bytearray(8 * MIB)
    for place, data in parts:
        made[place : place + len(data)] = data
    return made


def signs(image: bytearray) -> tuple[Sign, ...]:
    return signs_on(lambda offset, length: bytes(image[offset : offset + length]), len(image))


def test_filesystem_on_the_whole_disk_is_found_with_its_time() -> None:
    assert signs(disk((0, ext(1_700_000_000)))) == (Sign("ext4", 1_700_000_000),)


def test_time_after_2038_is_whole() -> None:
    assert signs(disk((0, ext(5_000_000_000)))) == (Sign("ext4", 5_000_000_000),)


def test_filesystem_in_a_partition_is_found_beside_the_table() -> None:
    table = bytearray(512)
    struct.pack_into("<B3xB3xII", table, 0x1BE, 0x80, 0x83, 2048, 8192)
    table[0x1FE:] = b"\x55\xaa"
    image = disk((0, bytes(table)), (MIB, ext(7)))
    assert signs(image) == (Sign("mbr", None), Sign("ext4", 7))


def test_nothing_is_found_where_the_magic_is_taken_away() -> None:
    image = disk((0, ext(7)))
    image[1024 + 0x38 : 1024 + 0x3A] = bytes(2)
    assert signs(image) == ()


def test_other_filesystem_tells_no_time() -> None:
    assert signs(disk((0, b"XFSB" + bytes(508)))) == (Sign("xfs", None),)
