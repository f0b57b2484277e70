"""A path leads to the mount that the kernel told, else to the longest mount point above it."""

from __future__ import annotations

import pytest

from snap_self.disks.where import Place, Places
from snap_self.model.disks import Filesystem, Layout, Mount
from snap_self.model.machine import PathFact


def mount(mount_id: int, path: str, *, hidden: bool = False, namespace: int | None = None) -> Mount:
    return Mount(
        mount_id=mount_id,
        path=path,
        fstype="ext4",
        root="/",
        read_only=False,
        namespace=namespace,
        hidden=hidden,
    )


def filesystem(devno: str, *mounts: Mount) -> Filesystem:
    return Filesystem(
        key=devno,
        fstype="ext4",
        source="/dev/x",
        mounts=mounts,
        disks=frozenset({"vda"}),
        ways=(),
        parents=frozenset(),
        devno=devno,
    )


ROOT, BOUND = mount(1, "/"), mount(2, "/bound")
DATA, COVERED, FOREIGN = (
    mount(3, "/data"),
    mount(4, "/old", hidden=True),
    mount(5, "/f", namespace=9),
)
TMP = mount(6, "/data/tmp")


def places(*, root: bool = True) -> Places:
    found = [filesystem("253:16", DATA, COVERED, FOREIGN)]
    if root:
        found.append(filesystem("253:0", ROOT, BOUND))
    layout = Layout(
        disks={},
        filesystems={each.key: each for each in found},
        spans=(),
        swaps={},
        devices={},
        not_covered=(),
        elsewhere=(TMP,),
    )
    return Places(layout)


def shown(place: Place | None) -> tuple[Mount, str] | None:
    if place is None:
        return None
    return place.mount, place.filesystem.devno if place.filesystem else ""


@pytest.mark.parametrize(
    ("mount_id", "devno", "expected"),
    [
        (2, "253:16", (BOUND, "253:0")),
        (5, "", (FOREIGN, "253:16")),
        (6, "0:30", (TMP, "")),
        (77, "253:16", (DATA, "253:16")),
        (77, "0:30", None),
        (77, "", None),
    ],
    ids=["known", "of-another-namespace", "elsewhere", "by-number", "number-of-none", "unknown"],
)
def test_mount_that_the_kernel_told_counts_then_the_number_of_its_filesystem(
    mount_id: int, devno: str, expected: tuple[Mount, str] | None
) -> None:
    fact = PathFact(asked="x", real="/data", mount_id=mount_id, devno=devno)
    assert shown(places().of_path(fact)) == expected


@pytest.mark.parametrize(
    ("real", "expected"),
    [
        ("/data/a/b", (DATA, "253:16")),
        ("/data", (DATA, "253:16")),
        ("/data/tmp/x", (TMP, "")),
        ("/database", (ROOT, "253:0")),
        ("/data/../x", (ROOT, "253:0")),
        ("/old/x", (ROOT, "253:0")),
        ("/f", (ROOT, "253:0")),
        ("/", (ROOT, "253:0")),
        ("x", (ROOT, "253:0")),
    ],
)
def test_path_of_which_the_kernel_was_not_asked_lies_on_the_longest_mount_point_above(
    real: str, expected: tuple[Mount, str]
) -> None:
    fact = PathFact(asked="x", real=real, mount_id=None, devno="253:16")
    assert shown(places().of_path(fact)) == expected


@pytest.mark.parametrize("real", ["/", "/x/y", "x"])
def test_path_above_every_known_mount_lies_nowhere(real: str) -> None:
    assert places(root=False).of_path(PathFact(asked="x", real=real, mount_id=None)) is None


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/data", (DATA, "253:16")),
        ("/data/", (DATA, "253:16")),
        ("/data/tmp/..", (DATA, "253:16")),
        ("/data/x", None),
        ("/old", None),
        ("/f", None),
    ],
)
def test_mount_point_is_that_very_path(path: str, expected: tuple[Mount, str] | None) -> None:
    assert shown(places().of_mount_point(path)) == expected
