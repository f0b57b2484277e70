"""Disks on loop devices: the cut under running writers, filesystems, links, hot-unplug."""

from __future__ import annotations

import mmap
import os
import platform
import struct
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from ecs_simulator.ports import StillInUse
from ecs_simulator.storage import kernel
from ecs_simulator.storage.ledger import Ledger
from ecs_simulator.storage.loop import LoopStorage, what_loops_need
from fixtures_simulator import mounted_copy

pytestmark = pytest.mark.root
CUTS = 60
# Puts record n on the first disk, then on the second, then n + 1 ..., past the page cache. A
# record is acknowledged before the next is written.
WRITER = textwrap.dedent("""
    import mmap, os, struct, sys
    disks = [os.open(path, os.O_RDWR | os.O_DIRECT | int(sys.argv[3])) for path in sys.argv[1:3]]
    block = mmap.mmap(-1, 4096)
    number = 0
    while True:
        number += 1
        struct.pack_into("<Q", block, 0, number)
        for disk in disks:
            os.pwritev(disk, [block], 0)
            os.pwritev(disk, [block], 4096 * (1 + number % 1024))
        if number == 1:
            print("writing", flush=True)
""")


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[LoopStorage]:
    missing = what_loops_need(tmp_path)
    if missing:
        pytest.skip(f"no loop disks here: {missing}")
    ledger = Ledger.create(tmp_path / "run")
    try:
        (tmp_path / "work").mkdir(mode=0o700)
        yield LoopStorage(tmp_path / "work", ledger, links=tmp_path / "disk" / "by-id")
    finally:
        assert ledger.close() == []


def add_disk(storage: LoopStorage, name: str) -> str:
    """Attach an empty disk and return its device."""
    storage.create_disk(name, name.removeprefix("d-"), 1)
    storage.attach(name)
    return storage.disk(name).device


def records(image: str | None) -> tuple[int, int]:
    """Return the number at the image's start, and the highest in the ring that is written after."""
    assert image is not None
    with Path(image).open("rb") as file:
        content = file.read(4096 * 1025)
    numbers = [
        struct.unpack_from("<Q", content, place)[0] for place in range(0, len(content), 4096)
    ]
    return numbers[0], max(numbers[1:])


def kernel_version() -> tuple[int, ...]:
    return tuple(int(part) for part in platform.release().split("-")[0].split(".")[:2])


def written(device: str) -> int:
    """Return the number at the disk's start, past the page cache."""
    block = mmap.mmap(-1, 4096)
    descriptor = os.open(device, os.O_RDONLY | os.O_DIRECT)
    try:
        os.preadv(descriptor, [block], 0)
    finally:
        os.close(descriptor)
    return int(struct.unpack_from("<Q", block, 0)[0])


@pytest.mark.slow
@pytest.mark.parametrize("flags", [0, os.O_SYNC], ids=["direct", "direct and flushed"])
def test_cut_under_a_writer_is_one_instant_of_both_disks(storage: LoopStorage, flags: int) -> None:
    if not flags and kernel_version() < (6, 15):
        pytest.skip("unflushed writes keep their order in a cut since Linux 6.15 only")
    devices = [add_disk(storage, name) for name in ("d-a", "d-b")]
    argv = [sys.executable, "-c", WRITER, *devices, str(flags)]
    broken = []
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as writer:
        try:
            assert writer.stdout is not None
            writer.stdout.readline()
            for number in range(CUTS):
                before = written(devices[1])
                storage.cut([("d-a", f"s-a{number}"), ("d-b", f"s-b{number}")])
                after = written(devices[0])
                # In the order of writing; each may be at most one behind the first.
                a, a_ring = records(storage.path_of(f"s-a{number}"))
                b, b_ring = records(storage.path_of(f"s-b{number}"))
                if not (a >= a_ring >= b >= b_ring >= a - 1 and b >= before and a <= after):
                    broken.append((before, a, a_ring, b, b_ring, after))
                storage.delete_snapshot(f"s-a{number}")
                storage.delete_snapshot(f"s-b{number}")
        finally:
            writer.kill()
    assert broken == []


@pytest.mark.parametrize("fstype", ["ext4", "xfs", "btrfs"])
def test_synced_files_are_in_the_captured_filesystem(
    storage: LoopStorage, tmp_path: Path, fstype: str
) -> None:
    add_disk(storage, "d-a")
    storage.format("d-a", fstype)
    storage.mount("d-a", tmp_path / "mounted")
    (tmp_path / "mounted" / "file").write_text("early")
    os.sync()
    storage.cut([("d-a", "s-1")])
    (tmp_path / "mounted" / "file").write_text("later")
    image = Path(storage.path_of("s-1") or "")
    if fstype == "btrfs":  # must not be seen twice by the kernel
        storage.pull("d-a")
    with mounted_copy(image, fstype, tmp_path) as target:
        assert (target / "file").read_text() == "early"


def test_what_is_only_in_the_page_cache_is_not_captured(
    storage: LoopStorage, tmp_path: Path
) -> None:
    add_disk(storage, "d-a")
    storage.format("d-a", "ext4")
    storage.mount("d-a", tmp_path / "mounted")
    os.sync()
    (tmp_path / "mounted" / "file").write_text("not synced")
    storage.cut([("d-a", "s-1")])
    with mounted_copy(Path(storage.path_of("s-1") or ""), "ext4", tmp_path) as target:
        assert not (target / "file").exists()


