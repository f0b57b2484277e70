"""From the kernel's text to disks, filesystems, volumes, swap areas, and what lies on no disk."""

from __future__ import annotations

import pytest

from fakes.machine_builder import CLASS, SECTORS_PER_GIB, MachineBuilder, filesystem_at, serial
from fakes.machine_builder import machine_with_disks as machine
from snap_self.disks.layout import read_layout
from snap_self.model.disks import Doubt, Filesystem, Layer, LocalDisk, NotCovered, Span, Unseen

FOREIGN = "4026532215"


def at(found: MachineBuilder, path: str) -> Filesystem:
    """Return the filesystem that is mounted there."""
    return filesystem_at(read_layout(found.text()), path)


def spans(found: MachineBuilder) -> list[tuple[str, str, set[str]]]:
    return [(span.kind, span.name, set(span.disks)) for span in read_layout(found.text()).spans]


def test_filesystem_is_told_with_all_that_is_known_of_it() -> None:
    found = machine()
    found.pseudo()
    volume = found.mapper(0, "vg-x", "LVM-0", gib=9, lower=["vdc", "vdb"])
    found.mount("/x", "xfs", "/dev/mapper/vg-x", device=volume, extra="ro,noatime")
    layout = read_layout(found.text())
    assert list(layout.filesystems) == [found.number("vda"), found.number(volume)]
    each = layout.filesystems[found.number(volume)]
    assert (each.key, each.devno) == (found.number(volume), found.number(volume))
    assert (each.fstype, each.source, each.read_only) == ("xfs", "/dev/mapper/vg-x", True)
    assert (each.disks, each.parents) == ({"vdb", "vdc"}, frozenset())
    top = (Layer(kind="mount", name="/x"), Layer(kind="lvm", name="vg-x", device="dm-0"))
    assert each.ways == tuple(
        (*top, Layer(kind="disk", name=name, device=name)) for name in ("vdb", "vdc")
    )
    assert not layout.filesystems[found.number("vda")].read_only


def test_disk_is_told_with_all_that_is_known_of_it() -> None:
    found = machine(1)
    found.loop(0, "", sectors=0)
    found.loop(1, "", sectors=8)
    found.virtual("nbd0", number="43:0", sectors=0)
    found.files[f"{CLASS}nbd0/serial"] = "bp1empty"
    found.partition("vda", 1, 1)
    layout = read_layout(found.text())
    assert layout.disks == {
        "vda": LocalDisk(
            name="vda",
            devno="253:0",
            size_bytes=40 << 30,
            serial=serial(1),
            serial_from="sysfs",
            kind="disk",
        ),
        "loop1": LocalDisk(
            name="loop1", devno="7:1", size_bytes=4096, serial="", serial_from="", kind="loop"
        ),
        "nbd0": LocalDisk(
            name="nbd0",
            devno="43:0",
            size_bytes=0,
            serial="bp1empty",
            serial_from="sysfs",
            kind="nbd",
        ),
    }


def test_every_name_of_a_device_leads_to_its_disks() -> None:
    found = machine(2)
    part = found.partition("vdb", 1, 1)
    found.mapper(0, "vg-x", "LVM-0", gib=1, lower=["vda", part])
    devices = read_layout(found.text()).devices
    assert devices["vdb1"] == {"vdb"}
    assert devices[f"disk/by-id/virtio-{serial(2)}-part1"] == {"vdb"}
    assert devices["vg/x"] == devices["dm-0"] == devices["mapper/vg-x"] == {"vda", "vdb"}


def multipath(*serials: str) -> MachineBuilder:
    """Return a disk with a path for each serial."""
    found = machine(1)
    names = [f"sd{letter}" for letter in "cab"[: len(serials)]]
    for index, (name, told) in enumerate(zip(names, serials, strict=True)):
        found.device(name, f"devices/pci0/{name}", number=f"8:{index * 16}", sectors=8)
        found.links[f"{CLASS}{name}/device"] = "../../x"
        found.files[f"{CLASS}{name}/serial"] = told
    found.mapper(0, "mpatha", "mpath-0", gib=1, lower=names)
    found.mapper(1, "vg-x", "LVM-0", gib=1, lower=["dm-0"])
    found.mount("/x", "xfs", "/dev/x", device="dm-1")
    return found


def test_paths_to_one_disk_are_one_disk_by_each_of_their_names() -> None:
    layout = read_layout(multipath("s", "s", "s").text())
    assert set(layout.disks) == {"vda", "sda"}
    assert {layout.devices[name] for name in ("sda", "sdb", "sdc", "dm-0", "dm-1")} == {
        frozenset({"sda"})
    }
    assert layout.spans == ()


