"""Made-up trees of files with all that they can have, and what is to be seen of them.

What is seen is read by calls of its own, so that a fault of the copier's cannot hide itself.
"""

from __future__ import annotations

import array
import contextlib
import fcntl
import hashlib
import os
import shutil
import stat
import struct
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from snap_self.model.copying import CopyOutcome, CopyPlan, Wanted
from snap_self.system.copying.copier import SystemCopier
from snap_self.system.copying.surroundings import Surroundings

GETFLAGS, SETFLAGS = 0x80086601, 0x40086602
FLAGS = {"i": 0x10, "a": 0x20, "d": 0x40, "A": 0x80, "S": 0x08, "D": 0x10000}
MASK = sum(FLAGS.values())
CAPABILITY = struct.pack("<IIIII", 0x02000001, 1 << 13, 0, 0, 0)
Facts = dict[str, dict[str, Any]]


def acl(user: int, rights: int, *, rest: int = 4) -> bytes:
    """Return an access list as the kernel keeps it: owner, one user, group, mask, others."""
    entries = (
        (1, 6, -1),
        (2, rights, user),
        (4, rest, -1),
        (0x10, rights | rest, -1),
        (0x20, 0, -1),
    )
    packed = b"".join(
        struct.pack("<HHI", tag, perm, who & 0xFFFFFFFF) for tag, perm, who in entries
    )
    return struct.pack("<I", 2) + packed


def flags_of(path: str) -> int:
    """Return the flags that chattr sets of a file or directory."""
    answer = array.array("I", [0, 0])
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        fcntl.ioctl(fd, GETFLAGS, answer)
    except OSError:
        return 0
    finally:
        os.close(fd)
    return answer[0] & MASK


def set_flags(path: str, letters: str) -> None:
    """Set exactly these flags, as far as the filesystem has them."""
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    answer = array.array("I", [0, 0])
    try:
        fcntl.ioctl(fd, GETFLAGS, answer)
        now = answer[0] & ~MASK
        if now != answer[0]:
            fcntl.ioctl(fd, SETFLAGS, array.array("I", [now, 0]))
        for letter in sorted(letters, key="DSAdai".index):
            with contextlib.suppress(OSError):
                fcntl.ioctl(fd, SETFLAGS, array.array("I", [now | FLAGS[letter], 0]))
                now |= FLAGS[letter]
    finally:
        os.close(fd)


def holes(path: str, size: int) -> list[tuple[int, int]]:
    """Return where data begins and ends."""
    found, here = [], 0
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        while here < size:
            here = os.lseek(fd, here, os.SEEK_DATA)
            end = os.lseek(fd, here, os.SEEK_HOLE)
            found.append((here, end))
            here = end
    except OSError:
        pass
    finally:
        os.close(fd)
    return found


def seen(top: Path | str) -> Facts:
    """Return all that is to be seen of a tree, by relative path; of links no times of change."""
    facts: Facts = {}
    groups: dict[tuple[int, int], list[str]] = {}
    for path in _walk(os.fspath(top)):
        status = os.lstat(path)
        name = os.path.relpath(path, top)
        fact: dict[str, Any] = {
            "mode": stat.S_IFMT(status.st_mode) | stat.S_IMODE(status.st_mode),
            "owner": (status.st_uid, status.st_gid),
            "mtime": status.st_mtime_ns,
            "xattrs": {
                each: os.getxattr(path, each, follow_symlinks=False)
                for each in os.listxattr(path, follow_symlinks=False)
                if each != "security.selinux"
            },
        }
        if stat.S_ISLNK(status.st_mode):
            fact["target"] = os.readlink(path)
        elif stat.S_ISREG(status.st_mode):
            with open(path, "rb") as file:
                fact["content"] = hashlib.sha256(file.read()).hexdigest()
            fact |= {"size": status.st_size, "holes": holes(path, status.st_size)}
        elif stat.S_ISCHR(status.st_mode) or stat.S_ISBLK(status.st_mode):
            fact["device"] = status.st_rdev
        if stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode):
            fact["flags"] = flags_of(path)
        if not stat.S_ISDIR(status.st_mode):
            groups.setdefault((status.st_dev, status.st_ino), []).append(name)
        facts[name] = fact
    for names in groups.values():
        for name in names:
            facts[name]["links"] = names
    return facts


def _walk(top: str) -> Iterator[str]:
    yield top
    if stat.S_ISDIR(os.lstat(top).st_mode):
        for name in sorted(os.listdir(top)):
            yield from _walk(os.path.join(top, name))


def lost(before: Facts, after: Facts) -> list[str]:
    """Return what differs, for a message."""
    return [
        f"{name!r} {fact}: {before.get(name, {}).get(fact)} -> {after.get(name, {}).get(fact)}"
        for name in sorted({*before, *after})
        for fact in sorted({*before.get(name, {}), *after.get(name, {})})
        if before.get(name, {}).get(fact) != after.get(name, {}).get(fact)
    ]


