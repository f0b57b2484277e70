"""A restore beside what lives: links, mounts, running programs, servers, flags, layers."""

from __future__ import annotations

import contextlib
import itertools
import mmap
import os
import shutil
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from copying_rig import Bench, bench_in, flags_of, lost, real_filesystem, run, seen, set_flags
from snap_self.model.copying import Change, CopyOutcome, CopyPlan, Leaving, LeftOut, Wanted
from snap_self.system.copying.copier import SystemCopier
from snap_self.system.copying.surroundings import Surroundings

pytestmark = pytest.mark.root
_NUMBERS = itertools.count()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return a folder on a real filesystem."""
    with real_filesystem(tmp_path_factory.mktemp("live"), "ext4") as point:
        yield point


@pytest.fixture
def bench(place: Path) -> Iterator[Bench]:
    """Return an empty bench."""
    with bench_in(place / f"bench{next(_NUMBERS)}") as made:
        yield made


def codes(left_out: tuple[LeftOut, ...]) -> list[tuple[str, Leaving]]:
    """Return the name of each path that was left out, and why."""
    return [(Path(left.path).name, left.code) for left in left_out]


def write(path: Path, text: str) -> Path:
    """Write a file and the directories above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


@contextmanager
def bound(source: Path, target: Path) -> Iterator[None]:
    """Mount one file or directory on another."""
    run("mount", "--bind", source, target)
    try:
        yield
    finally:
        run("umount", target)


# Links


def test_link_in_the_path_here_is_refused_and_not_followed(bench: Bench) -> None:
    write(bench.copy / "top/file", "old")
    outside = write(bench.base / "outside/file", "theirs")
    os.symlink(outside.parent, bench.live / "top")
    outcome = bench.restore("top/file")
    assert codes(outcome.left_out) == [("file", Leaving.LINK)]
    assert str(bench.live / "top") in outcome.left_out[0].why
    assert outside.read_text() == "theirs"


def test_link_where_a_directory_was_is_replaced_and_not_followed(bench: Bench) -> None:
    write(bench.copy / "top/sub/file", "old")
    outside = write(bench.base / "outside/file", "theirs")
    (bench.live / "top").mkdir()
    os.symlink(outside.parent, bench.live / "top/sub")
    outcome = bench.restore("top")
    assert outcome.left_out == ()
    assert outside.read_text() == "theirs"
    assert not (bench.live / "top/sub").is_symlink()
    assert os.readlink(dict(outcome.kept_aside)[f"{bench.live}/top/sub"]) == str(outside.parent)


@pytest.mark.slow
def test_directory_exchanged_with_a_link_all_the_time_never_leads_outside(bench: Bench) -> None:
    for number in range(200):
        write(bench.copy / f"top/sub/{number}", "old")
    outside = bench.base / "outside"
    outside.mkdir()
    (bench.live / "top/sub").mkdir(parents=True)
    os.symlink(outside, bench.live / "link")
    ended = threading.Event()

    def exchange() -> None:
        sub, link, hold = (bench.live / name for name in ("top/sub", "link", "hold"))
        while not ended.is_set():
            for source, target in ((sub, hold), (link, sub), (sub, link), (hold, sub)):
                with contextlib.suppress(OSError):  # the restore came between
                    if os.path.lexists(source) and not os.path.lexists(target):
                        os.rename(source, target)

    thread = threading.Thread(target=exchange)
    thread.start()
    try:
        for _ in range(15):
            bench.restore("top", keep=False)
    finally:
        ended.set()
        thread.join()
    assert os.listdir(outside) == []


def test_administrators_link_is_resolved_in_the_copy_and_told(bench: Bench) -> None:
    for root, word in ((bench.copy, "old"), (bench.live, "new")):
        write(root / "usr/bin/tool", word)
        os.symlink("usr/bin", root / "bin")
    plan = bench.plan("bin/tool")
    asked, real = f"{bench.live}/bin/tool", f"{bench.live}/usr/bin/tool"
    assert plan.followed == ((asked, real),)
    assert [each.path for each in plan.differences] == [real]
    outcome = bench.restore("bin/tool")
    assert (outcome.followed, outcome.left_out) == (((asked, real),), ())
    assert (bench.live / "usr/bin/tool").read_text() == "old"


def test_link_with_a_whole_path_is_resolved_below_the_mount_point(bench: Bench) -> None:
    write(bench.copy / "data/file", "old")
    os.symlink(f"{bench.live}/data", bench.copy / "here")
    assert bench.restore("here/file").left_out == ()
    assert (bench.live / "data/file").read_text() == "old"


@pytest.mark.parametrize("target", ["/etc", "../elsewhere", "/"])
def test_link_out_of_the_copy_is_refused(bench: Bench, target: str) -> None:
    os.symlink(target, bench.copy / "link")
    outcome = bench.restore("link/passwd")
    assert codes(outcome.left_out) == [("passwd", Leaving.LINK_OUTSIDE)]


def test_link_itself_is_brought_back_as_a_link(bench: Bench) -> None:
    os.symlink("/etc/passwd", bench.copy / "link")
    assert bench.restore("link").left_out == ()
    assert os.readlink(bench.live / "link") == "/etc/passwd"


