"""A root filesystem on btrfs: frozen for real, its image as after a clean unmount, and bootable."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from guest_driver import Disk, running
from guest_image import PARTITION_AT
from guest_prepared import ROOT_GIB, Begin, Saved

pytestmark = [pytest.mark.vm, pytest.mark.slow, pytest.mark.long]

CUT_S = 3.0
WRITER = """
systemd-run -q --unit writer sh -c '
    while :; do echo x >>/root/written; sync /root/written; sleep 0.1; done'
"""


def test_btrfs_root_is_frozen_and_a_new_guest_boots_from_its_image(
    btrfs_guest: Saved, begin: Begin, story_folder: Path
) -> None:
    guest = begin(btrfs_guest)
    assert guest.do("findmnt -no FSTYPE /") == "btrfs\n"
    guest.write("/etc/snap-self/conf.d/50-root.toml", '[freeze]\nroot = "allow"\n')
    doctor = guest.run("snap-self doctor", timeout_s=400)
    assert doctor.status == 0, doctor.out + doctor.err
    guest.do(WRITER)
    guest.cloud.control("PUT", "life", {"cut_s": CUT_S})

    frozen = guest.run("snap-self --before upgrade --consistency filesystem --json", timeout_s=400)
    control = guest.run("snap-self --before control --consistency flush --json", timeout_s=400)

    assert frozen.status == 0, frozen.out + frozen.err
    assert frozen.json["consistency"]["reached"] == "filesystem"
    assert frozen.json["frozen_s"] > CUT_S
    image = guest.captured(frozen.json["snapshots"][0]["snapshot_id"])
    other = guest.captured(control.checked().json["snapshots"][0]["snapshot_id"])
    # What fsync(2) wrote beside the trees is replayed when it is mounted next, if there is any.
    assert (log_root(image, story_folder), log_root(other, story_folder) == 0) == (0, False)
    guest.crash()
    with running(
        Disk(size_gib=ROOT_GIB, image=image),
        folder=story_folder / "new",
        ssh_key=btrfs_guest.ssh_key,
        ca_dir=btrfs_guest.ca_dir,
    ) as new:
        assert new.do("systemctl --failed --no-legend") == ""
        assert "log replay" not in new.do("dmesg")


def log_root(image: Path, folder: Path) -> int:
    """Return where the superblock says that there is a log tree; 0 for none."""
    head = folder / "head"
    with image.open("rb") as disk, head.open("wb") as copied:
        disk.seek(PARTITION_AT)
        copied.write(disk.read(1 << 20))
    argv = ["btrfs", "inspect-internal", "dump-super", str(head)]
    shown = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    return next(
        int(line.split()[1]) for line in shown.splitlines() if line.startswith("log_root\t")
    )
