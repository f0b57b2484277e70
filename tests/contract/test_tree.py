"""A tree of files, as a directory and in memory; the real one never leads out of its directory."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from fakes.looking import MemoryTree
from snap_self.ports_looking_back import Tree
from snap_self.system.tree import DirectoryTree

FILES = {"/etc/a": b"one\n", "/etc/sub/b": b"two\n"}
LINKS = {"/etc/link": "/etc/a"}


@pytest.fixture
def root(tmp_path: Path) -> Iterator[int]:
    """Return a descriptor of a directory with these files."""
    for path, content in FILES.items():
        place = tmp_path / path[1:]
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
    for path, target in LINKS.items():
        (tmp_path / path[1:]).symlink_to(target)
    descriptor = os.open(tmp_path, os.O_PATH | os.O_DIRECTORY)
    yield descriptor
    os.close(descriptor)


@pytest.fixture(params=["directory", "memory"])
def tree(request: pytest.FixtureRequest, root: int) -> Tree:
    """Return the real one and its twin."""
    return DirectoryTree(root) if request.param == "directory" else MemoryTree(FILES, LINKS)


def test_file_is_looked_at_and_read(tree: Tree) -> None:
    found = tree.look("/etc/a")
    assert found is not None
    assert (found.mode >> 12, found.size, found.target) == (0o10, 4, "")
    assert tree.read("/etc/a", 100) == b"one\n"


def test_one_byte_more_than_asked_for_is_read(tree: Tree) -> None:
    assert tree.read("/etc/a", 2) == b"one"


def test_names_are_sorted(tree: Tree) -> None:
    assert list(tree.names("/etc")) == ["a", "link", "sub"]


def test_link_is_told_and_not_followed(tree: Tree) -> None:
    found = tree.look("/etc/link")
    assert found is not None
    assert (found.mode >> 12, found.target) == (0o12, "/etc/a")


@pytest.mark.parametrize("path", ["/etc/x", "/x/y", "/etc/a/below"])
def test_what_is_not_there_is_none(tree: Tree, path: str) -> None:
    assert tree.look(path) is None


def test_file_is_never_read_through_a_link(root: int) -> None:
    with pytest.raises(OSError, match="symbolic links"):
        DirectoryTree(root).read("/etc/link", 100)


@pytest.mark.parametrize("target", ["/etc", "../etc", "/../../../etc", "sub/../../etc"])
def test_link_to_a_folder_leads_on_inside_of_the_tree(
    root: int, tmp_path: Path, target: str
) -> None:
    (tmp_path / "etc/way").symlink_to(target)
    assert DirectoryTree(root).read("/etc/way/a", 100) == b"one\n"


@pytest.mark.parametrize("path", ["/..", "/../../..", "/etc/../../.."])
def test_no_path_leads_out_of_the_tree(root: int, tmp_path: Path, path: str) -> None:
    assert "etc" in DirectoryTree(root).names(f"{path}/")
    assert tmp_path.name not in DirectoryTree(root).names(path)


def test_link_to_itself_is_an_error(root: int, tmp_path: Path) -> None:
    (tmp_path / "ring").symlink_to("ring")
    with pytest.raises(OSError, match="symbolic links"):
        DirectoryTree(root).read("/ring/a", 100)


def test_fifo_is_no_file_to_be_read(root: int, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(OSError, match="no regular file"):
        DirectoryTree(root).read("/fifo", 100)


def test_no_descriptor_is_left_open(root: int) -> None:
    tree = DirectoryTree(root)
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    tree.look("/etc/sub/b")
    tree.look("/no/such")
    tree.names("/etc")
    tree.read("/etc/sub/b", 9)
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208


def test_part_of_a_filesystem_stands_for_the_whole_path(root: int) -> None:
    assert DirectoryTree(root, "/etc").read("/sub/b", 9) == b"two\n"
