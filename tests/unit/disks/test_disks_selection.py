"""An exclusion that leaves no disk out does not pass in silence."""

from __future__ import annotations

from fakes import recorded_machines as recorded
from fakes.machine_builder import MachineBuilder, serial
from snap_self.disks.coverage import choose
from snap_self.disks.layout import read_layout
from snap_self.disks.mapping import map_disks
from snap_self.model.disks import Coverage, Selection

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


def test_exclusion_of_a_device_that_is_no_cloud_disk_is_told_with_the_reason() -> None:
    (told,) = coverage("/dev/vdb").vain
    assert "--exclude /dev/vdb leaves no disk out: vdb: " in told


def test_exclusion_of_a_mount_point_on_such_a_device_is_told() -> None:
    assert len(coverage("/scratch").vain) == 1


def test_no_exclusion_tells_nothing() -> None:
    assert coverage().vain == ()
