"""Copies of live filesystems opened beside their originals, on real loop devices."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import signal
import struct
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from opening_rig import (
    MAKE,
    SIZE,
    UNREPLAYED,
    Copies,
    Original,
    clean,
    copies_in,
    found_on,
    hash_of,
    is_read_only,
    mounts_of,
    names_at,
    read_at,
    run,
    sync_file,
)

from snap_self.errors import CopyDamaged, CopyInUse, CopyUnlike
from snap_self.model.disks import Filesystem, Layer
from snap_self.model.opening import CheckResult, CopyShape, Note, RefusalKind
from snap_self.system.opening.aside import Limits

pytestmark = pytest.mark.root

FILESYSTEMS = tuple(MAKE)
WAYS = pytest.mark.parametrize("old_calls", [False, True], ids=["fsmount", "namespace"])


@pytest.fixture
def copies(tmp_path: Path) -> Iterator[Copies]:
    with copies_in(tmp_path) as found:
        yield found


def shape(fstype: str, **given: object) -> CopyShape:
    return CopyShape(fstype=fstype, what="/srv", **given)  # type: ignore[arg-type]


def with_dirty_log(copies: Copies, fstype: str) -> Original:
    """Return a filesystem whose last synced state stands in its log alone."""
    original = copies.original(fstype)
    for number in range(50):
        original.write(f"d/f{number}", f"old {number}")
    run("umount", original.place)
    original = copies.mounted(fstype, original.image, original.device)
    for number in range(20):
        original.write(f"d/n{number}", f"new {number}")
    original.write("d/f2", "second version")
    (original.place / "d/f1").rename(original.place / "d/renamed")
    (original.place / "d/f3").unlink()
    for name in ("d/f2", "d/n7"):
        sync_file(original.place / name)
    return original


@WAYS
@pytest.mark.parametrize("fstype", FILESYSTEMS)
def test_copy_with_a_dirty_log_has_the_last_synced_content(
    copies: Copies, fstype: str, old_calls: bool
) -> None:
    original = with_dirty_log(copies, fstype)
    devices = copies.copy_of(original.image)
    opener = copies.opener(old_calls=old_calls)
    opened = opener.open(devices, shape(fstype), at=None)
    assert read_at(opened, "d/f2") == "second version"
    assert read_at(opened, "d/n7") == "new 7"
    assert (Note.OLD_CALLS in opened.notes) is old_calls
    opener.close(opened)


@pytest.mark.parametrize("fstype", FILESYSTEMS)
def test_copy_whose_log_is_not_replayed_lacks_the_last_synced_content(
    copies: Copies, fstype: str
) -> None:
    # The control: what the test above sees is in the log alone.
    original = with_dirty_log(copies, fstype)
    (device,) = copies.copy_of(original.image).values()
    place = copies.folder / "control"
    place.mkdir()
    run("mount", "-t", fstype, "-o", UNREPLAYED[fstype], device, place)
    try:
        found = (place / "d/f2").read_text(errors="replace") if (place / "d/f2").exists() else ""
        assert found != "second version"
    finally:
        run("umount", place)


@pytest.mark.parametrize("fstype", FILESYSTEMS)
def test_original_is_unharmed_by_a_copy_that_is_opened_and_closed(
    copies: Copies, fstype: str
) -> None:
    original = with_dirty_log(copies, fstype)
    devices = copies.copy_of(original.image)
    opener = copies.opener()
    opened = opener.open(devices, shape(fstype), at=None)
    original.write("d/meanwhile", "written while the copy was open", synced=True)
    before = hash_of(original.place)
    opener.close(opened)
    assert hash_of(original.place) == before
    run("umount", original.place)
    assert clean(fstype, original.device)
    again = copies.mounted(fstype, original.image, original.device)
    assert hash_of(again.place) == before
    assert read_at_path(again.place / "d/meanwhile") == "written while the copy was open"


def read_at_path(path: Path) -> str:
    return path.read_text()


@WAYS
@pytest.mark.parametrize("fstype", FILESYSTEMS)
def test_copy_that_is_open_is_found_by_nobody_and_still_read(
    copies: Copies, fstype: str, old_calls: bool
) -> None:
    original = copies.original(fstype)
    for number in range(200):
        original.write(f"d/{number}", f"content {number}\n" * 50)
    run("sync", "--file-system", original.place)
    devices = copies.copy_of(original.image)
    (device,) = devices.values()
    assert found_on(device)
    opener = copies.opener(old_calls=old_calls)
    opened = opener.open(devices, shape(fstype), at=None)
    # What a power cut would leave is what the image holds now.
    assert found_on(device) == found_on(str(copies.folder / "copy1.img")) == ""
    assert mounts_of(device) == []
    assert is_read_only(device)
    for number in range(200):
        assert read_at(opened, f"d/{number}") == f"content {number}\n" * 50
    closed = opener.close(opened)
    assert (closed.busy, closed.magic_stays) == ((), ())
    assert found_on(device) == found_on(str(copies.folder / "copy1.img")) == ""
    assert not is_read_only(device)


@WAYS
@pytest.mark.parametrize("fstype", FILESYSTEMS)
def test_copy_at_a_place_is_seen_read_only_until_it_is_closed_by_another(
    copies: Copies, fstype: str, old_calls: bool
) -> None:
    original = copies.original(fstype)
    original.write("file", "content")
    run("sync", "--file-system", original.place)
    devices = copies.copy_of(original.image)
    (device,) = devices.values()
    place = copies.folder / "seen"
    place.mkdir()
    opener = copies.opener(old_calls=old_calls)
    opened = opener.open(devices, shape(fstype), at=str(place))
    os.close(opened.fd)
    assert (place / "file").read_text() == "content"
    assert mounts_of(device) == [str(place)]
    options = run("findmnt", "--noheadings", "--output", "OPTIONS", place)
    assert {"ro", "nodev", "nosuid", "noexec"} <= {*options.strip().split(",")}
    with pytest.raises(OSError, match="Read-only"):
        (place / "new").touch()
    closed = copies.opener().close_left(devices, str(place))
    assert (closed.lazily, closed.busy) == (False, ())
    assert mounts_of(device) == []
    assert found_on(device) == ""


def test_link_in_a_copy_is_not_followed(copies: Copies) -> None:
    original = copies.original("ext4")
    (original.place / "link").symlink_to("/etc/passwd")
    run("sync", "--file-system", original.place)
    opener = copies.opener()
    opened = opener.open(copies.copy_of(original.image), shape("ext4"), at=None)
    assert os.readlink("link", dir_fd=opened.fd) == "/etc/passwd"
    if Note.LINKS_FOLLOWED not in opened.notes:
        with pytest.raises(OSError, match="symbolic links"):
            os.open("link", os.O_RDONLY, dir_fd=opened.fd)
    opener.close(opened)


@WAYS
@pytest.mark.parametrize("seen", [False, True], ids=["descriptor", "visible"])
def test_subvolume_alone_is_opened(copies: Copies, old_calls: bool, seen: bool) -> None:
    original = copies.original("btrfs")
    run("btrfs", "subvolume", "create", original.place / "@data")
    run("btrfs", "subvolume", "create", original.place / "@data/nested")
    original.write("outside", "not this")
    original.write("@data/file", "of the subvolume")
    original.write("@data/nested/file", "of the nested one")
    run("sync", "--file-system", original.place)
    place = copies.folder / "seen"
    place.mkdir()
    opener = copies.opener(old_calls=old_calls)
    opened = opener.open(
        copies.copy_of(original.image),
        shape("btrfs", subvolume="@data"),
        at=str(place) if seen else None,
    )
    assert names_at(opened, ".") == ["file", "nested"]
    if seen:
        assert sorted(each.name for each in place.iterdir()) == ["file", "nested"]
        assert run("findmnt", "--noheadings", "--output", "FSROOT", place).strip() == "/@data"
    if not (seen and old_calls):  # the old call shows one subvolume and those in it
        assert read_at(opened, "nested/file") == "of the nested one"
    opener.close(opened)
    assert list(place.iterdir()) == []


def test_btrfs_opens_on_a_number_that_another_of_several_disks_had(copies: Copies) -> None:
    # The kernel remembers the members of such a one beyond its unmount and the disks.
    first, *members = (copies.attach(copies.image(f"earlier{number}")) for number in range(3))
    run(*MAKE["btrfs"], *members)
    run("btrfs", "device", "scan", *members)
    for device in members:
        run("mount", device, copies.folder)
        run("umount", copies.folder)
    for device in (first, *members):
        run("losetup", "--detach", device)
    # Lower numbers that became free meanwhile, as another test's disks went, stay taken.
    taken = (copies.attach(copies.image(f"lower{number}")) for number in range(16))
    assert first in taken
    run("losetup", "--detach", first)
    original = copies.original("btrfs")
    original.write("file", "of the copy", synced=True)
    devices = copies.copy_of(original.image)
    assert [*devices.values()] == members[:1]
    opener = copies.opener()
    opened = opener.open(devices, shape("btrfs"), at=None)
    assert read_at(opened, "file") == "of the copy"
    opener.close(opened)


def test_subvolume_that_the_copy_lacks_is_refused_and_nothing_stays_mounted(
    copies: Copies,
) -> None:
    original = copies.original("btrfs")
    run("sync", "--file-system", original.place)
    devices = copies.copy_of(original.image)
    place = copies.folder / "seen"
    place.mkdir()
    with pytest.raises(CopyUnlike, match="@gone"):
        copies.opener().open(devices, shape("btrfs", subvolume="@gone"), at=str(place))
    assert not os.path.ismount(place)


TABLES = {
    "gpt": "label: gpt\nstart=2048, size=16384, type=swap\nstart=20480, size=655360\n",
    "mbr": "label: dos\nstart=2048, size=16384, type=82\nstart=20480, size=655360\n",
    "logical": (
        "label: dos\n1 : start=2048, size=16384, type=82\n2 : start=18432, size=661504, type=5\n"
        "5 : start=20480, size=655360, type=83\n"
    ),
}
START, LENGTH = 20480 * 512, 655360 * 512


@pytest.mark.parametrize(
    ("table", "fstype"),
    [("gpt", "ext4"), ("gpt", "xfs"), ("gpt", "btrfs"), ("mbr", "ext4"), ("logical", "xfs")],
)
def test_partition_is_opened_and_the_whole_disk_is_found_no_more(
    copies: Copies, table: str, fstype: str
) -> None:
    original = partitioned(copies, table, fstype)
    # A disk larger than the original: the second header of a GPT is not at its end.
    devices = copies.copy_of(original.image)
    (device,) = devices.values()
    with (copies.folder / "copy1.img").open("r+b") as file:
        file.truncate(SIZE_LARGER)
    run("losetup", "--set-capacity", device)
    opener = copies.opener()
    opened = opener.open(devices, shape(fstype, partition=(START, LENGTH)), at=None)
    assert read_at(opened, "file") == "of a partition"
    image = copies.folder / "copy1.img"
    assert found_on(device) == ""
    for offset in (2048 * 512, START):
        probe = ("blkid", "--probe", f"--offset={offset}", image)
        assert run(*probe, check=False).strip() == ""
    with image.open("rb") as file:
        for place in (512, SIZE - 512):
            file.seek(place)
            assert file.read(8) != b"EFI PART"
    closed = opener.close(opened)
    assert (closed.busy, closed.magic_stays) == ((), ())
    assert loops_on(device) == []
    assert not is_read_only(device)


SIZE_LARGER = 400 << 20


def partitioned(copies: Copies, table: str, fstype: str) -> Original:
    """Return a filesystem in a partition behind a swap area, with a file in it."""
    image = copies.image("original")
    subprocess.run(
        ["sfdisk", "--quiet", image], input=TABLES[table], text=True, check=True, timeout=60
    )
    swap = copies.attach(image, "--offset", str(2048 * 512), "--sizelimit", str(16384 * 512))
    run("mkswap", swap)
    device = copies.attach(image, "--offset", str(START), "--sizelimit", str(LENGTH))
    run(*MAKE[fstype], device)
    original = copies.mounted(fstype, image, device)
    original.write("file", "of a partition")
    run("sync", "--file-system", original.place)
    return original


def loops_on(device: str) -> list[str]:
    files = Path("/sys/block").glob("loop*/loop/backing_file")
    return [str(each) for each in files if each.read_bytes().strip() == device.encode()]


def test_partition_that_the_kernel_shows_is_opened_without_a_loop_device(copies: Copies) -> None:
    original = partitioned(copies, "gpt", "ext4")
    devices = copies.copy_of(original.image)
    (device,) = devices.values()
    node = add_partition(device)
    layer = Layer(kind="partition", name=Path(node).name, device=Path(node).name)
    disk = Layer(kind="disk", name=Path(device).name, device=Path(device).name)
    filesystem = Filesystem(
        key="x",
        fstype="ext4",
        source=node,
        mounts=(),
        disks=frozenset({Path(device).name}),
        ways=((Layer(kind="mount", name="/srv"), layer, disk),),
        parents=frozenset(),
    )
    opener = copies.opener()
    found = opener.shape_of(filesystem)
    assert found.partition == (START, LENGTH)
    assert found.disks == {"copy1"}
    assert found.layers == ("mount", "partition", "disk")
    opened = opener.open(devices, found, at=None)
    assert (opened.device, opened.loops) == (node, ())
    assert read_at(opened, "file") == "of a partition"
    assert is_read_only(node)
    assert is_read_only(device)
    closed = opener.close(opened)
    assert (closed.busy, closed.magic_stays, found_on(node)) == ((), (), "")


def add_partition(device: str) -> str:
    """Let the kernel show a partition, as a kernel with readers for tables does by itself."""
    node = f"{device}p1"
    with Path(device).open("rb") as disk:
        fcntl.ioctl(disk, LOOP_SET_STATUS64, loop_info(disk.fileno(), LO_FLAGS_PARTSCAN))
    added = run("addpart", device, "1", str(START // 512), str(LENGTH // 512), check=False)
    if not Path(node).exists():
        pytest.skip(f"this kernel shows no partitions of loop devices: {added}")
    return node


LOOP_GET_STATUS64, LOOP_SET_STATUS64, LO_FLAGS_PARTSCAN = 0x4C05, 0x4C04, 8
FLAGS_OFFSET = 52


def loop_info(device: int, flags: int) -> bytes:
    """Return a loop device's own status with some flags more."""
    info = bytearray(232)
    fcntl.ioctl(device, LOOP_GET_STATUS64, info)
    (now,) = struct.unpack_from("=I", info, FLAGS_OFFSET)
    struct.pack_into("=I", info, FLAGS_OFFSET, now | flags)
    return bytes(info)


