"""What a flush is worth follows from what became of each filesystem, whatever the words."""

from __future__ import annotations

import errno
from dataclasses import replace

import pytest

from snap_self.model.disks import Mount
from snap_self.model.flushed import FlushResult, Synced, SyncFault
from snap_self.model.flushing import FlushTarget, MountWay, Obstacle, PlainWay, way_through
from snap_self.model.snapshots import Consistency

WAY = MountWay(path="/data", mount_id=27, devno="253:16")
DATA = FlushTarget(path="/data", fstype="ext4", ways=(WAY,))
HIDDEN = FlushTarget(path="/old", fstype="xfs", obstacle=Obstacle.HIDDEN)
GOOD = Synced(target=DATA, way="/data")


def test_flush_of_everything_is_a_flush() -> None:
    result = FlushResult(parts=(GOOD, GOOD))
    assert (result.level, result.why, result.lost_writes) == (Consistency.FLUSH, "", False)


@pytest.mark.parametrize("fault", SyncFault)
def test_one_filesystem_with_any_fault_is_no_flush(fault: SyncFault) -> None:
    target = HIDDEN if fault is SyncFault.NO_WAY else DATA
    result = FlushResult(parts=(GOOD, Synced(target=target, fault=fault, error=errno.EIO)))
    assert result.level is Consistency.CRASH
    assert target.path in result.why


def test_only_what_the_kernel_gave_up_is_lost() -> None:
    lost = {
        fault
        for fault in SyncFault
        if FlushResult(parts=(Synced(target=DATA, fault=fault),)).lost_writes
    }
    assert lost == {SyncFault.NOT_WRITTEN}


def test_path_through_another_process_is_shown_from_here() -> None:
    way = MountWay(path="/data", mount_id=1, devno="253:16", pid=77)
    assert way.shown == "/proc/77/root/data"


MOUNT = Mount(
    mount_id=9,
    path="/data",
    fstype="btrfs",
    root="/",
    read_only=False,
    namespace=None,
    hidden=False,
    pid=77,
)


@pytest.mark.parametrize(
    ("key", "namespace", "plain"),
    [
        ("253:16", None, ("/data", 9, "0:40", "", None)),
        ("btrfs:0f6d", None, ("/data", 9, "0:40", "0f6d", None)),
        ("btrfs:0f6d", 4026532215, ("/data", 9, "0:40", "0f6d", 77)),
    ],
)
def test_way_through_a_mount_has_the_id_of_a_btrfs_and_the_process_of_another_namespace(
    key: str, namespace: int | None, plain: PlainWay
) -> None:
    way = way_through(replace(MOUNT, namespace=namespace), key=key, devno="0:40")
    assert way.plain == plain