def free_all(top: Path | str) -> None:
    """Clear all flags of a tree, so that it can be removed."""
    with contextlib.suppress(FileNotFoundError):
        for path in list(_walk_freeing(os.fspath(top))):
            del path


def _walk_freeing(top: str) -> Iterator[str]:
    mode = os.lstat(top).st_mode
    if stat.S_ISREG(mode) or stat.S_ISDIR(mode):
        with contextlib.suppress(OSError):
            set_flags(top, "")
    yield top
    if stat.S_ISDIR(mode):
        for name in os.listdir(top):
            yield from _walk_freeing(os.path.join(top, name))


@dataclass
class Bench:
    """A copy, a running system, and a place to keep things aside, on one filesystem."""

    base: Path
    copier: SystemCopier = field(
        default_factory=lambda: SystemCopier(
            own=(), look_around=lambda: Surroundings(""), who_holds=lambda _: {}
        )
    )

    def __post_init__(self) -> None:
        for folder in (self.copy, self.live):
            folder.mkdir()
        self.source = os.open(self.copy, os.O_RDONLY | os.O_DIRECTORY)

    @property
    def copy(self) -> Path:
        """Return the root of the copy."""
        return self.base / "copy"

    @property
    def live(self) -> Path:
        """Return where the copy's root belongs on the running system."""
        return self.base / "live"

    @property
    def aside(self) -> Path:
        """Return where what is replaced is kept."""
        return self.base / ".snap-self-replaced"

    def wanted(self, *names: str) -> list[Wanted]:
        """Return what to bring back, by paths relative to the copy's root."""
        return [Wanted(path=f"{self.live}/{name}".rstrip("/"), inside=name) for name in names]

    def plan(self, *names: str, exact: bool = False, to: Path | None = None) -> CopyPlan:
        """Plan these paths."""
        place = None if to is None else str(to)
        return self.copier.plan(self.source, self.wanted(*names), to=place, exact=exact)

    def restore(
        self,
        *names: str,
        exact: bool = False,
        to: Path | None = None,
        keep: bool = True,
        progress: Any = lambda done, total: None,
        **more: Any,
    ) -> CopyOutcome:
        """Bring these paths back."""
        return self.copier.copy(
            self.source,
            self.wanted(*names),
            mark="test",
            to=None if to is None else str(to),
            exact=exact,
            aside=str(self.aside) if keep else None,
            progress=progress,
            **more,
        )

    def temporaries(self) -> list[str]:
        """Return what a restore left beside its files."""
        return [
            path for path in _walk(str(self.base)) if os.path.basename(path) == ".snap-self-test"
        ]

    def clear(self) -> None:
        """Remove all of it."""
        os.close(self.source)
        for name in os.listdir(self.base):
            path = self.base / name
            free_all(path)
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()


@contextmanager
def bench_in(folder: Path) -> Iterator[Bench]:
    """Make a bench in a new folder, and remove it with all its flags."""
    folder.mkdir()
    bench = Bench(folder)
    try:
        yield bench
    finally:
        bench.clear()
        folder.rmdir()


SIZES_MIB = {"ext4": 64, "xfs": 320, "btrfs": 128}


@contextmanager
def loop_filesystem(
    folder: Path, fstype: str, *, size_mib: int = 0, options: str = ""
) -> Iterator[Path]:
    """Mount a new filesystem of a loop device."""
    store, point = folder / "memory", folder / "mounted"
    for each in (store, point):
        each.mkdir(parents=True)
    with ExitStack() as undo:
        # Its image lies in memory, since every restore waits for the disk to have all.
        run("mount", "-t", "tmpfs", "none", store)
        undo.callback(run, "umount", store)
        image = store / "image"
        with image.open("wb") as file:
            file.truncate((size_mib or SIZES_MIB[fstype]) << 20)
        run(f"mkfs.{fstype}", "-q", *(("-F",) if fstype == "ext4" else ()), *options.split(), image)
        device = run("losetup", "--find", "--show", image).strip()
        undo.callback(run, "losetup", "--detach", device)
        run("mount", "-t", fstype, device, point)
        undo.callback(run, "umount", point)
        undo.callback(close_all_below, point)
        yield point


def close_all_below(point: Path) -> None:
    """Close what this process has open on a filesystem: a fault in a close leaves it open.

    Alive and mounted nowhere, the filesystem would lower the level of every later snapshot.
    """
    device = point.stat().st_dev
    for number in map(int, os.listdir("/proc/self/fd")):
        with contextlib.suppress(OSError):  # the listing's own is closed by now
            if os.fstat(number).st_dev == device:
                os.close(number)


@contextmanager
def real_filesystem(folder: Path, fstype: str) -> Iterator[Path]:
    """Mount a new filesystem, or use a folder that was named for a run by hand."""
    here = os.environ.get("SNAP_SELF_TEST_COPYING_HERE")
    if here:
        yield Path(here)
        return
    with loop_filesystem(folder / fstype, fstype) as point:
        yield point


def run(*argv: str | Path) -> str:
    """Run a program that must succeed; return its output."""
    done = subprocess.run([str(each) for each in argv], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{argv}: {done.stderr}"
    return done.stdout