def test_partition_that_the_copy_does_not_have_is_refused(copies: Copies) -> None:
    original = partitioned(copies, "gpt", "ext4")
    devices = copies.copy_of(original.image)
    with pytest.raises(CopyUnlike, match="no partition"):
        copies.opener().open(devices, shape("ext4", partition=(START, LENGTH - 512)), at=None)
    (device,) = devices.values()
    assert loops_on(device) == []


@pytest.mark.parametrize("other", ["xfs", "btrfs", "swap", "nothing"])
def test_copy_that_holds_something_else_is_refused_and_not_written_to(
    copies: Copies, other: str
) -> None:
    image = copies.image("strange")
    if other in MAKE:
        run(*MAKE[other], image)
    elif other == "swap":
        run("mkswap", image)
    devices = copies.copy_of(image)
    before = hash_of_file(copies.folder / "copy1.img")
    with pytest.raises(CopyUnlike, match="where the original has ext4"):
        copies.opener().open(devices, shape("ext4"), at=None)
    assert hash_of_file(copies.folder / "copy1.img") == before


def hash_of_file(path: Path) -> str:
    """Return a hash of what is not a hole."""
    total = hashlib.sha256()
    with path.open("rb") as file:
        end = 0
        while True:
            try:
                start = os.lseek(file.fileno(), end, os.SEEK_DATA)
            except OSError:
                return total.hexdigest()
            end = os.lseek(file.fileno(), start, os.SEEK_HOLE)
            total.update(f"{start} {end}".encode())
            file.seek(start)
            while start < end and (piece := file.read(min(1 << 20, end - start))):
                total.update(piece)
                start += len(piece)


