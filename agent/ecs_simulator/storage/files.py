"""Disks as plain image files: no root, no devices, nothing that can be mounted.

A cut clones each image, or copies it where the filesystem below cannot clone; either way one disk
after the other. It is an instant only if nobody writes meanwhile.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ecs_simulator.storage.kernel import StorageError
from ecs_simulator.storage.sparse import duplicate, make_image

LEFT_OUT = (
    "disks are plain image files: there are no block devices, no /dev/disk/by-id links and no"
    " mounted filesystems",
    "images are cloned or copied one after the other: a cut is one instant only while nobody writes"
    " to them",
)


class FileStorage:
    """Sparse image files in a folder."""

    def __init__(self, folder: Path) -> None:
        self._live = folder / "live"
        self._cuts = folder / "cuts"
        self._live.mkdir()
        self._cuts.mkdir()

    def create_disk(self, disk_id: str, serial: str, size_gib: int) -> str:  # noqa: ARG002
        """Make an empty disk and return its image file."""
        make_image(self._image(disk_id), size_gib)
        return str(self._image(disk_id))

    def create_disk_from(self, disk_id: str, serial: str, size_gib: int, snapshot_id: str) -> str:
        """Make a disk that begins with a snapshot's content and return its image file."""
        path = self.create_disk(disk_id, serial, size_gib)
        duplicate(self._cut(snapshot_id), self._image(disk_id))
        return path

    def attach(self, disk_id: str) -> None:
        """Do nothing: there is no device."""

    def detach(self, disk_id: str) -> None:
        """Do nothing: there is no device."""

    def delete_disk(self, disk_id: str) -> None:
        """Forget the disk and its content; snapshots of it stay."""
        self._image(disk_id).unlink()

    def cut(self, pairs: Sequence[tuple[str, str]]) -> None:
        """Keep the content of the disks, one after the other."""
        for disk_id, snapshot_id in pairs:
            duplicate(self._image(disk_id), self._cuts / f"{snapshot_id}.img")

    def reset_disk(self, disk_id: str, snapshot_id: str) -> None:
        """Give the disk the snapshot's content back."""
        duplicate(self._cut(snapshot_id), self._image(disk_id))

    def delete_snapshot(self, snapshot_id: str) -> None:
        """Forget what a snapshot holds."""
        (self._cuts / f"{snapshot_id}.img").unlink(missing_ok=True)

    def path_of(self, snapshot_id: str) -> str | None:
        """Return the image file of what was captured, or None."""
        path = self._cuts / f"{snapshot_id}.img"
        return str(path) if path.exists() else None

    def _image(self, disk_id: str) -> Path:
        return self._live / f"{disk_id}.img"

    def _cut(self, snapshot_id: str) -> Path:
        path = self._cuts / f"{snapshot_id}.img"
        if not path.exists():
            raise StorageError(f"{snapshot_id} was never cut")
        return path
