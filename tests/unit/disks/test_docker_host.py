"""A container host with 2,000 overlays and 64 disks is understood like a small one."""

from __future__ import annotations

import pytest

from fakes import recorded_machines as recorded
from fakes.machine_builder import docker_host, serial
from snap_self.disks.coverage import choose
from snap_self.disks.flush import flush_plan
from snap_self.disks.layout import read_layout
from snap_self.disks.mapping import DiskMap, map_disks
from snap_self.model.disks import Layout, Selection
from snap_self.model.machine import PathFact

DISKS = 64


@pytest.fixture(scope="module")
def layout() -> Layout:
    return read_layout(docker_host(2000, disks=DISKS).text())


@pytest.fixture(scope="module")
def disk_map(layout: Layout) -> DiskMap:
    items = [recorded.described(serial(index + 1), 40) for index in range(DISKS)]
    return map_disks(
        layout,
        recorded.disks_of(recorded.answer_of(items)),
        instance_id=recorded.INSTANCE,
        serial_to_disk={},
        user_map={},
    )


def test_every_overlay_is_traced_to_the_disk_of_its_layers(layout: Layout) -> None:
    overlays = [f for f in layout.filesystems.values() if f.fstype == "overlay"]
    assert len(overlays) == 2000
    assert {name for f in overlays for name in f.disks} == {"vdbl"}


def test_overlays_are_not_listed_as_filesystems_of_the_disk(
    layout: Layout, disk_map: DiskMap
) -> None:
    coverage = choose(layout, disk_map, Selection(), ())
    assert len(coverage.targets) == DISKS
    assert sum(len(target.filesystems) for target in coverage.targets) == DISKS
    assert len(flush_plan(coverage)) == DISKS


def test_path_inside_a_container_leads_to_the_disk_below(layout: Layout, disk_map: DiskMap) -> None:
    path = f"/var/lib/docker/overlay2/{7:064x}/merged/etc/passwd"
    fact = PathFact(asked=path, real=path, mount_id=None)
    coverage = choose(layout, disk_map, Selection(paths=(path,)), (fact,))
    assert [target.cloud.serial for target in coverage.targets] == [serial(DISKS)]