@pytest.mark.parametrize("fstype", FILESYSTEMS)
def test_device_that_somebody_has_mounted_is_not_touched(copies: Copies, fstype: str) -> None:
    original = copies.original(fstype)
    copies.by_id.mkdir()
    name = Path(original.device).name
    (copies.by_id / "virtio-mine").symlink_to(f"../../{name}")
    with pytest.raises(CopyInUse, match=str(original.place)):
        copies.opener().open({"mine": original.device}, shape(fstype), at=None)
    assert found_on(original.device)
    assert not is_read_only(original.device)
    # Nor by who cleans up.
    closed = copies.opener().close_left({"mine": original.device}, str(original.place))
    assert closed.busy == (original.device,)
    assert found_on(original.device)
    assert mounts_of(original.device) == [str(original.place)]


def test_device_that_is_mounted_in_another_namespace_is_not_touched(copies: Copies) -> None:
    original = copies.original("ext4")
    devices = copies.copy_of(original.image)
    (device,) = devices.values()
    place = copies.folder / "hidden"
    place.mkdir()
    script = f"mount -t ext4 {device} {place} && echo mounted && exec cat"
    argv = ["unshare", "--mount", "--propagation=private", "sh", "-c", script]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        try:
            assert holder.stdout is not None
            assert holder.stdout.readline() == b"mounted\n"
            with pytest.raises(CopyInUse, match="in use"):
                copies.opener().open(devices, shape("ext4"), at=None)
            assert found_on(device)
            assert not is_read_only(device)
        finally:
            holder.kill()


