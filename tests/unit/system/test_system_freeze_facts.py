"""Facts before a freeze, read from trees of files that stand in for procfs and sysfs."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from snap_self.model.freezing import FreezeFacts
from snap_self.system.freeze_facts import read_freeze_facts


def mount_here(path: Path) -> tuple[int, str]:
    """Return id and device of the mount on which a path really lies."""
    fd = os.open(path, os.O_PATH)
    try:
        found = re.search(r"^mnt_id:\s*(\d+)", Path(f"/proc/self/fdinfo/{fd}").read_text(), re.M)
    finally:
        os.close(fd)
    assert found is not None
    rows = [row.split() for row in Path("/proc/self/mountinfo").read_text().splitlines()]
    return next((int(row[0]), row[2]) for row in rows if row[0] == found[1])


class Machine:
    """A machine below a folder; the target is the filesystem on which the folder really lies."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.mount_id, self.device = mount_here(root)
        self.rows = [f"{self.mount_id} 1 {self.device} / /data rw - ext4 /dev/vdb rw"]
        self.put("proc/sys/kernel/osrelease", "6.12.9-amd64\n")
        self.put("proc/sys/kernel/hung_task_timeout_secs", "120\n")
        (root / "sys/block").mkdir(parents=True)

    def put(self, path: str, text: str) -> None:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def device_dir(self, name: str, devno: str) -> Path:
        """Make a block device, with the link by its number."""
        folder = self.root / "sys/devices/virtual/block" / name
        (folder / "slaves").mkdir(parents=True, exist_ok=True)
        link = self.root / "sys/dev/block" / devno
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(folder)
        return folder

    def read(self, **own: Path) -> tuple[FreezeFacts, tuple[str, ...]]:
        self.put("proc/self/mountinfo", "\n".join(self.rows))
        targets = {self.mount_id: "key"}
        return read_freeze_facts(targets, own=own, markers=Path("/proc"), root=self.root)

    @property
    def facts(self) -> FreezeFacts:
        return self.read()[0]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_plain_machine_has_nothing_to_tell(machine: Machine) -> None:
    facts, failures = machine.read()
    assert failures == ()
    assert facts.release == "6.12.9-amd64"
    assert (facts.loops, facts.databases, dict(facts.user_space_devices)) == ((), (), {})
    assert not facts.tmp_on_loop
    assert not facts.hung_task_panic
    assert facts.markers_key == ""


def test_loop_image_on_the_target_has_it_as_its_holder(machine: Machine) -> None:
    machine.put("image", "")
    machine.put("sys/block/loop3/loop/backing_file", f"{machine.root}/image\n")
    (loop,) = machine.facts.loops
    assert (loop.device, loop.holder) == ("/dev/loop3", "key")


def test_loop_image_that_cannot_be_opened_is_told_and_noted(machine: Machine) -> None:
    machine.put("sys/block/loop0/loop/backing_file", "/gone/x.img (deleted)\n")
    facts, failures = machine.read()
    assert facts.loops[0].holder == ""
    assert failures == ("/gone/x.img (deleted): No such file or directory",)


def test_read_only_loop_image_is_not_told(machine: Machine) -> None:
    machine.put("image", "")
    machine.put("sys/block/loop3/loop/backing_file", f"{machine.root}/image\n")
    machine.put("sys/block/loop3/ro", "1\n")
    assert machine.facts.loops == ()


def test_loop_device_without_an_image_is_none(machine: Machine) -> None:
    (machine.root / "sys/block/loop0").mkdir()
    assert machine.facts.loops == ()


@pytest.mark.parametrize(("name", "kind"), [("nbd0", "nbd"), ("ublkb2", "ublk")])
def test_device_that_a_program_serves_is_told_by_kind(
    machine: Machine, name: str, kind: str
) -> None:
    machine.device_dir(name, machine.device)
    assert dict(machine.facts.user_space_devices) == {"key": kind}


