"""The partitions of a disk, from tables made by hand."""

from __future__ import annotations

import struct

import pytest

from snap_self.system.opening.tables import Partition, partitions

SIZE = 4 << 20


class Disk:
    """A small disk in memory."""

    def __init__(self) -> None:
        self.data = bytearray(SIZE)

    def read(self, offset: int, length: int) -> bytes:
        return bytes(self.data[offset : offset + length])

    def table(self, sector: int, entries: list[tuple[int, int, int]], size: int = 512) -> None:
        """Write a table of type, first sector and length into a sector."""
        place = sector * size
        for number, (kind, first, length) in enumerate(entries):
            offset = place + 0x1BE + 16 * number
            struct.pack_into("<B3xB3xII", self.data, offset, 0, kind, first, length)
        self.data[place + 0x1FE : place + 0x200] = b"\x55\xaa"

    def gpt(self, entries: list[tuple[int, int]], sector: int = 512, entry: int = 128) -> None:
        """Write a GPT of first and last sectors."""
        header = struct.pack("<8s64xQII", b"EFI PART", 2, max(4, len(entries)), entry)
        self.data[sector : sector + len(header)] = header
        for number, (first, last) in enumerate(entries):
            place = 2 * sector + number * entry
            self.data[place : place + 16] = b"\x01" * 16
            struct.pack_into("<QQ", self.data, place + 32, first, last)


def spans(*pairs: tuple[int, int]) -> tuple[Partition, ...]:
    return tuple(Partition(start=start, length=length) for start, length in pairs)


@pytest.mark.parametrize("sector", [512, 4096])
@pytest.mark.parametrize("entry", [128, 256])
def test_gpt_is_read_in_its_own_sectors(sector: int, entry: int) -> None:
    disk = Disk()
    disk.gpt([(40, 99), (100, 100)], sector, entry)
    assert partitions(disk.read) == spans((40 * sector, 60 * sector), (100 * sector, sector))


def test_gpt_counts_more_than_the_table_that_protects_it() -> None:
    disk = Disk()
    disk.table(0, [(0xEE, 1, 8191)])
    disk.gpt([(40, 99)])
    assert partitions(disk.read) == spans((40 * 512, 60 * 512))


def test_table_that_protects_a_gpt_is_no_partition() -> None:
    disk = Disk()
    disk.table(0, [(0xEE, 1, 8191)])
    assert partitions(disk.read) == ()


def test_entry_of_a_gpt_that_ends_before_it_begins_is_left_out() -> None:
    disk = Disk()
    disk.gpt([(99, 40), (100, 109)])
    assert partitions(disk.read) == spans((100 * 512, 10 * 512))


def test_gpt_of_absurd_size_is_not_read() -> None:
    disk = Disk()
    disk.gpt([(40, 99)])
    struct.pack_into("<II", disk.data, 512 + 80, 1 << 30, 128)
    assert partitions(disk.read) == ()


@pytest.mark.parametrize("size", [512, 4096])
def test_primary_partitions_count_in_the_disks_sectors(size: int) -> None:
    disk = Disk()
    disk.table(0, [(0x83, 8, 16), (0, 0, 0), (0x82, 32, 8)])
    assert partitions(disk.read, size) == spans((8 * size, 16 * size), (32 * size, 8 * size))


def test_logical_partitions_are_followed_along_their_chain() -> None:
    disk = Disk()
    disk.table(0, [(0x83, 8, 16), (0x0F, 100, 400)])
    disk.table(100, [(0x83, 8, 20), (0x05, 50, 60)])
    disk.table(150, [(0x8E, 8, 30), (0, 0, 0)])
    assert partitions(disk.read) == spans(
        (8 * 512, 16 * 512), (108 * 512, 20 * 512), (158 * 512, 30 * 512)
    )


def test_chain_of_logical_partitions_that_is_a_ring_ends() -> None:
    disk = Disk()
    disk.table(0, [(0x05, 100, 400)])
    disk.table(100, [(0x83, 8, 20), (0x05, 0, 60)])
    found = partitions(disk.read)
    assert {*found} == {*spans((108 * 512, 20 * 512))}


def test_chain_that_leads_out_of_the_disk_ends() -> None:
    disk = Disk()
    disk.table(0, [(0x05, 1 << 30, 400)])
    assert partitions(disk.read) == ()


def test_disk_without_a_table_has_none() -> None:
    assert partitions(Disk().read) == ()
