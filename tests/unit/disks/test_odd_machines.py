"""Rare stacks of devices, names and mounts: what lies below them, and what is meant by a name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import pytest

from fakes import recorded_machines as recorded
from fakes.machine_builder import CLASS, SECTORS_PER_GIB, MachineBuilder, serial
from snap_self.disks.coverage import choose
from snap_self.disks.flush import flush_plan
from snap_self.disks.layout import read_layout
from snap_self.disks.mapping import DiskMap, map_disks
from snap_self.errors import DiskUnmapped, TopologyError, UsageError
from snap_self.model.disks import Coverage, Selection
from snap_self.model.flushing import to_sync
from snap_self.model.ids import DiskId
from snap_self.model.machine import MachineText, PathFact

VDA, VDB, VDC = (DiskId(f"d-{serial(number)}") for number in (1, 2, 3))


def disks(count: int = 3) -> MachineBuilder:
    machine = MachineBuilder()
    for number, name in enumerate(("vda", "vdb", "vdc", "vdd")[:count], start=1):
        machine.virtio(name, 40, serial(number))
    machine.mount("/", "ext4", "/dev/vda", device="vda")
    return machine


def below(machine: MachineBuilder, path: str) -> tuple[set[str], set[str]]:
    """Return the disks below what is mounted there, and the kinds of volume over several."""
    layout = read_layout(machine.text())
    (found,) = [
        filesystem
        for filesystem in layout.filesystems.values()
        if any(mount.path == path for mount in filesystem.mounts)
    ]
    return set(found.disks), {span.kind for span in layout.spans}


def _raid_inside_lvm(machine: MachineBuilder) -> str:
    images = [
        machine.mapper(n, f"vg-data_rimage_{n}", f"LVM-{n}", gib=20, lower=[name])
        for n, name in enumerate(("vdb", "vdc"))
    ]
    return machine.mapper(5, "vg-data", "LVM-5", gib=20, lower=images)


def _vdo_on_luks_with_integrity(machine: MachineBuilder) -> str:
    integrity = machine.mapper(0, "secret_dif", "CRYPT-INTEGRITY-x", gib=40, lower=["vdb"])
    luks = machine.mapper(1, "secret", "CRYPT-LUKS2-x", gib=40, lower=[integrity])
    pool = machine.mapper(2, "vg-vpool-vpool", "LVM-2", gib=40, lower=[luks])
    return machine.mapper(3, "vg-vdo", "LVM-3", gib=80, lower=[pool])


def _degraded_md(machine: MachineBuilder) -> str:
    machine.md("md0", "raid1", gib=40, lower=["vdc"])
    return "md0"


def _luks_named_like_a_disk(machine: MachineBuilder) -> str:
    return machine.mapper(0, "vdb", "CRYPT-LUKS2-x", gib=40, lower=["vdc"])


def _drbd_with_a_slave(machine: MachineBuilder) -> str:
    machine.virtual("drbd0", number="147:0", sectors=SECTORS_PER_GIB, lower=["vdb"])
    return "drbd0"


@pytest.mark.parametrize(
    ("stack", "found", "spans"),
    [
        (_raid_inside_lvm, {"vdb", "vdc"}, {"lvm"}),
        (_vdo_on_luks_with_integrity, {"vdb"}, set()),
        (_degraded_md, {"vdc"}, set()),
        (_luks_named_like_a_disk, {"vdc"}, set()),
        (_drbd_with_a_slave, {"vdb"}, set()),
    ],
)
def test_filesystem_on_a_rare_stack_lies_on_the_disks_at_its_bottom(
    stack: Callable[[MachineBuilder], str], found: set[str], spans: set[str]
) -> None:
    machine = disks()
    device = stack(machine)
    machine.mount("/data", "xfs", "/dev/x", device=device)
    assert below(machine, "/data") == (found, spans)


def test_filesystem_over_a_list_of_devices_spans_all_of_them() -> None:
    machine = disks()
    machine.mount("/data", "bcachefs", "/dev/vdb:/dev/vdc")
    assert below(machine, "/data") == ({"vdb", "vdc"}, {"bcachefs"})


def test_list_of_devices_with_a_name_that_is_not_known_is_a_volume_with_an_unknown_part() -> None:
    machine = disks()
    machine.mount("/data", "bcachefs", "/dev/vdb:/x/odd")
    (span,) = read_layout(machine.text()).spans
    assert (span.disks, span.unknown) == (frozenset({"vdb"}), "/x/odd")


@pytest.mark.parametrize("fstype", ["tmpfs", "fuse.sshfs", "nfs4"])
def test_filesystem_without_a_device_lies_on_no_disk_whatever_its_source_is_called(
    fstype: str,
) -> None:
    machine = disks()
    machine.mount("/data", fstype, "/dev/vdb")
    layout = read_layout(machine.text())
    assert [each.fstype for each in layout.filesystems.values()] == ["ext4"]


def test_overlay_with_a_relative_upper_layer_is_not_said_to_lie_where_its_lower_one_does() -> None:
    machine = disks()
    machine.mount("/a", "ext4", "/dev/vdb", device="vdb")
    machine.mount("/m", "overlay", "overlay", extra="rw,lowerdir=/a/l,upperdir=u,workdir=w")
    layout = read_layout(machine.text())
    assert "overlay" not in {each.fstype for each in layout.filesystems.values()}
    assert [each.what for each in layout.not_covered] == ["/m"]


def _drbd_alone(machine: MachineBuilder) -> str:
    machine.virtual("drbd0", number="147:0", sectors=SECTORS_PER_GIB)
    return "drbd0"


def _scsi_lun(machine: MachineBuilder) -> str:
    real = "devices/platform/host2/session1/target2:0:0/2:0:0:1/block/sda"
    machine.device("sda", real, number="8:0", sectors=SECTORS_PER_GIB)
    machine.links[f"{CLASS}sda/device"] = "../../../2:0:0:1"
    return "sda"


def _volume_on_a_lun(machine: MachineBuilder) -> str:
    return machine.mapper(0, "vg-far", "LVM-0", gib=1, lower=[_scsi_lun(machine)])


def chosen(
    machine: MachineBuilder,
    selection: Selection,
    *facts: PathFact,
    cloud: Sequence[int] = (1, 2, 3),
) -> Coverage:
    layout = read_layout(machine.text())
    items = [recorded.described(serial(number), 40) for number in cloud]
    found = map_disks(
        layout,
        recorded.disks_of(recorded.answer_of(items)),
        instance_id=recorded.INSTANCE,
        serial_to_disk={},
        user_map={},
    )
    return choose(layout, found, selection, facts)


@pytest.mark.parametrize("stack", [_drbd_alone, _scsi_lun, _volume_on_a_lun])
def test_filesystem_on_a_device_of_no_cloud_disk_is_never_claimed(
    stack: Callable[[MachineBuilder], str],
) -> None:
    machine = disks()
    device = stack(machine)
    mount_id = machine.mount("/far", "ext4", "/dev/x", device=device)
    coverage = chosen(machine, Selection())
    assert {target.cloud.disk_id for target in coverage.targets} == {VDA, VDB, VDC}
    assert "/far" not in {flush.path for flush in to_sync(flush_plan(coverage))}
    fact = PathFact(asked="/far/f", real="/far/f", mount_id=mount_id)
    with pytest.raises(DiskUnmapped, match="/far/f lies on"):
        chosen(machine, Selection(paths=("/far/f",)), fact)


def test_pool_of_zfs_is_named_as_not_covered() -> None:
    machine = disks()
    machine.mount("/tank", "zfs", "tank")
    assert [entry.what for entry in chosen(machine, Selection()).not_covered] == ["/tank"]


def test_paths_of_native_multipath_that_an_old_kernel_does_not_hide_tie_nothing() -> None:
    machine = disks(1)
    machine.nvme(0, 40, serial(2), minor=0)
    for path in ("nvme0c0n1", "nvme0c1n1"):
        real = f"devices/pci0/nvme/nvme0/{path}"
        machine.device(path, real, number=f"259:{path[6]}", sectors=40 * SECTORS_PER_GIB)
        machine.links[f"{CLASS}{path}/device"] = "../../nvme0"
        machine.files[f"{CLASS}{path}/device/serial"] = f"{serial(2)}\n"
    with pytest.raises(DiskUnmapped) as caught:
        chosen(machine, Selection(disks=(VDB,)), cloud=(1, 2))
    assert "nvme0n1" in caught.value.message + caught.value.hint


def test_disk_in_a_folder_of_its_own_below_dev_is_mapped_and_left_out_by_its_node() -> None:
    machine = disks(1)
    machine.device("cciss!c0d0", "devices/pci0/c0d0", number="104:0", sectors=40 * SECTORS_PER_GIB)
    machine.links[f"{CLASS}cciss!c0d0/device"] = "../../../cciss0"
    machine.files[f"{CLASS}cciss!c0d0/serial"] = serial(2)
    machine.mount("/data", "ext4", "/dev/cciss/c0d0", device="cciss!c0d0")
    both = chosen(machine, Selection(), cloud=(1, 2))
    assert {target.cloud.disk_id for target in both.targets} == {VDA, VDB}
    left = chosen(machine, Selection(exclude=("/dev/cciss/c0d0",)), cloud=(1, 2))
    assert {target.cloud.disk_id for target in left.targets} == {VDA}


ODD_NAMES = (
    r"/a\040-\040b",
    r"/srv/\040-\040ext4\040",
    r"/tab\011tab",
    r"/line\012line",
    r"/back\134040slash",
    r"/hash\043",
    "/ü/日本",
    "/latin-\udce9",
    "/a\u2028b",
    "/cr\rx",
    "/vt\vff\f",
    "/esc\x1b[2J",
    "/comma,colon:",
    r"/gone//deleted",
)


def test_mounts_of_every_odd_name_are_found_and_each_path_leads_to_its_disk() -> None:
    machine = disks(2)
    numbers = {
        name: machine.mount(name, "xfs", source, device="vdb")
        for name, source in zip(ODD_NAMES, ("/dev/vdb", "-", "", *["/dev/vdb"] * 20), strict=False)
    }
    layout = read_layout(machine.text())
    (found,) = [fs for fs in layout.filesystems.values() if fs.fstype == "xfs"]
    assert len({mount.path for mount in found.mounts}) == len(ODD_NAMES)
    for mount_id in numbers.values():
        fact = PathFact(asked="x", real="x", mount_id=mount_id)
        coverage = chosen(machine, Selection(paths=("x",)), fact, cloud=(1, 2))
        assert [target.cloud.disk_id for target in coverage.targets] == [VDB]


def test_thousands_of_mounts_of_one_filesystem_are_flushed_once() -> None:
    machine = disks(2)
    machine.mount("/data", "ext4", "/dev/vdb", device="vdb")
    for index in range(2500):
        machine.mount(f"/bind/{index}", "ext4", "/dev/vdb", device="vdb", root=f"/{index}")
    paths = [
        flush.path for flush in to_sync(flush_plan(chosen(machine, Selection(), cloud=(1, 2))))
    ]
    assert sorted(paths) == ["/", "/data"]


def _named_every_way() -> MachineBuilder:
    machine = disks(3)
    part = machine.partition("vdb", 1, 39)
    machine.mount("/data", "ext4", "/dev/vdb1", device=part)
    machine.mount("/bound", "ext4", "/dev/vdb1", device=part, root="/sub")
    volume = machine.mapper(0, "vg-logs", "LVM-0", gib=9, lower=["vdc"])
    machine.mount("/logs", "xfs", "/dev/mapper/vg-logs", device=volume)
    machine.links["dev/vg/logs"] = "../dm-0"
    return machine


@pytest.mark.parametrize(
    ("named", "left"),
    [
        (VDB, {VDA, VDC}),
        ("vdb", {VDA, VDC}),
        ("/dev/vdb", {VDA, VDC}),
        ("/dev/vdb1", {VDA, VDC}),
        (f"/dev/disk/by-id/virtio-{serial(2)}", {VDA, VDC}),
        ("/data", {VDA, VDC}),
        ("/data/", {VDA, VDC}),
        ("/bound", {VDA, VDC}),
        ("/logs", {VDA, VDB}),
        ("vg-logs", {VDA, VDB}),
        ("/dev/mapper/vg-logs", {VDA, VDB}),
    ],
)
def test_disk_is_left_out_by_each_of_its_names(named: str, left: set[DiskId]) -> None:
    coverage = chosen(_named_every_way(), Selection(exclude=(named,)))
    assert {target.cloud.disk_id for target in coverage.targets} == left


@pytest.mark.parametrize("named", ["UUID=0f6d", "/data/sub", "/nowhere", "vdz", ""])
def test_name_of_nothing_here_is_refused_and_leaves_nothing_out(named: str) -> None:
    with pytest.raises(UsageError):
        chosen(_named_every_way(), Selection(exclude=(named,)))


def _sprout(machine: MachineBuilder) -> None:
    """Have a read-only seed on vdb and what was added to it on vdc."""
    machine.btrfs("5eed", ["vdb"])
    machine.btrfs("0f6d", ["vdb", "vdc"])


def _first_removed(machine: MachineBuilder) -> None:
    machine.btrfs("0f6d", ["vdc"])


@pytest.mark.parametrize(
    ("members", "found"), [(_sprout, {"vdb", "vdc"}), (_first_removed, {"vdc"})]
)
def test_btrfs_lies_on_the_devices_that_the_kernel_lists_not_on_the_one_it_was_mounted_by(
    members: Callable[[MachineBuilder], None], found: set[str]
) -> None:
    machine = disks()
    members(machine)
    machine.mount("/data", "btrfs", "/dev/vdb", number="0:50")
    machine.files["sys/fs/btrfs-mounted/0:50"] = "0f6d\n"
    assert below(machine, "/data")[0] == found


def test_partition_of_a_loop_disk_means_the_disk_that_holds_its_image() -> None:
    machine = disks(2)
    machine.mount("/data", "ext4", "/dev/vdb", device="vdb")
    loop = machine.loop(0, "/data/disk.img", sectors=SECTORS_PER_GIB)
    part = machine.partition(loop, 1, 1, minor=9)
    mount_id = machine.mount("/inner", "xfs", f"/dev/{part}", device=part)
    fact = PathFact(asked="/inner", real="/inner", mount_id=mount_id)
    for selection, facts in (
        (Selection(paths=("/inner",)), (fact,)),
        (Selection(disks=(f"/dev/{part}",)), ()),
    ):
        coverage = chosen(machine, selection, *facts, cloud=(1, 2))
        assert [target.cloud.disk_id for target in coverage.targets] == [VDB]
    left = chosen(machine, Selection(exclude=(part,)), cloud=(1, 2))
    assert [target.cloud.disk_id for target in left.targets] == [VDA]


def _without(folder: str) -> MachineText:
    whole = disks().text()
    return MachineText(
        files={path: text for path, text in whole.files.items() if not path.startswith(folder)},
        links={path: text for path, text in whole.links.items() if not path.startswith(folder)},
        failures={},
    )


def mapped(text: MachineText, user_map: Mapping[str, DiskId] | None = None) -> DiskMap:
    items = [recorded.described(serial(number), 40) for number in (1, 2, 3)]
    return map_disks(
        read_layout(text),
        recorded.disks_of(recorded.answer_of(items)),
        instance_id=recorded.INSTANCE,
        serial_to_disk={},
        user_map=user_map or {},
    )


def test_machine_without_proc_is_refused_with_what_to_look_at() -> None:
    with pytest.raises(TopologyError, match="mountinfo") as caught:
        read_layout(_without("proc/"))
    assert "is /proc mounted" in caught.value.hint


def test_machine_without_sys_is_refused_and_not_taken_for_one_without_disks() -> None:
    text = _without("sys/")
    with pytest.raises(DiskUnmapped, match="no local disk has its serial"):
        choose(read_layout(text), mapped(text), Selection(), ())


@pytest.mark.parametrize(
    ("user_map", "tied"),
    [
        ({"vdb": VDB}, {VDA: "vda", VDB: "vdb", VDC: "vdc"}),
        ({"vdb": VDC, "vdc": VDB}, {VDA: "vda", VDB: None, VDC: None}),
        ({"vdb": DiskId("d-gone")}, {VDA: "vda", VDB: "vdb", VDC: "vdc"}),
        ({f"/dev/disk/by-id/virtio-{serial(2)}": VDB}, {VDA: "vda", VDB: "vdb", VDC: "vdc"}),
    ],
    ids=["right", "crossed", "disk-gone", "by-link"],
)
def test_configured_map_ties_what_the_serials_say_and_nothing_against_them(
    user_map: dict[str, DiskId], tied: dict[DiskId, str | None]
) -> None:
    found = mapped(disks().text(), user_map)
    assert {e.cloud.disk_id: e.local.name if e.local else None for e in found.disks} == tied
