"""A btrfs lies on the members that the kernel lists; which one a mount shows is found out."""

from __future__ import annotations

from fakes.machine_builder import MachineBuilder, serial
from snap_self.disks.btrfs import assign, members_by_fsid
from snap_self.disks.layout import read_layout

PAIR, LONE = "2f2a1d7e", "7d2e1f10"
MEMBERS = {PAIR: frozenset({"vdb", "vdc"}), LONE: frozenset({"vdd"})}


def test_members_are_what_lies_in_the_folder_of_devices() -> None:
    machine = MachineBuilder()
    for name in ("vdb", "vdc"):
        machine.virtio(name, 40)
    machine.btrfs(PAIR, ["vdb", "vdc"])
    machine.links[f"sys/fs/btrfs/{PAIR}/bdi"] = "../../../devices/virtual/bdi/btrfs-1"
    assert members_by_fsid(machine.text()) == {PAIR: frozenset({"vdb", "vdc"})}


def test_mounts_are_tied_by_any_source_that_is_a_member() -> None:
    sources = {"0:41": ["vdc"], "0:42": ["dm-9", "vdd"]}
    assert assign(MEMBERS, sources, {}) == {"0:41": PAIR, "0:42": LONE}


def test_what_the_kernel_told_of_a_mount_goes_before_its_source() -> None:
    sources = {"0:41": ["vdd"], "0:42": ["vdb"]}
    assert assign(MEMBERS, sources, {"0:41": PAIR, "0:42": LONE}) == {"0:41": PAIR, "0:42": LONE}


def test_told_id_of_a_btrfs_whose_members_are_not_listed_leaves_the_source_to_tell() -> None:
    assert assign(MEMBERS, {"0:41": ["vdb"]}, {"0:41": "gone"}) == {"0:41": PAIR}


def test_only_mount_that_names_no_member_is_of_the_only_btrfs_that_is_left() -> None:
    sources = {"0:41": [], "0:42": ["vdd"]}
    assert assign(MEMBERS, sources, {}) == {"0:41": PAIR, "0:42": LONE}


def test_two_mounts_that_name_no_member_are_tied_to_nothing() -> None:
    assert assign(MEMBERS, {"0:41": [], "0:42": []}, {}) == {}
    assert assign(MEMBERS, {"0:41": [], "0:42": [], "0:43": ["vdb"]}, {}) == {"0:43": PAIR}


def test_two_btrfs_with_several_members_each_lie_on_their_own_without_any_id_told() -> None:
    machine = MachineBuilder()
    for number, name in enumerate(("vda", "vdb", "vdc", "vdd"), start=1):
        machine.virtio(name, 40, serial(number))
    machine.btrfs(PAIR, ["vda", "vdb"])
    machine.btrfs(LONE, ["vdc", "vdd"])
    machine.mount("/one", "btrfs", "/dev/vdb", number="0:41")
    machine.mount("/two", "btrfs", "/dev/vdc", number="0:42")
    found = {each.mounts[0].path: each for each in read_layout(machine.text()).filesystems.values()}
    assert (found["/one"].key, found["/one"].disks) == (f"btrfs:{PAIR}", {"vda", "vdb"})
    assert (found["/two"].key, found["/two"].disks) == (f"btrfs:{LONE}", {"vdc", "vdd"})
