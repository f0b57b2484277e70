"""What is restored equals the copy, in every attribute: made-up trees, changed in made-up ways."""

from __future__ import annotations

import itertools
import os
import shutil
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from copying_rig import (
    CAPABILITY,
    Bench,
    acl,
    bench_in,
    free_all,
    lost,
    real_filesystem,
    seen,
    set_flags,
)
from snap_self.model.copying import Leaving

pytestmark = pytest.mark.root
_NUMBERS = itertools.count()
EXAMPLES = 25
FILESYSTEMS = [
    "ext4",
    pytest.param("xfs", marks=pytest.mark.long),
    pytest.param("btrfs", marks=pytest.mark.long),
]


@dataclass(frozen=True)
class Thing:
    """One thing of a made-up tree."""

    kind: str
    data: tuple[tuple[int, bytes], ...] = ()
    size: int = 0
    owner: tuple[int, int] = (0, 0)
    mode: int = 0o644
    mtime: int = 0
    xattrs: tuple[tuple[str, bytes], ...] = ()
    flags: str = ""
    children: tuple[tuple[bytes, Thing], ...] = ()
    link: int = 0


names = st.binary(min_size=1, max_size=255).filter(
    lambda name: (
        b"/" not in name
        and b"\0" not in name
        and name not in (b".", b"..")
        and not name.startswith(b".snap-self-")
    )
) | st.sampled_from([b"a", b"b", b"with\nnewline", b"\xff\xfe", b"x" * 255, b"-rf", b" "])
owners = st.tuples(st.sampled_from([0, 1, 4242, 70000]), st.sampled_from([0, 5, 77]))
times = st.integers(min_value=0, max_value=(1 << 32) * 10**9)
xattr_sets = st.lists(
    st.sampled_from(
        [
            ("user.note", b"hello"),
            ("user.empty", b""),
            ("trusted.x", b"\0\1"),
            ("system.posix_acl_access", acl(4242, 6)),
            ("security.capability", CAPABILITY),
        ]
    ),
    unique_by=lambda pair: pair[0],
    max_size=3,
).map(tuple)
folder_xattrs = st.lists(
    st.sampled_from(
        [
            ("user.note", b"hello"),
            ("system.posix_acl_default", acl(77, 7)),
            ("system.posix_acl_access", acl(4242, 5)),
        ]
    ),
    unique_by=lambda pair: pair[0],
    max_size=2,
).map(tuple)
extents = st.lists(
    st.tuples(
        st.sampled_from([0, 4096, 65536, 1 << 20, 3 << 20]), st.binary(min_size=1, max_size=64)
    ),
    max_size=3,
).map(tuple)
files = st.builds(
    Thing,
    kind=st.just("file"),
    data=extents,
    size=st.sampled_from([0, 1, 100, 4096, 5000, 1 << 22]),
    owner=owners,
    mode=st.sampled_from([0o644, 0o600, 0o4755, 0o2711, 0o6777, 0]),
    mtime=times,
    xattrs=xattr_sets,
    flags=st.sampled_from(["", "", "", "i", "a", "d", "A", "dA", "ia"]),
)
others = st.builds(
    Thing,
    kind=st.sampled_from(["symlink", "fifo", "char", "block"]),
    owner=owners,
    mode=st.sampled_from([0o644, 0o600, 0o777]),
    mtime=times,
    xattrs=st.sampled_from([(), (("trusted.x", b"y"),)]),
)
hard_links = st.builds(Thing, kind=st.just("hard"), link=st.integers(0, 20))


def folders(below: st.SearchStrategy[Thing]) -> st.SearchStrategy[Thing]:
    """Return directories of such things."""
    return st.builds(
        Thing,
        kind=st.just("directory"),
        owner=owners,
        mode=st.sampled_from([0o755, 0o700, 0o2750, 0o1777, 0]),
        mtime=times,
        xattrs=folder_xattrs,
        flags=st.sampled_from(["", "", "", "i", "d", "A", "D"]),
        children=st.lists(st.tuples(names, below), max_size=5, unique_by=lambda pair: pair[0]).map(
            tuple
        ),
    )


trees = folders(st.recursive(files | others | hard_links, folders, max_leaves=12))