def test_paths_to_two_disks_are_no_paths_but_a_volume_over_them() -> None:
    found = multipath("s", "t")
    layout = read_layout(found.text())
    assert set(layout.disks) == {"vda", "sda", "sdc"}
    assert layout.devices["sdc"] == {"sdc"}
    assert spans(found) == [("multipath", "mpatha", {"sda", "sdc"})]


def test_volume_is_told_where_disks_are_joined_and_not_again_above() -> None:
    found = machine()
    found.md("md0", "raid1", gib=9, lower=["vdb", "vdc"])
    found.mapper(0, "vg-a", "LVM-0", gib=1, lower=["md0"])
    found.mapper(1, "vg-b", "LVM-1", gib=1, lower=["md0", "vda"])
    found.mapper(2, "crypt", "CRYPT-0", gib=1, lower=["vda"])
    found.mount("/a", "xfs", "/dev/vg/a", device="dm-0")
    assert spans(found) == [
        ("lvm", "vg-b", {"vda", "vdb", "vdc"}),
        ("md", "md0", {"vdb", "vdc"}),
    ]


def test_image_on_a_volume_is_no_volume_itself_and_hides_none() -> None:
    found = machine()
    volume = found.mapper(0, "vg-a", "LVM-0", gib=1, lower=["vdb", "vdc"])
    found.mount("/a", "xfs", "/dev/vg/a", device=volume)
    loop = found.loop(0, "/a/image", sectors=8)
    found.mount("/inner", "ext4", "/dev/loop0", device=loop)
    found.md("md7", "raid1", gib=9, lower=["vda", "vdb"])
    assert spans(found) == [("lvm", "vg-a", {"vdb", "vdc"}), ("md", "md7", {"vda", "vdb"})]
    assert at(found, "/inner").parents == {found.number(volume)}


def test_filesystem_that_joins_devices_itself_is_a_volume_and_one_on_a_volume_is_none() -> None:
    found = machine(4)
    volume = found.mapper(0, "vg-a", "LVM-0", gib=1, lower=["vda", "vdb"])
    found.mount("/a", "xfs", "/dev/vg/a", device=volume)
    found.mount("/m", "overlay", "overlay", extra="rw,lowerdir=/a/l,upperdir=/u,workdir=/w")
    found.mount("/b", "bcachefs", "/dev/vdc:/dev/vdd")
    found.btrfs("0f6d", ["vdb", "vdd"])
    found.mount("/c", "btrfs", "/dev/vdd", number="0:60")
    found.mount("/d", "xfs", "/dev/vdc", device="vdc", extra="rw,logdev=/dev/vdb")
    found.mount("/e", "ext4", "/dev/vdd", device="vdd")
    found.files["sys/fs/ext4/vdd/journal_task"] = "77\n"
    found.files["proc/77/comm"] = "jbd2/vdc\n"
    assert spans(found) == [
        ("lvm", "vg-a", {"vda", "vdb"}),
        ("bcachefs", "/b", {"vdc", "vdd"}),
        ("btrfs", "/c", {"vdb", "vdd"}),
        ("xfs-log", "/d", {"vdb", "vdc"}),
        ("ext4-journal", "/e", {"vdc", "vdd"}),
    ]
    assert at(found, "/m").disks == {"vda", "vdb"}


def test_part_of_a_filesystem_that_cannot_be_found_is_named() -> None:
    found = machine(2)
    found.mount("/b", "xfs", "/dev/vdb", device="vdb", extra="rw,logdev=/dev/gone,rtdev=/dev/vda")
    assert read_layout(found.text()).spans == (
        Span(kind="xfs-log", name="/b", disks=frozenset({"vda", "vdb"})),
        Span(kind="xfs-log", name="/b", disks=frozenset({"vda", "vdb"}), unknown="/dev/gone"),
    )


def test_btrfs_over_two_disks_that_no_mount_was_tied_to_is_a_volume_by_its_id() -> None:
    found = machine(4)
    found.btrfs("aaaa", ["vdb"])
    found.btrfs("bbbb", ["vdc", "vdd"])
    assert spans(found) == [("btrfs", "bbbb", {"vdc", "vdd"})]


def test_swap_areas_lie_where_their_device_or_file_does() -> None:
    found = machine()
    part = found.partition("vdb", 1, 1)
    found.mount("/c", "xfs", "/dev/vdc", device="vdc")
    found.mount("/run", "tmpfs", "tmpfs")
    found.swap(f"/dev/{part}", "partition")
    found.swap("/c/swap", "file")
    found.swap("/dev/gone", "partition")
    found.swap("/run/swap", "file")
    assert read_layout(found.text()).swaps == {
        "/dev/vdb1": {"vdb"},
        "/c/swap": {"vdc"},
        "/dev/gone": frozenset(),
        "/run/swap": frozenset(),
    }
    del found.files["proc/swaps"]
    assert read_layout(found.text()).swaps == {}


