"""Originals on loop devices, mounted and written to, and copies of them taken meanwhile."""

from __future__ import annotations

import contextlib
import hashlib
import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from snap_self.model.opening import Opened
from snap_self.system.clock import SystemClock
from snap_self.system.commands import SystemCommands
from snap_self.system.opening.opener import SystemCopyOpener

SIZE = 350 << 20
"""Enough for the three filesystems; no more than a few pages of it are written."""

MAKE = {
    "ext4": ("mkfs.ext4", "-q", "-F"),
    "xfs": ("mkfs.xfs", "-q", "-f"),
    "btrfs": ("mkfs.btrfs", "-q", "-f"),
}
# Mounts without replaying the log, as a product that sets the device read-only first must.
UNREPLAYED = {
    "ext4": "ro,noload",
    "xfs": "ro,nouuid,norecovery",
    "btrfs": "ro,rescue=nologreplay",
}


def run(*argv: str | Path, check: bool = True) -> str:
    """Run a program; return its output."""
    done = subprocess.run([str(a) for a in argv], capture_output=True, check=False)
    text = (done.stdout + done.stderr).decode("utf-8", "replace")
    assert not check or done.returncode == 0, f"{argv}: {text}"
    return text


@dataclass
class Original:
    """A mounted filesystem whose disk is copied."""

    fstype: str
    image: Path
    device: str
    place: Path

    def write(self, name: str, text: str, *, synced: bool = False) -> None:
        """Put a file there in one step, as editors do; ``synced`` puts it on the disk too."""
        path = self.place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_name(f"{path.name}.tmp")
        beside.write_text(text)
        beside.rename(path)
        if synced:
            sync_file(path)


@dataclass
class Copies:
    """The loop devices of one test, and everything to be undone after it, in reverse."""

    folder: Path
    undo: ExitStack
    made: list[str] = field(default_factory=list)

    @property
    def by_id(self) -> Path:
        """Return the folder of the links by serial."""
        return self.folder / "by-id"

    @property
    def udev(self) -> Path:
        """Return the folder of udev's run time data, as long as a test makes it."""
        return self.folder / "udev"

    def opener(self, **given: Any) -> SystemCopyOpener:
        """Return an opener that finds the copies."""
        commands = given.pop("commands", SystemCommands())
        return SystemCopyOpener(
            commands, SystemClock(), by_id=str(self.by_id), udev=str(self.udev), **given
        )

    def original(self, fstype: str, *, size: int = SIZE, name: str = "original") -> Original:
        """Make and mount a filesystem on a disk of its own."""
        image = self.image(name, size)
        device = self.attach(image)
        run(*MAKE[fstype], device)
        return self.mounted(fstype, image, device, name)

    def mounted(self, fstype: str, image: Path, device: str, name: str = "original") -> Original:
        """Mount a filesystem that is there."""
        place = self.folder / name
        place.mkdir(exist_ok=True)
        run("mount", "-t", fstype, device, place)
        self.undo.callback(run, "umount", "--lazy", place, check=False)
        return Original(fstype=fstype, image=image, device=device, place=place)

    def image(self, name: str, size: int = SIZE) -> Path:
        """Make an empty disk."""
        image = self.folder / f"{name}.img"
        with image.open("wb") as file:
            file.truncate(size)
        return image

    def attach(self, image: Path, *options: str) -> str:
        """Put an image on a free loop device until the end of the test."""
        device = run("losetup", "--find", "--show", *options, image).strip()
        run("blockdev", "--setrw", device)
        self.undo.callback(self._detach, device, image)
        self.made.append(device)
        return device

    def _detach(self, device: str, image: Path) -> None:
        with suppress(OSError):
            backing = Path(f"/sys/block/{Path(device).name}/loop/backing_file")
            if backing.read_bytes().strip().removesuffix(b" (deleted)") == os.fsencode(image):
                run("blockdev", "--setrw", device, check=False)
                run("losetup", "--detach", device, check=False)

    def copy_of(self, image: Path, serial: str = "copy1") -> dict[str, str]:
        """Return serial and device of a new disk with the content of another at this moment."""
        copied = self.folder / f"{serial}.img"
        run("cp", "--sparse=always", image, copied)
        device = self.attach(copied)
        self.by_id.mkdir(exist_ok=True)
        (self.by_id / f"virtio-{serial}").symlink_to(f"../../{Path(device).name}")
        return {serial: device}


@contextlib.contextmanager
def copies_in(folder: Path) -> Iterator[Copies]:
    """Undo all that was made on loop devices, whatever a test does."""
    with ExitStack() as undo:
        yield Copies(folder=folder, undo=undo)


def sync_file(path: Path) -> None:
    """Put a file's content on the disk, and with it the log up to here."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def read_at(opened: Opened, name: str) -> str | None:
    """Return a file of an opened copy; None if there is none of that name."""
    try:
        fd = os.open(name, os.O_RDONLY, dir_fd=opened.fd)
    except FileNotFoundError:
        return None
    with os.fdopen(fd, encoding="utf-8") as file:
        return file.read()


def names_at(opened: Opened, name: str) -> list[str]:
    """Return the names in a folder of an opened copy."""
    fd = os.open(name, os.O_RDONLY | os.O_DIRECTORY, dir_fd=opened.fd)
    try:
        return sorted(entry.name for entry in os.scandir(fd))
    finally:
        os.close(fd)


def found_on(device: str) -> str:
    """Return what a fresh look finds on a device, as an initramfs would take it."""
    return run("blkid", "--probe", device, check=False).strip()


def is_read_only(device: str) -> bool:
    """Tell whether the kernel refuses writes to a device."""
    return run("blockdev", "--getro", device).strip() == "1"


def mounts_of(device: str) -> list[str]:
    """Return where a device is mounted in this namespace."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    return [line.split()[4] for line in lines if line.partition(" - ")[2].split()[1] == device]


def hash_of(folder: Path) -> str:
    """Return one hash of all names and contents below a folder."""
    total = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        total.update(os.fsencode(path.relative_to(folder)) + b"\0")
        if path.is_file():
            total.update(path.read_bytes())
    return total.hexdigest()


def clean(fstype: str, device: str) -> bool:
    """Tell whether the checker finds no fault on an unmounted device."""
    checks: dict[str, Sequence[str]] = {
        "ext4": ("e2fsck", "-f", "-n"),
        "xfs": ("xfs_repair", "-n"),
        "btrfs": ("btrfs", "check", "--readonly"),
    }
    argv = [*checks[fstype], device]
    return subprocess.run(argv, capture_output=True, check=False).returncode == 0