def build(thing: Thing, path: bytes, plain: list[bytes]) -> None:
    """Make a thing; flags come in a second step, since hard links need them not to be there."""
    if thing.kind == "hard":
        if plain:
            os.link(plain[thing.link % len(plain)], path, follow_symlinks=False)
        return
    if thing.kind == "directory":
        os.mkdir(path)
        for name, child in thing.children:
            build(child, path + b"/" + name, plain)
    elif thing.kind == "symlink":
        os.symlink(b"no/where", path)
    elif thing.kind == "fifo":
        os.mkfifo(path)
    elif thing.kind in ("char", "block"):
        os.mknod(path, stat.S_IFCHR if thing.kind == "char" else stat.S_IFBLK, os.makedev(1, 3))
    else:
        with open(path, "wb") as file:
            file.truncate(thing.size)
            for offset, data in thing.data:
                file.seek(offset)
                file.write(data)
    if thing.kind != "directory":
        plain.append(path)
    os.chown(path, *thing.owner, follow_symlinks=False)
    if thing.kind != "symlink":
        os.chmod(path, thing.mode)
    for name, value in thing.xattrs:
        os.setxattr(path, name, value, follow_symlinks=False)
    os.utime(path, ns=(thing.mtime, thing.mtime), follow_symlinks=False)


def flag(thing: Thing, path: bytes) -> None:
    """Set flags from below."""
    for name, child in thing.children:
        flag(child, path + b"/" + name)
    if thing.flags:
        set_flags(os.fsdecode(path), thing.flags)


def make(thing: Thing, path: Path) -> None:
    """Make a tree with its flags."""
    build(thing, os.fsencode(path), [])
    flag(thing, os.fsencode(path))


mutations = st.lists(
    st.tuples(
        st.sampled_from(
            [
                "remove",
                "rewrite",
                "mode",
                "touch",
                "to file",
                "to folder",
                "to link",
                "extra",
                "xattr",
                "hard",
            ]
        ),
        st.integers(0, 1000),
    ),
    max_size=6,
)


def mutate(top: Path, changes: list[tuple[str, int]]) -> None:
    """Change a tree as people and programs do."""
    free_all(top)
    for number, (what, which) in enumerate(changes):
        paths = [
            os.path.join(folder, name)
            for folder, dirs, files in os.walk(top)
            for name in (*dirs, *files)
        ]
        if not paths:
            return
        path = sorted(paths)[which % len(paths)]
        folder = path if os.path.isdir(path) and not os.path.islink(path) else os.path.dirname(path)
        change(what, path, folder, number)


def change(what: str, path: str, folder: str, number: int) -> None:
    """Make one change at a path."""
    plain = os.path.isfile(path) and not os.path.islink(path)
    if what in ("remove", "to file", "to folder", "to link"):
        if os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path)
        else:
            os.unlink(path)
    if what == "to file":
        Path(path).write_text("something else")
    elif what == "to folder":
        os.mkdir(path)
        Path(path, "in it").write_text("x")
    elif what == "to link":
        os.symlink("/etc/passwd", path)
    elif what == "extra":
        Path(folder, f"extra {number}").write_text("more")
    elif what == "hard" and plain:
        os.link(path, os.path.join(folder, f"hard {number}"))
    elif what == "rewrite" and plain:
        Path(path).write_bytes(b"z" * os.path.getsize(path) + b"!" * (number % 2))
    elif what == "mode" and not os.path.islink(path):
        os.chmod(path, 0o751)
    elif what == "touch":
        os.utime(path, ns=(1, number), follow_symlinks=False)
    elif what == "xattr" and plain:
        os.setxattr(path, "user.more", b"more")


@pytest.fixture(
    scope="module",
    params=["ext4", *(pytest.param(each, marks=pytest.mark.long) for each in ("xfs", "btrfs"))],
)
def place(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Path]:
    """Return a folder on a real filesystem."""
    with real_filesystem(tmp_path_factory.mktemp("copying"), request.param) as point:
        yield point


@pytest.fixture
def bench(place: Path) -> Iterator[Bench]:
    """Return an empty bench."""
    with bench_in(place / f"bench{next(_NUMBERS)}") as made:
        yield made


@given(tree=trees, changes=mutations)
@settings(max_examples=EXAMPLES)
def test_restored_tree_equals_the_copy_in_every_attribute(
    place: Path, tree: Thing, changes: list[tuple[str, int]]
) -> None:
    with bench_in(place / f"bench{next(_NUMBERS)}") as bench:
        make(tree, bench.copy / "top")
        make(tree, bench.live / "top")
        mutate(bench.live / "top", changes)
        outcome = bench.restore("top", exact=True)
        assert outcome.left_out == ()
        assert lost(seen(bench.copy / "top"), seen(bench.live / "top")) == []
        assert bench.temporaries() == []
        assert bench.plan("top", exact=True).differences == ()


@given(tree=trees, other=trees)
@settings(max_examples=EXAMPLES)
def test_tree_over_any_other_equals_the_copy_and_comes_undone(
    place: Path, tree: Thing, other: Thing
) -> None:
    with bench_in(place / f"bench{next(_NUMBERS)}") as bench:
        make(tree, bench.copy / "top")
        make(other, bench.live / "top")
        before = without_folder_times(bench.live / "top")
        outcome = bench.restore("top", exact=True)
        assert outcome.left_out == ()
        restored = without_folder_times(bench.live / "top")
        assert lost(seen(bench.copy / "top"), seen(bench.live / "top")) == []
        undone = bench.copier.undo(outcome.kept_aside, outcome.made)
        assert undone.left_out == ()
        assert lost(before, without_folder_times(bench.live / "top")) == []
        assert bench.copier.undo(undone.kept_aside, undone.made).left_out == ()
        assert lost(restored, without_folder_times(bench.live / "top")) == []