def test_what_lies_on_no_disk_is_told_unless_it_holds_no_data() -> None:
    found = machine(1)
    found.pseudo()
    found.mount("/far", "nfs4", "server:/")
    found.mount("/gone", "ext4", "/dev/vdz", number="253:99")
    found.mount("/theirs", "cifs", "//server/x", namespace=FOREIGN)
    layout = read_layout(found.text())
    told = {each.what: each for each in layout.not_covered}
    assert list(told) == ["/far", "/gone", f"/theirs (in mount namespace {FOREIGN})"]
    assert told["/far"] == NotCovered(
        what="/far",
        kind="nfs4",
        why="nfs4 is a network filesystem: its data lies on another machine",
        data_at_risk=True,
        paths=("/far",),
    )
    assert told["/gone"].why == "its device 253:99 is not there any more"
    elsewhere = [mount.path for mount in layout.elsewhere]
    assert elsewhere[-2:] == ["/far", "/gone"]
    assert "/proc" in elsewhere
    assert "/" not in elsewhere
    why = {mount.path: layout.why_elsewhere.get(mount.mount_id) for mount in layout.elsewhere}
    assert {path: text for path, text in why.items() if text} == {
        "/far": told["/far"].why,
        "/gone": told["/gone"].why,
    }
    assert len(layout.why_elsewhere) == 2


def test_only_a_filesystem_with_the_number_of_a_device_is_said_to_have_lost_it() -> None:
    found = machine(1)
    found.mount("/x", "xfs", "/dev/dm-9", number="252:9")
    found.mount("/sub", "btrfs", "/dev/vdz", number="0:77")
    why = {each.what: each.why for each in read_layout(found.text()).not_covered}
    assert "252:9 is not there" in why["/x"]
    assert "which devices this" in why["/sub"]


def test_overlay_of_another_namespace_is_not_told_and_what_comes_after_it_is() -> None:
    found = machine(1)
    relative = "rw,lowerdir=l,upperdir=u,workdir=w"
    found.mount("/theirs", "overlay", "overlay", extra=relative, namespace=FOREIGN)
    found.mount("/far", "nfs4", "server:/", namespace=FOREIGN)
    assert [each.kind for each in read_layout(found.text()).not_covered] == ["nfs4"]
    found.mount("/ours", "overlay", "overlay", extra=relative)
    assert read_layout(found.text()).not_covered[0].what == "/ours"


def test_namespaces_that_could_not_be_read_are_told_together() -> None:
    found = machine(1)
    found.failures |= {
        "proc/ns/of-process/7": "not allowed",
        "proc/ns/of-process/8": "no such thing",
        f"{CLASS}vda/serial": "no answer",
    }
    assert read_layout(found.text()).not_covered == (
        NotCovered(
            what="mounts seen by 2 other process(es)",
            kind="namespace",
            why="their mount namespace could not be read: not allowed",
            data_at_risk=False,
        ),
    )


def test_doubts_are_told_of_filesystems_on_disks_alone() -> None:
    found = machine(3)
    found.mount("/b", "f2fs", "/dev/vdb", device="vdb")
    found.mount("/none", "reiserfs", "/dev/vdz", number="8:99")
    found.mount("/c", "ext4", "/dev/vdc", device="vdc", namespace=FOREIGN)
    found.files["sys/fs/ext4/vdc/journal_task"] = "0\n"
    first, second = read_layout(found.text()).doubts
    assert (first.what, first.disks) == ("/b", {"vdb"})
    assert first.why == "nothing tells whether this f2fs lies on further devices"
    assert isinstance(second, Doubt)
    assert (second.what, second.disks) == (f"/c (in mount namespace {FOREIGN})", {"vdc"})
    assert second.why.startswith("whether its journal lies on a device of its own")


def test_filesystem_that_no_mount_shows_is_told() -> None:
    found = machine(2)
    found.alive("xfs", "vdb")
    expected = Unseen(what="/dev/vdb", fstype="xfs", disks=frozenset({"vdb"}))
    assert read_layout(found.text()).unseen == (expected,)


@pytest.mark.parametrize("kind", ["linear", "raid0"])
def test_disk_of_a_volume_over_nothing_is_that_volume(kind: str) -> None:
    found = machine(1)
    found.mapper(0, kind, "", gib=1, lower=[])
    assert read_layout(found.text()).disks["dm-0"].kind == "dm"
    found.virtual("odd0", number="200:0", sectors=SECTORS_PER_GIB)
    assert read_layout(found.text()).disks["odd0"].kind == "unknown"
