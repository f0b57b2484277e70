"""A restore that fails half way leaves every file old or new; one that is interrupted, too.

Faults are brought about by an audit hook, in the very call of Python's ``os`` that the copier
makes, one after the other; and by filesystems that are full or read-only by then.
"""

from __future__ import annotations

import errno
import itertools
import os
import resource
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from copying_rig import Bench, Facts, bench_in, real_filesystem, run, seen, set_flags
from snap_self.model.copying import Leaving

pytestmark = pytest.mark.root
_NUMBERS = itertools.count()
CHANGES = {
    *("os.rename", "os.link", "os.remove", "os.mkdir", "os.rmdir", "os.symlink", "open"),
    *("os.chown", "os.chmod", "os.utime", "os.setxattr", "os.truncate", "fcntl.ioctl"),
}
# More than any restore here makes.
MANY = 400


class Faults:
    """Raises in the call of that number; counts them otherwise."""

    def __init__(self) -> None:
        self.armed = False
        self.number = 0
        self.at = -1
        self.event = ""
        self.error: Callable[[], BaseException] = KeyboardInterrupt

    def __call__(self, event: str, args: tuple[object, ...]) -> None:
        """Be called before each audited call."""
        if self.armed and event in CHANGES:
            self.number += 1
            if self.number == self.at:
                self.event = event
                raise self.error()

    @contextmanager
    def at_call(self, number: int, error: Callable[[], BaseException]) -> Iterator[None]:
        """Fail the call of that number inside the block."""
        self.number, self.at, self.error, self.event = 0, number, error, ""
        self.armed = True
        try:
            yield
        finally:
            self.armed = False


