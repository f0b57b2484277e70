"""The control of the copier's own tests: what other tools lose of a tree that it brings back whole.

Two paths are brought back, one after the other as people do it. A file in the first has another
name in the second. The table is what GNU coreutils 9.1, rsync 3.5 and GNU tar 1.34 do.
"""

from __future__ import annotations

import itertools
import os
import shutil
import stat
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from test_copying_trees import everything

from copying_rig import Bench, Facts, acl, bench_in, real_filesystem, seen, set_flags

pytestmark = pytest.mark.root
_NUMBERS = itertools.count()
ROOTS = ("top", "other")
_ALL = "--acls --xattrs --xattrs-include=* --numeric-owner"
TOOLS = {
    "cp": "cp -a {copy}/{root} {live}/",
    "rsync": "rsync -aHAX {copy}/{root} {live}/",
    "tar": "tar -C {copy} -cf - {root} | tar -C {live} -xpf -",
    "tar, all asked for": f"tar -C {{copy}} {_ALL} --sparse -cf - {{root}} "
    f"| tar -C {{live}} {_ALL} -xpf -",
}
# To where nothing is yet. ``links``: the two names are one file no more.
LOST: Mapping[str, set[str]] = {
    "cp": {"flags", "links"},
    "rsync": {"flags", "links", "holes"},
    "tar": {"flags", "links", "holes", "mtime", "access list", "capability", "attribute"},
    "tar, all asked for": {"flags", "links"},
}
# Over what is there by now, beside that: ``content`` of a file that is immutable here, ``kind``
# where a file, a link or a directory has become another of these, ``outside`` of a file elsewhere
# that a link here leads to, which is written to.
LOST_OVER: Mapping[str, set[str]] = {
    "cp": {"content", "kind", "outside", "mode", "mtime", "attribute", "access list"},
    "rsync": {"content", "mode", "mtime", "access list"},
    "tar": {"content", "mode"},
    "tar, all asked for": {"content", "mode", "mtime", "access list"},
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return a folder on an ext4."""
    with real_filesystem(tmp_path_factory.mktemp("others"), "ext4") as point:
        yield point


@pytest.fixture
def bench(place: Path) -> Iterator[Bench]:
    """Return a copy with two paths, of which a file has a name in each."""
    with bench_in(place / f"bench{next(_NUMBERS)}") as made:
        everything(made.copy / "top")
        os.link(made.copy / "top/plain", made.copy / "other")
        (made.base / "outside").write_text("theirs")
        yield made


def change_all(bench: Bench) -> None:
    """Have other things here, as programs and people leave them."""
    top = bench.live / "top"
    top.mkdir()
    os.setxattr(top, "system.posix_acl_default", acl(55, 7))
    (top / "rich").symlink_to(bench.base / "outside")
    (top / "link").mkdir()
    (top / "log").write_text("newer")
    set_flags(str(top / "log"), "i")
    (top / "sparse").write_bytes(b"z" * (1 << 22))
    os.setxattr(top / "sparse", "user.too", b"x")


def losses(bench: Bench) -> set[str]:
    """Return what of the copy is not here, by kind."""
    before, after = seen(bench.copy), seen(bench.live)
    del before["."]
    found = {kind for name in before for kind in kinds(before[name], after.get(name, {}))}
    outside = (bench.base / "outside").read_text()
    return found | ({"outside"} if outside != "theirs" else set())


def kinds(before: Facts, after: Facts) -> Iterator[str]:
    """Yield what differs of one thing."""
    if stat.S_IFMT(before["mode"]) != stat.S_IFMT(after.get("mode", 0)):
        yield "kind"
        return
    yield from attributes(before["xattrs"], after["xattrs"])
    differing = {fact for fact, value in before.items() if value != after[fact]} - {"xattrs"}
    # Another content has a size and holes of its own.
    yield from differing - ({"size", "holes"} if "content" in differing else set())


def attributes(before: Mapping[str, bytes], after: Mapping[str, bytes]) -> Iterator[str]:
    """Yield which kinds of extended attributes differ."""
    for name, _ in before.items() ^ after.items():
        access = name.startswith("system.posix_acl")
        yield "access list" if access else NAMED.get(name, "attribute")


NAMED = {"security.capability": "capability"}


def bring_back(bench: Bench, tool: str) -> None:
    """Bring both paths back with another tool, whatever it says of it."""
    if shutil.which(tool.partition(",")[0]) is None:
        pytest.skip(f"there is no {tool} here, which is to show what it loses")
    for root in ROOTS:
        line = TOOLS[tool].format(copy=bench.copy, live=bench.live, root=root)
        subprocess.run(["sh", "-c", line], check=False, capture_output=True)
    assert (bench.live / "top/plain").read_bytes() == b"plain"


@pytest.mark.parametrize("tool", TOOLS)
def test_other_tool_loses_what_the_table_says(bench: Bench, tool: str) -> None:
    bring_back(bench, tool)
    assert losses(bench) == LOST[tool]


@pytest.mark.parametrize("tool", TOOLS)
def test_other_tool_loses_more_over_what_is_there(bench: Bench, tool: str) -> None:
    change_all(bench)
    bring_back(bench, tool)
    assert losses(bench) == LOST[tool] | LOST_OVER[tool]


@pytest.mark.parametrize("over", [False, True])
def test_copier_loses_nothing_of_it(bench: Bench, *, over: bool) -> None:
    if over:
        change_all(bench)
    assert bench.restore(*ROOTS).left_out == ()
    assert losses(bench) == set()