def test_device_of_another_serial_is_not_touched(copies: Copies) -> None:
    first, second = copies.original("ext4"), copies.image("second")
    copies.copy_of(first.image, "copy1")
    other = copies.copy_of(second, "copy2")["copy2"]
    before = hash_of_file(copies.folder / "copy2.img")
    with pytest.raises(CopyUnlike, match="serial copy1"):
        copies.opener().open({"copy1": other}, shape("ext4"), at=None)
    copies.opener().close_left({"copy1": other}, None)
    assert hash_of_file(copies.folder / "copy2.img") == before


def test_damaged_copy_is_told_as_damaged_and_left_unmounted(copies: Copies) -> None:
    original = copies.original("xfs")
    run("sync", "--file-system", original.place)
    devices = copies.copy_of(original.image)
    (device,) = devices.values()
    with Path(device).open("r+b") as file:
        file.seek(128)
        file.write(os.urandom(256))
    with pytest.raises(CopyDamaged, match="does not mount"):
        copies.opener().open(devices, shape("xfs"), at=None)
    assert copies.opener().close_left(devices, None).busy == ()


def test_ext4_that_asks_for_a_panic_on_errors_does_not_get_it(copies: Copies) -> None:
    original = copies.original("ext4")
    run("tune2fs", "-e", "panic", original.device)
    run("sync", "--file-system", original.place)
    place = copies.folder / "seen"
    place.mkdir()
    opener = copies.opener()
    opened = opener.open(copies.copy_of(original.image), shape("ext4"), at=str(place))
    assert "errors=remount-ro" in run("findmnt", "--noheadings", "--output", "OPTIONS", place)
    opener.close(opened)