FAULTS = Faults()
sys.addaudithook(FAULTS)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return a folder on a real filesystem."""
    with real_filesystem(tmp_path_factory.mktemp("faults"), "ext4") as point:
        yield point


@pytest.fixture
def bench(place: Path) -> Iterator[Bench]:
    """Return an empty bench."""
    with bench_in(place / f"bench{next(_NUMBERS)}") as made:
        yield made


def old_and_new(bench: Bench) -> None:
    """Make a copy and a running system that differ in every way."""
    for top, word in ((bench.copy / "top", "old"), (bench.live / "top", "new")):
        (top / "sub").mkdir(parents=True)
        (top / "file").write_text(word * 1000)
        (top / "sub/inner").write_text(word)
        (top / "held").write_text(word)
        os.symlink(word, top / "link")
    (bench.copy / "top/missing").mkdir()
    (bench.copy / "top/missing/one").write_text("old")
    os.link(bench.copy / "top/file", bench.copy / "top/second")
    (bench.copy / "top/was file").write_text("old")
    (bench.live / "top/was file").mkdir()
    (bench.live / "top/was file/in it").write_text("new")
    (bench.copy / "top/was folder").mkdir()
    (bench.live / "top/was folder").write_text("new")
    (bench.live / "top/extra").write_text("new")
    os.chmod(bench.copy / "top/sub", 0o711)
    os.setxattr(bench.copy / "top/file", "user.a", b"b")
    set_flags(str(bench.live / "top/held"), "i")


def essence(facts: Facts) -> dict[str, object]:
    """Return by name what a file is as a whole: kind and content, or target."""
    return {
        name: (stat.S_IFMT(fact["mode"]), fact.get("content"), fact.get("target"))
        for name, fact in facts.items()
        if not name.startswith(".snap-self") and "/.snap-self" not in name
    }


def check_old_or_new(bench: Bench, old: dict[str, object], new: dict[str, object]) -> None:
    """Fail if anything is neither what it was nor what the copy has."""
    now = essence(seen(bench.live / "top"))
    torn = [name for name in {*old, *new} if now.get(name) not in (old.get(name), new.get(name))]
    assert torn == []


@pytest.mark.slow
def test_every_call_that_fails_leaves_each_file_old_or_new(place: Path) -> None:
    for call in range(1, MANY):
        with bench_in(place / f"bench{next(_NUMBERS)}") as bench:
            old_and_new(bench)
            old, new = essence(seen(bench.live / "top")), essence(seen(bench.copy / "top"))
            with FAULTS.at_call(call, lambda: OSError(errno.ENOSPC, "injected")):
                outcome = bench.restore("top", exact=True)
            if not FAULTS.event:
                assert outcome.left_out == ()
                return
            check_old_or_new(bench, old, new)
            now = essence(seen(bench.live / "top"))
            told = {left.path for left in outcome.left_out}
            for name in {*now, *new}:
                if now.get(name) != new.get(name):
                    path = Path(f"{bench.live}/top/{name}")
                    assert told & {str(bench.aside), str(path), *map(str, path.parents)}, (
                        name,
                        FAULTS.event,
                    )
            if FAULTS.event != "os.remove":
                assert bench.temporaries() == []
            bench.copier.tidy([f"{bench.live}/top"], "test")
            assert bench.temporaries() == []
    pytest.fail(f"more than {MANY} calls")


@pytest.mark.slow
def test_interrupt_in_every_call_leaves_each_file_old_or_new(place: Path) -> None:
    for call in range(1, MANY):
        with bench_in(place / f"bench{next(_NUMBERS)}") as bench:
            old_and_new(bench)
            old, new = essence(seen(bench.live / "top")), essence(seen(bench.copy / "top"))
            interrupted = False
            try:
                with FAULTS.at_call(call, KeyboardInterrupt):
                    bench.restore("top", exact=True)
            except KeyboardInterrupt:
                interrupted = True
            if not FAULTS.event:
                return
            assert interrupted
            check_old_or_new(bench, old, new)
            bench.copier.tidy([f"{bench.live}/top"], "test")
            assert bench.temporaries() == []
            assert bench.restore("top", exact=True).left_out == ()
            assert essence(seen(bench.live / "top")) == new
    pytest.fail(f"more than {MANY} calls")


@pytest.mark.slow
def test_call_that_fails_in_an_undo_loses_nothing(place: Path) -> None:
    for call in range(1, MANY):
        with bench_in(place / f"bench{next(_NUMBERS)}") as bench:
            old_and_new(bench)
            before, new = essence(seen(bench.live / "top")), essence(seen(bench.copy / "top"))
            outcome = bench.restore("top", exact=True)
            with FAULTS.at_call(call, lambda: OSError(errno.EIO, "injected")):
                undone = bench.copier.undo(outcome.kept_aside, outcome.made)
            if not FAULTS.event:
                assert undone.left_out == ()
                assert essence(seen(bench.live / "top")) == before
                return
            check_old_or_new(bench, before, new)
            again = bench.copier.undo(outcome.kept_aside, outcome.made)
            assert {left.code for left in again.left_out} <= {Leaving.NOT_THERE}, (again, undone)
            assert essence(seen(bench.live / "top")) == before, FAULTS.event
    pytest.fail(f"more than {MANY} calls")


def test_file_that_fails_half_way_is_as_it_was(bench: Bench) -> None:
    for name in ("a", "b", "c"):
        (bench.copy / name).write_bytes(b"o" * (5 << 20 if name == "b" else 10))
        (bench.live / name).write_text("new")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3 << 20, limits[1]))
    try:
        outcome = bench.restore("a", "b", "c")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert [(Path(left.path).name, left.code) for left in outcome.left_out] == [
        ("b", Leaving.FAILED)
    ]
    assert [(bench.live / name).read_bytes()[:3] for name in "abc"] == [b"ooo", b"new", b"ooo"]
    assert bench.temporaries() == []


def test_rename_that_fails_after_a_directory_was_moved_puts_it_back(bench: Bench) -> None:
    (bench.copy / "thing").write_text("old")
    thing = bench.live / "thing"
    found = False
    for call in range(1, 400):
        # Some faults stop nothing, such as that of a flag that cannot be read.
        if not thing.is_dir():
            thing.unlink(missing_ok=True)
            thing.mkdir()
            (thing / "in it").write_text("new")
        with FAULTS.at_call(call, lambda: OSError(errno.EIO, "injected")):
            outcome = bench.restore("thing")
        if FAULTS.event == "os.rename":
            found = True
            assert [left.code for left in outcome.left_out] == [Leaving.IO_ERROR]
            assert (thing / "in it").read_text() == "new"
            assert outcome.kept_aside == ()
            break
    assert found


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """Return a small filesystem in memory."""
    run("mount", "-t", "tmpfs", "-o", "size=4m,nr_inodes=200", "none", tmp_path)
    yield tmp_path
    run("umount", tmp_path)


def test_too_little_room_is_told_before_anything_is_written(bench: Bench, small: Path) -> None:
    (bench.copy / "big").write_bytes(b"x" * (5 << 20))
    (bench.copy / "little").write_text("x")
    plan = bench.plan("big", "little", to=small)
    outcome = bench.restore("big", "little", to=small, keep=False)
    for left_out in (plan.left_out, outcome.left_out):
        assert [left.code for left in left_out] == [Leaving.NO_ROOM]
    assert "MiB" in outcome.left_out[0].why
    assert plan.bytes_needed > 5 << 20
    assert (outcome.copied, os.listdir(small)) == (0, [])


def test_too_few_inodes_are_told_before_anything_is_written(bench: Bench, small: Path) -> None:
    (bench.copy / "top").mkdir()
    for number in range(250):
        (bench.copy / f"top/{number}").write_text("")
    outcome = bench.restore("top", to=small, keep=False)
    assert [left.code for left in outcome.left_out] == [Leaving.NO_ROOM]
    assert os.listdir(small) == []


def test_filesystem_that_fills_up_meanwhile_leaves_whole_files(bench: Bench, small: Path) -> None:
    (bench.copy / "top").mkdir()
    for number in range(30):
        (bench.copy / f"top/{number:02}").write_bytes(bytes([65 + number]) * 100_000)

    def fill(done: int, total: int) -> None:
        if done == 5:
            (small / "other").write_bytes(b"x" * (2 << 20))

    outcome = bench.restore("top", to=small, keep=False, progress=fill)
    there = Path(f"{small}{bench.live}/top")
    assert {left.code for left in outcome.left_out} == {Leaving.NO_ROOM}
    assert {len(path.read_bytes()) for path in there.iterdir()} == {100_000}
    left_out = {Path(left.path).name for left in outcome.left_out}
    assert left_out | set(os.listdir(there)) == {f"{number:02}" for number in range(30)}
    assert left_out.isdisjoint(os.listdir(there))


def test_filesystem_that_becomes_read_only_meanwhile_leaves_whole_files(
    bench: Bench, small: Path
) -> None:
    (bench.copy / "top").mkdir()
    for number in range(10):
        (bench.copy / f"top/{number}").write_text("old")

    def freeze(done: int, total: int) -> None:
        if done == 5:
            run("mount", "-o", "remount,ro", small)

    outcome = bench.restore("top", to=small, keep=False, progress=freeze)
    there = Path(f"{small}{bench.live}/top")
    assert Leaving.READ_ONLY in {left.code for left in outcome.left_out}
    assert {path.read_text() for path in there.iterdir()} == {"old"}
    assert len(os.listdir(there)) == 4


def test_signal_in_the_middle_of_a_file_leaves_no_temporary(bench: Bench) -> None:
    (bench.copy / "big").write_bytes(b"o" * (48 << 20))
    (bench.live / "big").write_text("new")
    program = (
        "import os, sys; from snap_self.system.copying.copier import SystemCopier;"
        "from snap_self.system.copying.surroundings import Surroundings;"
        "from snap_self.model.copying import Wanted;"
        "c = SystemCopier(own=(), look_around=lambda: Surroundings(''), who_holds=lambda _: {});"
        "w = [Wanted(path=sys.argv[2], inside='big')];"
        "fd = os.open(sys.argv[1], os.O_RDONLY);"
        "print('go', flush=True);"
        "c.copy(fd, w, mark='test', to=None, exact=False, aside=None, progress=print)"
    )
    agent = Path(__file__).resolve().parents[2] / "agent"
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(bench.copy), str(bench.live / "big")],
        env={"PYTHONPATH": str(agent)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    with process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
    assert bench.temporaries() == []
    assert (bench.live / "big").read_bytes()[:3] in (b"new", b"ooo")
    assert (bench.live / "big").stat().st_size in (3, 48 << 20)


def test_what_is_changed_before_it_is_read_again_is_told(bench: Bench) -> None:
    (bench.copy / "top").mkdir()
    for name in ("a", "b"):
        (bench.copy / "top" / name).write_text("old")

    def disturb(done: int, total: int) -> None:
        if done == total:
            (bench.live / "top/a").write_text("bad")

    outcome = bench.restore("top", progress=disturb)
    assert [(Path(left.path).name, left.code) for left in outcome.left_out] == [
        ("a", Leaving.NOT_VERIFIED)
    ]
