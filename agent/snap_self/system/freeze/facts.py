"""Read what must be known about this machine before a freeze: the facts for ``preflight``.

What cannot be read is noted in ``failures`` and never raised. Nothing here blocks: only procfs and
sysfs are read, and the agent's own paths are opened with ``O_PATH``, which touches no file content.
Another process asks what may hang.

The agent's working directory is not one of its own places: the agent writes to no relative path,
and the guardian's processes run in ``/``.
"""

from __future__ import annotations

import os
import re
import stat
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from snap_self.model.freezing import (
    FreezeFacts,
    LoopImage,
    OwnPlace,
    RunningDatabase,
    hangs_io_uring_writers,
    upstream_version,
)
from snap_self.system.disks.aside import SideCalls, results
from snap_self.system.kernel_text import read_kernel_text

SCAN_LIMIT_S = 1.0
ASK_LIMIT_S = 2.0
_DATABASES = frozenset({"mysqld", "mariadbd"})
_IO_URING = "anon_inode:[io_uring]"
_TEMPORARY = ("/tmp", "/var/tmp")  # nosec B108  # noqa: S108 - looked at, not written to
_LOOP_MAJOR = "7:"
# Kernel names of devices that a program serves, on this machine or across a network.
_SERVED = (("nbd", "nbd"), ("ublkb", "ublk"))


@dataclass(frozen=True, slots=True)
class _Row:
    """A line of mountinfo: proc_pid_mountinfo(5)."""

    mount_id: int
    device: str
    part: str
    path: str
    fstype: str


@dataclass(slots=True)
class _Reading:
    """What is known while reading: the mounts, and which of them will be frozen."""

    root: Path
    rows: Mapping[int, _Row]
    keys: Mapping[str, str]  # major:minor of mountinfo to the key of a target
    failures: list[str] = field(default_factory=list)

    def text(self, path: str) -> str:
        """Return a file below the root; if it cannot be read, note that and return empty."""
        try:
            return read_kernel_text(self.root / path)
        except OSError as error:
            self.failures.append(f"/{path}: {error.strerror}")
            return ""

    def names(self, path: str) -> list[str]:
        """Return a directory's entries; empty if it is not there."""
        try:
            return sorted(os.listdir(self.root / path))  # noqa: PTH208 - thousands of them
        except FileNotFoundError:
            return []
        except OSError as error:
            self.failures.append(f"/{path}: {error.strerror}")
            return []

    def row_of(self, path: str) -> _Row | None:
        """Return a path's mount; if the path cannot be opened, note that and return None."""
        try:
            fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
        except OSError as error:
            self.failures.append(f"{path}: {error.strerror}")
            return None
        try:
            return self.row_of_fd(f"self/fdinfo/{fd}") or self.row_on(os.fstat(fd).st_dev)
        finally:
            os.close(fd)

    def row_on(self, device: int) -> _Row | None:
        """Return a mount of that device: an inherited descriptor may be from another namespace."""
        number = f"{os.major(device)}:{os.minor(device)}"
        return next((row for row in self.rows.values() if row.device == number), None)

    def row_of_fd(self, fdinfo: str) -> _Row | None:
        """Return the mount of a descriptor, by its fdinfo in procfs."""
        try:
            text = Path("/proc", fdinfo).read_text("ascii")
        except OSError:
            return None
        found = re.search(r"^mnt_id:\s*(\d+)", text, re.MULTILINE)
        return self.rows.get(int(found[1])) if found else None

    def key(self, row: _Row | None) -> str:
        """Return the key of the target that a mount belongs to; empty if there is none."""
        return self.keys.get(row.device, "") if row else ""


def read_freeze_facts(
    targets: Mapping[int, str],
    calls: SideCalls,
    *,
    own: Mapping[str, Path],
    markers: Path,
    root_tested: bool = False,
    root: Path = Path("/"),
) -> tuple[FreezeFacts, tuple[str, ...]]:
    """Return the facts, and what could not be read.

    Args:
        targets: mount id to the key of the filesystem, for every mount that will be frozen.
        calls: makes the calls that may never return.
        own: what the agent writes to, by its name for people (``state directory``).
        markers: the marker's directory, or the nearest directory above it that exists.
        root_tested: what ``usecases`` keeps of the self-test.
        root: directory in which ``proc`` and ``sys`` lie.
    """
    reading = _start(targets, root)
    images = _images(reading, calls)
    # A sandbox can hide /proc/sys; the system call gives the same answer.
    release = _optional(reading, "proc/sys/kernel/osrelease") or os.uname().release
    upstream = upstream_version(
        _optional(reading, "proc/sys/kernel/version"),
        _optional(reading, "proc/version_signature"),
    )
    timeout = _optional(reading, "proc/sys/kernel/hung_task_timeout_secs")
    facts = FreezeFacts(
        release=release,
        upstream=upstream,
        loops=tuple(_loops(reading, images)),
        user_space_devices=_served(reading, images),
        databases=tuple(_writers(reading) if hangs_io_uring_writers(release, upstream) else ()),
        own_places=tuple(_own_places(reading, own)),
        tmp_on_loop=any(
            row.path in _TEMPORARY and row.device.startswith(_LOOP_MAJOR)
            for row in reading.rows.values()
        ),
        # A btrfs subvolume is also mounted as a part, but is not a bind mount.
        bind_mounts=sum(r.part != "/" and r.fstype != "btrfs" for r in reading.rows.values()),
        hung_task_panic=_optional(reading, "proc/sys/kernel/hung_task_panic") not in ("", "0"),
        hung_task_timeout_s=float(timeout) if timeout.isdecimal() else 120.0,
        markers_key=reading.key(reading.row_of(_there(markers))),
        root_tested=root_tested,
        unjournaled=frozenset(_unjournaled(reading)),
    )
    return facts, tuple(reading.failures)