def test_device_that_a_program_serves_is_found_below_others(machine: Machine) -> None:
    top = machine.device_dir("dm-0", machine.device)
    (top / "slaves" / "nbd1").symlink_to(machine.device_dir("nbd1", "43:1"))
    assert dict(machine.facts.user_space_devices) == {"key": "nbd"}


def test_iscsi_disk_is_told_by_its_session(machine: Machine) -> None:
    machine.device_dir("host2/session1/target/block/sda", machine.device)
    assert dict(machine.facts.user_space_devices) == {"key": "iscsi"}


def test_temporary_directory_on_a_loop_device_is_told_with_bind_mounts(machine: Machine) -> None:
    machine.rows += [
        "91 1 7:3 / /tmp rw - ext4 /dev/loop3 rw",
        "92 1 8:1 /home/u /virtfs/u rw - ext4 /dev/sda1 rw",
        "93 1 0:40 /@home /home rw - btrfs /dev/sdb rw",
    ]
    assert machine.facts.tmp_on_loop
    assert machine.facts.bind_mounts == 1


def test_panic_on_hung_tasks_is_told_with_its_time(machine: Machine) -> None:
    machine.put("proc/sys/kernel/hung_task_panic", "1\n")
    machine.put("proc/sys/kernel/hung_task_timeout_secs", "30\n")
    assert machine.facts.hung_task_panic
    assert machine.facts.hung_task_timeout_s == 30.0


def test_own_place_on_the_target_is_told_even_before_it_exists(machine: Machine) -> None:
    facts, _ = machine.read(state=machine.root / "not" / "yet")
    place = next(p for p in facts.own_places if p.what == "state")
    assert (place.path, place.key) == (f"{machine.root}/not/yet", "key")


def test_own_place_elsewhere_has_no_key(machine: Machine) -> None:
    facts, _ = machine.read(state=Path("/proc"))
    assert next(p for p in facts.own_places if p.what == "state").key == ""


def process(machine: Machine, pid: int, name: str, *links: str) -> None:
    """Make a process with these open files."""
    machine.put(f"proc/{pid}/comm", name + "\n")
    (machine.root / f"proc/{pid}/fd").mkdir()
    for number, link in enumerate(links):
        (machine.root / f"proc/{pid}/fd/{number}").symlink_to(link)
        machine.put(f"proc/{pid}/fdinfo/{number}", f"pos:\t0\nmnt_id:\t{machine.mount_id}\n")


def test_database_and_user_of_io_uring_are_found_on_kernels_that_hung(machine: Machine) -> None:
    machine.put("proc/sys/kernel/osrelease", "6.8.0-40-generic\n")
    process(machine, 7, "mariadbd", str(machine.root / "sys"), "/dev/null")
    process(machine, 8, "engine", "anon_inode:[io_uring]", str(machine.root / "sys"))
    process(machine, 9, "bash", str(machine.root / "sys"))
    found = [(d.name, d.io_uring, d.keys) for d in machine.facts.databases]
    keys = frozenset({"key"})
    assert found == [("mariadbd", False, keys), ("engine", True, keys)]


def test_stable_version_that_the_distribution_tells_counts(machine: Machine) -> None:
    machine.put("proc/sys/kernel/osrelease", "6.1.0-40-amd64\n")
    process(machine, 7, "mariadbd", str(machine.root / "sys"))
    before = machine.facts.databases
    machine.put("proc/sys/kernel/version", "#1 SMP Debian 6.1.153-1 (2025-09-20)\n")
    assert (len(before), machine.facts.databases) == (1, ())


def test_processes_are_not_looked_at_on_other_kernels(machine: Machine) -> None:
    process(machine, 7, "mariadbd", str(machine.root / "sys"))
    assert machine.facts.databases == ()


def test_unreadable_kernel_release_is_noted_and_warned_of(machine: Machine) -> None:
    (machine.root / "proc/sys/kernel/osrelease").unlink()
    facts, failures = machine.read()
    assert facts.release == ""
    assert failures == ("/proc/sys/kernel/osrelease: No such file or directory",)
