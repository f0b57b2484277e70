"""Where the kernel told a number, a name counts for nothing."""

from __future__ import annotations

import pytest

from fakes.machine_builder import MachineBuilder, serial
from snap_self.disks.layout import read_layout
from snap_self.model.disks import Layout

NAMESPACE = "4026532215"


def disks(count: int = 3) -> MachineBuilder:
    machine = MachineBuilder()
    for index, name in enumerate(("vda", "vdb", "vdc")[:count]):
        machine.virtio(name, 40, serial(index + 1))
    machine.mount("/", "ext4", "/dev/vda", device="vda")
    return machine


def below(layout: Layout, path: str) -> set[str]:
    (found,) = [
        set(filesystem.disks)
        for filesystem in layout.filesystems.values()
        if any(mount.path == path for mount in filesystem.mounts)
    ]
    return found


@pytest.mark.parametrize("namespace", [None, NAMESPACE], ids=["own", "foreign"])
def test_log_of_an_xfs_lies_where_its_name_led_in_that_namespace(namespace: str | None) -> None:
    machine = disks()
    place = "proc/self" if namespace is None else f"proc/ns/{namespace}"
    where = {} if namespace is None else {"namespace": namespace}
    machine.mount("/data", "xfs", "/dev/vdb", device="vdb", extra="rw,logdev=/dev/vda", **where)
    # /dev/vda of that namespace is another node than ours.
    machine.files[f"{place}/number/dev/vda"] = f"{machine.number('vdc')}\n"
    assert below(read_layout(machine.text()), "/data") == {"vdb", "vdc"}


def test_log_of_an_xfs_that_leads_nowhere_is_a_volume_with_an_unknown_part() -> None:
    machine = disks()
    machine.mount("/data", "xfs", "/dev/vdb", device="vdb", extra="rw,logdev=/dev/gone")
    (span,) = read_layout(machine.text()).spans
    assert (span.name, span.disks, span.unknown) == ("/data", frozenset({"vdb"}), "/dev/gone")
    assert not span.is_within({"vda", "vdb", "vdc"})


def test_btrfs_is_tied_to_its_mount_by_the_id_that_the_kernel_told() -> None:
    machine = disks()
    machine.btrfs("0f6d", ["vdb", "vdc"])
    machine.btrfs("beef", ["vda"])
    machine.mount("/one", "btrfs", "/dev/vda", number="0:50")
    machine.mount("/two", "btrfs", "/x/odd", number="0:51")
    machine.files["sys/fs/btrfs-mounted/0:50"] = "0f6d\n"
    machine.files["sys/fs/btrfs-mounted/0:51"] = "beef\n"
    layout = read_layout(machine.text())
    assert below(layout, "/one") == {"vdb", "vdc"}
    assert below(layout, "/two") == {"vda"}


def test_btrfs_over_two_disks_that_no_mount_was_tied_to_is_a_span_all_the_same() -> None:
    machine = disks()
    machine.btrfs("0f6d", ["vdb", "vdc"])
    (span,) = read_layout(machine.text()).spans
    assert (span.kind, span.disks) == ("btrfs", frozenset({"vdb", "vdc"}))


def test_image_lies_on_the_filesystem_of_its_number_whatever_its_name() -> None:
    machine = disks()
    machine.mount("/data", "ext4", "/dev/vdb", device="vdb")
    machine.loop(0, "/image", sectors=1 << 20)
    machine.files["sys/class/block/loop0/loop/file"] = f"{machine.number('vdb')} -1\n"
    machine.mount("/inner", "xfs", "/dev/loop0", device="loop0")
    layout = read_layout(machine.text())
    assert below(layout, "/inner") == {"vdb"}
    assert layout.filesystems[machine.number("loop0")].parents == {machine.number("vdb")}


def test_image_on_a_filesystem_that_is_mounted_nowhere_lies_on_its_device() -> None:
    machine = disks()
    machine.loop(0, "/gone/image (deleted)", sectors=1 << 20)
    machine.files["sys/class/block/loop0/loop/file"] = f"{machine.number('vdc')} -1\n"
    machine.mount("/inner", "xfs", "/dev/loop0", device="loop0")
    assert below(read_layout(machine.text()), "/inner") == {"vdc"}


def test_loop_device_on_a_block_device_lies_on_the_disk_of_that_number_whatever_its_name() -> None:
    machine = disks()
    machine.pseudo()
    machine.loop(0, "/dev/vda", sectors=1 << 20)
    number = machine.number("vdc")
    machine.files["sys/class/block/loop0/loop/file"] = f"0:6 -1 {number}\n"
    machine.mount("/inner", "xfs", "/dev/loop0", device="loop0")
    layout = read_layout(machine.text())
    assert below(layout, "/inner") == {"vdc"}
    assert "loop0" not in layout.disks
    assert layout.not_covered == ()


@pytest.mark.parametrize(("mount_id", "found"), [(True, {"vdb"}), (False, {"vda", "vdb"})])
def test_image_on_a_subvolume_lies_where_a_mount_leads_or_on_any_btrfs(
    found: set[str], *, mount_id: bool
) -> None:
    machine = MachineBuilder()
    for index, name in enumerate(("vda", "vdb", "vdc")):
        machine.virtio(name, 40, serial(index + 1))
    machine.mount("/", "btrfs", "/dev/vda", number="0:40")
    number = machine.mount("/data", "btrfs", "/dev/vdb", number="0:41")
    machine.mount("/plain", "ext4", "/dev/vdc", device="vdc")
    machine.btrfs("aaaa", ["vda"])
    machine.btrfs("bbbb", ["vdb"])
    machine.loop(0, "/data/sub/image", sectors=1 << 20)
    told = number if mount_id else -1
    machine.files["sys/class/block/loop0/loop/file"] = f"0:77 {told}\n"
    machine.mount("/inner", "xfs", "/dev/loop0", device="loop0")
    layout = read_layout(machine.text())
    assert below(layout, "/inner") == found
    assert layout.spans == ()


def test_device_node_has_a_slash_where_sysfs_has_an_exclamation_mark() -> None:
    machine = MachineBuilder()
    machine.device("cciss!c0d0", "devices/pci0/cciss0/c0d0", number="104:0", sectors=2048)
    machine.links["sys/class/block/cciss!c0d0/device"] = "../../../cciss0"
    machine.mount("/", "ext4", "/dev/cciss/c0d0", device="cciss!c0d0")
    (disk,) = read_layout(machine.text()).disks.values()
    assert disk.node == "/dev/cciss/c0d0"
