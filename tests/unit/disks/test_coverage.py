"""What is chosen carries what lies on it; all else is told, with whether data are at risk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest

from fakes import recorded_machines as recorded
from fakes.machine_builder import CLASS, SECTORS_PER_GIB, MachineBuilder, serial
from fakes.machine_builder import machine_with_disks as machine
from snap_self.disks.coverage import choose, seen_again
from snap_self.disks.gaps import FOREIGN
from snap_self.disks.layout import read_layout
from snap_self.disks.mapping import map_disks
from snap_self.errors import DiskUnmapped, NothingToSnapshot, OnTemporaryDisk, PermissionRefused
from snap_self.model.disks import Coverage, NotCovered, Selection

ONE, TWO, THREE = (f"d-{serial(number)}" for number in (1, 2, 3))


def attached(*numbers: int, **more: str) -> list[Mapping[str, object]]:
    """Return disks of these numbers, the second of them the system's."""
    kinds = {2: "system"}
    return [
        recorded.described(serial(number), 40, kind=kinds.get(number, "data"), **more)
        for number in numbers
    ]


def covered(
    found: MachineBuilder, items: Sequence[Mapping[str, object]], selection: Selection | None = None
) -> Coverage:
    layout = read_layout(found.text())
    disks = recorded.disks_of(recorded.answer_of(items))
    mapped = map_disks(layout, disks, instance_id=recorded.INSTANCE, serial_to_disk={}, user_map={})
    return choose(layout, mapped, selection or Selection(), ())


def told(coverage: Coverage) -> list[tuple[str, str, bool]]:
    return [(each.what, each.kind, each.data_at_risk) for each in coverage.not_covered]


def test_chosen_disks_are_in_order_the_systems_first_with_what_ties_them() -> None:
    coverage = covered(machine(), attached(3, 1, 2))
    assert [target.cloud.disk_id for target in coverage.targets] == [TWO, ONE, THREE]
    assert [target.local.name if target.local else "" for target in coverage.targets] == [
        *("vdb", "vda", "vdc")
    ]
    for target in coverage.targets:
        assert target.how.startswith(f"serial {target.cloud.serial} (sysfs), attached here")
        assert target.why == "attached to this instance"
    assert (coverage.skipped, coverage.vain, coverage.doubts) == ((), (), ())
    assert (coverage.local_only, coverage.not_covered) == ({}, ())


def test_chosen_disk_carries_its_filesystems_by_mount_point_and_no_overlay() -> None:
    found = machine()
    part = found.partition("vdb", 1, 9)
    volume = found.mapper(0, "vg-b", "LVM-0", gib=9, lower=["vdb", "vdc"])
    found.mount("/z", "xfs", "/dev/vdb1", device=part)
    found.mount("/a", "xfs", "/dev/vg/b", device=volume)
    found.mount("/m", "overlay", "overlay", extra="rw,lowerdir=/z/l,upperdir=/z/u,workdir=/z/w")
    paths = {
        target.cloud.disk_id: [each.mounts[0].path for each in target.filesystems]
        for target in covered(found, attached(1, 2, 3)).targets
    }
    assert paths == {ONE: ["/"], TWO: ["/a", "/z"], THREE: ["/a"]}


def test_disk_left_out_and_disk_not_named_are_as_asked_and_no_loss_of_data() -> None:
    found = machine()
    found.mount("/b", "xfs", "/dev/vdb", device="vdb")
    coverage = covered(found, attached(1, 2, 3), Selection(disks=("vda", "vdb"), exclude=("vdb",)))
    assert [target.cloud.disk_id for target in coverage.targets] == [ONE]
    assert [(each.disk_id, each.asked) for each in coverage.skipped] == [(TWO, True), (THREE, True)]
    assert coverage.skipped[0].why == "left out by --exclude vdb"
    assert coverage.skipped[1].why.startswith("not asked for")
    assert coverage.not_covered == ()


def test_disk_that_gets_no_snapshot_though_meant_is_told_with_what_is_on_it() -> None:
    found = machine()
    found.mount("/b", "xfs", "/dev/vdb", device="vdb")
    found.mount("/b/far", "nfs4", "server:/")
    items = [*attached(1, 3), *attached(2, category="local_ssd_pro")]
    coverage = covered(found, items)
    (left,) = coverage.skipped
    assert (left.disk_id, left.asked) == (TWO, False)
    assert left.why.startswith("category local_ssd_pro")
    assert told(coverage) == [("/b/far", "nfs4", True), ("/b", "xfs", True)]
    assert coverage.not_covered[1].why == f"it lies on vdb: {left.why}"
    assert coverage.not_covered[1].cause == left.why


