"""A local disk is tied to a cloud disk only on evidence that leaves no other choice."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from fakes import recorded_machines as recorded
from fakes.machine_builder import CLASS, MachineBuilder, serial
from snap_self.disks.layout import read_layout
from snap_self.disks.mapping import DiskMap, map_disks
from snap_self.model.ids import DiskId

VDA, VDB = DiskId(f"d-{serial(1)}"), DiskId(f"d-{serial(2)}")
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
    assert "at once" in disk_map.doubts[OLD]


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
