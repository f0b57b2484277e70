"""Disks by their serials, in a made-up sysfs."""

from __future__ import annotations

from pathlib import Path

import pytest

from fakes.aside import InThreads
from snap_self.system.opening.finding import Serials


class Machine:
    """A folder of block devices and one of links."""

    def __init__(self, folder: Path) -> None:
        self.sysfs, self.by_id = folder / "block", folder / "by-id"
        self.sysfs.mkdir()
        self.by_id.mkdir()

    def device(self, name: str, **attributes: str) -> None:
        for attribute, text in attributes.items():
            file = self.sysfs / name / attribute.replace("__", "/")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        (self.sysfs / name).mkdir(exist_ok=True)

    def link(self, label: str, name: str) -> None:
        (self.by_id / label).symlink_to(f"../../{name}")

    def find(self, serial: str) -> str | None:
        return self.serials().device_of(serial)

    def serial(self, name: str) -> str:
        return self.serials().serial_of(name)

    def serials(self) -> Serials:
        return Serials(InThreads(), by_id=str(self.by_id), sysfs=str(self.sysfs))


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_virtio_disk_is_found_by_its_own_serial(machine: Machine) -> None:
    machine.device("vda", serial="bp1other\n")
    machine.device("vdb", serial="bp1abc")
    assert machine.find("bp1abc") == "/dev/vdb"
    assert machine.serial("vdb") == "bp1abc"


def test_nvme_disk_is_found_by_its_controllers_padded_serial(machine: Machine) -> None:
    machine.device("nvme1n1", device__serial="bp1abc              \n")
    assert machine.find("bp1abc") == "/dev/nvme1n1"


def test_partition_is_never_the_disk(machine: Machine) -> None:
    machine.device("vdb", serial="bp1abc")
    machine.device("vdb1", serial="bp1abc", partition="1")
    assert machine.find("bp1abc") == "/dev/vdb"


def test_disk_that_is_not_there_yet_is_none(machine: Machine) -> None:
    machine.device("vda", serial="bp1other")
    assert machine.find("bp1abc") is None


@pytest.mark.parametrize(
    "label",
    [
        "virtio-bp1abc",
        "nvme-Alibaba_Cloud_Elastic_Block_Storage_bp1abc",
        "nvme-Alibaba_Cloud_Elastic_Block_Storage_bp1abc_1",
    ],
)
def test_disk_without_a_serial_of_its_own_is_found_by_its_link(
    machine: Machine, label: str
) -> None:
    machine.device("loop4")
    machine.link(label, "loop4")
    assert machine.find("bp1abc") == "/dev/loop4"
    assert machine.serial("loop4") == "bp1abc"


def test_link_never_decides_over_what_the_disk_says_itself(machine: Machine) -> None:
    machine.device("vdb", serial="bp1new")
    machine.link("virtio-bp1abc", "vdb")  # of the disk that was there before
    assert machine.find("bp1abc") is None


def test_disk_that_does_not_answer_is_not_taken_by_its_link(machine: Machine) -> None:
    (machine.sysfs / "vdb/serial").mkdir(parents=True)  # it exists, and reading it fails
    machine.link("virtio-bp1abc", "vdb")
    assert machine.find("bp1abc") is None
    assert machine.serial("vdb") == ""


def test_disk_whose_serial_is_empty_is_found_by_its_link(machine: Machine) -> None:
    machine.device("vdb", serial="\n")
    machine.link("virtio-bp1abc", "vdb")
    assert machine.find("bp1abc") == "/dev/vdb"


def test_two_disks_of_one_serial_are_none(machine: Machine) -> None:
    machine.device("vdb", serial="bp1abc")
    machine.device("vdc", serial="bp1abc")
    assert machine.find("bp1abc") is None


def test_link_to_a_partition_or_to_nothing_is_none(machine: Machine) -> None:
    machine.device("vdb1", partition="1")
    machine.link("virtio-bp1abc", "vdb1")
    machine.link("virtio-bp1def", "gone")
    assert machine.find("bp1abc") is None
    assert machine.find("bp1def") is None


def test_text_that_is_no_serial_is_none(machine: Machine) -> None:
    machine.device("vdb", serial="")
    assert machine.find("") is None
    assert machine.find("../x") is None


def test_disk_with_two_links_has_no_certain_serial(machine: Machine) -> None:
    machine.device("loop4")
    machine.link("virtio-one", "loop4")
    machine.link("virtio-two", "loop4")
    assert machine.serial("loop4") == ""
