"""What leads out of a server's data directory, as the agent's other process sees it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from snap_self.errors import UsageError
from snap_self.system.disks.aside import AsideProcess
from snap_self.system.disks.inside import OWN
from snap_self.system.disks.machine import KernelMachineReader


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    (folder / "plain/deeper").mkdir(parents=True)
    (folder / "plain/t.ibd").touch()
    return folder


def leads(data: Path) -> list[str]:
    return sorted(KernelMachineReader(AsideProcess()).leads_of(OWN, str(data)))


def test_directory_of_plain_files_has_nothing_that_leads_out_of_it(data: Path) -> None:
    assert leads(data) == []


def test_links_and_link_files_of_a_directory_and_its_folders_are_told(data: Path) -> None:
    (data.parent / "far").mkdir()
    (data / "linked").symlink_to(data.parent / "far")
    (data / "plain/m.MYD").symlink_to("/far/m.MYD")
    (data / "plain/t.isl").write_text("/far/plain/t.ibd\n")
    assert leads(data) == ["/far/plain/t.ibd", "linked", "plain/m.MYD"]


def test_link_to_a_file_right_in_the_directory_or_to_nothing_is_no_table(data: Path) -> None:
    (data.parent / "certificate").touch()
    (data / "server.pem").symlink_to(data.parent / "certificate")
    (data / "gone").symlink_to(data.parent / "nothing")
    assert leads(data) == []


def test_link_file_that_is_none_is_neither_read_nor_waited_for(data: Path) -> None:
    os.mkfifo(data / "plain/pipe.isl")
    (data / "plain/folder.isl").mkdir()
    assert leads(data) == []


def test_directory_that_is_not_there_is_refused(data: Path) -> None:
    with pytest.raises(UsageError, match="cannot be looked at"):
        leads(data / "gone")
