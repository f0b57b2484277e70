"""Facts before a freeze, read from trees of files that stand in for procfs and sysfs."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import pytest

from fakes.aside import Answers
from snap_self.model.freezing import FreezeFacts
from snap_self.system.freeze.facts import read_freeze_facts

# The kernel escapes none of them in a name; only `\n` ends a line of its tables.
ENDS_OF_LINES = ("\r", "\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\u2029")


def mount_here(path: Path) -> tuple[int, str]:
    """Return id and device of the mount on which a path really lies."""
    fd = os.open(path, os.O_PATH)
    try:
        found = re.search(r"^mnt_id:\s*(\d+)", Path(f"/proc/self/fdinfo/{fd}").read_text(), re.M)
    finally:
        os.close(fd)
    assert found is not None
    text = Path("/proc/self/mountinfo").read_text("utf-8", "surrogateescape")
    rows = [row.split() for row in text.splitlines()]
    return next((int(row[0]), row[2]) for row in rows if row[0] == found[1])


class Machine:
    """A machine below a folder; the target is the filesystem on which the folder really lies."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.mount_id, self.device = mount_here(root)
        self.calls = Answers()
        self.rows = [f"{self.mount_id} 1 {self.device} / /data rw - ext4 /dev/vdb rw"]
        self.put("proc/sys/kernel/osrelease", "6.12.9-amd64\n")
        self.put("proc/sys/kernel/hung_task_timeout_secs", "120\n")
        (root / "sys/block").mkdir(parents=True)

    def put(self, path: str, text: str) -> None:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(os.fsencode(text))

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
        markers = Path("/proc")
        return read_freeze_facts(targets, self.calls, own=own, markers=markers, root=self.root)

    def loop(self, name: str, image: str, *answer: object) -> None:
        """Add a loop device; without an answer the kernel refuses to tell where its file lies."""
        self.put(f"sys/block/{name}/loop/backing_file", f"{image}\n")
        if answer:
            self.calls.told["loop-file", f"{self.root}/dev/{name}"] = answer

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


@pytest.mark.parametrize(("task", "none"), [("<none>\n", True), ("4711\n", False), ("", False)])
def test_filesystem_of_ext4_without_a_journal_thread_has_no_journal(
    machine: Machine, task: str, none: bool
) -> None:
    machine.device_dir("vdb1", machine.device)
    if task:
        machine.put("sys/fs/ext4/vdb1/journal_task", task)
    assert machine.facts.unjournaled == (frozenset({"key"}) if none else frozenset())


def test_loop_image_on_the_target_has_it_as_its_holder(machine: Machine) -> None:
    machine.loop("loop3", "/srv/image", machine.device, -1)
    (loop,) = machine.facts.loops
    assert (loop.device, loop.holder) == ("/dev/loop3", "key")


def test_loop_image_elsewhere_has_no_holder_whatever_its_name(machine: Machine) -> None:
    machine.put("image", "")
    machine.loop("loop3", f"{machine.root}/image", "253:77", -1)
    facts, failures = machine.read()
    assert facts.loops[0].holder == ""
    assert failures == ()


def test_loop_image_on_a_btrfs_is_found_through_its_mount(machine: Machine) -> None:
    machine.loop("loop3", "/srv/image", "0:999", machine.mount_id)
    assert machine.facts.loops[0].holder == "key"


@pytest.mark.parametrize(("fstype", "holder"), [("btrfs", "key"), ("ext4", "")])
def test_loop_image_of_a_subvolume_may_lie_on_any_btrfs(
    machine: Machine, fstype: str, holder: str
) -> None:
    machine.rows = [f"{machine.mount_id} 1 {machine.device} / /data rw - {fstype} /dev/vdb rw"]
    machine.loop("loop3", "/srv/image", "0:999", -1)
    assert machine.facts.loops[0].holder == holder


@pytest.mark.parametrize("end", ENDS_OF_LINES, ids=ascii)
def test_names_that_hold_another_end_of_line_end_none(machine: Machine, end: str) -> None:
    machine.rows.append(f"7 1 {machine.device} /part /x{end}8 1 1:1 / /y rw - ext4 /dev/vdc rw")
    image = f"x{end}y.img{end}"
    machine.loop("loop3", f"{machine.root}/{image}", machine.device, -1)
    facts, failures = machine.read()
    assert failures == ()
    assert facts.bind_mounts == 1
    assert facts.loops[0].image == f"{machine.root}/{image}"
    assert facts.loops[0].holder == "key"


def test_loop_image_that_the_kernel_does_not_tell_may_lie_on_the_target(machine: Machine) -> None:
    machine.loop("loop0", "/gone/x.img (deleted)")
    facts, (failure,) = machine.read()
    assert facts.loops[0].holder == "key"
    assert "/dev/loop0" in failure
    assert "may lie on a filesystem that will be frozen" in failure


def test_device_on_the_image_of_a_program_s_filesystem_is_told(machine: Machine) -> None:
    machine.device_dir("loop3", machine.device)
    machine.rows.append("90 1 0:44 / /mnt rw - fuse.sshfs host rw")
    machine.loop("loop3", "/mnt/image", "0:44", -1)
    assert dict(machine.facts.user_space_devices) == {"key": "fuse"}


def test_read_only_loop_image_is_not_told(machine: Machine) -> None:
    machine.loop("loop3", "/srv/image", machine.device, -1)
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


def test_file_of_a_database_in_another_mount_namespace_is_found_by_its_mounts_device(
    machine: Machine,
) -> None:
    machine.put("proc/sys/kernel/osrelease", "6.8.0-40-generic\n")
    process(machine, 7, "mariadbd", "/in/a/container")
    machine.put("proc/7/fdinfo/0", "pos:\t0\nmnt_id:\t99901\n")
    elsewhere = machine.facts.databases[0].keys
    line = f"99901 1 {machine.device} / /data rw - ext4 /dev/vdb rw\n"
    machine.put("proc/7/mountinfo", line)
    assert (elsewhere, machine.facts.databases[0].keys) == (frozenset(), frozenset({"key"}))


def test_stable_version_that_the_distribution_tells_counts(machine: Machine) -> None:
    machine.put("proc/sys/kernel/osrelease", "6.1.0-40-amd64\n")
    process(machine, 7, "mariadbd", str(machine.root / "sys"))
    before = machine.facts.databases
    machine.put("proc/sys/kernel/version", "#1 SMP Debian 6.1.153-1 (2025-09-20)\n")
    assert (len(before), machine.facts.databases) == (1, ())


def test_processes_are_not_looked_at_on_other_kernels(machine: Machine) -> None:
    process(machine, 7, "mariadbd", str(machine.root / "sys"))
    assert machine.facts.databases == ()


def test_kernel_release_is_known_where_a_sandbox_hides_proc_sys(machine: Machine) -> None:
    shutil.rmtree(machine.root / "proc/sys")
    facts, failures = machine.read()
    assert facts.release == os.uname().release
    assert failures == ()
