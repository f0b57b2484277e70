"""What stands on a disk, as sysfs tells it."""

from __future__ import annotations

from pathlib import Path

from snap_self.system.opening.stacked import others_on


def test_holders_that_are_no_mapped_devices_are_told_once(tmp_path: Path) -> None:
    for disk, holder in (
        ("vdb", "md0"),
        ("vdb", "dm-0"),
        ("vdc1", "md0"),
        ("cciss!c0d0", "bcache0"),
    ):
        (tmp_path / disk / "holders" / holder).mkdir(parents=True)
    nodes = ["/dev/vdb", "/dev/vdc1", "/dev/cciss/c0d0", "/dev/vdd"]
    assert others_on(nodes, sysfs=str(tmp_path)) == ["/dev/md0", "/dev/bcache0"]
