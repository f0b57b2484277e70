"""Read what must be known of this machine before a freeze: the facts ``quiesce.preflight`` judges.

What cannot be read is noted in ``failures``; nothing here raises for it, and nothing blocks: only
procfs and sysfs are read, and paths opened with ``O_PATH``, which touches no file's content.

The agent's working directory is not among its own places: it writes to none of relative path, and
the guardian's processes run in ``/``.
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

SCAN_LIMIT_S = 1.0
_DATABASES = frozenset({"mysqld", "mariadbd"})
_IO_URING = "anon_inode:[io_uring]"
_TEMPORARY = ("/tmp", "/var/tmp")  # noqa: S108 - looked at, not written to
_LOOP_MAJOR = "7:"
# Kernel names of devices that a program of this machine, or one across a network, serves.
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
    """What is known while reading: the mounts, and which of them are to be frozen."""

    root: Path
    rows: Mapping[int, _Row]
    keys: Mapping[str, str]  # major:minor of mountinfo to the key of a target
    failures: list[str] = field(default_factory=list)

    def text(self, path: str) -> str:
        """Return a file below the root, stripped; empty, and noted, if it cannot be read."""
        try:
            return (self.root / path).read_text("utf-8", "surrogateescape").strip()
        except OSError as error:
            self.failures.append(f"/{path}: {error.strerror}")
            return ""

    def names(self, path: str) -> list[str]:
        """Return a directory's entries; none if it is not there."""
        try:
            return sorted(os.listdir(self.root / path))  # noqa: PTH208 - thousands of them
        except FileNotFoundError:
            return []
        except OSError as error:
            self.failures.append(f"/{path}: {error.strerror}")
            return []

    def row_of(self, path: str) -> _Row | None:
        """Return the mount on which a path lies; None, and noted, if it cannot be opened."""
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
        """Return a mount of that device: a descriptor given to us may be of another namespace."""
        number = f"{os.major(device)}:{os.minor(device)}"
        return next((row for row in self.rows.values() if row.device == number), None)

    def row_of_fd(self, fdinfo: str) -> _Row | None:
        """Return the mount of a descriptor, from its fdinfo in procfs."""
        try:
            text = Path("/proc", fdinfo).read_text("ascii")
        except OSError:
            return None
        found = re.search(r"^mnt_id:\s*(\d+)", text, re.MULTILINE)
        return self.rows.get(int(found[1])) if found else None

    def key(self, row: _Row | None) -> str:
        """Return the key of the target a mount is of; empty if it is of none."""
        return self.keys.get(row.device, "") if row else ""


def read_freeze_facts(
    targets: Mapping[int, str],
    *,
    own: Mapping[str, Path],
    markers: Path,
    root_tested: bool = False,
    root: Path = Path("/"),
) -> tuple[FreezeFacts, tuple[str, ...]]:
    """Return the facts, and what could not be read.

    Args:
        targets: mount id to the key of the filesystem, for every mount of what is to be frozen.
        own: what the agent writes to, by its name for people (``state directory``).
        markers: the marker's directory, or the nearest above it that exists.
        root_tested: what ``usecases`` keeps of the self-test.
        root: directory in which ``proc`` and ``sys`` lie.
    """
    reading = _start(targets, root)
    release = reading.text("proc/sys/kernel/osrelease")
    upstream = upstream_version(
        _optional(reading, "proc/sys/kernel/version"),
        _optional(reading, "proc/version_signature"),
    )
    timeout = reading.text("proc/sys/kernel/hung_task_timeout_secs")
    facts = FreezeFacts(
        release=release,
        upstream=upstream,
        loops=tuple(_loops(reading)),
        user_space_devices=_served(reading),
        databases=tuple(_writers(reading) if hangs_io_uring_writers(release, upstream) else ()),
        own_places=tuple(_own_places(reading, own)),
        tmp_on_loop=any(
            row.path in _TEMPORARY and row.device.startswith(_LOOP_MAJOR)
            for row in reading.rows.values()
        ),
        # A subvolume is mounted as a part too, and is no bind mount.
        bind_mounts=sum(r.part != "/" and r.fstype != "btrfs" for r in reading.rows.values()),
        hung_task_panic=_optional(reading, "proc/sys/kernel/hung_task_panic") not in ("", "0"),
        hung_task_timeout_s=float(timeout) if timeout.isdecimal() else 120.0,
        markers_key=reading.key(reading.row_of(_there(markers))),
        root_tested=root_tested,
    )
    return facts, tuple(reading.failures)