def test_ring_of_links_in_the_copy_is_told(bench: Bench) -> None:
    os.symlink("b", bench.copy / "a")
    os.symlink("a", bench.copy / "b")
    assert len(bench.restore("a/file").left_out) == 1


# Mounts


def test_mount_point_inside_is_told_and_nothing_below_it_is_touched(bench: Bench) -> None:
    write(bench.copy / "top/file", "old")
    (bench.copy / "top/data").mkdir()
    (bench.live / "top/data").mkdir(parents=True)
    theirs = write(bench.base / "disk/theirs", "x")
    with bound(theirs.parent, bench.live / "top/data"):
        outcome = bench.restore("top", exact=True)
    assert codes(outcome.left_out) == [("data", Leaving.MOUNT_POINT)]
    assert (bench.live / "top/file").read_text() == "old"
    assert theirs.read_text() == "x"


@pytest.mark.parametrize("keep", [True, False])
def test_too_many_with_a_mount_point_below_stays_whole(bench: Bench, *, keep: bool) -> None:
    write(bench.copy / "top/file", "old")
    inner = bench.live / "top/extra/deep/data"
    inner.mkdir(parents=True)
    write(bench.live / "top/extra/beside", "x")
    theirs = write(bench.base / "disk/theirs", "x")
    with bound(theirs.parent, inner):
        outcome = bench.restore("top", exact=True, keep=keep)
        assert codes(outcome.left_out) == [("extra", Leaving.MOUNT_POINT)]
        assert (inner / "theirs").exists()
    assert (bench.live / "top/extra/beside").exists()
    assert outcome.removed == 0


def test_mounted_file_is_written_in_place_and_comes_undone(bench: Bench) -> None:
    write(bench.copy / "resolv.conf", "old and longer than what is there")
    os.utime(bench.copy / "resolv.conf", ns=(5, 5))
    os.chmod(bench.copy / "resolv.conf", 0o640)
    write(bench.live / "resolv.conf", "covered")
    theirs = write(bench.base / "container/resolv.conf", "new")
    inode = theirs.stat().st_ino
    with bound(theirs, bench.live / "resolv.conf"):
        outcome = bench.restore("resolv.conf")
        assert outcome.left_out == ()
        assert outcome.in_place == (f"{bench.live}/resolv.conf",)
        assert theirs.read_text() == "old and longer than what is there"
        assert lost(seen(bench.copy / "resolv.conf"), seen(bench.live / "resolv.conf")) == []
        ((_, kept),) = outcome.kept_aside
        assert Path(kept).read_text() == "new"
        undone = bench.copier.undo(outcome.kept_aside, outcome.made)
        assert (undone.left_out, theirs.read_text()) == ((), "new")
        assert undone.in_place == (f"{bench.live}/resolv.conf",)
        bench.copier.undo(undone.kept_aside, undone.made)
        assert theirs.read_text() == "old and longer than what is there"
    assert theirs.stat().st_ino == inode
    assert (bench.live / "resolv.conf").read_text() == "covered"
    assert bench.temporaries() == []


def test_mounted_file_without_room_is_as_it_was(bench: Bench, tmp_path: Path) -> None:
    write(bench.copy / "file", "o" * (3 << 20))
    write(bench.live / "file", "covered")
    run("mount", "-t", "tmpfs", "-o", "size=1m", "none", tmp_path)
    try:
        theirs = write(tmp_path / "file", "new")
        with bound(theirs, bench.live / "file"):
            outcome = bench.restore("file", keep=False)
            assert codes(outcome.left_out) == [("file", Leaving.NO_ROOM)]
            assert theirs.read_text() == "new"
    finally:
        run("umount", tmp_path)


def test_read_only_mounted_file_is_told(bench: Bench) -> None:
    write(bench.copy / "file", "old")
    write(bench.live / "file", "covered")
    theirs = write(bench.base / "theirs", "new")
    with bound(theirs, bench.live / "file"):
        run("mount", "-o", "remount,bind,ro", bench.live / "file")
        outcome = bench.restore("file")
        assert codes(outcome.left_out) == [("file", Leaving.MOUNT_POINT)]
    assert theirs.read_text() == "new"


def test_layer_of_a_mounted_overlay_is_left_out(bench: Bench, tmp_path: Path) -> None:
    lower = write(bench.live / "layers/lower/file", "new")
    for name in ("lower", "other"):
        write(bench.copy / "layers" / name / "file", "old")
    with memory(tmp_path):
        upper, work, point = (tmp_path / name for name in ("upper", "work", "point"))
        for folder in (upper, work, point):
            folder.mkdir()
        options = f"lowerdir={lower.parent},upperdir={upper},workdir={work}"
        run("mount", "-t", "overlay", "-o", options, "none", point)
        try:
            table = Path("/proc/self/mountinfo").read_text(encoding="utf-8").split("\n")
            layers = "\n".join(line for line in table if " - overlay " in line)
            bench.copier = SystemCopier(
                own=(), look_around=lambda: Surroundings(layers), who_holds=lambda _: {}
            )
            outcome = bench.restore("layers")
            inside = bench.restore("layers/lower/file")
        finally:
            run("umount", point)
    assert codes(outcome.left_out) == [("lower", Leaving.OVERLAY)]
    assert codes(inside.left_out) == [("file", Leaving.OVERLAY)]
    assert lower.read_text() == "new"
    assert (bench.live / "layers/other/file").read_text() == "old"


