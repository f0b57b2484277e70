"""How contents then and now differ, and which are not shown."""

from __future__ import annotations

import stat
from dataclasses import dataclass, replace

import pytest

from fakes.looking import MemoryTree
from snap_self.model.differences import Kind
from snap_self.model.looking import Content, Contents, Entry
from snap_self.usecases.contents import (
    MOST_BYTES,
    MOST_DEPTH,
    MOST_FILES,
    MOST_LINES,
    compare_contents,
)


def one(then: dict[str, bytes], now: dict[str, bytes], path: str = "/etc/a") -> Content:
    (found,) = compare_contents(MemoryTree(then), MemoryTree(now), [path]).found
    return found


def test_file_that_changed_is_a_unified_diff() -> None:
    found = one({"/etc/a": b"x\ny\n"}, {"/etc/a": b"x\nz\n"})
    assert found.kind is Kind.CHANGED
    assert found.lines == ("--- then/etc/a", "+++ now/etc/a", "@@ -1,2 +1,2 @@", " x", "-y", "+z")


def test_file_that_is_new_or_gone_is_shown_whole() -> None:
    assert one({}, {"/etc/a": b"x\n"}).kind is Kind.NEW
    gone = one({"/etc/a": b"x\n"}, {})
    assert (gone.kind, gone.lines[-1]) == (Kind.GONE, "-x")


def test_empty_file_that_is_new_is_told() -> None:
    found = one({}, {"/etc/a": b""})
    assert (found.kind, found.lines, found.why) == (Kind.NEW, (), "an empty file")


def test_missing_newline_at_the_end_is_a_difference() -> None:
    assert one({"/etc/a": b"x"}, {"/etc/a": b"x\n"}).lines[-1] == "\\ No newline at end of file"


def test_same_content_is_counted() -> None:
    tree = MemoryTree({"/etc/a": b"x", "/etc/b": b"y"})
    found = compare_contents(tree, tree, ["/etc"])
    assert (found.found, found.same) == ((), 2)


@pytest.mark.parametrize(
    ("then", "now", "why"),
    [
        (b"\0\1", b"text\n", "not text"),
        (b"text\n", b"a\0b", "not text"),
        (b"x" * (MOST_BYTES + 1), b"text\n", "more than 1 MiB"),
        (b"x\n" * (MOST_LINES + 1), b"text\n", f"more than {MOST_LINES} lines"),
    ],
)
def test_content_that_nobody_can_read_is_named_and_not_shown(
    then: bytes, now: bytes, why: str
) -> None:
    found = one({"/etc/a": then}, {"/etc/a": now})
    assert found.lines == ()
    assert found.why.startswith(why)


def test_files_that_are_too_large_are_neither_the_same_nor_different() -> None:
    tree = MemoryTree({"/etc/a": b"x" * (MOST_BYTES + 1)})
    found = compare_contents(tree, tree, ["/etc/a"])
    assert (found.same, found.found) == (0, ())
    assert found.notes == ("/etc/a was left out: more than 1 MiB, and of the same size as then",)


def test_large_file_of_another_size_differs() -> None:
    found = one({"/etc/a": b"x" * (MOST_BYTES + 1)}, {"/etc/a": b"x" * (MOST_BYTES + 2)})
    assert (found.kind, found.why) == (Kind.CHANGED, "more than 1 MiB")


def test_what_has_no_content_is_passed_over_unless_its_kind_differs() -> None:
    socket, pipe = (Special({"/run/a": b""}, kind=kind) for kind in (stat.S_IFSOCK, stat.S_IFIFO))
    assert compare_contents(socket, socket, ["/run/a"]) == Contents()
    (found,) = compare_contents(socket, pipe, ["/run/a"]).found
    assert found.why == "no file"


@dataclass
class Special(MemoryTree):
    """A tree of what is neither a file nor a folder."""

    kind: int = stat.S_IFSOCK

    def look(self, path: str) -> Entry | None:
        """Return a socket, or the like."""
        found = super().look(path)
        return found and replace(found, mode=self.kind | 0o600)


def test_same_binary_files_are_the_same() -> None:
    tree = MemoryTree({"/etc/a": b"\0\1"})
    assert compare_contents(tree, tree, ["/etc/a"]).same == 1


def test_link_is_told_by_where_it_leads() -> None:
    then, now = MemoryTree(links={"/etc/a": "x"}), MemoryTree(links={"/etc/a": "y"})
    (found,) = compare_contents(then, now, ["/etc/a"]).found
    assert [line for line in found.lines if line.startswith(("-link", "+link"))] == [
        "-link to x",
        "+link to y",
    ]


def test_folder_in_place_of_a_file_is_told() -> None:
    found = one({"/etc/a": b"x"}, {"/etc/a/b": b"x"})
    assert found.why == "of another kind now"


def test_folder_that_is_there_on_one_side_only_has_its_files_told() -> None:
    found = compare_contents(MemoryTree({"/etc/a/b": b"x\n"}), MemoryTree(), ["/etc/a"]).found
    assert [(each.path, each.kind) for each in found] == [("/etc/a/b", Kind.GONE)]


def test_path_that_is_there_neither_then_nor_now_is_told() -> None:
    found = compare_contents(MemoryTree(), MemoryTree(), ["/etc/a"])
    assert found.notes == ("/etc/a is there neither then nor now",)


def test_what_is_mounted_below_a_path_is_left_out_and_named() -> None:
    then = MemoryTree({"/srv/a": b"1\n"}, folders={"/srv/data"})
    now = MemoryTree({"/srv/a": b"2\n", "/srv/data/x": b"3\n"}, devices={"/srv/data": 9})
    found = compare_contents(then, now, ["/srv"])
    assert [each.path for each in found.found] == ["/srv/a"]
    assert found.notes == ("/srv/data was left out: a filesystem of its own is mounted there",)


def test_path_that_is_a_mount_point_itself_is_entered() -> None:
    then = MemoryTree({"/srv/a": b"1\n"})
    now = MemoryTree({"/srv/a": b"2\n"}, devices={"/srv": 9})
    assert len(compare_contents(then, now, ["/srv"]).found) == 1


def test_file_that_cannot_be_read_is_named() -> None:
    then = MemoryTree({"/etc/a": b"1\n"}, denied={"/etc/a"})
    found = compare_contents(then, MemoryTree({"/etc/a": b"2\n"}), ["/etc/a"])
    assert found.found == ()
    assert found.notes == ("/etc/a was left out: Permission denied",)


def test_of_very_many_files_the_first_are_compared_and_that_is_told() -> None:
    now = MemoryTree({f"/etc/{number:05}": b"x\n" for number in range(MOST_FILES + 5)})
    found = compare_contents(MemoryTree(), now, ["/etc"])
    assert len(found.found) == MOST_FILES
    assert found.notes == (f"only the first {MOST_FILES} files were compared",)


def test_very_deep_folders_end() -> None:
    path = "/d" * (MOST_DEPTH + 5)
    found = compare_contents(MemoryTree(), MemoryTree({f"{path}/x": b"1"}), ["/d"])
    assert found.found == ()
    assert "too deep" in found.notes[0]
