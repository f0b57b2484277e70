"""What is recognised at the beginning of a device, from bytes made by hand."""

from __future__ import annotations

import struct
from collections.abc import Callable

import pytest

from snap_self.system.opening.superblocks import (
    Kind,
    Magic,
    Signature,
    as_unmounted,
    family,
    probe,
)

MIB = 1 << 20


class Device:
    """A device of zeroes with some bytes put in."""

    def __init__(self, size: int = 300 * MIB) -> None:
        self.size = size
        self.pieces: dict[int, bytes] = {}

    def put(self, offset: int, data: bytes) -> Device:
        self.pieces[offset] = data
        return self

    def read(self, offset: int, length: int) -> bytes:
        length = max(0, min(length, self.size - offset))
        found = bytearray(length)
        for place, data in sorted(self.pieces.items()):
            for number, byte in enumerate(data):
                if 0 <= place + number - offset < length:
                    found[place + number - offset] = byte
        return bytes(found)

    def probed(self) -> dict[Kind, Signature]:
        return {each.kind: each for each in probe(self.read, self.size)}


def ext(device: Device, *, compatible: int = 4, incompatible: int = 0, journal: int = 0) -> Device:
    block = bytearray(1024)
    block[0x38:0x3A] = b"\x53\xef"
    struct.pack_into("<II", block, 0x5C, compatible, incompatible)
    struct.pack_into("<I", block, 0xE4, journal)
    return device.put(1024, bytes(block))


def xfs(device: Device, *, realtime: int = 0, log_start: int = 9) -> Device:
    block = bytearray(512)
    struct.pack_into(">4s12xQ24xQ", block, 0, b"XFSB", realtime, log_start)
    return device.put(0, bytes(block))


def btrfs(device: Device, *, members: int = 1, mirrors: bool = True) -> Device:
    for place in (0x10000, 0x4000000)[: 1 + mirrors]:
        block = bytearray(4096)
        block[0x40:0x48] = b"_BHRfS_M"
        struct.pack_into("<Q", block, 0x88, members)
        device.put(place, bytes(block))
    return device


def label(device: Device, sector: int = 1) -> Device:
    return device.put(sector * 512, b"LABELONE").put(sector * 512 + 24, b"LVM2 001")


def md(
    device: Device, place: int, *, major: int = 1, minor: int = 0, told: int | None = None
) -> Device:
    there = place // 512 if told is None else told
    head = struct.pack("<4sII132xQ", b"\xfc\x4e\x2b\xa9", major, minor, there)
    return device.put(place, head)


def gpt(device: Device, sector: int = 512, *, alternate: int | None = None) -> Device:
    last = device.size // sector - 1 if alternate is None else alternate
    header = b"EFI PART" + bytes(24) + struct.pack("<Q", last) + bytes(52)
    return device.put(sector, header).put(last * sector, header)


def mbr(device: Device, kind: int = 0x83, *, number: bytes = b"\1\2\3\4", flag: int = 0) -> Device:
    sector = bytearray(512)
    sector[0x1B8:0x1BC] = number
    struct.pack_into("<B3xB3xII", sector, 0x1BE, flag, kind, 2048, 2048)
    sector[0x1FE:] = b"\x55\xaa"
    return device.put(0, bytes(sector))


ONES: dict[str, tuple[Callable[[Device], Device], Kind, list[int]]] = {
    "ext4": (ext, Kind.EXT, [0x438]),
    "xfs": (xfs, Kind.XFS, [0]),
    "btrfs": (btrfs, Kind.BTRFS, [0x10040, 0x4000040]),
    "swap": (lambda d: d.put(4086, b"SWAPSPACE2"), Kind.SWAP, [4086]),
    "swap of large pages": (lambda d: d.put(65526, b"SWAPSPACE2"), Kind.SWAP, [65526]),
    "hibernated": (lambda d: d.put(4086, b"S1SUSPEND\0"), Kind.SWAP, [4086]),
    "lvm": (label, Kind.LVM, [512, 536]),
    "lvm in the first sector": (lambda d: label(d, 0), Kind.LVM, [0, 24]),
    "lvm as only LVM knows it": (lambda d: label(d).put(512, bytes(8)), Kind.LVM, [536]),
    "luks": (lambda d: d.put(0, b"LUKS\xba\xbe\0\2"), Kind.LUKS, [0]),
    "md 1.2": (lambda d: md(d, 4096), Kind.MD, [4096]),
    "md 1.1": (lambda d: md(d, 0), Kind.MD, [0]),
    "md 1.0": (
        lambda d: md(d, d.size - 16 * 512),
        Kind.MD,
        [300 * MIB - 16 * 512],
    ),
    "md 0.90": (
        lambda d: md(d, d.size - 65536, major=0, minor=90, told=0),
        Kind.MD,
        [300 * MIB - 65536],
    ),
    "gpt": (gpt, Kind.GPT, [512, 300 * MIB - 512]),
    "gpt of 4 KiB sectors": (lambda d: gpt(d, 4096), Kind.GPT, [4096, 300 * MIB - 4096]),
    "mbr": (mbr, Kind.MBR, [0x1FE, 0x1B8]),
}


@pytest.mark.parametrize("name", ONES)
def test_each_kind_is_recognised_alone_with_the_bytes_that_hide_it(name: str) -> None:
    make, kind, offsets = ONES[name]
    device = make(Device())
    found = device.probed()
    assert [*found] == [kind]
    assert [magic.offset for magic in found[kind].magics] == offsets
    for magic in found[kind].magics:
        assert device.read(magic.offset, len(magic.value)) == magic.value
        device.put(magic.offset, bytes(len(magic.value)))
    assert device.probed() == {}


def test_empty_device_holds_nothing() -> None:
    assert Device().probed() == {}


