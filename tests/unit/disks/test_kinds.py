"""Each block device is recognised by what sysfs has of it, and lies on what is right below it."""

from __future__ import annotations

import pytest

from fakes.machine_builder import CLASS, MachineBuilder
from snap_self.disks.blocks import read_blocks
from snap_self.disks.kinds import RECOGNISERS, BackingFile, Blocks, Device, recognise

CACHE_SET = "sys/fs/bcache/0f6d"


def devices(machine: MachineBuilder) -> dict[str, Device]:
    blocks = read_blocks(machine.text())
    indexes = Blocks(blocks)
    return {name: recognise(block, indexes) for name, block in blocks.items()}


def facts(device: Device) -> tuple[str, str, tuple[str, ...]]:
    return device.kind, device.label, device.lower


def machine() -> MachineBuilder:
    found = MachineBuilder()
    found.virtio("vda", 40)
    found.virtio("vdb", 40)
    return found


def bare(name: str, *, lower: tuple[str, ...] = (), serial: str = "") -> Device:
    """Return a device that has nothing but its name, beside two disks."""
    found = machine()
    found.virtual(name, number="200:0", sectors=8, lower=lower)
    if serial:
        found.files[f"{CLASS}{name}/serial"] = serial
    return devices(found)[name]


def test_disk_and_its_partition_are_told_by_their_nodes() -> None:
    found = machine()
    found.device("cciss!c0d0", "devices/pci0/cciss!c0d0", number="104:0", sectors=8)
    found.links[f"{CLASS}cciss!c0d0/device"] = "../../../cciss0"
    part = found.partition("cciss!c0d0", 1, 1)
    told = devices(found)
    assert facts(told["cciss!c0d0"]) == ("disk", "cciss/c0d0", ())
    assert facts(told[part]) == ("partition", "cciss/c0d0p1", ("cciss!c0d0",))
    assert told[part].block.name == part


def test_partition_of_a_disk_that_is_not_there_lies_on_nothing() -> None:
    found = machine()
    part = found.partition("vdb", 1, 1)
    for path in ("dev", "size", "hidden", "serial"):
        del found.files[f"{CLASS}vdb/{path}"]
    assert facts(devices(found)[part]) == ("unknown", "vdb1", ())


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("zram0", "zram"),
        ("ram0", "ram"),
        ("nbd0", "nbd"),
        ("rbd0", "rbd"),
        ("drbd0", "drbd"),
        ("sr0", "rom"),
        ("fd0", "floppy"),
        ("zd0", "zvol"),
        ("pmem0", "pmem"),
        ("ublkb0", "ublk"),
        ("mtdblock0", "mtd"),
        ("odd0", "unknown"),
        ("bcache0", "bcache"),
    ],
)
def test_device_of_no_cloud_disk_is_told_by_its_name(name: str, kind: str) -> None:
    device = bare(name)
    assert (*facts(device), device.block.name) == (kind, name, (), name)


def test_device_is_a_disk_by_its_serial_alone_and_none_by_it_where_its_name_tells_another() -> None:
    assert facts(bare("xvdz", serial="s")) == ("disk", "xvdz", ())
    assert facts(bare("nbd0", serial="s")) == ("nbd", "nbd0", ())


def test_device_that_is_linked_as_a_cloud_disk_is_a_disk_unless_it_lies_on_others() -> None:
    found = machine()
    found.virtual("nbd0", number="43:0", sectors=8)
    found.virtual("nbd1", number="43:1", sectors=8, lower=["vdb"])
    for name in ("nbd0", "nbd1"):
        found.by_id(f"virtio-bp1{name}", name)
    told = devices(found)
    assert facts(told["nbd0"]) == ("disk", "nbd0", ())
    assert facts(told["nbd1"]) == ("stacked", "nbd1", ("vdb",))


@pytest.mark.parametrize("name", ["odd0", "drbd0"])
def test_device_of_whatever_kind_lies_on_what_the_kernel_says_is_below(name: str) -> None:
    assert facts(bare(name, lower=("vda", "vdb"))) == ("stacked", name, ("vda", "vdb"))


