"""Filesystems are synced through a path that really leads to them, images first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from fakes.builders import cloud_disk
from snap_self.disks.flush import flush_plan, innermost_first, ways
from snap_self.model.disks import Coverage, Filesystem, Mount, Target, Unseen
from snap_self.model.flushing import FlushTarget, MountWay, Obstacle


def mount(
    path: str, *, namespace: int | None = None, hidden: bool = False, pid: int | None = None
) -> Mount:
    return Mount(
        mount_id=1,
        path=path,
        fstype="ext4",
        root="/",
        read_only=False,
        namespace=namespace,
        hidden=hidden,
        pid=pid,
    )


def filesystem(*mounts: Mount, parents: Sequence[str] = ()) -> Filesystem:
    return Filesystem(
        key="253:0",
        fstype="ext4",
        source="/dev/vda",
        mounts=mounts,
        disks=frozenset({"vda"}),
        ways=(),
        parents=frozenset(parents),
    )


@pytest.mark.parametrize(
    ("mounts", "path"),
    [
        ([mount("/data")], "/data"),
        ([mount("/data", hidden=True), mount("/again")], "/again"),
        ([mount("/x", hidden=True), mount("/y", namespace=9, pid=7)], "/proc/7/root/y"),
        ([mount("/x", namespace=9)], None),
        ([mount("/x", hidden=True)], None),
    ],
    ids=["own", "second-own", "other-namespace", "process-unknown", "hidden"],
)
def test_first_way_is_through_the_first_mount_that_leads_there(
    mounts: list[Mount], path: str | None
) -> None:
    assert next((way.shown for way in ways(filesystem(*mounts))), None) == path


def test_images_come_before_what_carries_them() -> None:
    filesystems = {
        "root": filesystem(mount("/")),
        "outer": filesystem(mount("/deep/er/data"), parents=["root"]),
        "image": filesystem(mount("/i"), parents=["outer"]),
    }
    ordered = [(entry.mounts[0].path, depth) for entry, depth in innermost_first(filesystems)]
    assert ordered == [("/i", 2), ("/deep/er/data", 1), ("/", 0)]


def test_image_is_as_deep_as_the_deepest_to_be_synced_that_carries_it() -> None:
    filesystems = {
        "image": filesystem(mount("/i"), parents=["root", "read-only", "outer"]),
        "outer": filesystem(mount("/o"), parents=["root"]),
        "root": filesystem(mount("/"), parents=["read-only"]),
    }
    ordered = [(entry.mounts[0].path, depth) for entry, depth in innermost_first(filesystems)]
    assert ordered == [("/i", 2), ("/o", 1), ("/", 0)]


def test_nested_mounts_come_before_what_is_above_them() -> None:
    filesystems = {path: filesystem(mount(path)) for path in ("/", "/a", "/a/X", "/b")}
    ordered = [entry.mounts[0].path for entry, _ in innermost_first(filesystems)]
    assert ordered == ["/a/X", "/a", "/b", "/"]


def test_images_in_a_ring_do_not_hang() -> None:
    filesystems = {
        "one": filesystem(mount("/a"), parents=["two"]),
        "two": filesystem(mount("/b"), parents=["one"]),
    }
    depths = [depth for _, depth in innermost_first(filesystems)]
    assert sorted(depths) == [1, 2]


def coverage(*filesystems: Filesystem, unseen: Sequence[Unseen] = ()) -> Coverage:
    target = Target(cloud=cloud_disk(1), local=None, how="", filesystems=filesystems, why="")
    return Coverage(
        targets=(target,), skipped=(), spans=(), torn=(), not_covered=(), unseen=tuple(unseen)
    )


def test_plan_tells_all_that_a_sync_must_know() -> None:
    mounts = (mount("/h", hidden=True), mount("/y", namespace=9, pid=7), mount("/data"))
    found = replace(filesystem(*mounts), key="btrfs:0f6d", fstype="btrfs", devno="0:50")
    image = replace(filesystem(mount("/i"), parents=[found.key]), key="7:0", devno="7:0")
    first, second = flush_plan(coverage(found, image))
    assert (first.path, first.fstype, first.key, first.depth) == ("/i", "ext4", "7:0", 1)
    assert first.obstacle is None
    assert second == FlushTarget(
        path="/proc/7/root/y",
        fstype="btrfs",
        key="btrfs:0f6d",
        ways=(
            MountWay(path="/y", mount_id=1, devno="0:50", fsid="0f6d", pid=7),
            MountWay(path="/data", mount_id=1, devno="0:50", fsid="0f6d"),
        ),
        depth=0,
    )


def test_plan_names_what_no_path_leads_to_by_its_mount_point() -> None:
    (target,) = flush_plan(coverage(filesystem(mount("/h", hidden=True), mount("/z", namespace=9))))
    assert target == FlushTarget(path="/h", fstype="ext4", key="253:0", obstacle=Obstacle.HIDDEN)


def test_plan_has_nothing_to_write_for_a_read_only_superblock() -> None:
    assert flush_plan(coverage(replace(filesystem(mount("/data")), read_only=True))) == ()


def test_plan_ends_with_what_is_mounted_nowhere() -> None:
    unseen = Unseen(what="/dev/vda3", fstype="xfs", disks=frozenset({"vda"}))
    first, last = flush_plan(coverage(filesystem(mount("/")), unseen=[unseen]))
    assert first.path == "/"
    assert last == FlushTarget(
        path="/dev/vda3", fstype="xfs", key="/dev/vda3", obstacle=Obstacle.UNSEEN
    )
