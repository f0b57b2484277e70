"""What paths, disks and exclusions mean; an exclusion that leaves no disk out is told."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import pytest

from fakes import recorded_machines as recorded
from fakes.machine_builder import MachineBuilder, serial
from snap_self.disks.coverage import choose
from snap_self.disks.layout import read_layout
from snap_self.disks.mapping import map_disks
from snap_self.errors import (
    DiskUnmapped,
    NothingToSnapshot,
    PermissionRefused,
    TornSet,
    UsageError,
)
from snap_self.model.disks import Coverage, Selection
from snap_self.model.machine import PathFact
from snap_self.plan import check_whole

DISK = recorded.described(serial(1), 40, kind="system")


def coverage(*exclude: str) -> Coverage:
    machine = MachineBuilder()
    machine.virtio("vda", 40, serial(1))
    machine.virtio("vdb", 100, "local0001")
    machine.mount("/", "ext4", "/dev/vda", device="vda")
    machine.mount("/scratch", "ext4", "/dev/vdb", device="vdb")
    layout = read_layout(machine.text())
    disks = recorded.disks_of(recorded.answer_of([DISK]))
    found = map_disks(layout, disks, instance_id=recorded.INSTANCE, serial_to_disk={}, user_map={})
    return choose(layout, found, Selection(exclude=exclude), ())


@pytest.mark.parametrize("name", ["vdb", "/dev/vdb", "/scratch", "/scratch/"])
def test_exclusion_of_what_is_on_no_cloud_disk_when_mounted_then_ends_its_gap(name: str) -> None:
    (gap,) = coverage().not_covered
    assert (gap.what, gap.left_out) == ("/scratch", True)
    found = coverage(name)
    assert (found.not_covered, found.vain, found.is_partial) == ((), (), False)
    assert [(each.what, each.why) for each in found.excluded] == [
        ("/scratch", f"left out by --exclude {name}")
    ]


@pytest.mark.parametrize("name", ["{disk}", "vdb", "/srv"])
@pytest.mark.parametrize("where", ["configured", "typed", "both", "not named"])
def test_disk_that_the_configuration_leaves_out_is_meant_by_no_run(name: str, where: str) -> None:
    machine = MachineBuilder()
    machine.virtio("vda", 40, serial(1))
    machine.virtio("vdb", 40, serial(2))
    machine.mount("/", "ext4", "/dev/vda", device="vda")
    machine.mount("/srv", "ext4", "/dev/vdb", device="vdb")
    layout = read_layout(machine.text())
    second = recorded.described(serial(2), 40)
    disks = recorded.disks_of(recorded.answer_of([DISK, second]))
    found = map_disks(layout, disks, instance_id=recorded.INSTANCE, serial_to_disk={}, user_map={})
    item = name.format(disk=disks[1].disk_id)
    asked = {
        "configured": Selection(exclude=(item,), configured=frozenset({item})),
        "typed": Selection(exclude=(item,)),
        "both": Selection(exclude=("/dev/vdb", item), configured=frozenset({item})),
        "not named": Selection(disks=(str(disks[0].disk_id),)),
    }[where]
    (skipped,) = choose(layout, found, asked, ()).skipped
    assert (skipped.disk_id, skipped.asked) == (disks[1].disk_id, True)
    assert skipped.always == (where in ("configured", "both"))


def test_no_exclusion_tells_nothing() -> None:
    assert coverage().vain == ()


@pytest.mark.parametrize(
    ("layers", "disks"),
    [((2,), {2}), ((1, 2), {1, 2}), ((2, None), {1}), ((), {1})],
    ids=["elsewhere", "both", "one-unknown", "not-looked-at"],
)
def test_path_in_an_overlay_means_what_its_layers_were_seen_on(
    layers: tuple[int | None, ...], disks: set[int]
) -> None:
    machine = MachineBuilder()
    for index, name in enumerate(("vda", "vdb")):
        machine.virtio(name, 40, serial(index + 1))
    numbers = {
        1: machine.mount("/", "ext4", "/dev/vda", device="vda"),
        2: machine.mount("/data", "xfs", "/dev/vdb", device="vdb"),
        None: 999,
    }
    extra = "rw,lowerdir=/link/lower,upperdir=/link/upper,workdir=/link/work"
    merged = machine.mount("/merged", "overlay", "overlay", extra=extra)
    seen = tuple(
        PathFact(asked="/link/upper", real="/x", mount_id=numbers[number]) for number in layers
    )
    fact = PathFact(asked="/merged/f", real="/merged/f", mount_id=merged, layers=seen)
    layout = read_layout(machine.text())
    items = [recorded.described(serial(number), 40) for number in (1, 2)]
    disk_map = map_disks(
        layout,
        recorded.disks_of(recorded.answer_of(items)),
        instance_id=recorded.INSTANCE,
        serial_to_disk={},
        user_map={},
    )
    coverage = choose(layout, disk_map, Selection(paths=("/merged/f",)), (fact,))
    wanted = {f"d-{serial(number)}" for number in disks}
    assert {target.cloud.disk_id for target in coverage.targets} == wanted


def chosen(machine: MachineBuilder, selection: Selection, *facts: PathFact) -> Coverage:
    layout = read_layout(machine.text())
    items = [recorded.described(serial(number), 40) for number in (1, 2)]
    disks = recorded.disks_of(recorded.answer_of(items))
    found = map_disks(layout, disks, instance_id=recorded.INSTANCE, serial_to_disk={}, user_map={})
    return choose(layout, found, selection, facts)


def two_disks() -> MachineBuilder:
    machine = MachineBuilder()
    for index, name in enumerate(("vda", "vdb")):
        machine.virtio(name, 40, serial(index + 1))
    machine.mount("/", "ext4", "/dev/vda", device="vda")
    return machine


def test_configured_mount_point_when_nothing_is_mounted_there_then_is_told_and_no_fault() -> None:
    machine, *_ = with_data()
    selection = Selection(exclude=("/mnt/usb",), configured=frozenset({"/mnt/usb"}))
    found = chosen(machine, selection)
    assert found.vain == ("disks.exclude /mnt/usb leaves nothing out: nothing is mounted there",)
    assert len(found.targets) == 2


def test_typed_mount_point_when_nothing_is_mounted_there_then_is_refused() -> None:
    machine, *_ = with_data()
    with pytest.raises(UsageError, match="--exclude /mnt/usb is no disk id"):
        chosen(machine, Selection(exclude=("/mnt/usb",)))


GONE = "d-bp1detachedfornow00"


def test_configured_id_of_a_disk_that_is_detached_is_told_and_leaves_nothing_out() -> None:
    selection = Selection(exclude=(GONE,), configured=frozenset({GONE}))
    coverage = chosen(two_disks(), selection)
    assert len(coverage.targets) == 2
    assert coverage.vain == (f"disks.exclude {GONE} leaves no disk out: it is not attached",)


def test_typed_id_of_a_disk_that_is_not_attached_is_refused() -> None:
    with pytest.raises(DiskUnmapped, match=f"--exclude {GONE}: this disk is not attached"):
        chosen(two_disks(), Selection(exclude=(GONE,)))


def test_configured_name_that_is_nothing_here_names_the_key_and_where_it_stands() -> None:
    selection = Selection(exclude=("/srv",), configured=frozenset({"/srv"}))
    with pytest.raises(UsageError, match=r"disks\.exclude /srv is no disk id") as caught:
        chosen(two_disks(), selection)
    assert "/etc/snap-self/config.toml" in caught.value.hint


@pytest.mark.parametrize(
    ("fstype", "number", "why"),
    [
        ("ext4", "253:99", "its device 253:99 is not there any more"),
        ("zfs", "", "use --disk|with --disk"),
        ("btrfs", "", "it could not be found out which devices this btrfs lies on"),
        ("ecryptfs", "", "shows the files of another filesystem"),
        ("nfs4", "", "network filesystem"),
    ],
)
def test_path_that_no_disk_carries_is_refused_with_the_true_reason(
    fstype: str, number: str, why: str
) -> None:
    machine = two_disks()
    mount_id = machine.mount("/data", fstype, "source", number=number)
    fact = PathFact(asked="/data/f", real="/data/f", mount_id=mount_id)
    with pytest.raises(NothingToSnapshot) as caught:
        chosen(machine, Selection(paths=("/data/f",)), fact)
    assert re.search(why, caught.value.message + caught.value.hint)


def test_path_of_a_device_node_is_pointed_to_the_option_for_it() -> None:
    machine = two_disks()
    mount_id = machine.mount("/dev", "devtmpfs", "udev")
    fact = PathFact(asked="/dev/vdb", real="/dev/vdb", mount_id=mount_id)
    with pytest.raises(NothingToSnapshot) as caught:
        chosen(machine, Selection(paths=("/dev/vdb",)), fact)
    assert "--disk /dev/vdb" in caught.value.hint


def test_volume_over_a_disk_that_the_cloud_does_not_know_is_told_how_to_be_left_out() -> None:
    machine = two_disks()
    machine.nvme(0, 100, "local0001", minor=0)
    machine.mapper(0, "vg-data", "LVM-" + "a" * 64, gib=20, lower=["vdb", "nvme0n1"])
    coverage = chosen(machine, Selection())
    with pytest.raises(TornSet, match="nvme0n1: no disk with its serial") as caught:
        check_whole(coverage)
    assert "--exclude vg-data, for good with disks.exclude" in caught.value.hint
    assert chosen(machine, Selection(exclude=("vg-data",))).torn == ()


@pytest.mark.parametrize("task", ["0\n", "77\n"], ids=["other-pid-namespace", "hidden"])
def test_journal_whose_thread_is_not_visible_is_told(task: str) -> None:
    machine = two_disks()
    machine.files["sys/fs/ext4/vda/journal_task"] = task
    (told,) = chosen(machine, Selection()).doubts
    assert told.what == "/"
    assert "journal" in told.why
    assert chosen(machine, Selection(exclude=("vda",))).doubts == ()
    machine.files[f"proc/{task.strip()}/comm"] = "jbd2/vda-8\n"
    assert chosen(machine, Selection()).doubts == ()


def test_filesystem_of_which_further_devices_are_not_known_is_told() -> None:
    machine = two_disks()
    machine.mount("/data", "f2fs", "/dev/vdb", device="vdb")
    (told,) = chosen(machine, Selection()).doubts
    assert "further devices" in told.why


def chosen_of(
    machine: MachineBuilder,
    items: Sequence[Mapping[str, object]],
    selection: Selection,
    *facts: PathFact,
) -> Coverage:
    layout = read_layout(machine.text())
    disks = recorded.disks_of(recorded.answer_of(items))
    found = map_disks(layout, disks, instance_id=recorded.INSTANCE, serial_to_disk={}, user_map={})
    return choose(layout, found, selection, facts)


ONE, TWO, THREE = (f"d-{serial(number)}" for number in (1, 2, 3))


def with_data() -> tuple[MachineBuilder, PathFact, PathFact]:
    """Return two disks with a filesystem on each, and a path on each."""
    machine = two_disks()
    number = machine.mount("/data", "xfs", "/dev/vdb", device="vdb")
    return (
        machine,
        PathFact(asked="/etc", real="/etc", mount_id=number - 1),
        PathFact(asked="/data/f", real="/data/f", mount_id=number),
    )


def reasons(coverage: Coverage) -> dict[str, str]:
    return {target.cloud.disk_id: target.why for target in coverage.targets}


def test_all_disks_are_meant_where_none_is_named() -> None:
    machine, *_ = with_data()
    why = "attached to this instance"
    assert reasons(chosen(machine, Selection())) == {ONE: why, TWO: why}


def test_each_disk_is_meant_for_the_first_that_names_it() -> None:
    machine, root, data = with_data()
    only_path = chosen(machine, Selection(paths=("/data/f",)), data)
    assert reasons(only_path) == {TWO: "carries /data/f (--path)"}
    assert reasons(chosen(machine, Selection(disks=("/data", "vdb")))) == {TWO: "--disk /data"}
    again = PathFact(asked="/data/g", real="/data/g", mount_id=data.mount_id)
    both = chosen(machine, Selection(paths=("x",), disks=(TWO, ONE)), data, again)
    assert reasons(both) == {ONE: f"--disk {ONE}", TWO: "carries /data/f (--path)"}
    two_paths = chosen(machine, Selection(paths=("x",)), root, data)
    assert list(reasons(two_paths)) == [ONE, TWO]


def test_each_disk_left_out_is_told_by_what_named_it() -> None:
    machine, *_ = with_data()
    selection = Selection(exclude=("/data",), configured=frozenset({"/data"}))
    (left,) = chosen(machine, selection).skipped
    assert (left.disk_id, left.why, left.asked) == (TWO, "left out by disks.exclude /data", True)
    (left,) = chosen(machine, Selection(exclude=(ONE,))).skipped
    assert (left.disk_id, left.why, left.asked) == (ONE, f"left out by --exclude {ONE}", True)


@pytest.mark.parametrize(
    ("exclude", "vain"),
    [
        ((GONE, "nvme0n1", "/data"), [GONE, "nvme0n1"]),
        ((TWO, "nvme0n1"), ["nvme0n1"]),
        (("/data", GONE), [GONE]),
        (("vg-both",), []),
        (("loop7", TWO), ["loop7"]),
    ],
    ids=["detached-and-foreign", "after-an-id", "after-a-name", "volume-over-both", "empty-loop"],
)
def test_each_exclusion_that_leaves_no_disk_out_is_told(
    exclude: tuple[str, ...], vain: list[str]
) -> None:
    machine, *_ = with_data()
    machine.nvme(0, 100, "local0001", minor=0)
    machine.mapper(0, "vg-both", "LVM-0", gib=1, lower=["vdb", "nvme0n1"])
    machine.loop(7, "", sectors=0)
    told = chosen(machine, Selection(exclude=exclude, configured=frozenset({GONE}))).vain
    assert [text.split(" ")[1] for text in told] == vain
    assert [text for text in told if "leaves no disk out: " not in text] == []
    if "loop7" in vain:
        assert told[0].endswith("loop7: the cloud does not know it")


@pytest.mark.parametrize(
    ("item", "told"),
    [
        (GONE, f"--disk {GONE}: this disk is not attached"),
        ("/nowhere", "--disk /nowhere is no disk id, block device or mount point"),
        ("data", "--disk data is no disk id"),
    ],
)
def test_named_disk_that_is_none_here_is_refused(item: str, told: str) -> None:
    machine, *_ = with_data()
    with pytest.raises((DiskUnmapped, UsageError)) as caught:
        chosen(machine, Selection(disks=(item,)))
    assert caught.value.message.startswith(told)
    assert (f"{ONE}, {TWO}" if item == GONE else "use --path") in caught.value.hint


def test_named_disk_with_none_shown_at_all_is_a_missing_permission() -> None:
    with pytest.raises(PermissionRefused) as caught:
        chosen_of(two_disks(), [], Selection(disks=(GONE,)))
    assert caught.value.action == "ecs:DescribeDisks"


@pytest.mark.parametrize(
    ("named", "told"),
    [
        (TWO, TWO),
        ("vdb", f"vdb is {TWO}, which"),
        ("/dev/vdb", f"/dev/vdb is {TWO}, which"),
        ("/data", f"/data lies on {TWO} (vdb), which"),
    ],
)
def test_named_disk_that_gets_no_snapshot_is_refused_with_the_reason(named: str, told: str) -> None:
    machine, *_ = with_data()
    items = [DISK, recorded.described(serial(2), 40, category="local_ssd_pro")]
    with pytest.raises(NothingToSnapshot) as caught:
        chosen_of(machine, items, Selection(disks=(named,)))
    assert caught.value.message.startswith(f"{told} gets no snapshot: category local_ssd_pro")
    assert "move the data" in caught.value.hint


def test_path_on_a_disk_that_gets_no_snapshot_is_refused_with_the_way_there() -> None:
    machine, _, data = with_data()
    items = [DISK, recorded.described(serial(2), 40, category="local_ssd_pro")]
    with pytest.raises(NothingToSnapshot) as caught:
        chosen_of(machine, items, Selection(paths=("x",)), data)
    assert f"/data/f lies on {TWO} (/data ← vdb), which gets no snapshot" in caught.value.message


def test_path_on_a_disk_that_cannot_be_tied_is_refused_with_the_way_and_all_doubts() -> None:
    machine, _, data = with_data()
    items = [recorded.described(serial(number), 50) for number in (1, 2)]
    with pytest.raises(DiskUnmapped) as caught:
        chosen_of(machine, items, Selection(paths=("x",)), data)
    assert "/data/f lies on vdb (/data ← vdb), which cannot be tied" in caught.value.message
    assert caught.value.message.endswith(": it could not be tied to its cloud disk for certain")
    assert f"(doubtful: {ONE}: the cloud says 50 GiB" in caught.value.hint
    assert f"; {TWO}: the cloud says" in caught.value.hint
    assert "[disks.map]" in caught.value.hint


def test_device_that_cannot_be_tied_is_refused_without_doubts_where_there_are_none() -> None:
    machine = two_disks()
    machine.loop(7, "", sectors=0)
    with pytest.raises(DiskUnmapped) as caught:
        chosen(machine, Selection(disks=("/dev/loop7",)))
    told = "/dev/loop7 cannot be tied to a cloud disk: it is not known"
    assert caught.value.message.startswith(told)
    assert caught.value.hint.endswith("if you know which cloud disk it is")


def test_path_on_no_known_mount_is_refused() -> None:
    fact = PathFact(asked="/x", real="/x", mount_id=999, devno="9:9")
    with pytest.raises(NothingToSnapshot, match="no known filesystem holds /x") as caught:
        chosen(two_disks(), Selection(paths=("/x",)), fact)
    assert "unmounted" in caught.value.hint


def test_path_on_a_filesystem_of_memory_is_refused_and_other_ways_are_named() -> None:
    machine = two_disks()
    mount_id = machine.mount("/tmp", "tmpfs", "tmpfs")
    fact = PathFact(asked="/tmp/x", real="/tmp/x", mount_id=mount_id)
    with pytest.raises(NothingToSnapshot) as caught:
        chosen(machine, Selection(paths=("/tmp/x",)), fact)
    told = "/tmp/x lies on /tmp (tmpfs), which no disk of this instance carries"
    assert caught.value.message == told
    assert caught.value.hint.startswith("name a path on one of the instance's disks")


def test_mount_point_that_no_disk_carries_is_refused_with_the_reason() -> None:
    machine = two_disks()
    machine.mount("/far", "nfs4", "server:/")
    with pytest.raises(NothingToSnapshot) as caught:
        chosen(machine, Selection(disks=("/far",)))
    assert caught.value.message.startswith("/far lies on /far (nfs4): nfs4 is a network filesystem")


def test_layers_are_looked_into_as_deep_as_they_are_told_and_memory_holds_none() -> None:
    machine, _, data = with_data()
    memory = machine.mount("/run", "tmpfs", "tmpfs")
    merged = machine.mount("/m", "overlay", "overlay", extra="rw,lowerdir=/l,upperdir=/u")
    tmp = PathFact(asked="/run/u", real="/run/u", mount_id=memory)
    inner = PathFact(asked="/m/l", real="/m/l", mount_id=data.mount_id, layers=(tmp, data))
    fact = PathFact(asked="/m/f", real="/m/f", mount_id=merged, layers=(tmp, inner))
    assert list(reasons(chosen(machine, Selection(paths=("x",)), fact))) == [TWO]
    only_memory = PathFact(asked="/m/f", real="/m/f", mount_id=memory, layers=(tmp,))
    with pytest.raises(NothingToSnapshot, match=r"/m/f lies on /run \(tmpfs\)"):
        chosen(machine, Selection(paths=("x",)), only_memory)


def test_volume_over_two_disks_means_both() -> None:
    machine = two_disks()
    machine.virtio("vdc", 40, serial(3))
    volume = machine.mapper(0, "vg-x", "LVM-0", gib=1, lower=["vdc", "vdb"])
    mount_id = machine.mount("/x", "xfs", "/dev/x", device=volume)
    items = [recorded.described(serial(number), 40) for number in (1, 2, 3)]
    fact = PathFact(asked="/x", real="/x", mount_id=mount_id)
    for selection, facts in (
        (Selection(paths=("/x",)), (fact,)),
        (Selection(disks=("vg-x",)), ()),
        (Selection(disks=("/x",)), ()),
    ):
        assert list(reasons(chosen_of(machine, items, selection, *facts))) == [TWO, THREE]
    left = chosen_of(machine, items, Selection(exclude=("/x",)))
    assert list(reasons(left)) == [ONE]
