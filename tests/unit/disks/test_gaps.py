"""What makes a set partial: what can be written, on a block device here, and nobody excluded."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest

from fakes import recorded_machines as recorded
from fakes.machine_builder import CLASS, SECTORS_PER_GIB, MachineBuilder, machine_with_disks, serial
from snap_self.disks.coverage import choose
from snap_self.disks.gaps import names_beside
from snap_self.disks.layout import read_layout
from snap_self.disks.mapping import map_disks
from snap_self.model.disks import Coverage, Selection
from snap_self.model.machine import PathFact


def covered(
    machine: MachineBuilder, *exclude: str, paths: Mapping[str, int] | None = None, **more: str
) -> Coverage:
    """Return what is covered of a machine of which the cloud lists the first disk alone."""
    layout = read_layout(machine.text())
    disks = recorded.disks_of(recorded.answer_of([recorded.described(serial(1), 40, **more)]))
    found = map_disks(layout, disks, instance_id=recorded.INSTANCE, serial_to_disk={}, user_map={})
    selection = Selection(paths=tuple(paths or ()), exclude=exclude, configured=frozenset(exclude))
    facts = [
        PathFact(asked=path, real=path, mount_id=number) for path, number in (paths or {}).items()
    ]
    return choose(layout, found, selection, facts)


def left_out(coverage: Coverage) -> list[str]:
    """Return what makes it partial."""
    assert coverage.is_partial == any(gap.left_out for gap in coverage.not_covered)
    return [gap.what for gap in coverage.not_covered if gap.left_out]


def plain(machine: MachineBuilder) -> None:
    machine.mount("/x", "ext4", "/dev/vdb", device="vdb")


def partition(machine: MachineBuilder) -> None:
    machine.mount("/x", "vfat", "/dev/vdb1", device=machine.partition("vdb", 1, 1))


def volume(machine: MachineBuilder) -> None:
    name = machine.mapper(0, "vg-x", "LVM-0", gib=9, lower=["vdb"])
    machine.mount("/x", "xfs", "/dev/vg/x", device=name)


def btrfs(machine: MachineBuilder) -> None:
    machine.btrfs("8f7d2f0e-5a55-4d35-a6a5-3e7c1a1d0c0b", ["vdb"])
    machine.mount("/x", "btrfs", "/dev/vdb", number="0:44", extra="rw,subvol=/")


def btrfs_of_unknown_devices(machine: MachineBuilder) -> None:
    machine.mount("/x", "btrfs", "none", number="0:44")


def zfs(machine: MachineBuilder) -> None:
    machine.mount("/x", "zfs", "pool/x")


def gone(machine: MachineBuilder) -> None:
    machine.mount("/x", "ext4", "/dev/sdz", number="8:400")


def ntfs_by_fuse(machine: MachineBuilder) -> None:
    machine.mount("/x", "fuseblk", "/dev/vdb", device="vdb")


def over_the_network(machine: MachineBuilder) -> None:
    machine.virtual("nbd0", number="43:0", sectors=SECTORS_PER_GIB)
    machine.mount("/x", "ext4", "/dev/nbd0", device="nbd0")


def read_only_mount_alone(machine: MachineBuilder) -> None:
    machine.mount("/x", "ext4", "/dev/vdb", device="vdb", options="ro", extra="rw")


def bind_mount(machine: MachineBuilder) -> None:
    machine.mount("/x", "ext4", "/dev/vdb", device="vdb")
    machine.mount("/y", "ext4", "/dev/vdb", device="vdb", root="/sub")


def image(machine: MachineBuilder) -> None:
    machine.mount("/x", "ext4", "/dev/vdb", device="vdb")
    machine.loop(0, "/nowhere/i.img", sectors=SECTORS_PER_GIB)


def loop_of_an_unknown_image(machine: MachineBuilder) -> None:
    machine.loop(0, "", sectors=SECTORS_PER_GIB)
    machine.mount("/x", "ext4", "/dev/loop0", device="loop0")


def hidden(machine: MachineBuilder) -> None:
    machine.mount("/x", "ext4", "/dev/vdb", device="vdb")
    machine.mount("/x", "tmpfs", "tmpfs")


@pytest.mark.parametrize(
    "mount",
    [plain, partition, volume, btrfs, btrfs_of_unknown_devices, zfs, gone, ntfs_by_fuse,
     over_the_network, read_only_mount_alone, bind_mount, image, loop_of_an_unknown_image, hidden],
)  # fmt: skip
def test_filesystem_that_can_be_written_when_on_no_disk_of_the_set_then_makes_it_partial(
    mount: Callable[[MachineBuilder], None],
) -> None:
    machine = machine_with_disks(2)
    mount(machine)
    assert left_out(covered(machine)) == ["/x"]
    excluded = covered(machine, "/x")
    assert left_out(excluded) == []
    assert [gap.what for gap in excluded.excluded] == ["/x"]
    assert "/x" not in [gap.what for gap in excluded.not_covered]


def read_only(machine: MachineBuilder) -> None:
    machine.mount("/x", "ext4", "/dev/vdb", device="vdb", options="ro", extra="ro")


def cd(machine: MachineBuilder) -> None:
    machine.virtual("sr0", number="11:0", sectors=SECTORS_PER_GIB)
    machine.mount("/x", "udf", "/dev/sr0", device="sr0")


def zram(machine: MachineBuilder) -> None:
    machine.virtual("zram0", number="200:0", sectors=SECTORS_PER_GIB)
    machine.mount("/x", "ext4", "/dev/zram0", device="zram0")


def image_in_memory(machine: MachineBuilder) -> None:
    machine.mount("/tmp", "tmpfs", "tmpfs")
    machine.loop(0, "/tmp/i.img", sectors=SECTORS_PER_GIB)
    machine.mount("/x", "ext4", "/dev/loop0", device="loop0")


def image_by_number_in_memory(machine: MachineBuilder) -> None:
    machine.mount("/tmp", "tmpfs", "tmpfs", number="0:77")
    machine.loop(0, "/elsewhere/i.img", sectors=SECTORS_PER_GIB)
    machine.files[f"{CLASS}loop0/loop/file"] = "0:77 1\n"
    machine.mount("/x", "ext4", "/dev/loop0", device="loop0")


def image_on_another_machine(machine: MachineBuilder) -> None:
    machine.mount("/far", "nfs4", "server:/")
    machine.loop(0, "/far/i.img", sectors=SECTORS_PER_GIB)
    machine.mount("/x", "ext4", "/dev/loop0", device="loop0")


def image_on_a_covered_disk(machine: MachineBuilder) -> None:
    machine.loop(0, "/var/i.img", sectors=SECTORS_PER_GIB)
    machine.mount("/x", "ext4", "/dev/loop0", device="loop0")


def network(machine: MachineBuilder) -> None:
    machine.mount("/x", "nfs4", "server:/")


def memory(machine: MachineBuilder) -> None:
    machine.mount("/x", "tmpfs", "tmpfs")
    machine.mount("/y", "ramfs", "none")


def program(machine: MachineBuilder) -> None:
    machine.mount("/x", "fuse.sshfs", "host:/")


def overlay(machine: MachineBuilder) -> None:
    extra = "rw,lowerdir=/l,upperdir=u,workdir=w"
    machine.mount("/x", "overlay", "overlay", extra=extra)


def overlay_on_a_covered_disk(machine: MachineBuilder) -> None:
    extra = "rw,lowerdir=/l,upperdir=/u,workdir=/w"
    machine.mount("/x", "overlay", "overlay", extra=extra)


def swap(machine: MachineBuilder) -> None:
    machine.swap("/dev/vdb", "partition")


def nothing_mounted(machine: MachineBuilder) -> None:
    machine.alive("xfs", "vdb")


@pytest.mark.parametrize(
    "mount",
    [read_only, cd, zram, image_in_memory, image_by_number_in_memory, image_on_another_machine,
     image_on_a_covered_disk, network, memory, program, overlay, overlay_on_a_covered_disk, swap,
     nothing_mounted],
)  # fmt: skip
def test_what_cannot_be_lost_here_or_lies_elsewhere_makes_nothing_partial(
    mount: Callable[[MachineBuilder], None],
) -> None:
    machine = machine_with_disks(2)
    mount(machine)
    assert left_out(covered(machine)) == []


@pytest.mark.parametrize("fstype", ["nfs4", "cifs", "fuse.sshfs"])
def test_network_filesystem_is_named_until_it_is_excluded(fstype: str) -> None:
    machine = machine_with_disks(1)
    machine.mount("/far", fstype, "server:/")
    (gap,) = covered(machine).not_covered
    assert (gap.what, gap.data_at_risk, gap.left_out) == ("/far", True, False)
    assert covered(machine, "/far").not_covered == ()


def test_second_mount_point_of_a_filesystem_excludes_it_too() -> None:
    machine = machine_with_disks(2)
    bind_mount(machine)
    assert left_out(covered(machine, "/y")) == []


def test_other_filesystem_on_the_same_foreign_disk_when_one_is_excluded_then_still_counts() -> None:
    machine = machine_with_disks(2)
    for number, path in enumerate(("/a", "/b"), start=1):
        machine.mount(path, "ext4", "x", device=machine.partition("vdb", number, 1))
    assert left_out(covered(machine, "/a")) == ["/b"]
    assert left_out(covered(machine, "/dev/vdb1")) == ["/b"]
    assert left_out(covered(machine, "vdb")) == []


def test_image_is_as_left_out_as_the_filesystem_that_holds_it() -> None:
    machine = machine_with_disks(2)
    machine.mount("/x", "ext4", "/dev/vdb", device="vdb")
    machine.loop(0, "/x/i.img", sectors=SECTORS_PER_GIB)
    machine.mount("/in", "xfs", "/dev/loop0", device="loop0")
    machine.loop(1, "/in/j.img", sectors=SECTORS_PER_GIB)
    machine.mount("/deep", "xfs", "/dev/loop1", device="loop1")
    found = covered(machine)
    assert left_out(found) == ["/x"]
    assert {gap.what for gap in found.not_covered} == {"/x", "/in", "/deep"}
    for name in ("/x", "vdb"):
        without = covered(machine, name)
        assert (without.is_partial, without.not_covered) == (False, ())
        assert {gap.what for gap in without.excluded} == {"/x", "/in", "/deep"}


def test_names_of_all_beside_some_disks_make_nothing_partial() -> None:
    machine = machine_with_disks(3)
    machine.mount("/x", "ext4", "/dev/vdb", device="vdb")
    machine.mount("/in", "ext4", "/dev/vdc", device="vdc", namespace="4026532001")
    machine.mount("/tank", "zfs", "tank")
    machine.mount("/far", "nfs4", "server:/")
    names = names_beside(read_layout(machine.text()), ["vda"])
    assert names == ("/x", "vdc", "/tank")
    assert left_out(covered(machine, *names)) == []


def test_disk_of_a_kind_without_snapshots_counts_until_it_is_excluded() -> None:
    machine = machine_with_disks(2)
    plain(machine)
    layout = read_layout(machine.text())
    items = [
        recorded.described(serial(1), 40),
        recorded.described(serial(2), 40, category="local_ssd_pro"),
    ]
    disks = recorded.disks_of(recorded.answer_of(items))
    found = map_disks(layout, disks, instance_id=recorded.INSTANCE, serial_to_disk={}, user_map={})
    assert choose(layout, found, Selection(), ()).is_partial
    for name in ("/x", "vdb", f"d-{serial(2)}"):
        without = choose(layout, found, Selection(exclude=(name,)), ())
        assert (without.is_partial, without.not_covered) == (False, ())
        assert [gap.what for gap in without.excluded] == ["/x"]


def test_what_no_path_leads_to_when_only_a_path_is_asked_for_then_makes_nothing_partial() -> None:
    machine = machine_with_disks(2)
    number = machine.mount("/b", "xfs", "/dev/vda1", device=machine.partition("vda", 1, 1))
    plain(machine)
    coverage = covered(machine, paths={"/b": number})
    assert left_out(coverage) == []
    assert [gap.what for gap in coverage.not_covered] == ["/x"]


def test_filesystem_of_another_namespace_counts_until_its_device_is_excluded() -> None:
    machine = machine_with_disks(2)
    machine.mount("/in", "ext4", "/dev/vdb", device="vdb", namespace="4026532001")
    assert left_out(covered(machine)) == ["/in"]
    assert left_out(covered(machine, "vdb")) == []