def test_disks_that_the_cloud_does_not_list_are_told_to_lack_for_one_cause() -> None:
    found = machine()
    found.mount("/b", "xfs", "/dev/vdb", device="vdb")
    found.mount("/c", "ext4", "/dev/vdc", device="vdc")
    first, second = covered(found, attached(1)).not_covered
    assert first.why != second.why
    assert first.cause == second.cause == FOREIGN


def test_local_disk_of_no_cloud_disk_is_told_even_if_nothing_is_mounted_from_it() -> None:
    coverage = covered(machine(), attached(1, 2))
    assert coverage.not_covered == (
        NotCovered(
            what="/dev/vdc", kind="disk", why=coverage.local_only["vdc"], data_at_risk=False
        ),
    )


def test_volume_over_two_disks_of_no_cloud_disk_is_told_once() -> None:
    found = machine()
    volume = found.mapper(0, "vg-b", "LVM-0", gib=9, lower=["vdb", "vdc"])
    found.mount("/b", "xfs", "/dev/vg/b", device=volume)
    found.mount("/c", "ext4", "/dev/vdc", device="vdc")
    coverage = covered(found, attached(1))
    assert told(coverage) == [("/b", "xfs", True), ("/c", "ext4", True)]
    assert [each.why.partition(":")[0] for each in coverage.not_covered] == [
        *("it lies on vdb", "it lies on vdc")
    ]


@pytest.mark.parametrize(
    ("name", "fstype", "at_risk"),
    [("zram0", "ext4", False), ("ram0", "ext4", False), ("sr0", "iso9660", False),
     ("nbd0", "ext4", True), ("pmem0", "xfs", True)],
)  # fmt: skip
def test_data_on_what_is_gone_after_a_reboot_or_cannot_be_written_are_not_at_risk(
    name: str, fstype: str, *, at_risk: bool
) -> None:
    found = machine(1)
    found.virtual(name, number="200:0", sectors=SECTORS_PER_GIB)
    found.virtual("pmem7", number="200:7", sectors=SECTORS_PER_GIB)
    found.mount("/x", fstype, f"/dev/{name}", device=name)
    coverage = covered(found, attached(1))
    assert told(coverage) == [("/x", fstype, at_risk)]
    assert set(coverage.local_only) == {name, "pmem7"}


def test_volumes_are_whole_or_torn_by_what_is_chosen_of_them() -> None:
    found = machine()
    found.mapper(0, "vg-ab", "LVM-0", gib=9, lower=["vda", "vdb"])
    found.mapper(1, "vg-bc", "LVM-1", gib=9, lower=["vdb", "vdc"])
    items = attached(1, 2, 3)

    def spans(*disks: str) -> tuple[list[str], list[str]]:
        coverage = covered(found, items, Selection(disks=disks))
        again = seen_again(coverage, read_layout(found.text()))
        assert (again.spans, again.torn) == (coverage.spans, coverage.torn)
        return [span.name for span in coverage.spans], [span.name for span in coverage.torn]

    assert spans() == (["vg-ab", "vg-bc"], [])
    assert spans("vda") == ([], ["vg-ab"])
    assert spans("vda", "vdb") == (["vg-ab"], ["vg-bc"])
    assert spans("vdc") == ([], ["vg-bc"])


def test_what_is_mounted_nowhere_and_what_is_doubtful_is_told_of_chosen_disks_alone() -> None:
    found = machine()
    found.alive("xfs", "vdb")
    found.mount("/c", "f2fs", "/dev/vdc", device="vdc")
    for disks, unseen, doubts in (
        (("vda",), [], []),
        (("vdb",), ["/dev/vdb"], []),
        (("vdc",), [], ["/c"]),
        ((), ["/dev/vdb"], ["/c"]),
    ):
        coverage = covered(found, attached(1, 2, 3), Selection(disks=disks))
        assert [each.what for each in coverage.unseen] == unseen
        assert [each.what for each in coverage.doubts] == doubts
        again = seen_again(coverage, read_layout(found.text()))
        assert again.unseen == coverage.unseen


def test_meant_disk_that_cannot_be_tied_is_refused_with_why_and_what_to_do() -> None:
    items = [*attached(1), recorded.described(serial(2), 50)]
    with pytest.raises(DiskUnmapped) as caught:
        covered(machine(2), items)
    assert caught.value.message.startswith(f"disk {TWO} (50 GiB) is attached to this instance")
    assert "the cloud says 50 GiB, but vdb has 40 GiB" in caught.value.message
    assert "[disks.map]" in caught.value.hint
    assert caught.value.hint.endswith(f"--exclude {TWO}")
    left = covered(machine(2), items, Selection(exclude=(TWO,)))
    assert [target.cloud.disk_id for target in left.targets] == [ONE]


