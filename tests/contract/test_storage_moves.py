"""Operations of the API on disks that a kernel has: nobody takes a mounted one away."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from ecs_simulator.config import DiskConfig, SimulatorConfig
from ecs_simulator.ports import StillInUse
from ecs_simulator.storage import guest, kernel
from ecs_simulator.storage.guest import GuestSettings, what_guests_need
from ecs_simulator.storage.ledger import Ledger
from ecs_simulator.storage.loop import LoopStorage, what_loops_need
from ecs_simulator.storage.qcow import QcowStorage
from fakes.simulated_cloud import TWO_DISKS, SocketlessCloud

SMALL = replace(
    TWO_DISKS.instances[0],
    disks=(DiskConfig(disk_id="d-sys", size_gib=1), DiskConfig(disk_id="d-data", size_gib=1)),
)
CONFIG = replace(TWO_DISKS, instances=(SMALL,))


@contextmanager
def loop_disks(tmp_path: Path, config: SimulatorConfig) -> Iterator[tuple[SocketlessCloud, Path]]:
    """Give a cloud with real devices, and where its data disk is mounted."""
    missing = what_loops_need(tmp_path)
    if missing:
        pytest.skip(f"no loop disks here: {missing}")
    ledger = Ledger.create(tmp_path / "run")
    try:
        (tmp_path / "work").mkdir(mode=0o700)
        storage = LoopStorage(tmp_path / "work", ledger, links=tmp_path / "by-id")
        cloud = SocketlessCloud(config, holding=storage)
        storage.format("d-data", "ext4")
        storage.mount("d-data", tmp_path / "data")
        (tmp_path / "data" / "file").write_text("kept")
        os.sync()
        yield cloud, tmp_path / "data"
    finally:
        assert ledger.close() == []


def status(cloud: SocketlessCloud, disk_id: str = "d-data") -> str:
    found = cloud.call("DescribeDisks", DiskIds=f'["{disk_id}"]').body["Disks"]["Disk"]
    return str(found[0]["Status"]) if found else "gone"


def link_of(tmp_path: Path, serial: str) -> bool:
    return (tmp_path / "by-id" / f"virtio-{serial}").is_symlink()


@pytest.mark.root
def test_mounted_disk_that_is_to_be_detached_stays_until_it_is_unmounted(tmp_path: Path) -> None:
    with loop_disks(tmp_path, CONFIG) as (cloud, mount):
        assert cloud.call("DetachDisk", InstanceId="i-own", DiskId="d-data").status == 200
        for _ in range(3):
            cloud.pass_time(60)
        assert (status(cloud), (mount / "file").read_text()) == ("Detaching", "kept")
        assert link_of(tmp_path, "data")
        assert [fault.over_at for fault in cloud.cloud.guest_faults] == [None]
        kernel.run("umount", str(mount))
        cloud.pass_time(60)
        assert (status(cloud), link_of(tmp_path, "data")) == ("Available", False)
        assert cloud.cloud.storage_faults == []


@pytest.mark.root
def test_released_instance_loses_its_devices_and_the_disk_that_stays_keeps_its_content(
    tmp_path: Path,
) -> None:
    with loop_disks(tmp_path, CONFIG) as (cloud, mount):
        cloud.call("ModifyDiskAttribute", DiskId="d-data", DeleteWithInstance="false")
        cloud.call("DeleteInstance", InstanceId="i-own", Force="true")
        cloud.pass_time(1)
        cloud.pass_time(1)
        assert (status(cloud), status(cloud, "d-sys")) == ("Available", "gone")
        assert (os.path.ismount(mount), link_of(tmp_path, "data")) == (False, False)
        image = tmp_path / "work" / "pool" / "live" / "d-data.img"
        (tmp_path / "look").mkdir()
        kernel.run("mount", "-o", "loop", str(image), str(tmp_path / "look"))
        try:
            assert (tmp_path / "look" / "file").read_text() == "kept"
        finally:
            kernel.run("umount", str(tmp_path / "look"))


@pytest.mark.root
def test_device_of_an_attached_disk_comes_after_its_lag(tmp_path: Path) -> None:
    free = DiskConfig(disk_id="d-free", size_gib=1)
    config = replace(CONFIG, free_disks=(free,), device_lag_s=20.0)
    with loop_disks(tmp_path, config) as (cloud, _):
        cloud.call("AttachDisk", InstanceId="i-own", DiskId="d-free")
        cloud.pass_time(1)
        seen = [(status(cloud, "d-free"), link_of(tmp_path, "free"))]
        cloud.pass_time(20)
        seen.append((status(cloud, "d-free"), link_of(tmp_path, "free")))
        assert seen == [("In_use", False), ("In_use", True)]


def test_machine_that_does_not_let_go_is_asked_again_and_loses_the_disk_with_its_power(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    missing = what_guests_need()
    if missing:
        pytest.skip(f"no virtual machines here: {missing}")
    monkeypatch.setattr(guest, "_UNPLUG_LIMIT_S", 0.2)
    # It stands still, so nobody in it lets go of anything.
    storage = QcowStorage(tmp_path, settings=GuestSettings(memory_mib=32, cpus=1, options=("-S",)))
    storage.create_disk("d-a", "a", 1)
    storage.attach("d-a")
    storage.power_on({}, lambda: None)
    try:
        for _ in range(2):
            with pytest.raises(StillInUse):
                storage.detach("d-a")
    finally:
        storage.power_off(force=True)
    storage.detach("d-a")
    storage.power_on({}, lambda: None)
    try:
        assert storage.guest.execute("query-block") == []
    finally:
        storage.power_off(force=True)