@pytest.mark.parametrize(
    ("uuid", "kind"),
    [
        ("LVM-0", "lvm"),
        ("mpath-0", "multipath"),
        ("CRYPT-LUKS2-0", "crypt"),
        ("part1-mpath-0", "partition"),
        ("part1-0", "dm"),
        ("x-mpath-0", "dm"),
        ("lvm-0", "dm"),
        ("", "dm"),
    ],
)
def test_mapped_device_is_told_by_what_its_creator_wrote(uuid: str, kind: str) -> None:
    found = machine()
    found.mapper(0, "name", uuid, gib=1, lower=["vda", "vdb"])
    device = devices(found)["dm-0"]
    assert facts(device) == (kind, "name", ("vda", "vdb"))
    assert device.one_of_paths == (kind == "multipath")
    assert device.block.name == "dm-0"


def test_mapped_device_of_no_uuid_and_no_name_is_told_by_its_node() -> None:
    found = machine()
    found.mapper(0, "", "x", gib=1, lower=["vda"])
    del found.files[f"{CLASS}dm-0/dm/uuid"]
    assert facts(devices(found)["dm-0"]) == ("dm", "dm-0", ("vda",))


def test_array_lies_on_its_members() -> None:
    found = machine()
    found.md("md0", "raid1", gib=1, lower=["vda", "vdb"])
    device = devices(found)["md0"]
    assert (*facts(device), device.block.name) == ("md", "md0", ("vda", "vdb"), "md0")


@pytest.mark.parametrize(
    ("backing", "file", "expected"),
    [
        ("/i", "253:0 31", BackingFile(path="/i", devno="253:0", mount_id=31)),
        ("/i", "0:77 -1", BackingFile(path="/i", devno="0:77")),
        ("/i", "253:0", BackingFile(path="/i", devno="253:0")),
        ("/i", None, BackingFile(path="/i")),
        ("/i (deleted)", None, BackingFile(path="/i")),
        ("/i (deleted) x", None, BackingFile(path="/i (deleted) x")),
        ("", "253:0 31", None),
        (None, None, None),
    ],
)
def test_image_of_a_loop_device_is_what_the_kernel_told_of_it(
    backing: str | None, file: str | None, expected: BackingFile | None
) -> None:
    found = machine()
    found.loop(0, backing or "", sectors=8)
    if backing is None:
        del found.files[f"{CLASS}loop0/loop/backing_file"]
    if file is not None:
        found.files[f"{CLASS}loop0/loop/file"] = f"{file}\n"
    device = devices(found)["loop0"]
    assert (*facts(device), device.block.name) == ("loop", "loop0", (), "loop0")
    assert device.backing == expected


def test_loop_device_on_a_block_device_lies_on_that_and_has_no_image() -> None:
    found = machine()
    found.loop(0, "/dev/vdz", sectors=8)
    found.files[f"{CLASS}loop0/loop/file"] = f"0:6 -1 {found.number('vdb')}\n"
    device = devices(found)["loop0"]
    assert (*facts(device), device.block.name) == ("loop", "loop0", ("vdb",), "loop0")
    assert device.backing is None


def test_cached_device_lies_on_its_backing_device_and_every_cache_of_its_set() -> None:
    found = machine()
    for name in ("vdc", "vdd", "vde"):
        found.virtio(name, 40)
    found.bcache(0, backing="vda", cache="vdd", gib=1)
    found.links[f"{CLASS}vdc/bcache/set"] = found.links[f"{CLASS}vdd/bcache/set"]
    found.links[f"{CLASS}vde/bcache/set"] = f"../../{CACHE_SET}"
    device = devices(found)["bcache0"]
    assert (*facts(device), device.block.name) == (
        "bcache",
        "bcache0",
        ("vda", "vdc", "vdd"),
        "bcache0",
    )


def test_cached_device_without_a_cache_lies_on_its_backing_device() -> None:
    found = machine()
    found.virtual("bcache0", number="251:0", sectors=8)
    found.virtual("bcache1", number="251:128", sectors=8, lower=["vdb"])
    found.links[f"{CLASS}vda/bcache/dev"] = "../../bcache0"
    found.links[f"{CLASS}vdb/bcache/set"] = f"../../{CACHE_SET}"
    told = devices(found)
    assert told["bcache0"].lower == ("vda",)
    assert told["bcache1"].lower == ("vdb",)


def test_more_general_kinds_are_tried_last() -> None:
    assert [each.__name__ for each in RECOGNISERS][-2:] == ["_no_cloud_disk", "_disk"]
