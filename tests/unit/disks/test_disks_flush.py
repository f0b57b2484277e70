"""Filesystems are synced through a path that really leads to them, images first."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from snap_self.disks.flush import innermost_first, sync_path
from snap_self.model.disks import Filesystem, Mount


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
        chain=(),
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
def test_sync_path_is_the_first_that_leads_there(mounts: list[Mount], path: str | None) -> None:
    assert sync_path(filesystem(*mounts)) == path


def test_images_come_before_what_carries_them() -> None:
    filesystems = {
        "root": filesystem(mount("/")),
        "outer": filesystem(mount("/deep/er/data"), parents=["root"]),
        "image": filesystem(mount("/i"), parents=["outer"]),
    }
    ordered = [(entry.mounts[0].path, depth) for entry, depth in innermost_first(filesystems)]
    assert ordered == [("/i", 2), ("/deep/er/data", 1), ("/", 0)]


def test_nested_mounts_come_before_what_is_above_them() -> None:
    filesystems = {path: filesystem(mount(path)) for path in ("/", "/a", "/a/b", "/b")}
    ordered = [entry.mounts[0].path for entry, _ in innermost_first(filesystems)]
    assert ordered == ["/a/b", "/a", "/b", "/"]


def test_images_in_a_ring_do_not_hang() -> None:
    filesystems = {
        "one": filesystem(mount("/a"), parents=["two"]),
        "two": filesystem(mount("/b"), parents=["one"]),
    }
    assert len(innermost_first(filesystems)) == 2