@contextmanager
def memory(point: Path, options: str = "size=16m") -> Iterator[None]:
    """Mount a filesystem in memory."""
    run("mount", "-t", "tmpfs", "-o", options, "none", point)
    try:
        yield
    finally:
        run("umount", point)


def test_filesystem_on_no_disk_is_left_out(bench: Bench, tmp_path: Path) -> None:
    write(bench.copy / "file", "old")
    run("mount", "-t", "tmpfs", "none", tmp_path)
    try:
        wanted = [Wanted(path=f"{tmp_path}/file", inside="file")]
        copier = SystemCopier(own=())
        plan = copier.plan(bench.source, wanted, to=None, exact=False)
        assert codes(plan.left_out) == [("file", Leaving.VOLATILE)]
        elsewhere = [Wanted(path="/file", inside="file")]
        outcome = copier.copy(
            bench.source,
            elsewhere,
            mark="test",
            to=str(tmp_path),
            exact=False,
            aside=None,
            progress=lambda done, total: None,
        )
        assert (outcome.left_out, (tmp_path / "file").read_text()) == ((), "old")
    finally:
        run("umount", tmp_path)


# Processes


def holding(path: Path, how: str) -> subprocess.Popen[bytes]:
    """Start a process that holds a file in some way; it has it once this returns."""
    programs = {
        "write": "f = open(p, 'r+b')",
        "append": "f = open(p, 'ab')",
        "read": "f = open(p, 'rb')",
        # A mapping alone: Python's own keeps a descriptor, so all are closed.
        "map": "import mmap, os; f = open(p, 'r+b'); m = mmap.mmap(f.fileno(), 0);"
        " os.closerange(3, 64)",
        "private": "import mmap; f = open(p, 'rb');"
        " m = mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_COPY)",
    }
    program = (
        f"import sys; p = sys.argv[1]; {programs[how]}; print('up', flush=True); sys.stdin.read()"
    )
    process = subprocess.Popen(
        [sys.executable, "-I", "-c", program, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"up\n"
    return process


@pytest.fixture
def looking(bench: Bench) -> Bench:
    """Return a bench whose copier looks at the processes of this machine."""
    bench.copier = SystemCopier(own=(), look_around=lambda: Surroundings(""))
    return bench


@pytest.mark.parametrize(
    ("how", "used"), [("write", 1), ("append", 1), ("map", 1), ("read", 0), ("private", 0)]
)
def test_file_that_a_process_may_write_to_is_left_out(looking: Bench, how: str, used: int) -> None:
    for name in ("data", "log"):
        write(looking.copy / f"db/{name}", "old")
        write(looking.live / f"db/{name}", "new")
    with holding(looking.live / "db/data", how) as process:
        plan, outcome = looking.plan("db"), looking.restore("db")
        process.kill()
    assert codes(plan.left_out) == [("data", Leaving.IN_USE)] * used
    assert codes(outcome.left_out) == [("data", Leaving.IN_USE)] * used
    if used:
        assert f"(pid {process.pid})" in plan.left_out[0].why
        assert (looking.live / "db/data").read_text() == "new"
    assert (looking.live / "db/log").read_text() == "old"


def test_file_in_use_beside_what_differs_is_told_by_the_plan(looking: Bench) -> None:
    for top in (looking.copy, looking.live):
        write(top / "db/data", "same")
        os.utime(top / "db/data", ns=(1, 1))
    write(looking.copy / "db/index", "old")
    write(looking.copy / "calm/file", "old")
    with holding(looking.live / "db/data", "write") as process:
        plan = looking.plan("db", "calm")
        (looking.copy / "db/index").unlink()
        os.utime(looking.copy / "db", ns=(1, 1))
        os.utime(looking.live / "db", ns=(1, 1))
        untouched = looking.plan("db", "calm")
        process.kill()
    assert codes(plan.left_out) == [("data", Leaving.IN_USE)]
    assert untouched.left_out == ()


def test_directory_too_many_with_a_file_in_use_stays(looking: Bench) -> None:
    write(looking.copy / "top/file", "old")
    write(looking.live / "top/extra/deep/data", "new")
    with holding(looking.live / "top/extra/deep/data", "write") as process:
        outcome = looking.restore("top", exact=True)
        process.kill()
    assert codes(outcome.left_out) == [("data", Leaving.IN_USE)]
    assert (looking.live / "top/extra/deep/data").exists()
    assert outcome.removed == 0


def test_file_in_use_elsewhere_under_another_name_is_found(looking: Bench) -> None:
    write(looking.copy / "data", "old")
    write(looking.live / "data", "new")
    other = write(looking.base / "other", "")
    with bound(looking.live / "data", other), holding(other, "write") as process:
        plan = looking.plan("data")
        process.kill()
    assert codes(plan.left_out) == [("data", Leaving.IN_USE)]


def test_running_program_is_replaced_and_runs_on(looking: Bench) -> None:
    write(looking.copy / "tool", "#!/bin/sh\n")
    shutil.copy("/bin/sleep", looking.live / "tool")
    with subprocess.Popen([looking.live / "tool", "60"]) as process:
        outcome = looking.restore("tool")
        assert (outcome.left_out, outcome.copied) == ((), 1)
        assert process.poll() is None
        process.kill()
    assert (looking.live / "tool").read_text() == "#!/bin/sh\n"


def test_mapped_file_is_replaced_and_its_reader_reads_on(looking: Bench) -> None:
    write(looking.copy / "library", "old")
    write(looking.live / "library", "n" * 10_000)
    with (looking.live / "library").open("rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    assert looking.restore("library", keep=False).left_out == ()
    assert mapped[9_999:] == b"n"
    mapped.close()


# Flags


@pytest.mark.parametrize("letters", ["i", "a"])
def test_held_file_is_replaced_and_the_kept_one_is_held_again(bench: Bench, letters: str) -> None:
    write(bench.copy / "file", "old")
    set_flags(str(write(bench.live / "file", "new")), letters)
    outcome = bench.restore("file")
    assert outcome.left_out == ()
    ((_, kept),) = outcome.kept_aside
    assert (Path(kept).read_text(), (bench.live / "file").read_text()) == ("new", "old")
    assert flags_of(kept) != 0
    assert flags_of(str(bench.live / "file")) == 0
    assert bench.copier.undo(outcome.kept_aside, outcome.made).left_out == ()
    assert (bench.live / "file").read_text() == "new"
    assert flags_of(str(bench.live / "file")) != 0


@pytest.mark.parametrize("letters", ["i", "a"])
def test_held_directory_is_written_to_and_held_again(bench: Bench, letters: str) -> None:
    write(bench.copy / "top/file", "old")
    (bench.live / "top").mkdir()
    for top in (bench.copy / "top", bench.live / "top"):
        set_flags(str(top), letters)
    assert bench.restore("top").left_out == ()
    assert flags_of(str(bench.live / "top")) != 0
    assert (bench.live / "top/file").read_text() == "old"


def test_held_directory_above_is_held_again(bench: Bench) -> None:
    write(bench.copy / "top/file", "old")
    (bench.live / "top").mkdir()
    set_flags(str(bench.live / "top"), "i")
    assert bench.restore("top/file").left_out == ()
    assert flags_of(str(bench.live / "top")) != 0


def test_too_many_that_is_held_is_removed_where_nothing_is_kept(bench: Bench) -> None:
    write(bench.copy / "top/file", "old")
    set_flags(str(write(bench.live / "top/extra/deep/file", "new")), "i")
    set_flags(str(bench.live / "top/extra"), "i")
    outcome = bench.restore("top", exact=True, keep=False)
    assert (outcome.left_out, outcome.removed) == ((), 1)
    assert os.listdir(bench.live / "top") == ["file"]


# What is kept, and what is there already


def test_second_restore_keeps_beside_what_the_first_kept(bench: Bench) -> None:
    write(bench.copy / "top/file", "old")
    kept = []
    for word in ("first", "second", "third"):
        write(bench.live / "top/file", word)
        outcome = bench.restore("top/file")
        kept += [place for _, place in outcome.kept_aside]
    assert [Path(place).read_text() for place in kept] == ["first", "second", "third"]
    assert len(set(kept)) == 3


def test_kept_file_where_a_directory_is_kept_later_goes_beside(bench: Bench) -> None:
    write(bench.live / "thing", "new")
    write(bench.copy / "thing/inner", "old")
    first = bench.restore("thing")
    write(bench.live / "thing/inner", "newer")
    second = bench.restore("thing")
    assert (first.left_out, second.left_out) == ((), ())
    kept = dict(second.kept_aside)[f"{bench.live}/thing/inner"]
    assert Path(kept).read_text() == "newer"


def test_place_for_what_is_kept_on_another_filesystem_is_refused(
    bench: Bench, tmp_path: Path
) -> None:
    write(bench.copy / "file", "old")
    write(bench.live / "file", "new")
    run("mount", "-t", "tmpfs", "none", tmp_path)
    try:
        outcome = bench.copier.copy(
            bench.source,
            bench.wanted("file"),
            mark="test",
            to=None,
            exact=False,
            aside=f"{tmp_path}/kept",
            progress=lambda done, total: None,
        )
    finally:
        run("umount", tmp_path)
    assert codes(outcome.left_out) == [("file", Leaving.ASIDE)]
    assert (bench.live / "file").read_text() == "new"


def test_link_in_the_path_of_what_is_kept_is_refused(bench: Bench) -> None:
    write(bench.copy / "file", "old")
    write(bench.live / "file", "new")
    os.symlink(bench.base, bench.aside)
    outcome = bench.copier.copy(
        bench.source,
        bench.wanted("file"),
        mark="test",
        to=None,
        exact=False,
        aside=f"{bench.aside}/kept",
        progress=lambda done, total: None,
    )
    assert codes(outcome.left_out) == [("kept", Leaving.ASIDE)]
    assert (bench.live / "file").read_text() == "new"


def test_what_is_kept_is_for_root_alone(bench: Bench) -> None:
    write(bench.copy / "file", "old")
    os.chmod(write(bench.live / "file", "new"), 0o666)
    bench.restore("file")
    assert stat.S_IMODE(bench.aside.stat().st_mode) == 0o700


def test_undo_after_what_is_kept_was_removed_leaves_the_file_alone(bench: Bench) -> None:
    write(bench.copy / "file", "old")
    write(bench.live / "file", "new")
    outcome = bench.restore("file")
    shutil.rmtree(bench.aside)
    undone = bench.copier.undo(outcome.kept_aside, outcome.made)
    assert codes(undone.left_out) == [("file", Leaving.NOT_THERE)]
    assert (bench.live / "file").read_text() == "old"


def test_attributes_below_an_immutable_directory_come_undone_again_and_again(
    bench: Bench,
) -> None:
    for root, mode in ((bench.copy, 0o755), (bench.live, 0o700)):
        (root / "top/sub").mkdir(parents=True)
        for name in ("top/sub", "top"):
            (root / name).chmod(mode)
            set_flags(str(root / name), "i")
    before = seen(bench.live / "top")
    outcome = bench.restore("top", exact=True)
    restored = seen(bench.live / "top")
    for wanted in (before, restored, before):
        outcome = bench.copier.undo(outcome.kept_aside, outcome.made)
        assert outcome.left_out == ()
        assert lost(wanted, seen(bench.live / "top")) == []


def test_undo_keeps_what_was_written_since(bench: Bench) -> None:
    write(bench.copy / "file", "old")
    write(bench.live / "file", "new")
    outcome = bench.restore("file")
    write(bench.live / "file", "written since")
    undone = bench.copier.undo(outcome.kept_aside, outcome.made)
    assert (bench.live / "file").read_text() == "new"
    assert Path(dict(undone.kept_aside)[f"{bench.live}/file"]).read_text() == "written since"


def test_attributes_of_a_directory_are_kept_and_come_undone(bench: Bench) -> None:
    (bench.copy / "top").mkdir(mode=0o700)
    (bench.live / "top").mkdir(mode=0o755)
    os.setxattr(bench.live / "top", "user.a", b"b")
    before = seen(bench.live / "top")
    outcome = bench.restore("top")
    assert [path for path, _ in outcome.kept_aside] == [f"{bench.live}/top/"]
    assert lost(seen(bench.copy / "top"), seen(bench.live / "top")) == []
    assert bench.copier.undo(outcome.kept_aside, outcome.made).left_out == ()
    assert lost(before, seen(bench.live / "top")) == []


def test_directory_in_the_way_stays_where_nothing_is_kept(bench: Bench) -> None:
    write(bench.copy / "thing", "old")
    write(bench.live / "thing/inner", "new")
    outcome = bench.restore("thing", keep=False)
    assert codes(outcome.left_out) == [("thing", Leaving.DIRECTORY)]
    assert (bench.live / "thing/inner").read_text() == "new"
    assert bench.temporaries() == []


def test_empty_directory_in_the_way_is_replaced_where_nothing_is_kept(bench: Bench) -> None:
    write(bench.copy / "thing", "old")
    (bench.live / "thing").mkdir()
    assert bench.restore("thing", keep=False).left_out == ()
    assert (bench.live / "thing").read_text() == "old"


# What is wanted


def test_hard_links_are_kept_across_all_that_is_wanted(bench: Bench) -> None:
    write(bench.copy / "one/file", "old")
    for folder in ("two", "three"):
        (bench.copy / folder).mkdir()
        os.link(bench.copy / "one/file", bench.copy / folder / "file")
    write(bench.live / "two/file", "new")
    write(bench.live / "three/file", "old")
    shutil.copystat(bench.copy / "one/file", bench.live / "three/file")
    assert bench.restore("one", "two", "three").left_out == ()
    inodes = {(bench.live / name / "file").stat().st_ino for name in ("one", "two", "three")}
    assert len(inodes) == 1


def test_files_that_became_one_are_two_again(bench: Bench) -> None:
    for name in ("a", "b"):
        os.utime(write(bench.copy / "top" / name, "same"), ns=(1, 1))
    os.utime(write(bench.live / "top/a", "same"), ns=(1, 1))
    os.link(bench.live / "top/a", bench.live / "top/b")
    assert bench.restore("top").left_out == ()
    assert lost(seen(bench.copy / "top"), seen(bench.live / "top")) == []


def test_socket_is_told_where_it_is_missing_only(bench: Bench) -> None:
    for name in ("gone", "there"):
        os.mknod(bench.copy / name, stat.S_IFSOCK | 0o600)
    os.mknod(bench.live / "there", stat.S_IFSOCK | 0o600)
    assert codes(bench.restore("gone", "there").left_out) == [("gone", Leaving.SOCKET)]


def test_path_that_the_copy_lacks_is_told(bench: Bench) -> None:
    write(bench.live / "file", "new")
    outcome = bench.restore("file", "no/such", exact=True)
    assert [left.code for left in outcome.left_out] == [Leaving.NOT_THERE] * 2
    assert (bench.live / "file").read_text() == "new"


@pytest.mark.parametrize("path", ["relative", "/a/../b", "/a\0b"])
def test_path_that_is_no_plain_whole_one_is_refused(bench: Bench, path: str) -> None:
    wanted = [Wanted(path=path, inside="file")]
    plan = bench.copier.plan(bench.source, wanted, to=None, exact=False)
    assert [left.code for left in plan.left_out] == [Leaving.BAD_PATH]


def test_path_inside_another_one_is_done_once(bench: Bench) -> None:
    write(bench.copy / "top/file", "old")
    outcome = bench.restore("top/file", "top", "top")
    assert (outcome.copied, outcome.left_out) == (2, ())


def test_root_of_the_copy_goes_to_its_mount_point(bench: Bench) -> None:
    write(bench.copy / "file", "old")
    os.chmod(bench.copy, 0o711)
    assert bench.restore("", exact=True).left_out == ()
    assert lost(seen(bench.copy), seen(bench.live)) == []


def test_missing_directories_above_are_made_like_the_copys(bench: Bench) -> None:
    write(bench.copy / "a/b/file", "old")
    os.chmod(bench.copy / "a", 0o711)
    os.chown(bench.copy / "a/b", 4242, 77)
    for folder in ("a/b", "a"):
        os.utime(bench.copy / folder, ns=(7, 7))
    outcome = bench.restore("a/b/file")
    assert lost(seen(bench.copy / "a"), seen(bench.live / "a")) == []
    assert [path for path, _ in outcome.made] == [f"{bench.live}/a"]


def test_names_of_ours_are_neither_copied_nor_too_many(bench: Bench) -> None:
    write(bench.copy / "top/.snap-self-replaced/x", "old")
    write(bench.copy / "top/file", "old")
    mine = write(bench.live / "top/.snap-self-replaced/y", "kept")
    outcome = bench.restore("top", exact=True)
    assert codes(outcome.left_out) == [(".snap-self-replaced", Leaving.KEPT_BY_RESTORE)]
    assert mine.exists()
    assert not (mine.parent / "x").exists()


# Elsewhere, and what must not be moved away


def with_own(bench: Bench, *own: Path) -> None:
    """Let snap-self keep its state there."""
    bench.copier = SystemCopier(
        own=tuple(str(each) for each in own),
        look_around=lambda: Surroundings(""),
        who_holds=lambda _: {},
    )


def test_state_of_ours_is_no_target_elsewhere_either(bench: Bench) -> None:
    write(bench.copy / "state/run.json", "old")
    there = bench.base / f"to{bench.live}/state"
    with_own(bench, there)
    outcome = bench.restore("state/run.json", to=bench.base / "to")
    assert codes(outcome.left_out) == [("run.json", Leaving.OWN_STATE)]
    assert not there.exists()


def test_state_of_ours_behind_a_link_is_no_target(bench: Bench) -> None:
    write(bench.copy / "state/run.json", "old")
    os.symlink(bench.live / "state", bench.base / "link")
    with_own(bench, bench.base / "link")
    assert codes(bench.plan("state").left_out) == [("state", Leaving.OWN_STATE)]


@pytest.mark.parametrize("name", ["lock-frontend", "db.lck"])
def test_lock_of_a_program_is_none_elsewhere(bench: Bench, name: str) -> None:
    write(bench.copy / name, "old")
    assert codes(bench.plan(name).left_out) == [(name, Leaving.LOCK_FILE)]
    assert bench.plan(name, to=bench.base / "to").left_out == ()


@pytest.mark.parametrize(("kind", "left"), [("sysfs", True), ("tmpfs", False)])
def test_filesystem_of_the_kernels_own_is_no_place_elsewhere(
    bench: Bench, kind: str, *, left: bool
) -> None:
    write(bench.copy / "file", "old")
    device = os.stat(bench.base).st_dev
    table = f"1 0 {os.major(device)}:{os.minor(device)} / / rw - {kind} none rw"
    bench.copier = SystemCopier(
        own=(), look_around=lambda: Surroundings(table), who_holds=lambda _: {}
    )
    found = bench.plan("file", to=bench.base / "to").left_out
    assert codes(found) == [("file", Leaving.VOLATILE)] * left


def test_layer_of_a_mounted_overlay_is_no_place_elsewhere(bench: Bench) -> None:
    write(bench.copy / "file", "old")
    layer = bench.base / "to"
    layer.mkdir()
    table = f"1 0 0:9 / /mnt rw - overlay none rw,lowerdir={layer}"
    bench.copier = SystemCopier(
        own=(), look_around=lambda: Surroundings(table), who_holds=lambda _: {}
    )
    assert codes(bench.plan("file", to=layer).left_out) == [("file", Leaving.OVERLAY)]


def test_own_place_mounted_a_second_time_is_no_other_place(bench: Bench) -> None:
    write(bench.copy / "file", "old")
    now = write(bench.live / "file", "new")
    again = Path(f"{bench.base}/to{bench.base}")
    again.mkdir(parents=True)
    with bound(bench.base, again):
        outcome = bench.restore("file", to=bench.base / "to")
    assert codes(outcome.left_out) == [("file", Leaving.BAD_PATH)]
    assert now.read_text() == "new"


@pytest.mark.parametrize("exact", [True, False])
def test_state_of_ours_below_what_would_be_moved_away_stays(bench: Bench, *, exact: bool) -> None:
    # Too many where all is exact; else a directory where the copy has a file.
    state = write(bench.live / "top/other/deep/state/run.json", "mine").parent
    write(bench.copy / ("top/file" if exact else "top/other"), "old")
    with_own(bench, state)
    outcome = bench.restore("top", exact=exact)
    assert codes(outcome.left_out) == [("other", Leaving.OWN_STATE)]
    assert str(state) in outcome.left_out[0].why
    assert (state / "run.json").exists()


def test_what_a_restore_keeps_is_not_moved_away_with_what_holds_it(bench: Bench) -> None:
    write(bench.copy / "top/file", "old")
    kept = write(bench.live / "top/beside/.snap-self-replaced/r1/file", "kept")
    outcome = bench.restore("top", exact=True)
    assert codes(outcome.left_out) == [("beside", Leaving.KEPT_BY_RESTORE)]
    assert kept.exists()


# What was shown, and what is so by now


def test_what_differs_only_since_it_was_shown_stays(bench: Bench) -> None:
    for name in ("shown", "same", "kind"):
        write(bench.copy / f"top/{name}", "then")
    write(bench.live / "top/shown", "now")
    for name in ("same", "new", "many/file"):
        write(bench.live / f"top/{name}", "later")
    (bench.live / "top/kind").mkdir()
    outcome = bench.restore("top", exact=True, agreed={f"{bench.live}/top/shown"})
    assert sorted(codes(outcome.left_out)) == [
        (name, Leaving.CHANGING) for name in ("kind", "many", "new", "same")
    ]
    assert (bench.live / "top/shown").read_text() == "then"
    assert (bench.live / "top/same").read_text() == "later"
    assert (bench.live / "top/many/file").exists()


def test_what_will_be_done_is_told_before_it_is_and_may_be_stopped(bench: Bench) -> None:
    write(bench.copy / "file", "old")
    now = write(bench.live / "file", "new")

    def begins(plan: CopyPlan) -> None:
        assert [each.path for each in plan.differences] == [str(now)]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        bench.restore("file", begins=begins)
    assert now.read_text() == "new"
    assert not bench.aside.exists()


def test_broken_off_restore_tells_what_it_did_and_is_taken_back(bench: Bench) -> None:
    for name in ("a", "b", "c"):
        write(bench.copy / name, "old")
        write(bench.live / name, "new")
    write(bench.copy / "made/inside", "old")
    told: list[CopyOutcome] = []

    def progress(done: int, total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        bench.restore("made", "a", "b", "c", progress=progress, ended=told.append)
    # As after a kill: what was planned is known alone.
    planned = [(f"{bench.live}/{name}", f"{bench.aside}{bench.live}/{name}") for name in "abc"]
    made = [(f"{bench.live}/made", f"{bench.aside}{bench.live}/made")]
    assert told[0].made == tuple(made)
    undone = bench.copier.undo(planned, made, whole=False)
    assert undone.left_out == ()
    assert [(bench.live / name).read_text() for name in "abc"] == ["new", "new", "new"]
    assert not (bench.live / "made").exists()


def test_file_of_a_broken_off_restore_is_put_back_without_a_whole_list(bench: Bench) -> None:
    write(bench.copy / "top/a", "old")
    write(bench.live / "top/a", "new")
    write(bench.live / "top/b", "new")
    bench.restore("top/a")
    places = [(f"{bench.live}{at}", f"{bench.aside}{bench.live}{at}") for at in ("/top", "/top/a")]
    never = (f"{bench.live}/top/b", f"{bench.aside}{bench.live}/top/b")
    # The directory aside only holds what was in this one, which is not exchanged for it.
    undone = bench.copier.undo([*places, never], [], whole=False)
    assert (undone.left_out, undone.copied) == ((), 1)
    assert sorted(os.listdir(bench.live / "top")) == ["a", "b"]
    assert (bench.live / "top/a").read_text() == "new"


def test_what_came_before_it_was_made_is_put_back_after_a_kill(bench: Bench) -> None:
    write(bench.copy / "a", "old")
    write(bench.live / "a", "came meanwhile")
    bench.restore("a")
    made = [(f"{bench.live}/a", f"{bench.aside}{bench.live}/a")]
    undone = bench.copier.undo([], made, whole=False)
    assert (undone.left_out, (bench.live / "a").read_text()) == ((), "came meanwhile")


def test_files_that_are_written_to_are_found_also_below_a_directory(looking: Bench) -> None:
    file, deep = write(looking.live / "file", "x"), write(looking.live / "top/deep/file", "x")
    write(looking.live / "other", "x")
    with holding(file, "write") as first, holding(deep, "write") as second:
        found = looking.copier.in_use(
            [str(file), f"{looking.live}/top", f"{looking.live}/other", f"{looking.live}/gone"]
        )
        for process in (first, second):
            process.kill()
    assert {(each.path, each.code) for each in found} == {
        (str(file), Leaving.IN_USE),
        (str(deep), Leaving.IN_USE),
    }


def test_file_in_use_elsewhere_is_left_out(looking: Bench) -> None:
    write(looking.copy / "file", "old")
    there = write(looking.base / f"to{looking.live}/file", "new")
    with holding(there, "write") as process:
        outcome = looking.restore("file", to=looking.base / "to")
        process.kill()
    assert codes(outcome.left_out) == [("file", Leaving.IN_USE)]
    assert there.read_text() == "new"


@pytest.mark.parametrize("there", ["old", "new"])
def test_place_for_what_is_replaced_goes_where_nothing_was(bench: Bench, there: str) -> None:
    write(bench.copy / "file", "old")
    write(bench.live / "other", "x")
    if there == "new":
        write(bench.live / "file", there)
    bench.restore("file")
    assert bench.aside.exists() == (there == "new")


@pytest.mark.parametrize("kind", ["fifo", "file", "link"])
def test_what_takes_the_name_of_a_new_fifo_gets_none_of_its_attributes(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    os.mkfifo(bench.copy / "pipe")
    os.chown(bench.copy / "pipe", 12, 34)
    theirs = bench.base / "theirs"
    if kind == "fifo":
        os.mkfifo(theirs)
    else:
        write(theirs, "x")
    theirs.chmod(0o600)
    before, real = seen(theirs), os.mknod

    def exchanged(name: str, mode: int, device: int, *, dir_fd: int) -> None:
        real(name, mode, device, dir_fd=dir_fd)
        os.unlink(name, dir_fd=dir_fd)
        if kind == "link":
            os.symlink(theirs, name, dir_fd=dir_fd)
        else:
            os.link(theirs, name, dst_dir_fd=dir_fd)

    monkeypatch.setattr(os, "mknod", exchanged)
    outcome = bench.restore("pipe")
    assert codes(outcome.left_out) == [("pipe", Leaving.CHANGING)]
    assert lost(before, seen(theirs)) == []
    assert not (bench.live / "pipe").exists()


def test_too_many_is_told_and_stays_without_exact(bench: Bench) -> None:
    write(bench.copy / "top/file", "old")
    extra = write(bench.live / "top/extra", "new")
    plan = bench.plan("top")
    assert (f"{extra}", Change.EXTRA, 3) in {(d.path, d.kind, d.size_now) for d in plan.differences}
    assert bench.restore("top").removed == 0
    assert extra.exists()


def test_tree_too_deep_is_told_and_the_rest_comes_back(bench: Bench) -> None:
    here = bench.copy / "top"
    for _ in range(230):
        here = here / "d"
    here.mkdir(parents=True)
    write(bench.copy / "top/file", "old")
    outcome = bench.restore("top")
    assert {left.code for left in outcome.left_out} == {Leaving.TOO_DEEP}
    assert (bench.live / "top/file").read_text() == "old"
    shutil.rmtree(bench.copy / "top")


def test_plan_changes_nothing(bench: Bench) -> None:
    write(bench.copy / "top/file", "old")
    write(bench.live / "top/extra", "new")
    before = seen(bench.live)
    plan = bench.plan("top", exact=True)
    assert {each.kind for each in plan.differences} == {Change.NEW, Change.EXTRA}
    assert lost(before, seen(bench.live)) == []


def test_progress_counts_to_the_total(bench: Bench) -> None:
    for number in range(3):
        write(bench.copy / f"top/sub/{number}", "old")
    told: list[tuple[int, int]] = []
    bench.restore("top", progress=lambda done, total: told.append((done, total)))
    assert told == [(number, 5) for number in range(1, 6)]


# Tidying


def test_tidy_removes_the_mark_beside_and_below_alone(bench: Bench) -> None:
    for name in (
        *(".snap-self-test", "top/.snap-self-test", "top/a/b/.snap-self-test"),
        *("top/.snap-self-other", "top/.snap-self-test2", "top/snap-self-test"),
    ):
        write(bench.live / name, "x")
    (bench.live / "top/a/.snap-self-test").mkdir()
    assert bench.copier.tidy([f"{bench.live}/top"], "test") == 4
    assert sorted(os.listdir(bench.live / "top")) == [
        *(".snap-self-other", ".snap-self-test2", "a", "snap-self-test"),
    ]


def test_tidy_follows_no_link_and_crosses_no_mount(bench: Bench) -> None:
    outside = write(bench.base / "outside/.snap-self-test", "x")
    (bench.live / "top/mounted").mkdir(parents=True)
    os.symlink(outside.parent, bench.live / "top/link")
    with bound(outside.parent, bench.live / "top/mounted"):
        assert bench.copier.tidy([f"{bench.live}/top", f"{bench.live}/top/link"], "test") == 0
    assert outside.exists()


def test_tidy_of_what_is_gone_removes_nothing(bench: Bench) -> None:
    assert bench.copier.tidy([f"{bench.live}/no/such/place", "/a/../b"], "test") == 0


@pytest.mark.parametrize("mark", ["", "a/b", "a*", "..", "a b"])
def test_mark_that_could_name_something_else_is_refused(bench: Bench, mark: str) -> None:
    with pytest.raises(ValueError):
        bench.copier.tidy([str(bench.live)], mark)