@pytest.mark.parametrize("size", [0, 1, 511, 512, 1100, 4096])
def test_device_that_is_too_small_for_anything_holds_nothing(size: int) -> None:
    assert Device(size).probed() == {}


def test_gpt_of_a_disk_that_has_grown_is_hidden_where_it_ended_before() -> None:
    device = gpt(Device(), alternate=1000)
    assert device.probed()[Kind.GPT].magics == (
        Magic(offset=512, value=b"EFI PART"),
        Magic(offset=512_000, value=b"EFI PART"),
    )


def test_boot_sector_of_a_filesystem_is_no_table() -> None:
    assert mbr(Device(), flag=0x41).probed() == {}
    assert mbr(Device(), kind=0).probed() == {}


def test_disk_without_a_number_has_only_the_signature_to_hide() -> None:
    (magic,) = mbr(Device(), number=bytes(4)).probed()[Kind.MBR].magics
    assert magic.offset == 0x1FE


@pytest.mark.parametrize(
    ("device", "kind", "members"),
    [
        (ext(Device()), Kind.EXT, 1),
        (ext(Device(), journal=0x0810), Kind.EXT, 2),
        (ext(Device(), compatible=0, journal=0x0810), Kind.EXT, 1),
        (xfs(Device()), Kind.XFS, 1),
        (xfs(Device(), log_start=0), Kind.XFS, 2),
        (xfs(Device(), realtime=77), Kind.XFS, 2),
        (btrfs(Device()), Kind.BTRFS, 1),
        (btrfs(Device(), members=3), Kind.BTRFS, 3),
    ],
)
def test_devices_that_a_filesystem_is_made_of_are_counted(
    device: Device, kind: Kind, members: int
) -> None:
    assert device.probed()[kind].members == members


@pytest.mark.parametrize("fields", [{"major": 2}, {"told": 77}, {"major": 0, "minor": 1}], ids=str)
def test_four_bytes_of_a_file_are_no_md(fields: dict[str, int]) -> None:
    device = Device()
    assert md(device, device.size - 16 * 512, **fields).probed() == {}


def test_journal_of_another_ext4_is_no_filesystem() -> None:
    assert ext(Device(), incompatible=8).probed() == {}


def test_btrfs_has_only_the_mirrors_that_are_there() -> None:
    found = btrfs(Device(), mirrors=False).probed()[Kind.BTRFS]
    assert [magic.offset for magic in found.magics] == [0x10040]


def test_several_things_on_one_device_are_all_told() -> None:
    assert {*mbr(ext(Device())).probed()} == {Kind.EXT, Kind.MBR}


@pytest.mark.parametrize(
    ("fstype", "kind"),
    [("ext2", Kind.EXT), ("ext3", Kind.EXT), ("ext4", Kind.EXT), ("xfs", Kind.XFS)],
)
def test_types_of_one_family_share_a_signature(fstype: str, kind: Kind) -> None:
    assert family(fstype) is kind


def test_type_that_is_not_opened_is_of_no_family() -> None:
    assert family("ntfs3") is None


def fat(device: Device, *, wide: bool = True, dirty: bool = True) -> Device:
    """Put a FAT32, or a FAT16, on a device, as mkfs.fat does and a mount leaves it."""
    block = bytearray(512)
    block[:3] = b"\xeb\x58\x90"
    struct.pack_into("<HBHBHHBH", block, 0x0B, 512, 1, 32, 2, 0, 0, 0xF8, 0 if wide else 200)
    name, state = (0x52, 0x41) if wide else (0x36, 0x25)
    block[name : name + 8] = b"FAT32   " if wide else b"FAT16   "
    block[state] = 0x80 | dirty
    block[0x1FE:] = b"\x55\xaa"
    if wide:
        struct.pack_into("<H", block, 0x30, 1)
        info = bytearray(512)
        info[:4], info[484:488], info[488:492] = b"RRaA", b"rrAa", b"\1\2\0\0"
        device.put(512, bytes(info))
    return device.put(0, bytes(block))


@pytest.mark.parametrize(("wide", "places"), [(True, [0, 0x52, 0x1FE]), (False, [0, 0x36, 0x1FE])])
def test_fat_is_recognised_until_its_magics_are_gone(places: list[int], *, wide: bool) -> None:
    device = fat(Device(), wide=wide)
    found = device.probed()
    assert {*found} == {Kind.FAT}
    magics = found[Kind.FAT].magics
    assert [magic.offset for magic in magics] == places
    sector = bytearray(device.pieces[0])
    for magic in magics:
        sector[magic.offset : magic.offset + len(magic.value)] = bytes(len(magic.value))
    assert device.put(0, bytes(sector)).probed() == {}


@pytest.mark.parametrize(
    ("offset", "value"),
    [(0x0B, b"\0\0"), (0x0D, b"\3"), (0x0E, b"\0\0"), (0x10, b"\0"), (0x10, b"\5"), (0x15, b"\1")],
    ids=["sector", "cluster", "reserved", "no-table", "tables", "media"],
)
def test_boot_sector_without_a_volume_is_no_fat(offset: int, value: bytes) -> None:
    assert fat(Device()).put(offset, value).probed() == {}


def test_fat_is_shown_as_if_it_had_been_unmounted() -> None:
    assert as_unmounted(Kind.FAT, fat(Device()).read) == ((0x41, b"\x80"), (1000, b"\xff" * 4))
    assert as_unmounted(Kind.FAT, fat(Device(), wide=False).read) == ((0x25, b"\x80"),)
    # A sector of information that is none stays as it is.
    strange = fat(Device()).put(512, b"RRxx")
    assert as_unmounted(Kind.FAT, strange.read) == ((0x41, b"\x80"),)
    assert as_unmounted(Kind.EXT, ext(Device()).read) == ()
