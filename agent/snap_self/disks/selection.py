"""Turn what a request names into cloud disks, each with the reason why it is meant."""

from __future__ import annotations

import posixpath
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from snap_self.disks.categories import why_left_out
from snap_self.disks.copies import is_copy, refuse_copy
from snap_self.disks.mapping import DiskMap
from snap_self.disks.where import Place, Places
from snap_self.errors import DiskUnmapped, NothingToSnapshot, UsageError
from snap_self.model.disks import Filesystem, Layout, MappedDisk, Selection
from snap_self.model.ids import DISK_ID, DiskId
from snap_self.model.machine import PathFact

ARROW = " ← "
TEMPORARY = "a temporary disk, with which snap-self has a snapshot open"

_MAP_HINT = (
    "`snap-self plan` shows how each disk was judged; name the device under [disks.map] in the "
    "configuration if you know which cloud disk it is"
)

ITEM_HINT = "give a disk id (d-…), a device (/dev/vdb) or a mount point (/data)"
_PATH_HINT = "; for any other path use --path"
_CONFIG_HINT = (
    "; it stands in /etc/snap-self/config.toml or in conf.d beside it; a disk id may stand there "
    "also while the disk is detached"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Exclusions:
    """What is left out as asked, each with by what.

    Args:
        disks: cloud disks, also such as are not attached.
        always: of them those that every run leaves out, not this one alone.
        devices: local disks, with all that lies on them.
        filesystems: those on a partition or volume that was named, by their keys.
        places: filesystems by a mount point, wherever they lie.
        vain: exclusions that leave nothing out, each with why.
    """

    disks: dict[DiskId, str] = field(default_factory=dict)
    devices: dict[str, str] = field(default_factory=dict)
    filesystems: dict[str, str] = field(default_factory=dict)
    places: dict[str, str] = field(default_factory=dict)
    vain: list[str] = field(default_factory=list)
    always: set[DiskId] = field(default_factory=set)


class Chooser:
    """Answers which cloud disks a request's paths, disks and exclusions mean."""

    def __init__(self, layout: Layout, disk_map: DiskMap) -> None:
        self._layout = layout
        self._map = disk_map
        self._places = Places(layout)
        self._by_id = {entry.cloud.disk_id: entry for entry in disk_map.disks}
        self._by_local = {entry.local.name: entry for entry in disk_map.disks if entry.local}

    def wanted(self, selection: Selection, paths: Sequence[PathFact]) -> Mapping[DiskId, str]:
        """Return each disk asked for with the reason; all attached disks if none is named.

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

    def excluded(self, selection: Selection) -> Exclusions:
        """Return what is excluded, with the reason; what a snapshot is opened with always is.

        Raises:
            UsageError: an item is not a disk, device or mount point here.
            OnTemporaryDisk: the machine runs from what is left out.
        """
        found = Exclusions()
        root = self._places.of_mount_point("/")
        below = root.filesystem.disks if root and root.filesystem else frozenset()
        for entry in self._map.disks:
            if entry.local and entry.local.name in below:
                refuse_copy("/", entry.cloud)
            if is_copy(entry.cloud):
                found.disks[entry.cloud.disk_id] = TEMPORARY
                found.always.add(entry.cloud.disk_id)
        for item in selection.exclude:
            disks = self._exclude(item, selection.origin_of(item), found)
            if item in selection.configured:
                found.always.update(disks)
        return found

    def _exclude(self, item: str, origin: str, found: Exclusions) -> Collection[DiskId]:
        """Add what one item leaves out; return the cloud disks of it."""
        why = f"left out by {origin} {item}"
        if DISK_ID.fullmatch(item):
            # What was typed is meant for what is here; what is configured may be detached for now.
            if origin == "--exclude":
                self._known_id(item, origin)
            elif DiskId(item) not in self._by_id:
                found.vain.append(f"{origin} {item} leaves no disk out: it is not attached")
            found.disks[DiskId(item)] = why
            return [DiskId(item)]
        if names := self._layout.devices.get(item.removeprefix("/dev/")):
            part = self._through(item.removeprefix("/dev/"))
            found.filesystems.update(dict.fromkeys(part, why))
            if not part:
                found.devices.update(dict.fromkeys(names, why))
            holds = bool(part) or self._carries(names)
        elif place := self._places.of_mount_point(item):
            names = place.filesystem.disks if place.filesystem else frozenset()
            found.places[place.mount.path] = why
            holds = True
        elif origin == "disks.exclude" and self._is_unmounted(item):
            found.vain.append(f"{origin} {item} leaves nothing out: nothing is mounted there")
            return []
        else:
            raise _no_such(item, origin)
        known = [self._by_local[name] for name in sorted(names) if name in self._by_local]
        found.disks.update((entry.cloud.disk_id, why) for entry in known)
        if not known and not holds:
            first = min(names)
            reason = self._map.local_only.get(first, "the cloud does not know it")
            found.vain.append(f"{origin} {item} leaves no disk out: {first}: {reason}")
        return [entry.cloud.disk_id for entry in known]

    def _carries(self, names: Iterable[str]) -> bool:
        """Tell whether a filesystem lies on any of these local disks."""
        wanted = frozenset(names)
        return any(each.disks & wanted for each in self._layout.filesystems.values())

    def _through(self, name: str) -> list[str]:
        """Return the filesystems that lie on a device which is a part of a disk, or on a volume."""
        return [
            each.key
            for each in self._layout.filesystems.values()
            for way in each.ways
            if any(name in (layer.name, layer.device) for layer in way[1:-1])
        ]

    def _is_unmounted(self, item: str) -> bool:
        """Tell whether a name is a mount point at which nothing is mounted for now.

        Not where it may be that of an attached disk that is not mounted: that one was to be left
        out.
        """
        idle = any(
            entry.local and not self._carries((entry.local.name,)) for entry in self._map.disks
        )
        return (
            item.startswith("/") and not posixpath.normpath(item).startswith("/dev/") and not idle
        )

    def _path(self, fact: PathFact) -> list[DiskId]:
        place = self._places.of_path(fact)
        if place is None:
            raise NothingToSnapshot(
                f"no known filesystem holds {fact.asked}",
                hint="it may have been unmounted a moment ago; see /proc/self/mountinfo",
            )
        found: dict[DiskId, None] = {}
        for filesystem in self._below(fact, place):
            found |= {
                self._entry(name, fact.asked, filesystem): None for name in sorted(filesystem.disks)
            }
        return list(found)

    def _below(self, fact: PathFact, place: Place) -> Sequence[Filesystem]:
        """Return the filesystem, or those of an overlay's layers if they were looked at."""
        places = [(layer, self._places.of_path(layer)) for layer in fact.layers]
        found = [(layer, each) for layer, each in places if each and each.filesystem]
        if not found or any(each is None for _, each in places):
            return [self._on_disks(fact.asked, place)]
        return [each for layer, under in found for each in self._below(layer, under)]

    def _on_disks(self, asked: str, place: Place) -> Filesystem:
        if place.filesystem is not None:
            return place.filesystem
        mount = place.mount
        why = self._layout.why_elsewhere.get(mount.mount_id)
        device = asked.removeprefix("/dev/") in self._layout.devices
        raise NothingToSnapshot(
            f"{asked} lies on {mount.path} ({mount.fstype}): {why}"
            if why
            else f"{asked} lies on {mount.path} ({mount.fstype}), which no disk of this instance "
            "carries",
            hint=f"to mean the device itself: --disk {asked}"
            if device
            else "name a path on one of the instance's disks, or a disk with --disk",
        )

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
        place = self._places.of_mount_point(item)
        if place is None:
            raise _no_such(item, option)
        return sorted(self._on_disks(item, place).disks)

    def _entry(self, name: str, asked: str, filesystem: Filesystem | None) -> DiskId:
        """Return the cloud disk that a local disk is."""
        chain = _chain(filesystem, name)
        entry = self._by_local.get(name)
        if entry is None:
            why = self._map.local_only.get(name, "it is not known to the cloud")
            raise DiskUnmapped(
                f"{_lying(asked, name, chain)} cannot be tied to a cloud disk: {why}",
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
                f"{_lying(asked, entry.cloud.disk_id, chain)} gets no snapshot: {why}",
                hint="move the data to a cloud disk, or name another path or disk",
            )


def _lying(asked: str, disk: str, chain: str) -> str:
    """Return the beginning of a sentence about the disk that something lies on, or is."""
    name = asked.removeprefix("/dev/")
    if name == disk:
        return asked
    if name == chain:
        return f"{asked} is {disk}, which"
    way = f" ({chain})" if chain != disk else ""
    return f"{asked} lies on {disk}{way}, which"


def _no_such(item: str, option: str) -> UsageError:
    return UsageError(
        f"{option} {item} is no disk id, block device or mount point of this machine",
        hint=ITEM_HINT + (_CONFIG_HINT if option == "disks.exclude" else _PATH_HINT),
    )


def _chain(filesystem: Filesystem | None, name: str) -> str:
    way = filesystem.way_to(name) if filesystem else ()
    return ARROW.join(layer.words for layer in way) or name
