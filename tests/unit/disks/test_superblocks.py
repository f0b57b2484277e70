"""One filesystem is all mounts of one number, and lies on what its own kind says it does."""

from __future__ import annotations

import pytest

from fakes.machine_builder import MachineBuilder, filesystem_at, serial
from fakes.machine_builder import machine_with_disks as machine
from snap_self.disks.blocks import read_blocks
from snap_self.disks.layout import read_layout
from snap_self.disks.names import DeviceNames
from snap_self.disks.namespaces import mount_tables
from snap_self.disks.stack import MAX_LAYERS
from snap_self.disks.superblocks import Superblocks
from snap_self.errors import TopologyError
from snap_self.model.disks import Filesystem, Layer, Mount

FOREIGN = "4026532215"


def at(found: MachineBuilder, path: str) -> Filesystem:
    """Return the filesystem that is mounted there."""
    return filesystem_at(read_layout(found.text()), path)


@pytest.mark.parametrize(
    ("mounts", "read_only"),
    [
        ([("rw", "rw")], False),
        ([("ro", "rw")], False),
        ([("ro", "ro")], True),
        ([("rw", "ro")], True),
        ([("ro", "rw"), ("ro", "rw")], False),
        ([("ro", "ro"), ("ro", "ro")], True),
        ([("ro", "ro"), ("ro", "rw")], False),
        ([("ro", "rw"), ("rw", "rw")], False),
    ],
)
def test_filesystem_has_nothing_to_write_where_no_mount_of_it_can(
    mounts: list[tuple[str, str]], *, read_only: bool
) -> None:
    found = machine()
    for index, (options, extra) in enumerate(mounts):
        found.mount(f"/b{index}", "xfs", "x", device="vdb", options=options, extra=extra)
    filesystem = at(found, "/b0")
    assert filesystem.read_only is read_only
    assert [mount.read_only for mount in filesystem.mounts] == ["ro" in pair for pair in mounts]


def test_mounts_are_told_those_first_that_can_be_opened_best() -> None:
    found = machine()
    where = {"device": "vdb", "namespace": FOREIGN}
    found.files[f"proc/ns/{FOREIGN}/pid"] = "7\n"
    foreign = found.mount("/f", "xfs", "theirs", **where)
    hidden = found.mount("/h", "xfs", "hidden", device="vdb")
    over = found.mount("/h", "xfs", "file", device="vdb", root="/etc/file", options="ro")
    best = found.mount("/b", "xfs", "best", device="vdb")
    found.mount("/far", "nfs4", "server:/", namespace=FOREIGN)
    filesystem = at(found, "/b")
    assert [mount.mount_id for mount in filesystem.mounts] == [best, over, hidden, foreign]
    assert filesystem.source == "best"
    plain = {"fstype": "xfs", "root": "/", "read_only": False, "namespace": None, "hidden": False}
    assert filesystem.mounts == (
        Mount(mount_id=best, path="/b", **plain),
        Mount(mount_id=over, path="/h", **plain | {"root": "/etc/file", "read_only": True}),
        Mount(mount_id=hidden, path="/h", **plain | {"hidden": True}),
        Mount(mount_id=foreign, path="/f", pid=7, **plain | {"namespace": int(FOREIGN)}),
    )


def test_better_of_two_mounts_describes_the_filesystem() -> None:
    found = machine()
    found.mount("/etc/file", "xfs", "bound", device="vdb", root="/file")
    found.mount("/b", "xfs", "whole", device="vdb")
    filesystem = at(found, "/b")
    assert filesystem.source == "whole"
    assert [layer.name for layer in filesystem.way_to("vdb")] == ["/b", "vdb"]


def test_subvolume_is_surely_a_folder_and_part_of_another_filesystem_is_not() -> None:
    found = machine()
    for name, fstype in (("vdb", "btrfs"), ("vdc", "xfs")):
        found.mount(f"/{name}/sub", fstype, f"/dev/{name}", device=name, root="/sub")
        found.mount(f"/{name}/whole", fstype, f"/dev/{name}", device=name)
    assert [mount.path for mount in at(found, "/vdb/sub").mounts] == ["/vdb/sub", "/vdb/whole"]
    assert [mount.path for mount in at(found, "/vdc/sub").mounts] == ["/vdc/whole", "/vdc/sub"]


def test_number_that_only_another_namespace_mounts_is_told_with_that_namespace() -> None:
    found = machine()
    found.mount("/f", "xfs", "/dev/vdb", device="vdb", namespace=FOREIGN)
    (mount,) = at(found, "/f").mounts
    assert (mount.namespace, mount.pid, mount.hidden) == (int(FOREIGN), None, False)


