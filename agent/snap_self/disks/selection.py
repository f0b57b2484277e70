"""Turn what a request names into cloud disks, each with the reason it is meant."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from snap_self.disks.categories import why_left_out
from snap_self.disks.mapping import DiskMap
from snap_self.disks.where import Place, Places
from snap_self.errors import DiskUnmapped, NothingToSnapshot, UsageError
from snap_self.model.disks import Filesystem, Layout, MappedDisk, Selection
from snap_self.model.ids import DISK_ID, DiskId
from snap_self.model.machine import PathFact

_MAP_HINT = (
    "`snap-self plan` shows how each disk was judged; name the device under [disks.map] in the "
    "configuration if you know which cloud disk it is"
)


class Chooser:
    """Answers which cloud disks a request's paths, disks and exclusions mean."""

    def __init__(self, layout: Layout, disk_map: DiskMap) -> None:
        self._layout = layout
        self._map = disk_map
        self._places = Places(layout)
        self._by_id = {entry.cloud.disk_id: entry for entry in disk_map.disks}
        self._by_local = {entry.local.name: entry for entry in disk_map.disks if entry.local}

    def wanted(self, selection: Selection, paths: Sequence[PathFact]) -> Mapping[DiskId, str]:
        """Return the disks asked for, to why; all attached ones if none is named.

        Raises:
            UsageError, DiskUnmapped, NothingToSnapshot: as ``coverage.choose``.
        """
        if not paths and not selection.disks:
            return {entry.cloud.disk_id: "attached to this instance" for entry in self._map.disks}
        wanted: dict[DiskId, str] = {}
        for fact in paths:
            for disk_id in self._path(fact):
                wanted.setdefault(disk_id, f"carries {fact.asked} (--path)")
        for item in selection.disks:
            for disk_id in self._item(item, "--disk"):
                wanted.setdefault(disk_id, f"--disk {item}")
        return wanted

    def excluded(self, selection: Selection) -> Mapping[DiskId, str]:
        """Return the disks not to be snapshotted, to why.

        Raises:
            UsageError: an item is no disk, device or mount point here.
        """
        excluded: dict[DiskId, str] = {}
        for item in selection.exclude:
            if DISK_ID.fullmatch(item):
                self._known_id(item, "--exclude")
                excluded[DiskId(item)] = f"left out by --exclude {item}"
                continue
            for name in self._local_disks(item, "--exclude"):
                if entry := self._by_local.get(name):
                    excluded[entry.cloud.disk_id] = f"left out by --exclude {item}"
        return excluded

    def vain(self, selection: Selection) -> Iterator[str]:
        """Yield why an exclusion leaves no disk out, for each that does not."""
        for item in selection.exclude:
            names = [] if DISK_ID.fullmatch(item) else self._local_disks(item, "--exclude")
            unknown = [name for name in names if name not in self._by_local]
            if unknown and unknown == names:
                why = self._map.local_only.get(unknown[0], "the cloud does not know it")
                yield f"--exclude {item} leaves no disk out: {unknown[0]}: {why}"

    def _path(self, fact: PathFact) -> list[DiskId]:
        place = self._places.of_path(fact)
        if place is None:
            raise NothingToSnapshot(
                f"no known filesystem holds {fact.asked}",
                hint="it may have been unmounted a moment ago; see /proc/self/mountinfo",
            )
        filesystem = self._on_disks(fact.asked, place)
        return [self._entry(name, fact.asked, filesystem) for name in sorted(filesystem.disks)]

    def _on_disks(self, asked: str, place: Place) -> Filesystem:
        if place.filesystem is None:
            raise NothingToSnapshot(
                f"{asked} lies on {place.mount.path} ({place.mount.fstype}), which no disk of this "
                "instance carries",
                hint="name a path on one of the instance's disks",
            )
        return place.filesystem

    def _item(self, item: str, option: str) -> list[DiskId]:
        if DISK_ID.fullmatch(item):
            self._known_id(item, option)
            self._refuse_unsupported(self._by_id[DiskId(item)], item, item)
            return [DiskId(item)]
        return [self._entry(name, item, None) for name in self._local_disks(item, option)]

    def _known_id(self, item: str, option: str) -> None:
        if DiskId(item) not in self._by_id:
            attached = ", ".join(sorted(self._by_id)) or "none"
            raise DiskUnmapped(
                f"{option} {item}: this disk is not attached to this instance",
                hint=f"attached disks: {attached}",
            )

    def _local_disks(self, item: str, option: str) -> list[str]:
        """Return the whole local disks below a device or mount point."""
        if names := self._layout.devices.get(item.removeprefix("/dev/")):
            return sorted(names)
        place = self._places.of_mount_point(item) if item.startswith("/") else None
        if place is None:
            raise UsageError(
                f"{option} {item} is no disk id, block device or mount point of this machine",
                hint="give a disk id (d-…), a device (/dev/vdb) or a mount point (/data); "
                "for any other path use --path",
            )
        return sorted(self._on_disks(item, place).disks)

    def _entry(self, name: str, asked: str, filesystem: Filesystem | None) -> DiskId:
        """Return the cloud disk that a local disk is."""
        chain = _chain(filesystem, name)
        entry = self._by_local.get(name)
        if entry is None:
            why = self._map.local_only.get(name, "it is not known to the cloud")
            raise DiskUnmapped(
                f"{asked} lies on {name} ({chain}), which cannot be tied to a cloud disk: {why}",
                hint=self._hint(),
            )
        self._refuse_unsupported(entry, asked, chain)
        return entry.cloud.disk_id

    def _hint(self) -> str:
        told = "; ".join(f"{disk_id}: {why}" for disk_id, why in self._map.doubts.items())
        return _MAP_HINT + (f" (doubtful: {told})" if told else "")

    def _refuse_unsupported(self, entry: MappedDisk, asked: str, chain: str) -> None:
        if why := why_left_out(entry.cloud):
            raise NothingToSnapshot(
                f"{asked} lies on {entry.cloud.disk_id} ({chain}), which gets no snapshot: {why}",
                hint="move the data to a cloud disk, or name another path or disk",
            )


def _chain(filesystem: Filesystem | None, name: str) -> str:
    if filesystem is None:
        return name
    for disk, chain in zip(sorted(filesystem.disks), filesystem.chain, strict=True):
        if disk == name:
            return chain
    return name
