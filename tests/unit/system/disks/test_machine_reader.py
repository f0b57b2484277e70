"""The reader copies what lies below its root and notes what it could not read."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from fakes.aside import Answers, InThreads
from fakes.machine_builder import CLASS, MachineBuilder, serial
from snap_self.disks.layout import read_layout
from snap_self.errors import UsageError
from snap_self.model.machine import MachineText
from snap_self.system.disks.machine import KernelMachineReader

NAMESPACE = "4026532215"


def lay_out(machine: MachineText, root: Path) -> None:
    """Make a directory tree as sysfs and procfs would show it."""
    for path, content in machine.files.items():
        place = root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content.encode("utf-8", "surrogateescape"))
    for path, target in machine.links.items():
        place = root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        if not place.is_dir():
            place.symlink_to(target)


def small_machine() -> MachineBuilder:
    machine = MachineBuilder()
    machine.virtio("vda", 40, serial(1))
    machine.mount("/", "btrfs", "/dev/vda", number="0:30")
    machine.btrfs("0f6d", ["vda"])
    return machine


def tree(root: Path, machine: MachineBuilder) -> Path:
    text = machine.text()
    # The class directory of a device is a link in sysfs; here its content is laid out in place.
    devices = {path for path in text.links if path.count("/") == 3 and path.startswith(CLASS)}
    links = {path: target for path, target in text.links.items() if path not in devices}
    lay_out(MachineText(files=text.files, links=links, failures={}), root)
    return root


def read(root: Path, *, budget_s: float = 30.0) -> MachineText:
    return KernelMachineReader(InThreads(), str(root), budget_s=budget_s).read()


def test_what_is_read_gives_the_same_layout(tmp_path: Path) -> None:
    machine = small_machine()
    assert read_layout(read(tree(tmp_path, machine))) == read_layout(machine.text())


def test_empty_root_gives_only_the_missing_mounts(tmp_path: Path) -> None:
    machine = read(tmp_path)
    assert (machine.files, machine.links) == ({}, {})
    assert list(machine.failures) == ["proc/self/mountinfo"]


def test_superblocks_are_listed_by_their_block_devices_and_ids(tmp_path: Path) -> None:
    root = tree(tmp_path, small_machine())
    for folder in ("ext4/vda", "ext4/features", "xfs/vda", "xfs/stats", "btrfs/features"):
        (root / "sys/fs" / folder).mkdir(parents=True, exist_ok=True)
    listed = read(root).files["sys/fs/superblocks"].splitlines()
    assert listed == ["btrfs 0f6d", "ext4 vda", "xfs vda"]


def test_devices_that_mount_options_name_are_asked_for_in_their_namespace(tmp_path: Path) -> None:
    machine = small_machine()
    machine.mount("/data", "xfs", "/dev/vda", number="7:1", extra=r"rw,logdev=/x\040y,noquota")
    root = tree(tmp_path, machine)
    (root / "proc/20/ns").mkdir(parents=True)
    (root / "proc/20/ns/mnt").symlink_to(f"mnt:[{NAMESPACE}]")
    line = "9 1 7:2 / /in rw - xfs /dev/vdb rw,rtdev=/dev/rt\n"
    (root / "proc/20/mountinfo").write_text(line)
    calls = Answers(
        {("number", f"{root}/x y"): "253:16", ("number", f"{root}/proc/20/root/dev/rt"): ""}
    )
    files = KernelMachineReader(calls, str(root)).read().files
    assert files["proc/self/number/x y"] == "253:16\n"
    assert ("number", f"{root}/proc/20/root/dev/rt") in calls.asked
    assert f"proc/ns/{NAMESPACE}/number/dev/rt" not in files


def test_ids_of_btrfs_are_asked_for_when_there_are_several(tmp_path: Path) -> None:
    machine = small_machine()
    number = machine.mount("/two", "btrfs", "/x/odd", number="0:31")
    way = ("/two", number, "0:31", "", None)
    calls = Answers({("fsid", str(way)): "beef"})
    files = KernelMachineReader(calls, str(tree(tmp_path, machine))).read().files
    assert files["sys/fs/btrfs-mounted/0:31"] == "beef\n"
    alone = Answers()
    KernelMachineReader(alone, str(tree(tmp_path / "alone", small_machine()))).read()
    assert [asked for asked in alone.asked if asked[0] == "fsid"] == []


def test_serial_that_blocks_is_noted_and_the_rest_is_read(tmp_path: Path) -> None:
    machine = small_machine()
    machine.virtio("vdb", 40, serial(2))
    root = tree(tmp_path, machine)
    blocking = root / CLASS / "vdb/serial"
    blocking.unlink()
    os.mkfifo(blocking)
    keep = os.open(blocking, os.O_RDWR)  # opened, but nobody ever writes
    try:
        found = read(root, budget_s=0.05)
    finally:
        os.write(keep, b"x")
        os.close(keep)
    assert "no answer within 0.05 s" in found.failures[f"{CLASS}vdb/serial"]
    assert f"{CLASS}vdb/size" in found.files


def test_unreadable_file_is_noted_not_raised(tmp_path: Path) -> None:
    root = tree(tmp_path, small_machine())
    swaps = root / "proc/swaps"
    swaps.unlink()
    swaps.mkdir()
    assert "proc/swaps" in read(root).failures


def test_each_other_mount_namespace_is_read_once(tmp_path: Path) -> None:
    root = tree(tmp_path, small_machine())
    own = (root / "proc/self/mountinfo").read_text()
    for process, namespace, text in (
        ("self", "1", own),
        ("10", "1", own),
        ("20", NAMESPACE, "21 1 253:0 / /in rw - ext4 /dev/vda rw\n"),
        ("21", NAMESPACE, "not to be read\n"),
        ("30", "9", own),
    ):
        (root / f"proc/{process}/ns").mkdir(parents=True)
        (root / f"proc/{process}/ns/mnt").symlink_to(f"mnt:[{namespace}]")
        (root / f"proc/{process}/mountinfo").write_text(text)
    files = read(root).files
    assert [path for path in files if path.startswith("proc/ns/")] == [
        f"proc/ns/{NAMESPACE}/mountinfo",
        f"proc/ns/{NAMESPACE}/pid",
    ]
    assert files[f"proc/ns/{NAMESPACE}/pid"] == "20\n"


def test_process_that_ended_is_replaced_by_another_of_its_namespace(tmp_path: Path) -> None:
    root = tree(tmp_path, small_machine())
    for process in ("self", "20", "21"):
        (root / f"proc/{process}/ns").mkdir(parents=True)
    (root / "proc/self/ns/mnt").symlink_to("mnt:[1]")
    (root / "proc/20/ns/mnt").symlink_to(f"mnt:[{NAMESPACE}]")
    (root / "proc/21/ns/mnt").symlink_to(f"mnt:[{NAMESPACE}]")
    (root / "proc/21/mountinfo").write_text("21 1 253:0 / / rw - ext4 /dev/vda rw\n")
    assert read(root).files[f"proc/ns/{NAMESPACE}/pid"] == "21\n"


def test_name_that_is_no_utf8_survives(tmp_path: Path) -> None:
    root = tree(tmp_path, small_machine())
    backing = root / CLASS / "loop0/loop/backing_file"
    backing.parent.mkdir(parents=True)
    backing.write_bytes(b"/srv/\xff.img\n")
    assert read(root).files[f"{CLASS}loop0/loop/backing_file"] == "/srv/\udcff.img\n"


def test_path_is_located_with_its_links_resolved(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("folder")
    fact = KernelMachineReader(InThreads()).locate(str(tmp_path / "link"))
    assert (fact.asked, fact.real) == (str(tmp_path / "link"), str(tmp_path / "folder"))
    assert isinstance(fact.mount_id, int)


@pytest.mark.parametrize("path", ["/nowhere/at/all", "", "a\0b"])
def test_path_that_cannot_be_opened_is_a_usage_error(path: str) -> None:
    with pytest.raises(UsageError, match="cannot be looked at"):
        KernelMachineReader(InThreads()).locate(path)


def test_relative_path_is_of_the_current_directory() -> None:
    found = os.path.relpath("/proc/self")
    fact = KernelMachineReader(InThreads()).locate(found)
    assert (fact.asked, fact.real) == (found, os.path.realpath("/proc/self"))