def test_content_that_looks_like_another_magic_stays(copies: Copies) -> None:
    original = copies.original("ext4")
    original.write("file", "content", synced=True)
    devices = copies.copy_of(original.image)
    (device,) = devices.values()
    with Path(device).open("r+b") as file:
        file.seek(4086)  # nothing of an ext4 lies there, of others something may
        file.write(b"SWAPSPACE2")
    opener = copies.opener()
    opened = opener.open(devices, shape("ext4"), at=None)
    assert opened.taken == ((0x438, b"\x53\xef"),)
    with (copies.folder / "copy1.img").open("rb") as file:
        file.seek(4086)
        assert file.read(10) == b"SWAPSPACE2"
    opener.close(opened)


OPEN_AND_WAIT = textwrap.dedent("""
    import sys
    from pathlib import Path
    from opening_rig import Copies
    from contextlib import ExitStack
    from snap_self.model.opening import CopyShape
    folder, device, fstype, at, old = sys.argv[1:6]
    copies = Copies(folder=Path(folder), undo=ExitStack())
    opened = copies.opener(old_calls=old == "old").open(
        {"copy1": device}, CopyShape(fstype=fstype), at=at or None
    )
    print("open", flush=True)
    sys.stdin.read()
""")


@WAYS
@pytest.mark.parametrize("fstype", FILESYSTEMS)
def test_killed_opener_leaves_nothing_mounted(copies: Copies, fstype: str, old_calls: bool) -> None:
    original = copies.original(fstype)
    original.write("file", "content")
    run("sync", "--file-system", original.place)
    devices = copies.copy_of(original.image)
    (device,) = devices.values()
    kill_when_open(copies, device, fstype, "", old_calls=old_calls)
    assert mounts_of(device) == []
    closed = copies.opener().close_left(devices, None)
    assert (closed.lazily, closed.busy, closed.magic_stays) == (False, (), ())
    assert not is_read_only(device)