def _start(targets: Mapping[int, str], root: Path) -> _Reading:
    reading = _Reading(root, {}, {})
    rows = {}
    for line in reading.text("proc/self/mountinfo").splitlines():
        fields, _, tail = line.partition(" - ")
        number, _, device, part, path = fields.split(" ")[:5]
        rows[int(number)] = _Row(int(number), device, part, path, tail.split(" ")[0])
    keys = {rows[number].device: key for number, key in targets.items() if number in rows}
    return _Reading(root, rows, keys, reading.failures)


def _optional(reading: _Reading, path: str) -> str:
    """Return a file that kernels may lack; empty then, with no word of it."""
    return reading.text(path) if (reading.root / path).exists() else ""


def _nearest(path: Path) -> Path:
    while not path.exists():
        path = path.parent
    return path


def _loops(reading: _Reading) -> Iterator[LoopImage]:
    for name in reading.names("sys/block"):
        if not name.startswith("loop"):
            continue
        image = _optional(reading, f"sys/block/{name}/loop/backing_file")
        # A read-only one, as snap packages have them, never writes to its holder.
        if image and _optional(reading, f"sys/block/{name}/ro") != "1":
            # A deleted one, or one of another namespace, cannot be opened; that is noted.
            row = reading.row_of(image)
            yield LoopImage(device=f"/dev/{name}", image=image, holder=reading.key(row))


def _served(reading: _Reading) -> Mapping[str, str]:
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
        kinds = [kind for start in starts for kind in _kinds(reading, start)]
        if kinds:
            served[key] = kinds[0]
    return served


def _kinds(reading: _Reading, path: str) -> Iterator[str]:
    """Yield the kind of each served device at or below a block device."""
    real = os.path.realpath(reading.root / path)
    name = real.rpartition("/")[2]
    inside = str(Path(real).relative_to(os.path.realpath(reading.root)))
    for start, kind in _SERVED:
        if re.match(rf"{start}\d", name):
            yield kind
    if re.search(r"/session\d+/", real):
        yield "iscsi"
    if image := _optional(reading, f"{inside}/loop/backing_file"):
        row = reading.row_of(image)
        if row is not None and row.fstype.startswith("fuse"):
            yield "fuse"
    for slave in reading.names(f"{inside}/slaves"):
        yield from _kinds(reading, f"{inside}/slaves/{slave}")


def _own_places(reading: _Reading, own: Mapping[str, Path]) -> Iterator[OwnPlace]:
    for what, path in own.items():
        yield OwnPlace(what=what, path=str(path), key=reading.key(reading.row_of(_there(path))))
    for number, what in ((1, "standard output"), (2, "standard error")):
        try:
            regular = stat.S_ISREG(os.fstat(number).st_mode)
        except OSError:  # closed
            continue
        if regular:
            key = reading.key(reading.row_of_fd(f"self/fdinfo/{number}"))
            path_text = str(Path(f"/proc/self/fd/{number}").readlink())
            yield OwnPlace(what=what, path=path_text, key=key)


def _there(path: Path) -> str:
    return str(_nearest(path))


def _writers(reading: _Reading) -> Iterator[RunningDatabase]:
    """Yield processes that write as freezes have hung on, databases first.

    Every descriptor of every process is looked at, so the search has a time limit.
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
    """Return a process's name; empty when it has ended."""
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
    except OSError:  # it has ended, or is not ours to look at
        return None
    io_uring = _IO_URING in targets.values()
    if not io_uring and name not in _DATABASES:
        return None
    files = [number for number, target in targets.items() if target.startswith("/")]
    rows = [_row_of_file(reading, base, number) for number in files]
    keys = {reading.key(row) for row in rows} - {""}
    return RunningDatabase(pid=int(pid), name=name, io_uring=io_uring, keys=frozenset(keys))


def _row_of_file(reading: _Reading, base: Path, number: str) -> _Row | None:
    """Return a mount of the filesystem that a process's file is on.

    By its device: mount ids of another namespace mean nothing here. On btrfs, whose files have a
    device of their own for each subvolume, by the mount id, which then only fits in this one.
    """
    try:
        device = (base / "fd" / number).stat().st_dev
        text = (base / "fdinfo" / number).read_text("ascii")
    except OSError:
        return None
    listed = f"{os.major(device)}:{os.minor(device)}"
    for row in reading.rows.values():
        if row.device == listed:
            return row
    found = re.search(r"^mnt_id:\s*(\d+)", text, re.MULTILINE)
    return reading.rows.get(int(found[1])) if found else None