def _start(targets: Mapping[int, str], root: Path) -> _Reading:
    reading = _Reading(root, {}, {})
    rows = {}
    for line in filter(None, reading.text("proc/self/mountinfo").split("\n")):
        fields, _, tail = line.partition(" - ")
        number, _, device, part, path = fields.split(" ")[:5]
        rows[int(number)] = _Row(int(number), device, part, path, tail.split(" ")[0])
    keys = {rows[number].device: key for number, key in targets.items() if number in rows}
    return _Reading(root, rows, keys, reading.failures)


def _optional(reading: _Reading, path: str) -> str:
    """Return a file that a kernel may lack; then return empty and note nothing."""
    return reading.text(path) if (reading.root / path).exists() else ""


def _nearest(path: Path) -> Path:
    while not path.exists():
        path = path.parent
    return path


@dataclass(frozen=True, slots=True)
class _Image:
    """What is below a loop device: the file's name, and where it lies according to the kernel.

    Args:
        device: ``major:minor``; empty if not known.
        rows: mounts of that device; if it is uncertain, mounts of every device it may be on.
    """

    path: str
    device: str
    rows: tuple[_Row, ...]


def _images(reading: _Reading, calls: SideCalls) -> Mapping[str, _Image]:
    """Return the image of each loop device in use.

    The image's name belongs to the mount namespace in which the device was set up. Here it may mean
    another file, or none. So the kernel is asked for the filesystem's device number.
    """
    paths = {
        name: image
        for name in reading.names("sys/block")
        if name.startswith("loop")
        and (image := _optional(reading, f"sys/block/{name}/loop/backing_file"))
    }
    asked = {
        name: calls.begin("loop-file", str(reading.root / "dev" / name), path)
        for name, path in paths.items()
    }
    found = {}
    for name, answer in zip(asked, results(asked.values(), ASK_LIMIT_S), strict=True):
        if isinstance(answer, OSError):
            found[name] = _Image(paths[name], "", _possible(reading))
            reading.failures.append(
                f"the kernel did not tell where the image of /dev/{name} lies ({paths[name]}: "
                f"{answer.strerror}), so it may lie on a filesystem that will be frozen"
            )
        else:
            found[name] = _Image(paths[name], answer[0], _rows_of(reading, *answer[:2]))
    return found


def _rows_of(reading: _Reading, device: str, mount_id: int) -> tuple[_Row, ...]:
    if row := reading.rows.get(mount_id):
        return (row,)
    rows = tuple(row for row in reading.rows.values() if row.device == device)
    if rows or not device.startswith("0:"):
        return rows
    # A subvolume's device number, which no mount shows: it may belong to any btrfs.
    return tuple(row for row in _possible(reading) if row.fstype == "btrfs")


def _possible(reading: _Reading) -> tuple[_Row, ...]:
    """Return a mount of each filesystem that will be frozen."""
    return tuple(row for row in reading.rows.values() if row.device in reading.keys)


def _loops(reading: _Reading, images: Mapping[str, _Image]) -> Iterator[LoopImage]:
    for name, image in images.items():
        # A read-only image, as snap packages use, never writes to the filesystem that holds it.
        if _optional(reading, f"sys/block/{name}/ro") != "1":
            holder = next(filter(None, map(reading.key, image.rows)), "")
            yield LoopImage(device=f"/dev/{name}", image=image.path, holder=holder)


def _served(reading: _Reading, images: Mapping[str, _Image]) -> Mapping[str, str]:
    served = {}
    for device, key in reading.keys.items():
        if key.startswith("btrfs:"):
            fsid = key.removeprefix("btrfs:")
            starts = [
                f"sys/fs/btrfs/{fsid}/devices/{n}"
                for n in reading.names(f"sys/fs/btrfs/{fsid}/devices")
            ]
        else:
            starts = [f"sys/dev/block/{device}"]
        kinds = [kind for start in starts for kind in _kinds(reading, start, images)]
        if kinds:
            served[key] = kinds[0]
    return served


