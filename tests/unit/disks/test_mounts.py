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
    assert table.hidden == frozenset()
    assert found(table, "/a/x") == 1


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


def test_way_back_up_leads_to_a_mount_of_any_name() -> None:
    assert found(MountTable([line(1, 0, "/"), line(2, 1, "/X")]), "/a/../X/y") == 2


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


def test_table_tells_whose_it_is() -> None:
    lines = [line(1, 0, "/")]
    own, other = MountTable(lines), MountTable(lines, namespace=9, pid=7)
    assert (own.lines, own.namespace, own.pid) == (lines, None, None)
    assert (other.lines, other.namespace, other.pid) == (lines, 9, 7)


@pytest.mark.parametrize("parent", [1, 0, 77], ids=["itself", "none", "outside"])
def test_root_is_free_whatever_the_kernel_names_as_its_parent(parent: int) -> None:
    lines = [line(1, parent, "/"), line(2, 1, "/a"), line(3, 77, "/b")]
    assert MountTable(lines).hidden == frozenset()
    assert MountTable(lines[::-1]).hidden == frozenset()


def test_folders_without_a_mount_hide_nothing_and_one_with_a_later_mount_what_is_in_it() -> None:
    lines = [
        *(line(1, 0, "/"), line(2, 1, "/d"), line(3, 2, "/d/x/a"), line(4, 2, "/d/x/b")),
        *(line(5, 2, "/d/x/y/a"), line(6, 2, "/d/x/c/e/f"), line(7, 2, "/d/x/c/g")),
        *(line(8, 2, "/d/x/c"), line(9, 6, "/d/x/c/e/f/h"), line(10, 8, "/d/x/c/i")),
    ]
    assert MountTable(lines).hidden == {6, 7, 9}
    assert MountTable(lines[::-1]).hidden == {6, 7, 9}


def test_mounts_in_a_hidden_one_are_hidden_also_where_the_inner_is_listed_first() -> None:
    lines = [
        *(line(1, 0, "/"), line(2, 1, "/d/a"), line(5, 1, "/d")),
        *(line(4, 3, "/d/a/b/c"), line(3, 2, "/d/a/b")),
    ]
    assert MountTable(lines).hidden == {2, 3, 4}


def test_mount_over_the_root_of_another_hides_all_that_is_mounted_in_that() -> None:
    lines = [line(1, 0, "/"), line(2, 1, "/d"), line(3, 2, "/d/x/a"), line(4, 2, "/d")]
    assert MountTable(lines).hidden == {2, 3}
    assert MountTable(lines[::-1]).hidden == {2, 3}


def test_first_of_two_mounts_at_one_place_in_one_parent_is_hidden() -> None:
    assert MountTable([line(1, 0, "/"), line(2, 1, "/a"), line(3, 1, "/a")]).hidden == {2}


@pytest.mark.parametrize("path", ["/a", "/a/x/y", "/b/../a/x"])
@pytest.mark.parametrize(
    ("without", "mount_id"),
    [
        ((), 4),
        (("7:2", "7:1"), 4),
        (("7:3",), 3),
        (("7:3", "7:2"), 2),
        (("7:3", "7:1"), 3),
        (("7:3", "7:2", "7:1"), 1),
        (("7:3", "7:2", "7:1", "253:1"), None),
    ],
)
def test_uppermost_of_what_is_not_looked_through_is_found(
    path: str, without: tuple[str, ...], mount_id: int | None
) -> None:
    lines = [line(1, 0, "/"), *(line(1 + n, n, "/a", f"7:{n}") for n in (1, 2, 3))]
    mount = MountTable(lines).find(path, without=without)
    assert (mount.mount_id if mount else None) == mount_id


def test_paths_that_lie_on_nothing_are_left_out() -> None:
    table = MountTable([line(2, 1, "/a"), line(3, 1, "/b", "7:0")])
    for paths in (["/c/x", "/a/x"], ["/c/x", "/c/y", "/a/x/y", "/a/x/z"], ["/c", "/a"]):
        assert [mount.mount_id for mount in table.below_any(paths)] == [2]
        assert [mount.mount_id for mount in table.below_any(paths)] == [2]
    assert list(table.below_any(["/b/x", "/b/y"], without={"7:0"})) == []


@pytest.mark.parametrize(
    "paths",
    [["/a/b", "/a/b/c"], ["/a//b/c"], ["/a/./b/c"], ["/a/x/../b/c"], ["//a/b/c"]],
)
def test_paths_together_lead_where_each_does_also_where_they_are_not_plain(
    paths: list[str],
) -> None:
    table = MountTable([line(1, 0, "/"), line(2, 1, "/a"), line(3, 2, "/a/b")])
    assert found(table, "/a/x") == 2  # what is remembered of it must not mislead
    assert [mount.mount_id for mount in table.below_any(paths)] == [3]


@pytest.mark.parametrize("between", ["/", "/x/../", "//", "/./"])
def test_mount_point_among_paths_in_one_folder_leads_to_its_own_mount(between: str) -> None:
    lines = [line(1, 0, "/"), line(2, 1, "/a"), line(3, 2, "/a/b")]
    for names in (("b", "c"), ("c", "b"), ("c", "b", "d")):
        together = MountTable(lines).below_any([f"/a{between}{name}" for name in names])
        assert {mount.mount_id for mount in together} == {2, 3}


def test_paths_in_several_folders_lead_to_the_mounts_of_each() -> None:
    lines = [line(1, 0, "/"), line(2, 1, "/a"), line(3, 1, "/c"), line(4, 1, "/d/e", "7:0")]
    table = MountTable(lines)
    paths = ["/a/x/1", "/a/x/2", "/c/y/1", "/z/1", "/d/e/1"]
    for _ in range(2):
        assert [mount.mount_id for mount in table.below_any(paths)] == [2, 3, 1, 4]
        looked_through = table.below_any(paths, without={"7:0"})
        assert [mount.mount_id for mount in looked_through] == [2, 3, 1]
        assert found(table, "/") == 1
        assert [mount.mount_id for mount in table.below_any(["/c/y/z/1", "/c/v/w/1"])] == [3]


def test_what_is_remembered_of_the_root_is_not_taken_for_what_lies_in_a_mount() -> None:
    table = MountTable([line(1, 0, "/"), line(2, 1, "/a")])
    assert found(table, "/z/1") == 1
    assert [mount.mount_id for mount in table.below_any(["/a/x/1"])] == [2]
