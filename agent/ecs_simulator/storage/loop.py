"""Disks as loop devices: real block devices for the kernel, filesystems and the agent. Needs root.

A disk's image holds what was written to the device. Data that is only in the memory of a mounted
filesystem is neither on the disk nor in a snapshot, as in the cloud.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ecs_simulator import programs
from ecs_simulator.identifiers import check_serial
from ecs_simulator.ports import StillInUse
from ecs_simulator.storage import kernel, own
from ecs_simulator.storage.images import GIB, Images
from ecs_simulator.storage.ledger import Ledger
from ecs_simulator.storage.pool import Pool

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
        self._live = Images(self._pool.live)
        self._names = folder / "devices"
        own.make_folder(self._names)
        self._links = links
        self._disks: dict[str, LoopDisk] = {}
        # Each snapshot's disk, and the folder of the cut that holds it.
        self._cuts: dict[str, tuple[Path, str]] = {}

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
        disk = LoopDisk(disk_id=disk_id, serial=serial, image=self._live.path(disk_id))
        self._live.make(disk_id, size_gib)
        self._disks[disk_id] = disk
        return str(self._names / disk_id)

    def create_disk_from(self, disk_id: str, serial: str, size_gib: int, snapshot_id: str) -> str:
        """Make a disk that begins with a snapshot's content and return its name."""
        path = self.create_disk(disk_id, serial, size_gib)
        self._fill(disk_id, snapshot_id)
        return path

    def attach(self, disk_id: str) -> None:
        """Put the disk on a loop device, with its link under ``/dev/disk/by-id``."""
        disk = self.disk(disk_id)
        self._ledger.note("loop", disk.image)
        with self._live.opened(disk_id, os.O_RDWR) as image:
            disk.device = kernel.attach_loop(image, disk.image, direct=True)
        with own.folder(self._names) as names:
            os.symlink(disk.device, disk_id, dir_fd=names)
        if self._links is not None and disk.serial:
            serial = check_serial(disk.serial)
            self._drop_stale_links(disk, self._links)
            disk.link = self._make_link(disk, self._links / f"virtio-{serial}")

    @staticmethod
    def _drop_stale_links(disk: LoopDisk, links: Path) -> None:
        """Remove what a simulator that was killed left of the device's last disk.

        The device was free a moment ago, and udev makes no such links for loop devices.
        """
        with contextlib.suppress(OSError):  # no such folder, or a read-only /dev
            for link in links.glob("virtio-*"):
                if link.is_symlink() and Path(link.readlink()).name == Path(disk.device).name:
                    link.unlink()

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
        """Remove the disk's device.

        Raises:
            StillInUse: it is mounted, in whatever namespace, or otherwise held.
        """
        disk = self.disk(disk_id)
        if disk.device and kernel.held(disk.device):
            raise StillInUse(f"{disk_id} is in use as {disk.device}")
        self.pull(disk_id)

    def pull(self, disk_id: str) -> None:
        """Remove the disk's device, even while it is in use."""
        disk = self.disk(disk_id)
        if not disk.device:
            return
        if disk.link is not None:
            disk.link.unlink(missing_ok=True)
            disk.link = None
        with own.folder(self._names) as names, contextlib.suppress(FileNotFoundError):
            os.unlink(disk_id, dir_fd=names)
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
        self.pull(disk_id)
        del self._disks[disk_id]
        self._live.remove(disk_id)

    def cut(self, pairs: Sequence[tuple[str, str]]) -> None:
        """Fix the content of all disks now, at one instant."""
        of = {snapshot_id: self.disk(disk_id).disk_id for disk_id, snapshot_id in pairs}
        fixed = self._pool.cut()
        self._cuts |= {snapshot_id: (fixed, disk_id) for snapshot_id, disk_id in of.items()}

    def reset_disk(self, disk_id: str, snapshot_id: str) -> None:
        """Give the disk the snapshot's content back; mount again what was mounted from it."""
        disk = self.disk(disk_id)
        used = self._unmount(disk) if disk.device else []
        if disk.device:
            kernel.drop_buffers(disk.device)
        self._fill(disk_id, snapshot_id)
        if disk.device:
            kernel.drop_buffers(disk.device)
        for mounted in used:
            kernel.run("mount", "-t", mounted.fstype, disk.device, mounted.target)

    def delete_snapshot(self, snapshot_id: str) -> None:
        """Forget what a snapshot holds; the last snapshot of a cut frees its space."""
        cut = self._cuts.pop(snapshot_id, None)
        if cut is not None and all(cut[0] != folder for folder, _ in self._cuts.values()):
            self._pool.forget(cut[0])

    def path_of(self, snapshot_id: str) -> str | None:
        """Return the read-only image file of what was captured, or None."""
        cut = self._cuts.get(snapshot_id)
        return None if cut is None else str(Images(cut[0]).path(cut[1]))

    def _fill(self, disk_id: str, snapshot_id: str) -> None:
        cut = self._cuts.get(snapshot_id)
        if cut is None:
            raise kernel.StorageError(f"{snapshot_id} was never cut")
        self._live.fill(disk_id, Images(cut[0]), cut[1])

    def format(self, disk_id: str, fstype: str) -> None:
        """Put an empty filesystem on the disk.

        Raises:
            StorageError: there is no program for it.
        """
        if fstype not in FILESYSTEMS:
            raise kernel.StorageError(f"{fstype} is none of {', '.join(FILESYSTEMS)}")
        kernel.run(f"mkfs.{fstype}", "-q", self.disk(disk_id).device)

    def mount(self, disk_id: str, target: Path) -> None:
        """Mount the disk; a missing mount point is made, and removed at the end."""
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
    if programs.find("mkfs.btrfs") is None:
        return "no mkfs.btrfs (package btrfs-progs), with which the images are kept"
    room = os.statvfs(folder)
    if room.f_bavail * room.f_frsize < GIB:
        return f"less than 1 GiB free in {folder}"
    return ""