def _kinds(reading: _Reading, path: str, images: Mapping[str, _Image]) -> Iterator[str]:
    """Yield the kind of each served device at or below a block device."""
    real = os.path.realpath(reading.root / path)
    name = real.rpartition("/")[2]
    inside = str(Path(real).relative_to(os.path.realpath(reading.root)))
    for start, kind in _SERVED:
        if re.match(rf"{start}\d", name):
            yield kind
    if re.search(r"/session\d+/", real):
        yield "iscsi"
    if (image := images.get(name)) and any(row.fstype.startswith("fuse") for row in image.rows):
        yield "fuse"
    for slave in reading.names(f"{inside}/slaves"):
        yield from _kinds(reading, f"{inside}/slaves/{slave}", images)


def _unjournaled(reading: _Reading) -> Iterator[str]:
    """Yield the targets for which ext4 shows no journal thread (fs/ext4/sysfs.c)."""
    for device, key in reading.keys.items():
        name = os.path.realpath(reading.root / "sys/dev/block" / device).rpartition("/")[2]
        if _optional(reading, f"sys/fs/ext4/{name}/journal_task") == "<none>":
            yield key


def _own_places(reading: _Reading, own: Mapping[str, Path]) -> Iterator[OwnPlace]:
    for what, path in own.items():
        yield OwnPlace(what=what, path=str(path), key=reading.key(reading.row_of(_there(path))))
    for number, what in ((1, "standard output"), (2, "standard error")):
        try:
            status = os.fstat(number)
        except OSError:  # closed
            continue
        if stat.S_ISREG(status.st_mode):
            row = reading.row_of_fd(f"self/fdinfo/{number}") or reading.row_on(status.st_dev)
            key = reading.key(row)
            path_text = str(Path(f"/proc/self/fd/{number}").readlink())
            yield OwnPlace(what=what, path=path_text, key=key)


def _there(path: Path) -> str:
    return str(_nearest(path))


def _writers(reading: _Reading) -> Iterator[RunningDatabase]:
    """Yield processes that write to what will be frozen in ways that have made freezes hang.

    Databases come first. Every descriptor of every process is looked at, so the search has a time
    limit.
    """
    limit_s = time.monotonic() + SCAN_LIMIT_S
    pids = [pid for pid in reading.names("proc") if pid.isdecimal()]
    for pid in sorted(pids, key=lambda pid: _name(reading, pid) not in _DATABASES):
        if time.monotonic() > limit_s:
            reading.failures.append(f"processes: not all seen within {SCAN_LIMIT_S:g} s")
            return
        found = _writer(reading, pid)
        if found is not None:
            yield found


def _name(reading: _Reading, pid: str) -> str:
    """Return a process's name; empty if it has ended."""
    try:
        return (reading.root / "proc" / pid / "comm").read_text("utf-8", "replace").strip()
    except OSError:
        return ""


def _writer(reading: _Reading, pid: str) -> RunningDatabase | None:
    base = reading.root / "proc" / pid
    name = _name(reading, pid)
    try:
        targets = {
            number: os.readlink(base / "fd" / number)  # noqa: PTH115 - thousands of them
            for number in os.listdir(base / "fd")  # noqa: PTH208
        }
    except OSError:  # it has ended, or may not be looked at
        return None
    io_uring = _IO_URING in targets.values()
    if not io_uring and name not in _DATABASES:
        return None
    files = [number for number, target in targets.items() if target.startswith("/")]
    numbers = _numbers(base)
    rows = [_row_of_file(reading, numbers, base, number) for number in files]
    keys = {reading.key(row) for row in rows} - {""}
    return RunningDatabase(pid=int(pid), name=name, io_uring=io_uring, keys=frozenset(keys))


def _row_of_file(
    reading: _Reading, numbers: Mapping[int, str], base: Path, number: str
) -> _Row | None:
    """Return a mount of the filesystem that a process's file is on.

    The file itself is not looked at: its filesystem may be served by a program that never answers.
    A mount has one id in all namespaces (fs/namespace.c). For a mount in another namespace only, a
    mount of the same device is found.

    Args:
        numbers: ``major:minor`` by mount id, from the process's own mountinfo.
    """
    try:
        text = (base / "fdinfo" / number).read_text("ascii")
    except OSError:
        return None
    found = re.search(r"^mnt_id:\s*(\d+)", text, re.MULTILINE)
    mount_id = int(found[1]) if found else -1
    if row := reading.rows.get(mount_id):
        return row
    device = numbers.get(mount_id, "")
    return next((row for row in reading.rows.values() if row.device == device), None)


def _numbers(base: Path) -> Mapping[int, str]:
    """Return ``major:minor`` of each mount that a process sees."""
    try:
        lines = (base / "mountinfo").read_bytes().split(b"\n")
    except OSError:
        return {}
    rows = (line.split(b" ", 3) for line in lines)
    return {int(row[0]): row[2].decode() for row in rows if len(row) == 4}
