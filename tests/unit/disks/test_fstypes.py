"""A filesystem that no snapshot of a disk holds is told with the reason of its own kind."""

from __future__ import annotations

import pytest

from snap_self.disks.fstypes import why_not_covered


@pytest.mark.parametrize(
    ("fstypes", "reason"),
    [
        (("ecryptfs", "fuse.bindfs", "fuse.encfs"), "files of another filesystem"),
        (("btrfs", "bcachefs"), "which devices this"),
        (("overlay",), "its layers"),
        (("nfs", "nfs4", "cifs", "9p", "virtiofs"), "network filesystem"),
        (("zfs",), "ZFS pool"),
        (("fuse", "fuse.sshfs", "fuseblk"), "served by a program"),
        (("ext4", "squashfs", "new_kind"), "has no block device"),
    ],
)
def test_reason_is_that_of_the_kind(fstypes: tuple[str, ...], reason: str) -> None:
    assert [fstype for fstype in fstypes if reason not in why_not_covered(fstype)] == []
