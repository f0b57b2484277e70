"""Disks as loop devices: real block devices for the kernel, filesystems and the agent. Needs root.

A disk's image holds what was written to the device. What lies only in the memory of a filesystem
mounted from it is not on the disk and not in a snapshot, as in the cloud.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ecs_simulator.storage import kernel
from ecs_simulator.storage.ledger import Ledger
from ecs_simulator.storage.pool import Pool
from ecs_simulator.storage.sparse import GIB, duplicate, make_image

BY_ID = Path("/dev/disk/by-id")
FILESYSTEMS = ("ext4", "xfs", "btrfs")


@dataclass(slots=True, kw_only=True)
class LoopDisk:
    """One disk; ``device`` is empty while it is not attached."""

    disk_id: str
    serial: str
    image: Path
    device: str = ""
    link: Path | None = None
    mounts: list[Path] = field(default_factory=list)


class LoopStorage:
    """Image files on loop devices, cut by btrfs snapshots.

    Args:
        folder: for all files; made by the caller, who also noted it in the ledger.
        links: where to make the links ``virtio-SERIAL``, or None.

    Raises:
        StorageError: the machine lacks something for it.
    """

    def __init__(self, folder: Path, ledger: Ledger, *, links: Path | None = BY_ID) -> None:
        self._ledger = ledger
        self._pool = Pool(folder, ledger)
        self._names = folder / "devices"
        self._names.mkdir()
        self._links = links
        self._disks: dict[str, LoopDisk] = {}
        self._cuts: dict[str, Path] = {}

    def disk(self, disk_id: str) -> LoopDisk:
        """Return a disk's particulars.

        Raises:
            StorageError: there is none of that id.
        """
        if disk_id not in self._disks:
            raise kernel.StorageError(f"there is no disk {disk_id}")
        return self._disks[disk_id]

    def create_disk(self, disk_id: str, serial: str, size_gib: int) -> str:
        """Make an empty disk; return a name in the work folder that leads to its device."""
        disk = LoopDisk(disk_id=disk_id, serial=serial, image=self._pool.live / f"{disk_id}.img")
        make_image(disk.image, size_gib)
        self._disks[disk_id] = disk
        return str(self._names / disk_id)

    def create_disk_from(self, disk_id: str, serial: str, size_gib: int, snapshot_id: str) -> str:
        """Make a disk that begins with a snapshot's content and return its name."""
        path = self.create_disk(disk_id, serial, size_gib)
        duplicate(self._image_of(snapshot_id), self._disks[disk_id].image)
        return path

    def attach(self, disk_id: str) -> None:
        """Put the disk on a loop device, with its link under ``/dev/disk/by-id``."""
        disk = self.disk(disk_id)
        self._ledger.note("loop", disk.image)
        disk.device = kernel.attach_loop(disk.image, direct=True)
        (self._names / disk_id).symlink_to(disk.device)
        if self._links is not None and disk.serial:
            disk.link = self._make_link(disk, self._links / f"virtio-{disk.serial}")

    def _make_link(self, disk: LoopDisk, link: Path) -> Path | None:
        text = f"../../{Path(disk.device).name}"
        try:
            self._ledger.make_folder(link.parent)
            if os.path.lexists(link):
                return None
            self._ledger.note("link", link, of=text)
            link.symlink_to(text)
        except OSError:  # a read-only /dev
            return None
        return link

    def detach(self, disk_id: str) -> None:
        """Take the disk's device away, from under its users where it must be."""
        disk = self.disk(disk_id)
        if not disk.device:
            return
        if disk.link is not None:
            disk.link.unlink(missing_ok=True)
            disk.link = None
        (self._names / disk_id).unlink(missing_ok=True)
        self._unmount(disk)
        kernel.detach_loop(disk.device)
        disk.device = ""

    def _unmount(self, disk: LoopDisk) -> list[kernel.Mounted]:
        used = [mounted for mounted in kernel.mounts() if mounted.source == disk.device]
        for mounted in reversed(used):
            kernel.unmount(Path(mounted.target))
        return used

    def delete_disk(self, disk_id: str) -> None:
        """Forget the disk and its content; snapshots of it stay."""
        self.detach(disk_id)
        self._disks.pop(disk_id).image.unlink()

    def cut(self, pairs: Sequence[tuple[str, str]]) -> None:
        """Fix the content of all disks now, at one instant."""
        images = {snapshot_id: self.disk(disk_id).image for disk_id, snapshot_id in pairs}
        fixed = self._pool.cut()
        self._cuts |= {name: fixed / image.name for name, image in images.items()}

    def reset_disk(self, disk_id: str, snapshot_id: str) -> None:
        """Give the disk the snapshot's content back; what was mounted from it is mounted anew."""
        disk = self.disk(disk_id)
        used = self._unmount(disk) if disk.device else []
        if disk.device:
            kernel.drop_buffers(disk.device)
        duplicate(self._image_of(snapshot_id), disk.image)
        if disk.device:
            kernel.drop_buffers(disk.device)
        for mounted in used:
            kernel.run("mount", "-t", mounted.fstype, disk.device, mounted.target)

    def delete_snapshot(self, snapshot_id: str) -> None:
        """Forget what a snapshot holds; the last one of a cut frees its room."""
        image = self._cuts.pop(snapshot_id, None)
        if image is not None and all(image.parent != other.parent for other in self._cuts.values()):
            self._pool.forget(image.parent)

    def path_of(self, snapshot_id: str) -> str | None:
        """Return the read-only image file of what was captured, or None."""
        image = self._cuts.get(snapshot_id)
        return None if image is None else str(image)

    def _image_of(self, snapshot_id: str) -> Path:
        image = self._cuts.get(snapshot_id)
        if image is None:
            raise kernel.StorageError(f"{snapshot_id} was never cut")
        return image

    def format(self, disk_id: str, fstype: str) -> None:
        """Put an empty filesystem on the disk.

        Raises:
            StorageError: there is no program for it.
        """
        mkfs = kernel.program(f"mkfs.{fstype}") if fstype in FILESYSTEMS else None
        if mkfs is None:
            raise kernel.StorageError(f"there is no program mkfs.{fstype}")
        kernel.run(mkfs, "-q", self.disk(disk_id).device)

    def mount(self, disk_id: str, target: Path) -> None:
        """Mount the disk; a missing mount point is made, and removed in the end."""
        disk = self.disk(disk_id)
        self._ledger.make_folder(target)
        self._ledger.note("mount", target, of=disk.image)
        kernel.run("mount", disk.device, str(target))
        disk.mounts.append(target)


def what_loops_need(folder: Path) -> str:
    """Return why there can be no loop disks here; empty where there can."""
    if os.geteuid() != 0:
        return f"not root (uid {os.geteuid()})"
    if not Path("/dev/loop-control").exists():
        return "no /dev/loop-control"
    if "btrfs" not in Path("/proc/filesystems").read_text(encoding="utf-8").split():
        with contextlib.suppress(kernel.StorageError):
            kernel.run("modprobe", "btrfs")
    if "btrfs" not in Path("/proc/filesystems").read_text(encoding="utf-8").split():
        return "this kernel has no btrfs, which fixes the images at the cut"
    if kernel.program("mkfs.btrfs") is None:
        return "no mkfs.btrfs (package btrfs-progs), with which the images are kept"
    room = os.statvfs(folder)
    if room.f_bavail * room.f_frsize < GIB:
        return f"less than 1 GiB free in {folder}"
    return ""
