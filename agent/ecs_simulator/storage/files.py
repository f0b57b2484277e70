"""Disks as plain image files: no root, no devices, nothing that can be mounted.

A cut clones each image, or copies it if the filesystem below cannot clone, one disk after the
other. It is one instant only if nobody writes meanwhile.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ecs_simulator.storage import own
from ecs_simulator.storage.images import Images
from ecs_simulator.storage.kernel import StorageError

LEFT_OUT = (
    "disks are plain image files: there are no block devices, no /dev/disk/by-id links and no"
    " mounted filesystems",
    "images are cloned or copied one after the other: a cut is one instant only while nobody writes"
    " to them",
)


class FileStorage:
    """Sparse image files in a folder."""

    def __init__(self, folder: Path) -> None:
        for made in ("live", "cuts"):
            own.make_folder(folder / made)
        self._live = Images(folder / "live")
        self._cuts = Images(folder / "cuts")

    def create_disk(self, disk_id: str, serial: str, size_gib: int) -> str:  # noqa: ARG002
        """Make an empty disk and return its image file."""
        self._live.make(disk_id, size_gib)
        return str(self._live.path(disk_id))

    def create_disk_from(self, disk_id: str, serial: str, size_gib: int, snapshot_id: str) -> str:
        """Make a disk that begins with a snapshot's content and return its image file."""
        path = self.create_disk(disk_id, serial, size_gib)
        self._fill(disk_id, snapshot_id)
        return path

    def attach(self, disk_id: str) -> None: ...

    def detach(self, disk_id: str) -> None: ...

    def pull(self, disk_id: str) -> None: ...

    def delete_disk(self, disk_id: str) -> None:
        self._live.remove(disk_id)

    def cut(self, pairs: Sequence[tuple[str, str]]) -> None:
        """Keep the content of the disks, one after the other."""
        for disk_id, snapshot_id in pairs:
            self._cuts.fill(snapshot_id, self._live, disk_id)

    def reset_disk(self, disk_id: str, snapshot_id: str) -> None:
        self._fill(disk_id, snapshot_id)

    def delete_snapshot(self, snapshot_id: str) -> None:
        self._cuts.remove(snapshot_id)

    def path_of(self, snapshot_id: str) -> str | None:
        """Return the image file of what was captured, or None."""
        return str(self._cuts.path(snapshot_id)) if self._cuts.has(snapshot_id) else None

    def _fill(self, disk_id: str, snapshot_id: str) -> None:
        if not self._cuts.has(snapshot_id):
            raise StorageError(f"{snapshot_id} was never cut")
        self._live.fill(disk_id, self._cuts, snapshot_id)