def overlay(found: MachineBuilder, path: str, *layers: str, upper: str = "") -> None:
    over = f",upperdir={upper},workdir={upper}w" if upper else ""
    found.mount(path, "overlay", "overlay", extra=f"rw,lowerdir={':'.join(layers)}{over}")


def test_overlay_lies_where_each_of_its_layers_does() -> None:
    found = machine(4)
    for name in ("vdb", "vdc", "vdd"):
        found.mount(f"/{name}", "xfs", f"/dev/{name}", device=name)
    overlay(found, "/one", "/vdb/l", upper="/vdb/u")
    overlay(found, "/two", "/one/l", "/vdc/l", upper="/vdd/u")
    one, two = at(found, "/one"), at(found, "/two")
    assert (one.disks, one.parents) == ({"vdb"}, {found.number("vdb")})
    assert two.disks == {"vdb", "vdc", "vdd"}
    assert two.parents == {one.key, found.number("vdc"), found.number("vdd")}
    vdb = Layer(kind="disk", name="vdb", device="vdb")
    names = ("/two", "/one", "/vdb")
    assert two.way_to("vdb") == (*(Layer(kind="mount", name=name) for name in names), vdb)


def test_overlay_over_its_own_layer_lies_on_what_is_under_it() -> None:
    found = machine()
    found.mount("/b", "xfs", "/dev/vdb", device="vdb")
    overlay(found, "/b", "/b/l", upper="/b/u")
    filesystems = read_layout(found.text()).filesystems.values()
    (only,) = [each for each in filesystems if each.fstype == "overlay"]
    assert (only.disks, only.parents) == ({"vdb"}, {found.number("vdb")})


def test_overlays_in_each_other_lie_on_what_the_other_layers_tell() -> None:
    found = machine()
    found.mount("/b", "xfs", "/dev/vdb", device="vdb")
    overlay(found, "/one", "/two/l", upper="/b/u")
    overlay(found, "/two", "/one/l", "/b/l")
    overlay(found, "/three", "/one/l")
    overlay(found, "/four", "/two/l")
    layout = read_layout(found.text())
    for path in ("/one", "/two", "/three", "/four"):
        assert "vdb" in filesystem_at(layout, path).disks


def overlays(count: int) -> MachineBuilder:
    """Return overlays in each other, the uppermost first, above a filesystem on vdb."""
    found = machine(2)
    for index in range(count, 0, -1):
        overlay(found, f"/o{index}", f"/o{index - 1}/l")
    found.mount("/o0", "xfs", "/dev/vdb", device="vdb")
    return found


def test_overlays_may_lie_on_each_other_many_times() -> None:
    assert at(overlays(MAX_LAYERS - 1), f"/o{MAX_LAYERS - 1}").disks == {"vdb"}


def test_overlays_that_lie_too_deep_are_refused_by_the_lowest_of_them() -> None:
    with pytest.raises(TopologyError, match=r"more than 64 deep, last at /o0$") as caught:
        read_layout(overlays(MAX_LAYERS).text())
    assert "mountinfo" in caught.value.hint


def test_image_over_its_own_folder_lies_on_what_is_under_it() -> None:
    found = machine()
    found.mount("/b", "xfs", "/dev/vdb", device="vdb")
    loop = found.loop(0, "/b/image", sectors=8)
    part = found.partition(loop, 1, 1, minor=9)
    found.mount("/b", "ext4", "/dev/loop0p1", device=part)
    filesystem = read_layout(found.text()).filesystems[found.number(part)]
    assert (filesystem.disks, filesystem.parents) == ({"vdb"}, {found.number("vdb")})


def test_image_said_to_lie_in_itself_does_not_mislead_about_another_one_in_it() -> None:
    found = machine()
    for index, path in enumerate(("/outer", "/inner")):
        loop = found.loop(index, f"/x/{index}", sectors=8)
        found.files[f"sys/class/block/{loop}/loop/file"] = f"{found.number('loop0')} -1\n"
        found.mount(path, "ext4", f"/dev/{loop}", device=loop)
    assert at(found, "/outer").disks == {"loop0"}
    assert at(found, "/inner").disks == {"loop0"}


def test_device_that_is_asked_for_before_its_filesystem_lies_where_its_image_does() -> None:
    found = machine()
    found.mount("/b", "xfs", "/dev/vdb", device="vdb")
    loop = found.loop(0, "/b/image", sectors=8)
    found.mount("/b", "ext4", "/dev/loop0", device=loop)
    text = found.text()
    blocks = read_blocks(text)
    superblocks = Superblocks(
        mount_tables(text),
        blocks,
        names=DeviceNames(blocks, text),
        btrfs_members={},
        btrfs_told={},
        journals={},
    )
    assert superblocks.stack.below(loop).disks == {"vdb"}