def kill_when_open(
    copies: Copies, device: str, fstype: str, at: str, *, old_calls: bool = False
) -> None:
    """Open a copy in another process, and kill that as soon as it is open."""
    paths = [str(Path(__file__).parent), *sys.path]
    argv = [sys.executable, "-c", OPEN_AND_WAIT, str(copies.folder), device, fstype, at]
    with subprocess.Popen(
        [*argv, "old" if old_calls else "new"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": ":".join(filter(None, paths))},
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"open\n"
        process.send_signal(signal.SIGKILL)


def test_visible_mount_of_a_killed_opener_is_closed_by_who_comes_next(copies: Copies) -> None:
    original = copies.original("ext4")
    run("sync", "--file-system", original.place)
    devices = copies.copy_of(original.image)
    (device,) = devices.values()
    place = copies.folder / "seen"
    place.mkdir()
    kill_when_open(copies, device, "ext4", str(place))
    assert mounts_of(device) == [str(place)]
    closed = copies.opener().close_left(devices, str(place))
    assert (closed.busy, mounts_of(device), is_read_only(device)) == ((), [], False)


def test_copy_is_opened_again_after_a_kill_left_its_disk_read_only(copies: Copies) -> None:
    original = copies.original("ext4")
    original.write("file", "content", synced=True)
    devices = copies.copy_of(original.image)
    (device,) = devices.values()
    run("blockdev", "--setro", device)
    opener = copies.opener()
    opened = opener.open(devices, shape("ext4"), at=None)
    assert read_at(opened, "file") == "content"
    opener.close(opened)


def test_disk_that_was_attached_and_not_opened_is_found_no_more_after_the_clean_up(
    copies: Copies,
) -> None:
    original = partitioned(copies, "gpt", "ext4")
    devices = copies.copy_of(original.image)
    (device,) = devices.values()
    assert "gpt" in found_on(device)
    closed = copies.opener().close_left(devices, None)
    assert (found_on(device), closed.magic_stays) == ("", ())


def test_copy_in_use_is_unmounted_lazily_and_its_user_named(copies: Copies) -> None:
    original = copies.original("ext4")
    run("sync", "--file-system", original.place)
    devices = copies.copy_of(original.image)
    (device,) = devices.values()
    place = copies.folder / "seen"
    place.mkdir()
    opener = copies.opener(unmount_wait_s=0.2)
    opened = opener.open(devices, shape("ext4"), at=str(place))
    with subprocess.Popen(["sleep", "300"], cwd=place) as user:
        try:
            closed = opener.close(opened)
        finally:
            user.kill()
    assert closed.lazily
    assert (user.pid, "sleep") in [(each.pid, each.program) for each in closed.holders]
    assert closed.busy == (device,)
    assert mounts_of(device) == []
    assert opener.close_left(devices, str(place)).busy == ()


def test_disk_that_does_not_answer_in_time_is_told_as_busy(copies: Copies) -> None:
    original = copies.original("ext4")
    run("sync", "--file-system", original.place)
    devices = copies.copy_of(original.image)
    (device,) = devices.values()
    place = copies.folder / "seen"
    place.mkdir()
    opened = copies.opener().open(devices, shape("ext4"), at=str(place))
    with subprocess.Popen(["sleep", "300"], cwd=place) as user:
        try:
            impatient = copies.opener(limits=Limits(idle_s=0.5))
            closed = impatient.close(opened)
        finally:
            user.kill()
    assert closed.busy == (device,)
    assert copies.opener().close_left(devices, str(place)).busy == ()


@pytest.mark.parametrize("fstype", FILESYSTEMS)
def test_shape_of_a_whole_disk_tells_its_serial_and_no_partition(
    copies: Copies, fstype: str
) -> None:
    original = copies.original(fstype)
    copies.by_id.mkdir()
    name = Path(original.device).name
    (copies.by_id / "virtio-mine").symlink_to(f"../../{name}")
    disk = Layer(kind="disk", name=name, device=name)
    filesystem = Filesystem(
        key="x",
        fstype=fstype,
        source=original.device,
        mounts=(),
        disks=frozenset({name}),
        ways=((Layer(kind="mount", name="/srv"), disk),),
        parents=frozenset(),
    )
    found = copies.opener().shape_of(filesystem, subvolume="/@home")
    assert (found.partition, found.lvm, found.members) == (None, None, 1)
    assert found.disks == {"mine"}
    assert found.subvolume == ("@home" if fstype == "btrfs" else "")


def test_btrfs_of_two_devices_is_told_by_its_own_superblock(copies: Copies) -> None:
    first, second = copies.image("m1"), copies.image("m2")
    run("mkfs.btrfs", "-q", "-f", "-m", "raid1", first, second)
    name = Path(copies.attach(first)).name
    filesystem = Filesystem(
        key="x",
        fstype="btrfs",
        source=name,
        mounts=(),
        disks=frozenset({name}),
        ways=((Layer(kind="mount", name="/"), Layer(kind="disk", name=name, device=name)),),
        parents=frozenset(),
    )
    opener = copies.opener()
    found = opener.shape_of(filesystem)
    assert found.members == 2
    refused = opener.refusal([found])
    assert refused is not None
    assert refused.kind is RefusalKind.SEVERAL_DEVICES


@pytest.mark.parametrize("fstype", FILESYSTEMS)
def test_checker_finds_a_replayed_copy_clean_and_the_disk_stays_hidden(
    copies: Copies, fstype: str
) -> None:
    original = with_dirty_log(copies, fstype)
    devices = copies.copy_of(original.image)
    opener = copies.opener()
    opened = opener.open(devices, shape(fstype), at=None)
    image = copies.folder / "copy1.img"
    before = hash_of_file(image)
    checked = opener.check(opened, limit_s=60)
    assert checked.result is CheckResult.CLEAN, checked
    assert (hash_of_file(image), found_on(str(image))) == (before, "")
    opener.close(opened)


def test_checker_finds_damage_that_a_mount_does_not_see(copies: Copies) -> None:
    original = copies.original("ext4")
    original.write("file", "content", synced=True)
    run("umount", original.place)
    # A link count that is wrong: the kernel mounts and reads it, e2fsck sees it.
    run("debugfs", "-w", "-R", "set_inode_field file links_count 7", original.device)
    opener = copies.opener()
    opened = opener.open(copies.copy_of(original.image), shape("ext4"), at=None)
    checked = opener.check(opened, limit_s=60)
    opener.close(opened)
    assert (checked.result, checked.program) == (CheckResult.DAMAGED, "e2fsck")
    assert "count" in checked.why


# Of a FAT32 as mkfs.vfat makes it: where its tables begin, in bytes.
FAT_TABLE = 32 * 512


@pytest.fixture
def efi(copies: Copies) -> Original:
    """Return a vfat in a partition, as it is while Linux has it mounted."""
    if shutil.which("fsck.vfat") is None:
        pytest.skip("not here: mkfs.vfat and fsck.vfat (Debian: dosfstools)")
    image = copies.image("original")
    subprocess.run(
        ["sfdisk", "--quiet", image], input=TABLES["gpt"], text=True, check=True, timeout=60
    )
    device = copies.attach(image, "--offset", str(START), "--sizelimit", str(LENGTH))
    run("mkfs.vfat", "-F", "32", "-n", "EFI", device)
    # Marked as dirty, and the count of free clusters is one of some time ago.
    overwrite(device, {0x41: b"\1", 512 + 488: b"\5\0\0\0"})
    return Original(fstype="vfat", image=image, device=device, place=copies.folder)


def overwrite(device: str, pieces: dict[int, bytes]) -> None:
    """Write these bytes to a device."""
    with open(device, "r+b", buffering=0) as disk:  # noqa: PTH123 - a device
        for offset, data in pieces.items():
            os.pwrite(disk.fileno(), data, offset)
        os.fsync(disk.fileno())


def fsck_vfat(device: str) -> int:
    """Return what the checker says of a device as it is."""
    return subprocess.run(["fsck.vfat", "-n", device], capture_output=True, check=False).returncode


def vfat_shape() -> CopyShape:
    return shape("vfat", partition=(START, LENGTH), only_checked=True)


def test_vfat_is_checked_as_if_it_had_been_unmounted_and_found_by_nobody(
    copies: Copies, efi: Original
) -> None:
    assert fsck_vfat(efi.device) == 1, "a mounted one is found at fault as it is"
    devices = copies.copy_of(efi.image)
    (device,) = devices.values()
    opener = copies.opener()
    opened = opener.open(devices, vfat_shape(), at=None)
    image = copies.folder / "copy1.img"
    assert mounts_of(opened.device) == []
    for offset in (0, START):
        assert run("blkid", "--probe", f"--offset={offset}", image, check=False).strip() == ""
    before = hash_of_file(image)
    checked = opener.check(opened, limit_s=60)
    assert (checked.result, checked.program, checked.why) == (CheckResult.CLEAN, "fsck.vfat", "")
    assert hash_of_file(image) == before
    closed = opener.close(opened)
    assert (closed.busy, closed.magic_stays, loops_on(device)) == ((), (), [])
    assert not is_read_only(device)


def test_vfat_whose_tables_differ_is_found_damaged(copies: Copies, efi: Original) -> None:
    overwrite(efi.device, {FAT_TABLE + 4 * 100: b"\x65\0\0\0"})
    opener = copies.opener()
    opened = opener.open(copies.copy_of(efi.image), vfat_shape(), at=None)
    checked = opener.check(opened, limit_s=60)
    opener.close(opened)
    assert (checked.result, checked.program) == (CheckResult.DAMAGED, "fsck.vfat")
    assert "FATs differ" in checked.why


def test_reading_of_a_copy_by_a_user_who_may_not_read_the_original_is_refused(
    copies: Copies,
) -> None:
    original = copies.original("ext4")
    original.write("secret", "content", synced=True)
    (original.place / "secret").chmod(0o600)
    run("sync", "--file-system", original.place)
    place = copies.folder / "seen"
    place.mkdir()
    opener = copies.opener()
    opened = opener.open(copies.copy_of(original.image), shape("ext4"), at=str(place))
    argv = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "cat", place / "secret")
    assert "ermission denied" in run(*argv, check=False)
    opener.close(opened)


def test_btrfs_of_two_devices_is_refused_without_a_write(copies: Copies) -> None:
    first, second = copies.image("m1"), copies.image("m2")
    run("mkfs.btrfs", "-q", "-f", "-m", "raid1", first, second)
    devices = copies.copy_of(first)
    before = hash_of_file(copies.folder / "copy1.img")
    with pytest.raises(CopyUnlike, match="part on another device"):
        copies.opener().open(devices, shape("btrfs"), at=None)
    assert hash_of_file(copies.folder / "copy1.img") == before


@pytest.mark.parametrize("fstype", FILESYSTEMS)
def test_copy_that_was_mounted_by_others_tells_it_where_its_filesystem_does(
    copies: Copies, fstype: str
) -> None:
    original = copies.original(fstype)
    run("sync", "--file-system", original.place)
    ((serial, device),) = copies.copy_of(original.image).items()
    opener = copies.opener()
    before = opener.signs(serial, device)
    told = {sign.kind: sign.mounted for sign in before.signs}
    place = copies.folder / "booted"
    place.mkdir()
    # What a boot does: read-only first, then writable.
    options = {"xfs": "ro,nouuid"}.get(fstype, "ro")
    begun = int(time.time())
    run("mount", "-t", fstype, "-o", options, device, place)
    try:
        assert opener.signs(serial, device).used_at == (str(place),)
        run("mount", "-o", "remount,rw", place)
        (place / "written").write_text("by a boot")
    finally:
        run("umount", place)
    after = opener.signs(serial, device)
    assert (before.used_at, after.used_at) == ((), ())
    if fstype == "ext4":
        assert told[fstype] is not None
        assert {sign.kind: sign.mounted for sign in after.signs}[fstype] >= begun  # type: ignore[operator]
    else:
        assert told == {fstype: None}


def test_copy_that_was_opened_shows_nothing_that_a_boot_would_find(copies: Copies) -> None:
    original = copies.original("ext4")
    run("sync", "--file-system", original.place)
    ((serial, device),) = copies.copy_of(original.image).items()
    opener = copies.opener()
    opened = opener.open({serial: device}, shape("ext4"), at=None)
    assert opener.signs(serial, device).signs == ()
    opener.close(opened)
    assert opener.signs(serial, device).signs == ()
