"""What the kernel has alive and no mount table shows is told, for the disks it is on alone."""

from __future__ import annotations

import pytest

from fakes import recorded_machines as recorded
from fakes.machine_builder import MachineBuilder, serial
from snap_self.disks.coverage import choose, seen_again
from snap_self.disks.flush import flush_plan
from snap_self.disks.layout import read_layout
from snap_self.disks.mapping import map_disks
from snap_self.errors import DiskUnmapped
from snap_self.model.disks import Coverage, Selection
from snap_self.model.flushing import Obstacle, to_sync, unreachable
from snap_self.quiesce.freeze.order import freeze_order


def two_disks() -> MachineBuilder:
    machine = MachineBuilder()
    for index, name in enumerate(("vda", "vdb")):
        machine.virtio(name, 40, serial(index + 1))
    machine.mount("/", "ext4", "/dev/vda", device="vda")
    machine.alive("ext4", "vda")
    return machine


def covered(machine: MachineBuilder, *disks: str) -> Coverage:
    layout = read_layout(machine.text())
    items = [recorded.described(serial(number), 40) for number in (1, 2)]
    cloud = recorded.disks_of(recorded.answer_of(items))
    found = map_disks(layout, cloud, instance_id=recorded.INSTANCE, serial_to_disk={}, user_map={})
    return choose(layout, found, Selection(disks=disks), ())


def unseen(coverage: Coverage) -> list[tuple[str, str]]:
    return [(each.what, each.fstype) for each in coverage.unseen]


def test_mounted_filesystems_are_not_told() -> None:
    assert unseen(covered(two_disks())) == []


@pytest.mark.parametrize("fstype", ["ext4", "xfs", "f2fs"])
def test_superblock_that_no_mount_shows_is_an_obstacle_to_the_flush(fstype: str) -> None:
    machine = two_disks()
    part = machine.partition("vdb", 1, 39)
    machine.alive(fstype, part)
    coverage = covered(machine)
    assert unseen(coverage) == [(f"/dev/{part}", fstype)]
    targets = flush_plan(coverage)
    assert [target.path for target in to_sync(targets)] == ["/"]
    assert targets[-1].obstacle is Obstacle.UNSEEN
    assert f"/dev/{part} is open but mounted nowhere" in unreachable(targets)


def test_superblock_on_a_disk_that_is_not_chosen_is_not_told() -> None:
    machine = two_disks()
    machine.alive("xfs", "vdb")
    assert unseen(covered(machine, "vda")) == []


def test_btrfs_that_is_mounted_is_not_told() -> None:
    machine = two_disks()
    machine.btrfs("0f6d", ["vdb"])
    machine.mount("/data", "btrfs", "/dev/vdb", number="0:50")
    machine.alive("btrfs", "0f6d")
    assert unseen(covered(machine)) == []


def test_each_of_several_superblocks_that_no_mount_shows_is_told() -> None:
    machine = two_disks()
    first, second = (machine.partition("vdb", index, 9) for index in (1, 2))
    machine.alive("xfs", first)
    machine.alive("xfs", "vdz1")  # gone meanwhile
    machine.alive("ext4", second)
    assert unseen(covered(machine)) == [(f"/dev/{first}", "xfs"), (f"/dev/{second}", "ext4")]


def test_btrfs_whose_members_no_mount_was_tied_to_is_told() -> None:
    machine = two_disks()
    machine.btrfs("0f6d", ["vdb"])
    machine.alive("btrfs", "0f6d")
    assert unseen(covered(machine)) == [("btrfs 0f6d", "btrfs")]


def test_superblock_mounted_in_another_namespace_is_seen() -> None:
    machine = two_disks()
    machine.mount("/private", "xfs", "/dev/vdb", device="vdb", namespace="4026532215")
    machine.alive("xfs", "vdb")
    assert unseen(covered(machine)) == []


def test_superblock_on_a_volume_is_found_through_it() -> None:
    machine = two_disks()
    volume = machine.mapper(0, "vg-data", "LVM-" + "a" * 64, gib=20, lower=["vdb"])
    machine.alive("xfs", volume)
    assert unseen(covered(machine)) == [(f"/dev/{volume}", "xfs")]


def test_unseen_filesystem_is_left_out_of_a_freeze_and_weakens_it() -> None:
    machine = two_disks()
    machine.alive("xfs", "vdb")
    (left,) = freeze_order((), covered(machine).unseen).left_out
    assert left.weakens
    assert left.path == "/dev/vdb"


def test_second_look_shows_what_was_mounted_meanwhile() -> None:
    machine = two_disks()
    before = covered(machine)
    machine.mount("/late", "xfs", "/dev/vdb", device="vdb")
    after = seen_again(before, read_layout(machine.text()))
    assert [target.path for target in flush_plan(after)] == ["/late", "/"]


def test_second_look_shows_a_volume_that_grew_over_another_disk() -> None:
    machine = two_disks()
    before = covered(machine, "vda")
    machine.mapper(0, "vg-data", "LVM-" + "a" * 64, gib=20, lower=["vda", "vdb"])
    after = seen_again(before, read_layout(machine.text()))
    assert [span.name for span in after.torn] == ["vg-data"]


def test_second_look_refuses_a_disk_that_has_gone() -> None:
    before = covered(two_disks())
    machine = MachineBuilder()
    machine.virtio("vda", 40, serial(1))
    machine.mount("/", "ext4", "/dev/vda", device="vda")
    with pytest.raises(DiskUnmapped, match="vdb is no longer the disk"):
        seen_again(before, read_layout(machine.text()))
