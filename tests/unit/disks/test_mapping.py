"""A local disk is tied to a cloud disk only on evidence that leaves no other choice."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import pytest

from fakes import recorded_machines as recorded
from fakes.machine_builder import CLASS, SECTORS_PER_GIB, MachineBuilder, serial
from snap_self.disks.layout import read_layout
from snap_self.disks.mapping import DiskMap, map_disks
from snap_self.model.ids import DiskId

VDA, VDB, VDC = (DiskId(f"d-{serial(number)}") for number in (1, 2, 3))
OLD, OTHER = DiskId("d-bp1old"), DiskId("d-bp1other")


def two_disks(second_serial: str = serial(2)) -> MachineBuilder:
    machine = MachineBuilder()
    machine.virtio("vda", 40, serial(1))
    machine.virtio("vdb", 100, second_serial)
    machine.mount("/", "ext4", "/dev/vda", device="vda")
    return machine


def map_of(
    machine: MachineBuilder,
    *cloud: Mapping[str, object],
    metadata: Mapping[str, DiskId] | None = None,
    user_map: Mapping[str, DiskId] | None = None,
) -> DiskMap:
    return map_disks(
        read_layout(machine.text()),
        recorded.disks_of(recorded.answer_of(cloud)),
        instance_id=recorded.INSTANCE,
        serial_to_disk=metadata or {},
        user_map=user_map or {},
    )


def local_of(disk_map: DiskMap) -> dict[DiskId, str | None]:
    return {e.cloud.disk_id: e.local.name if e.local else None for e in disk_map.disks}


def system() -> dict[str, object]:
    return recorded.described(serial(1), 40, kind="system")


def test_evidence_names_serial_source_and_size() -> None:
    (entry,) = map_of(two_disks(), system()).disks
    assert entry.how == f"serial {serial(1)} (sysfs), attached here, both 40 GiB"


def test_api_serial_counts_where_the_id_does_not_hold_it() -> None:
    disk_map = map_of(two_disks(), system(), recorded.described(serial(2), 100, disk_id=OTHER))
    assert local_of(disk_map) == {VDA: "vda", OTHER: "vdb"}


def test_metadata_answer_ties_a_disk_whose_api_entry_has_no_serial() -> None:
    nameless = recorded.described("", 100, disk_id=OTHER)
    disk_map = map_of(two_disks(), system(), nameless, metadata={serial(2): OTHER})
    assert local_of(disk_map)[OTHER] == "vdb"


def test_metadata_and_api_that_agree_tie_the_disk() -> None:
    cloud = recorded.described(serial(2), 100, disk_id=OTHER)
    disk_map = map_of(two_disks(), system(), cloud, metadata={serial(2): OTHER})
    assert local_of(disk_map) == {VDA: "vda", OTHER: "vdb"}


def test_metadata_and_api_that_disagree_tie_nothing() -> None:
    disk_map = map_of(
        two_disks(), system(), recorded.described(serial(2), 100), metadata={serial(2): OTHER}
    )
    assert local_of(disk_map)[VDB] is None
    assert f"{VDB} and {OTHER}" in disk_map.doubts[VDB]


def test_id_made_of_the_serial_ties_only_when_the_api_confirms_it() -> None:
    nameless = recorded.described("", 100, disk_id=VDB)
    assert local_of(map_of(two_disks(), system(), nameless))[VDB] == "vdb"
    other_serial = recorded.described(serial(9), 100, disk_id=VDB)
    assert local_of(map_of(two_disks(), system(), other_serial))[VDB] is None


def test_size_that_differs_ties_nothing_and_tells_both() -> None:
    disk_map = map_of(two_disks(), recorded.described(serial(2), 120))
    assert disk_map.doubts[VDB].startswith("the cloud says 120 GiB, but vdb has 100 GiB; ")
    assert "rescanned" in disk_map.doubts[VDB]


def test_disk_attached_elsewhere_is_no_disk_of_this_instance() -> None:
    elsewhere = recorded.described(serial(2), 100, instances=("i-bp1other",))
    disk_map = map_of(two_disks(), system(), elsewhere)
    assert local_of(disk_map) == {VDA: "vda"}
    assert "attached to" in disk_map.local_only["vdb"]


def test_cloud_disk_that_is_not_here_is_doubtful() -> None:
    disk_map = map_of(two_disks(), recorded.described(serial(7), 40))
    assert disk_map.doubts[DiskId(f"d-{serial(7)}")] == f"no local disk has its serial {serial(7)}"


def test_one_disk_without_serial_on_each_side_of_another_size_stays_untied() -> None:
    disk_map = map_of(two_disks(""), system(), recorded.described("", 120, disk_id=OLD))
    assert local_of(disk_map)[OLD] is None


def test_serial_that_could_not_be_read_is_not_taken_for_none() -> None:
    machine = two_disks("")
    del machine.files[f"{CLASS}vdb/serial"]
    machine.failures[f"{CLASS}vdb/serial"] = "no answer within 1 s"
    disk_map = map_of(machine, system(), recorded.described("", 100, disk_id=OLD))
    assert local_of(disk_map)[OLD] is None
    assert "could not be read" in disk_map.local_only["vdb"]


def test_disk_of_unreadable_serial_does_not_make_way_for_a_stranger() -> None:
    machine = two_disks("")
    machine.failures[f"{CLASS}vdb/serial"] = "no answer within 1 s"
    del machine.files[f"{CLASS}vdb/serial"]
    machine.virtio("vdc", 100, "")  # such as a LUN of another machine's, of the same size
    disk_map = map_of(machine, system(), recorded.described("", 100, disk_id=OLD))
    assert local_of(disk_map) == {VDA: "vda", OLD: None}
    assert "vdb, vdc" in disk_map.doubts[OLD]


def test_disk_that_links_give_two_serials_is_neither_of_the_two_nor_one_without() -> None:
    machine = two_disks("")
    for linked in ("gone", "here"):
        machine.links[f"dev/disk/by-id/virtio-{linked}"] = "../../vdb"
    for told in ("", "here"):
        disk_map = map_of(machine, system(), recorded.described(told, 100, disk_id=OLD))
        assert local_of(disk_map)[OLD] is None
        assert "several serial numbers" in disk_map.local_only["vdb"]


@pytest.mark.parametrize("device", ["vdb", "/dev/vdb"])
def test_configured_device_ties_a_disk_without_serial(device: str) -> None:
    machine = two_disks("")
    machine.virtio("vdc", 100)
    nameless = [recorded.described("", 100, disk_id=name) for name in (OLD, OTHER)]
    disk_map = map_of(machine, system(), *nameless, user_map={device: OLD})
    assert local_of(disk_map) == {VDA: "vda", OLD: "vdb", OTHER: "vdc"}


def test_configured_device_that_is_not_here_is_told() -> None:
    nameless = recorded.described("", 100, disk_id=OLD)
    disk_map = map_of(two_disks(), nameless, user_map={"vdx": OLD})
    assert "vdx, which is not one disk" in disk_map.doubts[OLD]


def test_configuration_against_the_serial_ties_neither() -> None:
    cloud = [recorded.described(serial(2), 100), recorded.described("", 100, disk_id=OLD)]
    disk_map = map_of(two_disks(), system(), *cloud, user_map={"vdb": OLD})
    assert local_of(disk_map) == {VDA: "vda", VDB: None, OLD: None}
    assert "at the same time" in disk_map.doubts[OLD]


def test_two_cloud_disks_with_one_serial_tie_neither() -> None:
    cloud = [recorded.described(serial(2), 100, disk_id=name) for name in (OLD, OTHER)]
    assert local_of(map_of(two_disks(), system(), *cloud)) == {VDA: "vda", OLD: None, OTHER: None}


def test_machine_disk_without_serial_is_left_alone_when_all_others_are_tied() -> None:
    machine = two_disks("")
    disk_map = map_of(machine, system())
    assert disk_map.doubts == {}
    assert "no serial" in disk_map.local_only["vdb"]


def test_by_id_link_makes_a_loop_device_a_disk() -> None:
    machine = two_disks()
    machine.loop(0, "/srv/disk.img", sectors=2097152)
    machine.by_id(f"virtio-{serial(5)}", "loop0")
    disk_map = map_of(machine, recorded.described(serial(5), 1))
    assert local_of(disk_map) == {DiskId(f"d-{serial(5)}"): "loop0"}
    assert "(by-id)" in disk_map.disks[0].how


def test_link_of_a_partition_is_not_taken_for_its_disk() -> None:
    machine = two_disks("")
    machine.partition("vdb", 1, 99)
    machine.by_id(f"virtio-{serial(2)}-part1", "vdb1")
    assert local_of(map_of(machine, recorded.described(serial(2), 100)))[VDB] is None


def three_disks(second: str = serial(2), third: str = serial(3)) -> MachineBuilder:
    machine = two_disks(second)
    machine.virtio("vdc", 100, third)
    return machine


def test_disks_that_are_all_tied_leave_nothing_to_explain() -> None:
    found = map_of(two_disks(), system(), recorded.described(serial(2), 100))
    assert local_of(found) == {VDA: "vda", VDB: "vdb"}
    assert (found.doubts, found.local_only) == ({}, {})


def test_size_that_the_cloud_does_not_tell_is_no_doubt_and_no_evidence() -> None:
    (entry,) = map_of(two_disks(), recorded.described(serial(2), 0)).disks
    assert entry.local is not None
    assert entry.how.endswith("attached here, its size in the cloud is not known")


def test_disk_that_is_not_found_has_no_evidence() -> None:
    (entry,) = map_of(two_disks(), recorded.described(serial(7), 40)).disks
    assert (entry.local, entry.how) == (None, "")


@pytest.mark.parametrize("gib", [99, 101])
def test_size_must_be_the_very_same(gib: int) -> None:
    assert local_of(map_of(two_disks(), recorded.described(serial(2), gib)))[VDB] is None


def test_local_disk_that_is_no_attached_one_is_told_with_what_it_would_be() -> None:
    found = map_of(two_disks(), system())
    told = f"(would be {VDB}) is attached to {recorded.INSTANCE}"
    assert list(found.local_only) == ["vdb"]
    assert told in found.local_only["vdb"]


def test_local_disk_whose_id_the_api_gives_another_serial_is_not_said_to_be_it() -> None:
    found = map_of(two_disks(), system(), recorded.described(serial(9), 100, disk_id=VDB))
    assert f"no disk with its serial {serial(2)} is attached" in found.local_only["vdb"]
    assert found.doubts == {VDB: f"no local disk has its serial {serial(9)}"}


def test_serial_that_metadata_ties_to_a_disk_that_is_not_attached_ties_nothing() -> None:
    found = map_of(two_disks(), system(), metadata={serial(2): OTHER})
    assert local_of(found) == {VDA: "vda"}
    assert f"(would be {OTHER})" in found.local_only["vdb"]


def test_disks_after_one_in_doubt_are_tied_all_the_same() -> None:
    cloud = [recorded.described(serial(1), 40), recorded.described(serial(2), 100)]
    found = map_of(
        three_disks(), *cloud, recorded.described(serial(3), 100), metadata={serial(1): OTHER}
    )
    assert local_of(found) == {VDA: None, VDB: "vdb", VDC: "vdc"}
    assert list(found.doubts) == [VDA]
    assert found.local_only == {"vda": "it could not be tied to its cloud disk for certain"}


def test_two_local_disks_with_one_serial_tie_neither_and_are_both_told() -> None:
    found = map_of(three_disks(third=serial(2)), recorded.described(serial(2), 100))
    assert local_of(found) == {VDB: None}
    assert "2 local disks claim to be it (vdb: serial" in found.doubts[VDB]
    assert "; vdc: serial" in found.doubts[VDB]
    assert "for certain" in found.local_only["vdb"]
    assert "for certain" in found.local_only["vdc"]


def test_two_cloud_disks_of_which_a_local_one_would_be_both_are_named() -> None:
    cloud = [recorded.described(serial(2), 100), recorded.described("", 100, disk_id=OLD)]
    found = map_of(two_disks(), *cloud, user_map={"vdb": OLD})
    assert found.doubts == dict.fromkeys(
        (VDB, OLD), f"vdb would be {VDB} and {OLD} at the same time"
    )


def test_configured_device_of_a_foreign_serial_is_tied_as_it_was_named() -> None:
    found = map_of(
        two_disks("local0001"), recorded.described("", 100, disk_id=OLD), user_map={"vdb": OLD}
    )
    assert local_of(found) == {OLD: "vdb"}
    assert found.disks[0].how == "named in [disks.map], attached here, both 100 GiB"
    assert list(found.local_only) == ["vda"]


def _empty_loop(machine: MachineBuilder) -> str:
    return machine.loop(0, "", sectors=0)


def _over_two_disks(machine: MachineBuilder) -> str:
    return machine.mapper(0, "vg-data", "LVM-0", gib=1, lower=["vda", "vdb"])


@pytest.mark.parametrize("device", [_empty_loop, _over_two_disks])
def test_configured_device_that_is_no_single_disk_is_told_and_the_next_one_is_tied(
    device: Callable[[MachineBuilder], str],
) -> None:
    machine = two_disks("")
    name = device(machine)
    cloud = [recorded.described("", 100, disk_id=each) for each in (OTHER, OLD)]
    found = map_of(machine, *cloud, user_map={name: OTHER, "vdb": OLD})
    assert local_of(found) == {OTHER: None, OLD: "vdb"}
    assert list(found.doubts) == [OTHER]
    assert f"names {name}, which is not one disk" in found.doubts[OTHER]


def test_configured_device_that_is_not_here_for_a_disk_that_is_not_either_is_no_doubt() -> None:
    assert map_of(two_disks(), system(), user_map={"vdx": OLD}).doubts == {}


def test_only_disk_without_serial_on_each_side_is_the_same_where_the_size_is() -> None:
    found = map_of(two_disks(""), system(), recorded.described("", 100, disk_id=OLD))
    assert local_of(found) == {VDA: "vda", OLD: "vdb"}
    assert "the only disk without a serial" in found.disks[1].how
    assert (found.doubts, found.local_only) == ({}, {})


@pytest.mark.parametrize(
    ("third", "cloud_serials", "tied"),
    [
        ("", ("",), {}),
        (serial(3), ("", ""), {}),
        ("", ("", ""), {}),
        (serial(3), ("", serial(3)), {0: "vdb", 1: "vdc"}),
    ],
    ids=["two-here", "two-there", "two-on-each-side", "one-pair-beside-another"],
)
def test_disks_without_serial_are_paired_only_where_each_side_has_one(
    third: str, cloud_serials: Sequence[str], tied: dict[int, str]
) -> None:
    ids = (OLD, OTHER)
    cloud = [
        recorded.described(told, 100, disk_id=name)
        for name, told in zip(ids, cloud_serials, strict=False)
    ]
    found = local_of(map_of(three_disks("", third), system(), *cloud))
    expected = {name: tied.get(index) for index, name in enumerate(ids[: len(cloud_serials)])}
    assert found == {VDA: "vda"} | expected


def test_disk_without_serial_that_metadata_ties_is_not_paired_with_another_one() -> None:
    nameless = recorded.described("", 100, disk_id=OTHER)
    found = map_of(three_disks(third=""), nameless, metadata={serial(2): OTHER})
    assert local_of(found) == {OTHER: "vdb"}
    assert "(sysfs)" in found.disks[0].how
    assert "no serial number" in found.local_only["vdc"]


def test_disk_without_serial_is_paired_beside_one_that_metadata_ties() -> None:
    cloud = [recorded.described("", 100, disk_id=name) for name in (OTHER, OLD)]
    found = map_of(three_disks(third=""), *cloud, metadata={serial(2): OTHER})
    assert local_of(found) == {OTHER: "vdb", OLD: "vdc"}


def test_cloud_disk_without_serial_that_pairs_with_none_is_told_why() -> None:
    nameless = recorded.described("", 120, disk_id=OLD)
    assert "no local disk is without one" in map_of(two_disks(), nameless).doubts[OLD]
    told = map_of(three_disks("", ""), nameless).doubts[OLD]
    assert "(vdb, vdc) do not pair" in told


def test_what_is_no_disk_is_told_by_its_kind_and_not_paired() -> None:
    machine = two_disks()
    machine.virtual("zram0", number="252:0", sectors=100 * SECTORS_PER_GIB)
    found = map_of(machine, system(), recorded.described("", 100, disk_id=OLD))
    assert local_of(found)[OLD] is None
    assert found.local_only["zram0"] == "it is of kind zram, not a cloud disk"
    assert "vda" not in found.local_only


def test_every_local_disk_without_partner_has_a_reason() -> None:
    machine = three_disks("", "local0001")
    del machine.files[f"{CLASS}vdb/serial"]
    machine.failures[f"{CLASS}vdb/serial"] = "no answer within 1 s"
    found = map_of(machine)
    assert sorted(found.local_only) == ["vda", "vdb", "vdc"]
    assert "could not be read in time" in found.local_only["vdb"]
