"""The kernel's own devices and mounts are read and understood: loop disks, three filesystems."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest

from snap_self.disks.coverage import choose
from snap_self.disks.flush import flush_plan
from snap_self.disks.layout import read_layout
from snap_self.disks.mapping import DiskMap, map_disks
from snap_self.errors import UsageError
from snap_self.model.disks import CloudDisk, DiskKind, Layout, Selection
from snap_self.model.ids import DiskId, InstanceId
from snap_self.system.disks.aside import AsideProcess
from snap_self.system.disks.machine import KernelMachineReader

pytestmark = pytest.mark.root

MIB = 1 << 20
INSTANCE = InstanceId("i-bp1iiiijjjjkkkkllllm")
BY_ID = Path("/dev/disk/by-id")
TOOLS = ("losetup", "mkfs.ext4", "mkfs.xfs", "mkfs.btrfs", "mount", "umount")


def run(*argv: str) -> str:
    done = subprocess.run(argv, check=True, capture_output=True, text=True, timeout=60)
    return done.stdout.strip()


class RealDisks:
    """Loop devices, links and mounts of one test, taken down in reverse."""

    def __init__(self, folder: Path, undo: ExitStack) -> None:
        self.folder = folder
        self.undo = undo
        self.serials: dict[str, str] = {}

    def loop(self, image: Path, size_mib: int) -> str:
        """Return a new loop device on a new sparse file."""
        with image.open("xb") as file:
            file.truncate(size_mib * MIB)
        device = run("losetup", "--find", "--show", str(image))
        self.undo.callback(run, "losetup", "--detach", device)
        return device

    def disk(self, size_mib: int = 1024) -> str:
        """Return a loop device that looks like a cloud disk."""
        number = len(self.serials) + 1
        device = self.loop(self.folder / f"disk{number}.img", size_mib)
        name = Path(device).name
        self.serials[name] = f"tst{os.getpid():07}ddddddd{number:03}"
        link = BY_ID / f"virtio-{self.serials[name]}"
        missing = [folder for folder in (BY_ID, BY_ID.parent) if not folder.exists()]
        BY_ID.mkdir(parents=True, exist_ok=True)
        for made in reversed(missing):
            self.undo.callback(remove_if_empty, made)
        link.symlink_to(f"../../{name}")
        self.undo.callback(link.unlink)
        return device

    def mount(self, source: str, name: str, *options: str) -> Path:
        """Mount a device; return where."""
        place = self.folder / name
        place.mkdir(exist_ok=True)
        run("mount", *options, source, str(place))
        self.undo.callback(run, "umount", str(place))
        return place


def remove_if_empty(folder: Path) -> None:
    if not any(folder.iterdir()):
        folder.rmdir()


@pytest.fixture
def disks(tmp_path: Path) -> Iterator[RealDisks]:
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if missing:
        pytest.skip(f"needs {', '.join(missing)}: apt-get install xfsprogs btrfs-progs e2fsprogs")
    with ExitStack() as undo:
        yield RealDisks(tmp_path, undo)


def read() -> Layout:
    return read_layout(KernelMachineReader(AsideProcess()).read())


def disks_below(layout: Layout, place: Path) -> list[str]:
    (found,) = [
        filesystem
        for filesystem in layout.filesystems.values()
        if any(mount.path == str(place) for mount in filesystem.mounts)
    ]
    return sorted(found.disks)


def names(devices: Sequence[str]) -> list[str]:
    return sorted(Path(device).name for device in devices)


def mapped(layout: Layout, disks: RealDisks) -> DiskMap:
    cloud = [
        CloudDisk(
            disk_id=DiskId(f"d-{serial}"),
            name="",
            serial=serial,
            category="cloud_essd",
            kind=DiskKind.DATA,
            size_gib=1,
            status="In_use",
            zone="cn-hangzhou-i",
            device_label="",
            attached_to=frozenset({INSTANCE}),
            multi_attach=False,
            encrypted=False,
        )
        for serial in disks.serials.values()
    ]
    return map_disks(layout, cloud, instance_id=INSTANCE, serial_to_disk={}, user_map={})


@pytest.mark.parametrize("fstype", ["ext4", "xfs", "btrfs"])
def test_mounted_filesystem_is_traced_to_its_disk(disks: RealDisks, fstype: str) -> None:
    device = disks.disk()
    run(f"mkfs.{fstype}", "-q", device)
    place = disks.mount(device, "data")
    layout = read()
    assert disks_below(layout, place) == names([device])
    local = layout.disks[Path(device).name]
    assert (local.kind, local.serial_from, local.size_bytes) == ("disk", "by-id", 1024 * MIB)


def test_btrfs_subvolumes_over_two_disks_are_one_filesystem(disks: RealDisks) -> None:
    devices = [disks.disk(), disks.disk()]
    run("mkfs.btrfs", "-q", *devices)
    top = disks.mount(devices[0], "top")
    run("btrfs", "subvolume", "create", str(top / "sub"))
    sub = disks.mount(devices[1], "sub", "-o", "subvol=sub")
    layout = read()
    assert disks_below(layout, top) == disks_below(layout, sub) == names(devices)
    assert {frozenset(names(devices))} <= {span.disks for span in layout.spans}


def test_image_on_a_disk_is_flushed_before_what_carries_it(disks: RealDisks) -> None:
    device = disks.disk()
    run("mkfs.ext4", "-q", device)
    outer = disks.mount(device, "outer")
    image = disks.loop(outer / "image", 400)
    run("mkfs.xfs", "-q", image)
    inner = disks.mount(image, "inner")
    layout = read()
    assert disks_below(layout, inner) == names([device])
    fact = KernelMachineReader(AsideProcess()).locate(str(inner))
    coverage = choose(layout, mapped(layout, disks), Selection(paths=(str(inner),)), (fact,))
    assert [target.local.name for target in coverage.targets if target.local] == names([device])
    assert [flush.path for flush in flush_plan(coverage)] == [str(inner), str(outer)]


def test_xfs_with_outer_log_spans_both_disks(disks: RealDisks) -> None:
    data, log = disks.disk(), disks.disk()
    run("mkfs.xfs", "-q", "-l", f"logdev={log},size=64m", data)
    place = disks.mount(data, "data", "-o", f"logdev={log}")
    assert disks_below(read(), place) == names([data, log])


def test_ext4_with_outer_journal_spans_both_disks(disks: RealDisks) -> None:
    data, journal = disks.disk(), disks.disk()
    run("mkfs.ext4", "-q", "-b", "4096", "-O", "journal_dev", journal)
    run("mkfs.ext4", "-q", "-b", "4096", "-J", f"device={journal}", data)
    place = disks.mount(data, "data")
    assert disks_below(read(), place) == names([data, journal])


def test_overlay_is_traced_through_its_layers(disks: RealDisks) -> None:
    device = disks.disk()
    run("mkfs.ext4", "-q", device)
    data = disks.mount(device, "data")
    for name in ("lower: one", "upper", "work"):
        (data / name).mkdir()
    lower = str(data / "lower: one").replace(":", "\\:")
    options = f"lowerdir={lower},upperdir={data}/upper,workdir={data}/work"
    merged = disks.mount("overlay", "merged", "-t", "overlay", "-o", options)
    assert disks_below(read(), merged) == names([device])


def test_path_is_located_by_its_mount_even_below_a_covered_one(disks: RealDisks) -> None:
    first, second = disks.disk(), disks.disk()
    for device in (first, second):
        run("mkfs.ext4", "-q", device)
    disks.mount(first, "data")
    place = disks.mount(second, "data")
    layout = read()
    fact = KernelMachineReader(AsideProcess()).locate(str(place))
    coverage = choose(layout, mapped(layout, disks), Selection(paths=(str(place),)), (fact,))
    assert [target.local.name for target in coverage.targets if target.local] == names([second])


def test_mount_in_another_namespace_is_reached_through_its_process(disks: RealDisks) -> None:
    if shutil.which("unshare") is None:
        pytest.skip("needs unshare: apt-get install util-linux")
    device = disks.disk()
    run("mkfs.ext4", "-q", device)
    place = disks.folder / "private"
    place.mkdir()
    script = f"mount {device} {place} && echo ready && read line"
    argv = ["unshare", "--mount", "sh", "-c", script]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin
        assert process.stdout
        try:
            assert process.stdout.readline() == b"ready\n"
            layout = read()
            coverage = choose(layout, mapped(layout, disks), Selection(), ())
            (flush,) = flush_plan(coverage)
            reached = Path(flush.path).stat().st_dev
        finally:
            process.stdin.close()
    assert flush.path == f"/proc/{process.pid}/root{place}"
    assert f"{os.major(reached)}:{os.minor(reached)}" == layout.disks[Path(device).name].devno


def test_mount_point_with_odd_characters_is_found(disks: RealDisks) -> None:
    device = disks.disk()
    run("mkfs.ext4", "-q", device)
    place = disks.mount(device, "a b\tc\\d\ne#f é")
    layout = read()
    assert disks_below(layout, place) == names([device])
    fact = KernelMachineReader(AsideProcess()).locate(str(place))
    assert fact.mount_id in {
        mount.mount_id
        for filesystem in layout.filesystems.values()
        for mount in filesystem.mounts
        if mount.path == str(place)
    }


def test_path_that_does_not_exist_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be looked at"):
        KernelMachineReader(AsideProcess()).locate(str(tmp_path / "nothing"))