def test_mounted_disk_is_mounted_again_after_a_reset(storage: LoopStorage, tmp_path: Path) -> None:
    add_disk(storage, "d-a")
    storage.format("d-a", "xfs")
    storage.mount("d-a", tmp_path / "mounted")
    (tmp_path / "mounted" / "file").write_text("early")
    os.sync()
    storage.cut([("d-a", "s-1")])
    (tmp_path / "mounted" / "file").write_text("later")
    storage.reset_disk("d-a", "s-1")
    assert (tmp_path / "mounted" / "file").read_text() == "early"


def test_link_of_the_serial_appears_and_goes_with_the_disk(
    storage: LoopStorage, tmp_path: Path
) -> None:
    device = add_disk(storage, "d-a")
    link = tmp_path / "disk" / "by-id" / "virtio-a"
    assert str(link.readlink()) == f"../../{Path(device).name}"
    storage.detach("d-a")
    assert not link.is_symlink()


def test_link_that_a_killed_simulator_left_of_the_same_device_goes(
    storage: LoopStorage, tmp_path: Path
) -> None:
    links = tmp_path / "disk" / "by-id"
    device = Path(add_disk(storage, "d-a")).name
    storage.detach("d-a")
    (links / "virtio-gone").symlink_to(f"../../{device}")
    (links / "virtio-other").symlink_to(f"../../{device}0")
    storage.attach("d-a")
    again = Path(storage.disk("d-a").device).name
    expected = {"virtio-other"} if again == device else {"virtio-other", "virtio-gone"}
    assert {each.name for each in links.iterdir()} == {"virtio-a", *expected}


def mounted(storage: LoopStorage, tmp_path: Path) -> Path:
    """Mount a new disk and return where."""
    add_disk(storage, "d-a")
    storage.format("d-a", "ext4")
    storage.mount("d-a", tmp_path / "mounted")
    return tmp_path / "mounted"


def test_pulled_disk_vanishes_from_under_its_users(storage: LoopStorage, tmp_path: Path) -> None:
    target = mounted(storage, tmp_path)
    with (target / "in-use").open("w"):
        storage.pull("d-a")
        assert not os.path.ismount(target)
    assert kernel.loops_of(storage.disk("d-a").image) == []


def test_mounted_disk_is_not_detached_and_nothing_is_taken_from_it(
    storage: LoopStorage, tmp_path: Path
) -> None:
    target = mounted(storage, tmp_path)
    link = tmp_path / "disk" / "by-id" / "virtio-a"
    with pytest.raises(StillInUse):
        storage.detach("d-a")
    (target / "file").write_text("still there")
    assert (os.path.ismount(target), link.is_symlink()) == (True, True)


def test_unmounted_disk_is_detached(storage: LoopStorage, tmp_path: Path) -> None:
    target = mounted(storage, tmp_path)
    with pytest.raises(StillInUse):
        storage.detach("d-a")
    kernel.run("umount", str(target))
    storage.detach("d-a")
    assert kernel.loops_of(storage.disk("d-a").image) == []


def test_disk_mounted_in_another_namespace_is_not_detached(
    storage: LoopStorage, tmp_path: Path
) -> None:
    device = add_disk(storage, "d-a")
    storage.format("d-a", "ext4")
    (tmp_path / "private").mkdir()
    script = f"mount {device} {tmp_path}/private && echo mounted && read _"
    argv = ["unshare", "--mount", "sh", "-c", script]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"mounted\n"
        assert not os.path.ismount(tmp_path / "private")
        with pytest.raises(StillInUse):
            storage.detach("d-a")
    storage.detach("d-a")
    assert kernel.loops_of(storage.disk("d-a").image) == []


def test_disk_below_another_device_is_not_detached(storage: LoopStorage) -> None:
    device = add_disk(storage, "d-a")
    part = kernel.run("losetup", "--find", "--show", "--offset", "1048576", device).strip()
    try:
        with pytest.raises(StillInUse):
            storage.detach("d-a")
    finally:
        kernel.detach_loop(part)
    storage.detach("d-a")
    assert storage.disk("d-a").device == ""


def test_disk_that_is_merely_open_is_detached(storage: LoopStorage) -> None:
    device = add_disk(storage, "d-a")
    with Path(device).open("rb"):
        storage.detach("d-a")
    assert kernel.loops_of(storage.disk("d-a").image) == []


def test_device_set_read_only_is_let_go_writable(storage: LoopStorage) -> None:
    device = add_disk(storage, "d-a")
    kernel.run("blockdev", "--setro", device)
    storage.detach("d-a")
    assert kernel.run("blockdev", "--getro", device).strip() == "0"


def test_device_that_somebody_left_read_only_is_writable_for_a_new_disk(
    storage: LoopStorage,
) -> None:
    device = add_disk(storage, "d-a")
    storage.detach("d-a")
    kernel.run("blockdev", "--setro", device)
    try:
        storage.attach("d-a")
        again = storage.disk("d-a").device
        assert kernel.run("blockdev", "--getro", again).strip() == "0"
    finally:
        kernel.run("blockdev", "--setrw", device)


def test_room_of_a_cut_is_freed_with_its_last_snapshot(
    storage: LoopStorage, tmp_path: Path
) -> None:
    add_disk(storage, "d-a")
    storage.cut([("d-a", "s-1")])
    cuts = Path(storage.path_of("s-1") or "").parent.parent
    storage.delete_snapshot("s-1")
    assert list(cuts.iterdir()) == []
