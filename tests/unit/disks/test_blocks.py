"""Each block device is what its files and links in sysfs tell, whatever pads them."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from snap_self.disks.blocks import AMBIGUOUS, UNREADABLE, Block, last_name, read_blocks
from snap_self.errors import TopologyError
from snap_self.model.machine import MachineText

CLASS = "sys/class/block/"
BY_ID = "dev/disk/by-id/"
NVME = "nvme-Alibaba_Cloud_Elastic_Block_Storage_"


def read(
    files: Mapping[str, str],
    links: Mapping[str, str] | None = None,
    failures: Mapping[str, str] | None = None,
) -> dict[str, Block]:
    """Read files by their path below the class; links and failures by their whole path."""
    return read_blocks(
        MachineText(
            files={f"{CLASS}{path}": text for path, text in files.items()},
            links=links or {},
            failures=failures or {},
        )
    )


def vdb(text: Mapping[str, str], links: Mapping[str, str] | None = None) -> Block:
    files = {f"vdb/{path}": content for path, content in ({"dev": "253:16\n"} | text).items()}
    return read(files, links)["vdb"]


def test_device_without_any_link_has_what_its_files_tell() -> None:
    (block,) = read({"vdb/dev": "253:16\n", "vdb/size": "2048\n"}).values()
    assert (block.name, block.devno, block.size_bytes) == ("vdb", "253:16", 1 << 20)
    assert (block.parent, block.lower, block.serial, block.serial_from) == ("", (), "", "")
    assert block.links == {}


@pytest.mark.parametrize(
    ("files", "found"),
    [
        ({"dev": "259:1\n", "hidden": "0\n"}, True),
        ({"dev": "259:1\n", "hidden": "1\n"}, False),
        ({"hidden": "1\n"}, False),
        ({"hidden": "0\n"}, False),
    ],
    ids=["shown", "hidden", "hidden-without-number", "without-number"],
)
def test_device_that_is_hidden_or_has_no_number_is_none(
    files: dict[str, str], *, found: bool
) -> None:
    blocks = read({f"nvme0c0n1/{path}": text for path, text in files.items()} | {"vdb/dev": "1:1"})
    assert list(blocks) == (["nvme0c0n1", "vdb"] if found else ["vdb"])


def test_attributes_and_links_keep_their_path_below_the_device() -> None:
    links = {f"{CLASS}vdb": "../../x/vdb", f"{CLASS}vdb/bcache/dev": "../bcache0"}
    block = vdb({"loop/backing_file": "/a b\n", "dm/name": "\0\t x y \r\n"}, links)
    assert block.text == {"dev": "253:16", "loop/backing_file": "/a b", "dm/name": "x y"}
    assert block.links == {"": "../../x/vdb", "bcache/dev": "../bcache0"}


def test_devices_below_are_those_of_the_folder_for_them_in_order() -> None:
    names = ("slaves/vdc", "slaves/vda", "holders/dm-1", "slavesx")
    links = {f"{CLASS}vdb/{name}": "../x" for name in names}
    assert vdb({}, links).lower == ("vda", "vdc")


@pytest.mark.parametrize(
    ("size", "size_bytes"),
    [("1\n", 512), ("0\n", 0), (f"{'0' * 19}7\n", 7 * 512), (None, 0)],
    ids=["one", "none", "longest", "not-told"],
)
def test_size_is_a_number_of_sectors(size: str | None, size_bytes: int) -> None:
    assert vdb({} if size is None else {"size": size}).size_bytes == size_bytes


@pytest.mark.parametrize("size", ["", "-1", "1.5", "²", "١", "8" * 21, "0x10"], ids=ascii)
def test_size_that_is_no_number_is_refused_by_its_file(size: str) -> None:
    with pytest.raises(TopologyError, match="/sys/class/block/vdb/size is ") as caught:
        vdb({"size": size})
    assert size[:20] in caught.value.message
    assert "report this" in caught.value.hint


def test_only_the_beginning_of_what_is_no_size_is_shown() -> None:
    with pytest.raises(TopologyError) as caught:
        vdb({"size": "x" * 39 + "yz"})
    assert "xy'" in caught.value.message


@pytest.mark.parametrize(
    ("link", "parent"),
    [
        ("../../devices/pci0/block/vdb/vdb1", "vdb"),
        ("vdb1", ""),
        (None, ""),
    ],
)
def test_disk_of_a_partition_is_the_folder_that_it_lies_in(link: str | None, parent: str) -> None:
    links = {} if link is None else {f"{CLASS}vdb1": link}
    blocks = read({"vdb1/dev": "253:17\n", "vdb1/partition": "1\n"}, links)
    assert blocks["vdb1"].parent == parent


def test_whole_disk_has_no_disk_that_it_is_a_part_of() -> None:
    assert vdb({}, {f"{CLASS}vdb": "../../devices/pci0/block/vdb"}).parent == ""


@pytest.mark.parametrize(
    ("text", "serial", "origin"),
    [
        ({"serial": "s1", "device/serial": "s2"}, "s1", "sysfs"),
        ({"serial": " \n", "device/serial": " s2 \n"}, "s2", "sysfs"),
        ({}, "linked", "by-id"),
        ({"serial": ""}, "linked", "by-id"),
        ({"partition": "1", "serial": "s1"}, "", ""),
    ],
    ids=["own", "of-the-controller", "linked", "empty-and-linked", "partition"],
)
def test_serial_is_of_sysfs_else_of_the_link(
    text: dict[str, str], serial: str, origin: str
) -> None:
    block = vdb(text, {f"{BY_ID}virtio-linked": "../../vdb"})
    assert (block.serial, block.serial_from) == (serial, origin)


def test_links_of_two_serials_are_no_serial() -> None:
    links = {f"{BY_ID}virtio-{one}": "../../vdb" for one in ("gone", "here")}
    assert (vdb({}, links).serial, vdb({}, links).serial_from) == ("", AMBIGUOUS)
    assert vdb({"serial": "here"}, links).serial_from == "sysfs"
    nvme = f"{BY_ID}nvme-Alibaba_Cloud_Elastic_Block_Storage_here"
    twice = {nvme: "../../vdb", f"{nvme}_1": "../../vdb"}
    assert vdb({}, twice).serial == "here"


@pytest.mark.parametrize("file", ["serial", "device/serial"])
def test_serial_that_could_not_be_read_is_not_none(file: str) -> None:
    failures = {f"{CLASS}vdb/{file}": "no answer within 1 s"}
    files = {"vdb/dev": "253:16", "vdc/dev": "253:32"}
    blocks = read(files, failures=failures)
    assert (blocks["vdb"].serial, blocks["vdb"].serial_from) == ("", UNREADABLE)
    assert (blocks["vdc"].serial, blocks["vdc"].serial_from) == ("", "")
    linked = read(files, {f"{BY_ID}virtio-linked": "../../vdb"}, failures)
    assert linked["vdb"].serial_from == "by-id"


@pytest.mark.parametrize(
    ("label", "serial"),
    [
        ("virtio-bp1x", "bp1x"),
        (f"{NVME}bp1x", "bp1x"),
        (f"{NVME}bp1x_1", "bp1x"),
        (f"{NVME}bp1x_12", "bp1x"),
        ("virtio-bp1_1x", "bp1_1x"),
        ("virtio-bp1x-part1", ""),
        ("virtio-bp1x-part12", ""),
        ("virtio-bp1-part1x", "bp1-part1x"),
        ("scsi-virtio-bp1x", ""),
        ("nvme-Other_Storage_bp1x", ""),
    ],
)
def test_link_of_a_whole_cloud_disk_tells_its_serial(label: str, serial: str) -> None:
    assert vdb({}, {f"{BY_ID}{label}": "../../vdb"}).serial == serial


def test_links_of_other_folders_and_other_kinds_tell_nothing() -> None:
    links = {
        "dev/disk/by-path/virtio-zero": "../../vdb",
        f"{BY_ID}virtio-one": "../../vdc",
        f"{BY_ID}dm-name-x": "../../vdb",
        f"{BY_ID}virtio-two": "../../vdb",
    }
    assert vdb({}, links).serial == "two"


@pytest.mark.parametrize(("target", "name"), [("../../a/vdb", "vdb"), ("vdb", "vdb"), ("", "")])
def test_name_of_a_link_is_the_last_of_its_target(target: str, name: str) -> None:
    assert last_name(target) == name
