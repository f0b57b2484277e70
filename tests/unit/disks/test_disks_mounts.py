"""A path leads to the mount that the kernel's own walk would end on."""

from __future__ import annotations

import pytest

from snap_self.disks.mountinfo import MountLine
from snap_self.disks.mounts import MountTable


def line(mount_id: int, parent_id: int, path: str, devno: str = "") -> MountLine:
    return MountLine(
        mount_id=mount_id,
        parent_id=parent_id,
        devno=devno or f"253:{mount_id}",
        root="/",
        path=path,
        read_only=False,
        fstype="ext4",
        source="/dev/x",
        super_options="rw",
    )


def found(table: MountTable, path: str) -> int | None:
    mount = table.find(path)
    return mount.mount_id if mount else None


def test_nothing_is_hidden_in_an_ordinary_tree() -> None:
    table = MountTable([line(1, 0, "/"), line(2, 1, "/a"), line(3, 2, "/a/b"), line(4, 1, "/c")])
    assert table.hidden == frozenset()


def test_mount_below_another_at_the_same_place_is_hidden() -> None:
    table = MountTable([line(1, 0, "/"), line(2, 1, "/a"), line(3, 2, "/a")])
    assert table.hidden == {2}
    assert found(table, "/a/x") == 3


def test_whole_tree_below_a_covered_mount_is_hidden() -> None:
    table = MountTable(
        [line(1, 0, "/"), line(2, 1, "/a"), line(3, 2, "/a/b"), line(4, 3, "/a/b/c"),
         line(5, 2, "/a")]
    )  # fmt: skip
    assert table.hidden == {2, 3, 4}
    assert found(table, "/a/b/c/d") == 5


def test_mount_under_a_later_mount_on_its_parent_folder_is_hidden() -> None:
    table = MountTable([line(1, 0, "/"), line(2, 1, "/a/b"), line(3, 1, "/a")])
    assert table.hidden == {2}
    assert found(table, "/a/b") == 3


def test_covered_root_hides_everything_it_held() -> None:
    table = MountTable([line(1, 0, "/"), line(2, 1, "/a"), line(3, 1, "/")])
    assert table.hidden == {1, 2}
    assert found(table, "/a") == 3


def test_parents_listed_after_their_children_are_understood() -> None:
    table = MountTable([line(3, 2, "/a/b"), line(2, 1, "/a"), line(1, 0, "/")])
    assert table.hidden == frozenset()


def test_mounts_that_are_each_others_parent_do_not_hang() -> None:
    table = MountTable([line(1, 2, "/a"), line(2, 1, "/b"), line(3, 3, "/")])
    assert found(table, "/a/x") in (1, 3)


@pytest.mark.parametrize(
    ("path", "mount_id"),
    [
        ("/", 1),
        ("/ab", 1),
        ("/a", 2),
        ("/a/", 2),
        ("/a/../x", 1),
        ("/a/..", 1),
        ("/a//b", 2),
        ("//a", 2),
    ],
)
def test_path_is_compared_by_whole_components(path: str, mount_id: int) -> None:
    assert found(MountTable([line(1, 0, "/"), line(2, 1, "/a")]), path) == mount_id


def test_path_outside_every_mount_is_not_found() -> None:
    assert found(MountTable([line(2, 1, "/a")]), "/b") is None


def test_devices_to_look_through_reveal_what_is_below() -> None:
    table = MountTable([line(1, 0, "/"), line(2, 1, "/a", "7:0")])
    mount = table.find("/a/image", without={"7:0"})
    assert mount is not None
    assert mount.mount_id == 1


def test_doubled_slash_on_the_way_to_a_mount_point_leads_to_it() -> None:
    assert found(MountTable([line(1, 0, "/"), line(2, 1, "/a/b")]), "/a//b/c") == 2


def test_many_paths_lead_to_the_mounts_that_each_leads_to_alone() -> None:
    paths = ["/a/x/1", "/a/x/2", "/a/b", "/a/b/..", "/a/x/../../c", "/a/x/1/2", "/c/y/1", "/c/y/2"]
    lines = [line(1, 0, "/"), line(2, 1, "/a"), line(3, 2, "/a/b"), line(4, 1, "/c", "7:0")]
    table = MountTable(lines)
    for without in ((), {"7:0"}, {"253:2", "7:0"}):
        for some in (paths, paths[::-1], paths * 2):
            alone = [MountTable(lines).find(path, without=without) for path in some]
            expected = dict.fromkeys(mount.mount_id for mount in alone if mount)
            together = table.below_any(some, without=without)
            assert [mount.mount_id for mount in together] == list(expected)