def test_image_of_a_btrfs_on_one_that_cannot_be_told_does_not_lie_in_itself() -> None:
    found = MachineBuilder()
    found.virtio("vda", 40, serial(1))
    found.virtio("vdb", 40, serial(2))
    found.mount("/", "btrfs", "/dev/vda", number="0:40")
    found.btrfs("aaaa", ["vda"])
    found.mount("/plain", "ext4", "/dev/vdb", device="vdb")
    loop = found.loop(0, "/x/image", sectors=8)
    found.files["sys/class/block/loop0/loop/file"] = "0:77 -1\n"
    found.btrfs("bbbb", [loop])
    found.mount("/inner", "btrfs", "/dev/loop0", number="0:41")
    inner = at(found, "/inner")
    assert (inner.disks, inner.parents, inner.key) == ({"vda"}, {"btrfs:aaaa"}, "btrfs:bbbb")


def test_image_is_found_through_the_mount_that_leads_to_it() -> None:
    found = machine()
    number = found.mount("/b", "btrfs", "/dev/vdb", number="0:40")
    found.mount("/c", "btrfs", "/dev/vdc", number="0:41")
    loop = found.loop(0, "/x/image", sectors=8)
    found.files["sys/class/block/loop0/loop/file"] = f"0:77 {number}\n"
    found.mount("/inner", "xfs", "/dev/loop0", device=loop)
    assert at(found, "/inner").disks == {"vdb"}
    way = at(found, "/inner").way_to("vdb")
    assert [layer.name for layer in way] == ["/inner", "loop0", "/b", "vdb"]


def test_file_that_no_mount_holds_lies_nowhere() -> None:
    found = MachineBuilder()
    found.virtio("vda", 40, serial(1))
    found.mount("/a", "ext4", "/dev/vda", device="vda")
    found.swap("/b/swap", "file")
    assert read_layout(found.text()).swaps == {"/b/swap": frozenset()}


def test_btrfs_without_a_list_of_members_lies_on_its_number_and_its_source() -> None:
    found = machine(4)
    found.mount("/b", "btrfs", "/dev/vdc", device="vdb")
    found.mount("/d", "btrfs", "/dev/vdd", number="0:60")
    found.mount("/label", "btrfs", "vdd", number="0:61")
    layout = read_layout(found.text())
    assert filesystem_at(layout, "/b").disks == {"vdb", "vdc"}
    assert filesystem_at(layout, "/d").disks == {"vdd"}
    assert [mount.path for mount in layout.elsewhere] == ["/label"]
    assert all(span.unknown == "" for span in layout.spans)


def test_any_source_of_a_btrfs_ties_it_to_its_members() -> None:
    found = machine(4)
    found.btrfs("aaaa", ["vdb", "vdc"])
    found.btrfs("bbbb", ["vdd"])
    found.mount("/b", "btrfs", "/dev/gone", number="0:60")
    found.mount("/c", "btrfs", "/dev/vdc", number="0:60", namespace=FOREIGN)
    found.mount("/e", "xfs", "xfs", number="0:62", namespace=FOREIGN)
    found.mount("/d", "btrfs", "/dev/gone", number="0:61")
    layout = read_layout(found.text())
    assert filesystem_at(layout, "/b").key == "btrfs:aaaa"
    assert filesystem_at(layout, "/d").key == "btrfs:bbbb"


def test_outer_journal_of_a_filesystem_is_below_it_and_of_no_other_one() -> None:
    found = machine()
    found.mount("/b", "ext4", "/dev/vdb", device="vdb")
    found.files["sys/fs/ext4/vdb/journal_task"] = "77\n"
    found.files["proc/77/comm"] = "jbd2/vdc\n"
    assert at(found, "/b").disks == {"vdb", "vdc"}
    assert at(found, "/").disks == {"vda"}


def test_option_that_names_a_device_counts_for_an_xfs_alone() -> None:
    found = machine()
    options = "rw,logdev=/dev/vdc,logbufs=8,rtdev=/dev/vda"
    found.mount("/b", "xfs", "/dev/vdb", device="vdb", extra=options)
    found.mount("/c", "ext4", "/dev/vdc", device="vdc", extra="rw,logdev=/dev/vda")
    assert at(found, "/b").disks == {"vda", "vdb", "vdc"}
    assert at(found, "/c").disks == {"vdc"}


def test_device_of_the_number_is_below_beside_those_of_a_list() -> None:
    found = machine()
    found.mount("/b", "bcachefs", "/dev/vdc", device="vdb")
    assert at(found, "/b").disks == {"vdb", "vdc"}