def without_folder_times(top: Path) -> dict[str, dict[str, object]]:
    """Return what is to be seen of a tree but for times of directories, which moves change."""
    facts = seen(top)
    for fact in facts.values():
        if stat.S_ISDIR(fact["mode"]):
            del fact["mtime"]
    return facts


@given(tree=trees)
@settings(max_examples=EXAMPLES // 2)
def test_tree_elsewhere_equals_the_copy_and_leaves_its_place_alone(
    place: Path, tree: Thing
) -> None:
    with bench_in(place / f"bench{next(_NUMBERS)}") as bench:
        make(tree, bench.copy / "top")
        outcome = bench.restore("top", to=bench.base / "else", keep=False)
        assert outcome.left_out == ()
        there = Path(f"{bench.base}/else{bench.live}/top")
        assert lost(seen(bench.copy / "top"), seen(there)) == []
        assert os.listdir(bench.live) == []


def everything(top: Path) -> None:
    """Make a small tree with all that a tool may lose."""
    file = Thing(
        kind="file", data=((0, b"plain"),), size=5, owner=(4242, 77), mode=0o4755, mtime=123456789
    )
    sparse = Thing(kind="file", data=((3 << 20, b"tail"),), size=1 << 22, mtime=1)
    rich = (("user.note", b"x"), ("trusted.x", b"y"), ("security.capability", CAPABILITY))
    things = {
        b"plain": file,
        b"rich": Thing(
            kind="file", data=((0, b"r"),), owner=(1, 1), mode=0o755, mtime=7, xattrs=rich
        ),
        b"hard": Thing(kind="hard", link=0),
        b"sparse": sparse,
        b"fifo": Thing(kind="fifo", mtime=987654321),
        b"link": Thing(kind="symlink", mtime=987654321, xattrs=(("trusted.x", b"y"),)),
        b"held": Thing(kind="file", data=((0, b"h"),), size=1, mtime=5, flags="i"),
        b"log": Thing(kind="file", data=((0, b"l"),), size=1, mtime=5, flags="a"),
        b"no dump": Thing(kind="file", data=((0, b"d"),), size=1, mtime=5, flags="d"),
        b"shared": Thing(
            kind="file",
            data=((0, b"s"),),
            mtime=5,
            xattrs=(("system.posix_acl_access", acl(9, 6)),),
        ),
        b"shut": Thing(kind="directory", owner=(5, 5), mode=0o1777, mtime=13, flags="i"),
    }
    lists = (("system.posix_acl_default", acl(77, 7)),)
    tree = Thing(
        kind="directory", mode=0o2750, mtime=11, xattrs=lists, children=tuple(things.items())
    )
    make(tree, top)


def test_tree_with_everything_loses_nothing(bench: Bench) -> None:
    everything(bench.copy / "top")
    assert bench.restore("top").left_out == ()
    assert lost(seen(bench.copy / "top"), seen(bench.live / "top")) == []


def test_access_time_of_a_file_is_the_copys(bench: Bench) -> None:
    (bench.copy / "file").write_text("x")
    os.utime(bench.copy / "file", ns=(123, 456))
    bench.restore("file")
    assert os.stat(bench.live / "file").st_atime_ns == 123


def test_same_tree_is_not_touched(bench: Bench) -> None:
    everything(bench.copy / "top")
    bench.restore("top")
    before = {path: os.lstat(bench.live / "top" / path).st_ino for path in seen(bench.live / "top")}
    outcome = bench.restore("top", exact=True)
    assert (outcome.copied, outcome.removed, outcome.left_out) == (0, 0, ())
    after = {path: os.lstat(bench.live / "top" / path).st_ino for path in seen(bench.live / "top")}
    assert before == after


def test_flag_that_the_filesystem_refuses_is_told(bench: Bench, place: Path) -> None:
    (bench.copy / "top").mkdir()
    (bench.copy / "top/file").write_text("x")
    set_flags(str(bench.copy / "top/file"), "d")
    refusing = Path("/dev/shm/snap-self-copying")
    shutil.rmtree(refusing, ignore_errors=True)
    outcome = bench.restore("top", to=refusing, keep=False)
    shutil.rmtree(refusing)
    assert {left.code for left in outcome.left_out} <= {Leaving.PART_OF_ATTRIBUTES}
    assert outcome.copied == 2
