"""What every reader of a machine does: the twin, and the one with a process of its own."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from fakes.manifests import FakeManifestReader, manifest
from snap_self.errors import StateUnusable
from snap_self.model.ids import RunId
from snap_self.model.manifest import Missing, Package, User
from snap_self.model.packed import ManifestKey
from snap_self.ports_looking_back import ManifestReader
from snap_self.system.clock import SystemClock
from snap_self.system.manifest.packing import unpack
from snap_self.system.manifest.reading import PARTS, MachineManifests

RUN, INSTANCE = RunId("20261122t083225z-000001"), "i-bp1iiiijjjjkkkkllllm"
KEY = ManifestKey(key=b"k" * 32, key_id="one")
PATIENT_S = 60.0
Reader = MachineManifests | FakeManifestReader


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a machine with a package, an account and some files."""
    files = {
        "etc/passwd": "root:x:0:0::/root:/bin/sh\n",
        "etc/hosts": "127.0.0.1 a\n",
        "var/lib/dpkg/status": "Package: openssl\nStatus: hold ok installed\nArchitecture: amd64\n"
        "Version: 3.0\n",
    }
    for path, text in files.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    return tmp_path


def real(root: Path, **options: str) -> MachineManifests:
    return MachineManifests(lambda: KEY, SystemClock(), root=str(root), **options)


@pytest.fixture(params=["machine", "memory"])
def make_reader(request: pytest.FixtureRequest, root: Path) -> Callable[[], Reader]:
    if request.param == "machine":
        return lambda: real(root)
    return lambda: FakeManifestReader(
        manifest(
            packages={"openssl:amd64": Package(version="3.0", held=True)},
            users={"root": User(uid=0, gid=0, shell="/bin/sh")},
        )
    )


def test_reader_is_the_ports_twin(make_reader: Callable[[], Reader]) -> None:
    reader: ManifestReader = make_reader()
    one = reader.read(RUN, INSTANCE, limit_s=PATIENT_S)
    assert (one.run_id, one.instance_id, one.left_out, one.complete) == (RUN, INSTANCE, (), True)
    assert one.taken.tzinfo is not None
    assert one.packages == {"openssl:amd64": Package(version="3.0", held=True)}
    assert one.users == {"root": User(uid=0, gid=0, shell="/bin/sh")}
    assert "/etc/hosts" in one.files
    assert one.key_id


def test_look_that_was_begun_gives_the_same_packed(make_reader: Callable[[], Reader]) -> None:
    reader = make_reader()
    packed = reader.begin().end(RUN, INSTANCE, limit_s=PATIENT_S)
    assert (packed.run_id, packed.complete) == (RUN, True)
    assert unpack(packed.content).packages == reader.read(RUN, INSTANCE, limit_s=PATIENT_S).packages


def test_dropped_look_may_be_dropped_again(make_reader: Callable[[], Reader]) -> None:
    look = make_reader().begin()
    look.drop()
    look.drop()


def children() -> set[str]:
    me = os.getpid()
    return set(Path(f"/proc/{me}/task/{me}/children").read_text().split())


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def wait_until_gone(before: set[str]) -> None:
    end = time.monotonic() + PATIENT_S
    while children() - before:
        assert time.monotonic() < end, "the reading process did not end"
        time.sleep(0.01)


@pytest.mark.parametrize("limit_s", [0.0, PATIENT_S])
def test_no_process_is_left_after_a_look(root: Path, limit_s: float) -> None:
    before = children()
    real(root).begin().end(RUN, INSTANCE, limit_s=limit_s)
    wait_until_gone(before)


def test_no_process_or_descriptor_is_left_of_a_dropped_look(root: Path) -> None:
    before, open_before = children(), descriptors()
    real(root).begin().drop()
    wait_until_gone(before)
    end = time.monotonic() + PATIENT_S
    while descriptors() > open_before:
        assert time.monotonic() < end
        time.sleep(0.01)


def test_what_is_not_read_in_time_is_told_and_not_waited_for(root: Path) -> None:
    # A process that reads nothing and stays: it serves other questions.
    silent = real(root, entry="snap_self.system.disks.aside_entry")
    began = time.monotonic()
    packed = silent.begin().end(RUN, INSTANCE, limit_s=0.2)
    assert time.monotonic() - began < PATIENT_S / 2
    why = "not read to its end within 0.2 s"
    assert packed.left_out == tuple(Missing(part=part, why=why) for part in PARTS)
    one = unpack(packed.content)
    assert (one.complete, one.packages) == (False, {})


def test_process_that_ends_too_early_is_told_at_once(root: Path) -> None:
    began = time.monotonic()
    packed = real(root, entry="snap_self.errors").begin().end(RUN, INSTANCE, limit_s=PATIENT_S)
    assert time.monotonic() - began < PATIENT_S
    assert {each.why for each in packed.left_out} == {
        "not read to its end: the reading process ended"
    }
    assert len(packed.left_out) == len(PARTS)


def test_what_came_before_the_end_is_kept(root: Path) -> None:
    look = real(root).begin()
    # All but the last part: the others are closed, so this one alone is missing.
    end = time.monotonic() + PATIENT_S
    while look._open[-1:] and len(look._open) > 1 and time.monotonic() < end:
        time.sleep(0.001)
    packed = look.end(RUN, INSTANCE, limit_s=0.0)
    assert unpack(packed.content).users
    assert {each.part for each in packed.left_out} <= {"listening"}


def test_fifo_below_etc_is_told_and_not_waited_for(root: Path) -> None:
    os.mkfifo(root / "etc/fifo")
    one = real(root).read(RUN, INSTANCE, limit_s=PATIENT_S)
    assert one.complete
    assert stat.S_ISFIFO(one.files["/etc/fifo"].mode)


def test_without_a_key_nothing_is_hashed_and_that_is_told(root: Path) -> None:
    def no_key() -> ManifestKey:
        raise StateUnusable("the state directory is a file")

    reader = MachineManifests(no_key, SystemClock(), root=str(root))
    one = reader.read(RUN, INSTANCE, limit_s=PATIENT_S)
    told = "nothing is hashed: the state directory is a file"
    assert one.left_out == (Missing(part="files", why=told),)
    assert (one.key_id, one.files["/etc/hosts"].digest) == ("", "")


def test_digests_hang_on_the_key(root: Path) -> None:
    other = ManifestKey(key=b"o" * 32, key_id="two")
    digests = {
        MachineManifests(lambda key=key: key, SystemClock(), root=str(root))  # type: ignore[misc]
        .read(RUN, INSTANCE, limit_s=PATIENT_S)
        .files["/etc/hosts"]
        .digest
        for key in (KEY, other)
    }
    assert len(digests) == 2


def test_key_is_seen_by_nobody_who_looks_at_the_process(root: Path) -> None:
    before = children()
    look = real(root, entry="snap_self.system.disks.aside_entry").begin()
    (pid,) = children() - before
    for name in ("cmdline", "environ"):
        assert KEY.key not in Path(f"/proc/{pid}/{name}").read_bytes()
    look.drop()
    wait_until_gone(before)
