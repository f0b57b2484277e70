"""The simulator's own btrfs, whose snapshots fix all disk images at one instant.

Every disk image is a file in one subvolume. A cut is one read-only snapshot of that subvolume: it
is atomic over all images, whatever their number and size, and copies nothing. The disks' loop
devices write with direct I/O. Both are needed. Measured on Linux 6.18 with two disks, one writer
that puts numbered records on disk A, then on disk B, and so on, and random cuts meanwhile; "broken"
means that a cut held a later write without an earlier acknowledged one:

=================  =====================  =================  ==============  =============
loop devices       writer                 images             broken cuts     cut takes
=================  =====================  =================  ==============  =============
buffered           O_DIRECT               copy on write      76 of 200       6 ms
buffered           O_DIRECT and O_SYNC    copy on write      0 of 350        12 ms
direct I/O         O_DIRECT               nodatacow          2 of 300        17 ms
direct I/O         O_DIRECT               copy on write      0 of 500        50 ms
=================  =====================  =================  ==============  =============

(medians; the longest cut took 2 s, with a second writer that rewrote 100 MiB without pause).
Without a writer a cut takes 2 ms, also with 200 MB dirty in the memory of a filesystem on the disk,
and 90 ms right after 200 MB were written to the disk. Writes ordered by a flush or a synchronous
write are in order on any kernel: a btrfs commit waits for what fsync was promised. Writes that were
acknowledged but not flushed may be lost on a real disk too, in a power cut. Their order relies on
direct writes to files with checksums going through the page cache and waiting for it, which is the
case since Linux 6.15.

Other ways were rejected: cloning each image is one instant per disk only; a frozen filesystem
refuses clones and snapshots; copying is neither quick nor an instant.
"""

from __future__ import annotations

import os
from pathlib import Path

from ecs_simulator.storage import kernel, own
from ecs_simulator.storage.images import GIB
from ecs_simulator.storage.ledger import Ledger

_POOL_GIB = 1024


class Pool:
    """The mounted filesystem."""

    def __init__(self, folder: Path, ledger: Ledger) -> None:
        self._mountpoint = folder / "pool"
        self._make(folder, ledger)
        self.live = self._mountpoint / "live"
        self._cuts = self._mountpoint / "cuts"
        kernel.make_subvolume(self.live)
        own.make_folder(self._cuts)
        self._last = 0

    def _make(self, folder: Path, ledger: Ledger) -> None:
        image = folder / "pool.img"
        with (
            own.folder(folder) as inside,
            own.file(inside, image.name, os.O_RDWR | os.O_CREAT) as opened,
        ):
            os.ftruncate(opened, _POOL_GIB * GIB)
            kernel.run("mkfs.btrfs", "--quiet", "--nodiscard", "--metadata", "single", str(image))
            ledger.note("loop", image)
            device = kernel.attach_loop(opened, image, direct=False)
        own.make_folder(self._mountpoint)
        ledger.note("mount", self._mountpoint, of=image)
        kernel.run("mount", "-t", "btrfs", "-o", "noatime", device, str(self._mountpoint))

    def cut(self) -> Path:
        """Fix the content of all images now; return the folder that holds them."""
        self._last += 1
        target = self._cuts / str(self._last)
        kernel.snapshot_subvolume(self.live, target)
        return target

    @staticmethod
    def forget(cut: Path) -> None:
        """Delete what a cut holds."""
        kernel.delete_subvolume(cut)
