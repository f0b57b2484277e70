"""What was changed of late on a btrfs is written out before ``syncfs``; nothing is frozen."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from freeze_rig import Disk, Rig, rig, run, skip_reason

from snap_self.system.disks.write_back import LEAST_BYTES, write_out_first

pytestmark = pytest.mark.skipif(
    bool(skip_reason(("btrfs", "ext4"))), reason=skip_reason(("btrfs", "ext4"))
)
NOT_WRITTEN = "delalloc"  # what filefrag(8) calls data that has no place on the disk yet


@pytest.fixture
def loops(tmp_path: Path) -> Iterator[Rig]:
    """Give a rig of loop disks."""
    with rig(tmp_path) as made:
        yield made


def dirty(path: Path, size: int = 9 << 20) -> Path:
    """Write a file that stays in memory for now."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * size)
    assert NOT_WRITTEN in run("filefrag", "-v", path)
    return path


def write_out(disk: Disk, *, limit_s: float = 20.0) -> None:
    """Do it for a disk."""
    fd = os.open(disk.path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        write_out_first(fd, limit_s=limit_s)
    finally:
        os.close(fd)


def test_write_out_first_when_files_of_a_btrfs_are_dirty_then_writes_them(loops: Rig) -> None:
    disk = loops.disk("btrfs")
    files = [dirty(disk.path / "one"), dirty(disk.path / "a folder" / "in a folder" / "two")]

    write_out(disk)

    assert all(NOT_WRITTEN not in run("filefrag", "-v", file) for file in files)


def test_write_out_first_when_another_filesystem_lies_over_the_folder_then_leaves_it_alone(
    loops: Rig,
) -> None:
    disk, other = loops.disk("btrfs"), loops.disk("btrfs")
    dirty(disk.path / "folder" / "file")
    hiding = dirty(other.path / "file")
    run("mount", "--bind", other.path, disk.path / "folder")
    try:
        write_out(disk)
    finally:
        run("umount", disk.path / "folder")

    assert NOT_WRITTEN in run("filefrag", "-v", hiding)


@pytest.mark.parametrize(("size", "written"), [(LEAST_BYTES - 1, False), (LEAST_BYTES, True)])
def test_write_out_first_when_a_file_is_small_then_leaves_it_to_syncfs(
    loops: Rig, size: int, written: bool
) -> None:
    disk = loops.disk("btrfs")
    file = dirty(disk.path / "file", size)

    write_out(disk)

    assert (NOT_WRITTEN not in run("filefrag", "-v", file)) is written


def test_write_out_first_when_time_is_up_then_ends(loops: Rig) -> None:
    disk = loops.disk("btrfs")
    file = dirty(disk.path / "file")

    write_out(disk, limit_s=-1.0)

    assert NOT_WRITTEN in run("filefrag", "-v", file)


def test_write_out_first_when_it_is_no_btrfs_then_does_nothing(loops: Rig) -> None:
    disk = loops.disk("ext4")
    file = dirty(disk.path / "file")

    write_out(disk)

    assert NOT_WRITTEN in run("filefrag", "-v", file)