def test_instance_without_any_disk_in_the_cloud_is_refused_with_what_may_be_missing() -> None:
    with pytest.raises(PermissionRefused, match="the cloud shows no disk") as caught:
        covered(machine(1), [])
    assert "ecs:DescribeDisks" in caught.value.hint


def test_choice_that_leaves_no_disk_is_refused_with_the_reason_for_each() -> None:
    items = [*attached(1), *attached(2, category="local_ssd_pro")]
    with pytest.raises(NothingToSnapshot) as caught:
        covered(machine(2), items, Selection(exclude=("vda",)))
    told = f"({ONE}: left out by --exclude vda; {TWO}: category local_ssd_pro"
    assert told in caught.value.message
    assert "--exclude" in caught.value.hint


def test_second_look_tells_what_is_on_the_same_disks_now_and_nothing_of_others() -> None:
    found = machine()
    before = covered(found, attached(1, 2, 3), Selection(disks=("vda", "vdb")))
    found.mount("/b", "xfs", "/dev/vdb", device="vdb")
    found.mount("/c", "xfs", "/dev/vdc", device="vdc")
    found.alive("ext4", "vdc")
    found.alive("ext4", found.partition("vdb", 1, 1))
    found.mapper(0, "vg-ab", "LVM-0", gib=9, lower=["vda", "vdb"])
    found.mapper(1, "vg-bc", "LVM-1", gib=9, lower=["vdb", "vdc"])
    after = seen_again(before, read_layout(found.text()))
    paths = [[each.mounts[0].path for each in target.filesystems] for target in after.targets]
    assert paths == [["/b"], ["/"]]
    assert [target.cloud for target in after.targets] == [target.cloud for target in before.targets]
    assert [each.what for each in after.unseen] == ["/dev/vdb1"]
    assert [span.name for span in after.spans] == ["vg-ab"]
    assert [span.name for span in after.torn] == ["vg-bc"]
    assert (before.unseen, before.spans, before.torn) == ((), (), ())
    assert after.skipped == before.skipped


def test_second_look_refuses_another_device_of_the_same_name() -> None:
    found = machine(2)
    before = covered(found, attached(1, 2))
    found.files[f"{CLASS}vdb/dev"] = "253:77\n"
    with pytest.raises(DiskUnmapped, match="/dev/vdb is no longer the disk") as caught:
        seen_again(before, read_layout(found.text()))
    assert "run the command again" in caught.value.hint


def test_second_look_at_a_disk_that_was_never_tied_finds_nothing_on_it() -> None:
    found = machine(1)
    before = covered(found, attached(1))
    (target,) = before.targets
    untied = replace(before, targets=(replace(target, local=None),))
    (after,) = seen_again(untied, read_layout(found.text())).targets
    assert after.filesystems == ()


def test_temporary_disk_is_never_snapshotted_and_no_gap() -> None:
    found = machine()
    found.mount("/mnt/before", "ext4", "/dev/vdc", device="vdc")
    marked = {"Tags": {"Tag": [{"TagKey": "snap-self-temp", "TagValue": recorded.INSTANCE}]}}
    items = [*attached(1, 2), {**attached(3)[0], **marked}]
    coverage = covered(found, items)
    assert THREE not in [target.cloud.disk_id for target in coverage.targets]
    (left,) = coverage.skipped
    assert (left.disk_id, left.asked) == (THREE, True)
    assert "snapshot open" in left.why
    assert told(coverage) == []
    # Named by itself it is still none to be snapshotted.
    with pytest.raises(NothingToSnapshot):
        covered(found, items, Selection(disks=(THREE,)))


def test_machine_that_came_up_from_a_temporary_disk_is_told_so_and_snapshots_nothing() -> None:
    found = machine()
    marked = {"Tags": {"Tag": [{"TagKey": "snap-self-temp", "TagValue": recorded.INSTANCE}]}}
    root = {**attached(1)[0], **marked}
    for selection in (Selection(), Selection(disks=(TWO,))):
        with pytest.raises(OnTemporaryDisk, match=f"^/ lies on {ONE}, a temporary disk") as caught:
            covered(found, [root, *attached(2, 3)], selection)
        assert f"detach {ONE}" in caught.value.hint
