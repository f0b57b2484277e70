"""A name of a block device is its node, what the device mapper calls it, or a link to it."""

from __future__ import annotations

import pytest

from fakes.machine_builder import CLASS, SECTORS_PER_GIB, MachineBuilder
from snap_self.disks.blocks import read_blocks
from snap_self.disks.names import DeviceNames

FOREIGN = 4026532215


def machine() -> MachineBuilder:
    found = MachineBuilder()
    found.virtio("vda", 40)
    found.virtio("vdb", 40)
    found.device("cciss!c0d0", "devices/pci0/c0d0", number="104:0", sectors=SECTORS_PER_GIB)
    found.mapper(0, "vg--x-lv--y--z-tpool", "LVM-0", gib=1, lower=["vdb"])
    found.mapper(1, "home-crypt", "CRYPT-LUKS2-0", gib=1, lower=["vdb"])
    found.mapper(2, "a-b", "", gib=1, lower=["vdb"])
    del found.files[f"{CLASS}dm-2/dm/uuid"]
    found.links |= {
        "dev/disk/by-label/data": "../../vdb",
        "dev/root": "vda",
        "dev/fd": "../proc/self/fd",
        "etc/x/disk": "/dev/vdb",
        "sys/x": "vda",
    }
    return found


def names(found: MachineBuilder) -> DeviceNames:
    text = found.text()
    return DeviceNames(read_blocks(text), text)


@pytest.mark.parametrize(
    ("name", "kernel"),
    [
        ("vda", "vda"),
        ("cciss/c0d0", "cciss!c0d0"),
        ("cciss!c0d0", None),
        ("dm-1", "dm-1"),
        ("home-crypt", "dm-1"),
        ("mapper/home-crypt", "dm-1"),
        ("home/crypt", None),
        ("mapper/a-b", "dm-2"),
        ("a/b", None),
        ("mapper/vg--x-lv--y--z-tpool", "dm-0"),
        ("vg-x/lv-y-z-tpool", "dm-0"),
        ("disk/by-label/data", "vdb"),
        ("root", "vda"),
        ("fd", None),
        ("disk", None),
        ("x", None),
        ("", None),
    ],
)
def test_device_is_found_by_each_of_its_names_with_and_without_the_folder(
    name: str, kernel: str | None
) -> None:
    found = names(machine())
    assert (found.find(name), found.find(f"/dev/{name}")) == (kernel, kernel)
    assert found.aliases().get(name) == kernel


def test_node_of_a_device_goes_before_a_name_that_another_was_given() -> None:
    found = machine()
    found.mapper(3, "vda", "CRYPT-LUKS2-1", gib=1, lower=["vdb"])
    found.links["dev/vdb"] = "vda"
    assert names(found).find("vda") == "vda"
    assert names(found).find("vdb") == "vdb"
    assert names(found).find("mapper/vda") == "dm-3"


@pytest.mark.parametrize(
    ("namespace", "place"), [(None, "proc/self"), (FOREIGN, f"proc/ns/{FOREIGN}")]
)
def test_name_in_a_mount_is_what_it_led_to_in_that_namespace(
    namespace: int | None, place: str
) -> None:
    found = machine()
    found.files[f"{place}/number/dev/vda"] = f"{found.number('vdb')}\n"
    found.files[f"{place}/number/x/odd"] = f"{found.number('vda')}\n"
    found.files[f"{place}/number/dev/gone"] = "8:77\n"
    told = names(found)
    assert told.named_by_mount("/dev/vda", namespace) == "vdb"
    assert told.named_by_mount("/x/odd", namespace) == "vda"
    assert told.named_by_mount("/dev/gone", namespace) is None
    assert told.named_by_mount("/dev/dm-1", namespace) == "dm-1"
    elsewhere = FOREIGN if namespace is None else None
    assert told.named_by_mount("/dev/vda", elsewhere) == "vda"
    assert told.named_by_mount("/x/odd", elsewhere) is None
