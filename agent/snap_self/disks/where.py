"""Find what a user means by a path, a device, a mount point or a disk id."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from snap_self.model.disks import Filesystem, Layout, Mount
from snap_self.model.machine import PathFact


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a path lies.

    Args:
        filesystem: None if no whole disk is below the mount.
    """

    mount: Mount
    filesystem: Filesystem | None


class Places:
    """Finds paths in a layout; its indexes are made when first asked for."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout

    def of_path(self, fact: PathFact) -> Place | None:
        """Return where a path lies; None if it lies on no known mount."""
        if fact.mount_id is not None:
            # A mount in another namespace may be unknown although its filesystem is known.
            return self._by_id.get(fact.mount_id) or self._by_devno.get(fact.devno)
        path = posixpath.normpath(fact.real)
        while path not in self._by_path:
            if path == "/":
                return None
            path = path.rpartition("/")[0] or "/"
        return self._by_path[path]

    def of_mount_point(self, path: str) -> Place | None:
        """Return what is mounted exactly at that path."""
        return self._by_path.get(posixpath.normpath(path))

    def _places(self) -> Iterable[Place]:
        for filesystem in self._layout.filesystems.values():
            for mount in filesystem.mounts:
                yield Place(mount=mount, filesystem=filesystem)
        for mount in self._layout.elsewhere:
            yield Place(mount=mount, filesystem=None)

    @cached_property
    def _by_id(self) -> Mapping[int, Place]:
        return {place.mount.mount_id: place for place in self._places()}

    @cached_property
    def _by_path(self) -> Mapping[str, Place]:
        return {
            place.mount.path: place
            for place in self._places()
            if place.mount.namespace is None and not place.mount.hidden
        }

    @cached_property
    def _by_devno(self) -> Mapping[str, Place]:
        return {
            filesystem.devno: Place(mount=filesystem.mounts[0], filesystem=filesystem)
            for filesystem in self._layout.filesystems.values()
        }
