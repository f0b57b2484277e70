"""Find the disks below each mounted filesystem, and collect its mounts in all namespaces."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from snap_self.disks import btrfs, overlay
from snap_self.disks.blocks import Block
from snap_self.disks.kinds import BackingFile
from snap_self.disks.mountinfo import MountLine, options
from snap_self.disks.mounts import MountTable
from snap_self.disks.names import DeviceNames
from snap_self.disks.stack import MAX_LAYERS, Below, Stack, joined
from snap_self.errors import TopologyError
from snap_self.model.disks import BTRFS_KEY, MOUNT, Layer, Mount

OVERLAY = "overlay"
BTRFS = "btrfs"
BCACHEFS = "bcachefs"

# Superblock options that name an additional device holding part of the filesystem.
# Source: xfs(5).
_DEVICE_OPTIONS = frozenset({"logdev", "rtdev"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Superblock:
    """One mounted filesystem and all lines that mount it.

    Args:
        first: the line that describes it best.
        namespace: the mount namespace of that line; None for the agent's own.
        placed: each line with the namespace it was seen in.
    """

    key: str
    first: MountLine
    namespace: int | None
    placed: Sequence[tuple[MountLine, MountTable]]

    @property
    def read_only(self) -> bool:
        """Whether nothing can be written to it through any mount."""
        # Nearly all have a writable first mount, so the rest is rarely looked at. There can be
        # thousands of filesystems.
        return self.first.read_only and all(line.nothing_to_write for line, _ in self.placed)

    def mounts(self) -> tuple[Mount, ...]:
        """Return its mounts, those best suited for opening first."""
        placed = self.placed if len(self.placed) == 1 else sorted(self.placed, key=_fitness)
        return tuple([_mount(line, table) for line, table in placed])


class Superblocks:
    """The mounted filesystems of a machine, each resolved once.

    Args:
        tables: the agent's own namespace first.
        btrfs_told: device number of a mount to the id of its btrfs.
        journals: block device of a filesystem to the other device that holds its journal.
    """

    def __init__(
        self,
        tables: Sequence[MountTable],
        blocks: Mapping[str, Block],
        *,
        names: DeviceNames,
        btrfs_members: Mapping[str, frozenset[str]],
        btrfs_told: Mapping[str, str],
        journals: Mapping[str, str],
    ) -> None:
        self._own = tables[0]
        self._names = names
        self._by_devno = {block.devno: name for name, block in blocks.items()}
        self._btrfs_members = btrfs_members
        self._journals = journals
        self.stack = Stack(blocks, self.image_below)
        by_devno = _by_devno(tables)
        self._fsids = btrfs.assign(btrfs_members, self._btrfs_sources(by_devno), btrfs_told)
        self._known: dict[str, Below] = {}
        self._known_mounts: dict[int, Below] = {}
        self._open: set[str] = set()
        self.unresolved: dict[str, str] = {}
        self.all = {devno: self._superblock(devno, placed) for devno, placed in by_devno.items()}

    @cached_property
    def untied(self) -> Collection[str]:
        """The ids of the btrfs to which no mount could be matched."""
        return frozenset(self._btrfs_members) - frozenset(self._fsids.values())

    def members_of(self, fsid: str) -> Collection[str]:
        """Return the block devices of a btrfs."""
        return self._btrfs_members[fsid]

    def device_of(self, superblock: Superblock) -> str | None:
        """Return the block device with the filesystem's device number; None if there is none."""
        return self._by_devno.get(superblock.first.devno)

    def below(self, superblock: Superblock) -> Below:
        """Return the disks below a filesystem; none for those without block devices.

        Raises:
            TopologyError: as ``Stack.below``.
        """
        devno = superblock.first.devno
        if devno in self._known:
            return self._known[devno]
        if devno in self._open:  # an overlay in its own layer: the other layers decide
            return Below()
        if len(self._open) >= MAX_LAYERS:
            raise TopologyError(
                f"overlays lie on each other more than {MAX_LAYERS} deep, last at "
                f"{superblock.first.path}",
                hint="look at the overlay lines in /proc/self/mountinfo",
            )
        self._open.add(devno)
        try:
            result = self._walk(superblock)
        finally:
            self._open.discard(devno)
        self._known[devno] = result
        return result

    def file_below(self, path: str, without: Collection[str] = ()) -> Below:
        """Return what lies below a file of the agent's own namespace.

        Args:
            without: device numbers whose mounts are ignored.
        """
        line = self._own.find(path, without={*without, *self._open})
        return Below() if line is None else self._below_mount(line)

    def image_below(self, image: BackingFile, without: Collection[str] = ()) -> Below:
        """Return what lies below the image of a loop device.

        Its name belongs to the namespace in which the device was set up, so the kernel's device
        number of its filesystem decides.

        Args:
            without: device numbers whose mounts are ignored if only the name is known.
        """
        if not image.devno:
            return self.file_below(image.path, without)
        if superblock := self.all.get(image.devno):
            return self._below_mount(superblock.first)
        if name := self._by_devno.get(image.devno):  # on a filesystem that is mounted nowhere
            return self.stack.below(name)
        for each in self.all.values():
            for line, _ in each.placed:
                if line.mount_id == image.mount_id:
                    return self._below_mount(line)
        # A subvolume of an unknown btrfs: it could lie on any of them.
        return joined(
            [
                self._below_mount(each.first)
                for each in self.all.values()
                if each.first.fstype == BTRFS and each.first.devno not in self._open
            ]
        )

    def carrier_of(self, image: BackingFile) -> str:
        """Return the type of the filesystem that holds the image of a loop device; or nothing."""
        if image.devno:
            superblock = self.all.get(image.devno)
            return superblock.first.fstype if superblock else ""
        line = self._own.find(image.path)
        return line.fstype if line else ""

    def joins_devices(self, superblock: Superblock) -> bool:
        """Return whether the filesystem itself, not a volume below it, joins disks."""
        disks = self.below(superblock).disks
        return all(self.stack.below(name).disks != disks for name in self._devices(superblock))

    def title(self, line: MountLine) -> str:
        """Return what a filesystem over several devices is called as a kind of volume."""
        if line.fstype in (BTRFS, BCACHEFS):
            return line.fstype
        return "xfs-log" if line.fstype == "xfs" else f"{line.fstype}-journal"

    def _walk(self, superblock: Superblock) -> Below:
        line = superblock.first
        if line.fstype == OVERLAY:
            layers = self._own.below_any(overlay.layers(line), without=self._open)
            parts = [self._below_mount(mount) for mount in layers]
        else:
            parts = [self.stack.below(name) for name in self._devices(superblock)]
        return parts[0] if len(parts) == 1 else joined(parts)

    def _below_mount(self, line: MountLine) -> Below:
        """Return what lies below a file on a mount."""
        if known := self._known_mounts.get(line.mount_id):
            return known
        superblock = self.all[line.devno]
        mount = Layer(kind=MOUNT, name=line.path)
        result = Below(
            ways=self.below(superblock).under(mount), carriers=frozenset({superblock.key})
        )
        if line.devno in self._known:  # and not being walked right now
            self._known_mounts[line.mount_id] = result
        return result

    def _devices(self, superblock: Superblock) -> Iterable[str]:
        """Return the block devices that a filesystem lies on directly."""
        line = superblock.first
        if line.fstype == BTRFS and line.devno in self._fsids:
            return sorted(self._btrfs_members[self._fsids[line.devno]])
        own = self._by_devno.get(line.devno)
        found = {own, self._journals.get(own or "")}
        for part in _sources(line):
            name = self._names.find(part)
            if name is None and line.fstype == BCACHEFS:
                self.unresolved[line.devno] = part
            found.add(name)
        if line.fstype == "xfs":
            found.update(self._named(superblock))
        return sorted(name for name in found if name)

    def _named(self, superblock: Superblock) -> Iterable[str]:
        """Yield the additional devices that the options name; note one that cannot be found."""
        for option, name in options(superblock.first):
            if option in _DEVICE_OPTIONS:
                device = self._names.named_by_mount(name, superblock.namespace)
                if device is None:
                    self.unresolved[superblock.first.devno] = name
                else:
                    yield device

    def _btrfs_sources(
        self, by_devno: Mapping[str, Sequence[tuple[MountLine, MountTable]]]
    ) -> dict[str, list[str]]:
        sources: dict[str, list[str]] = {}
        for devno, placed in by_devno.items():
            if placed[0][0].fstype == BTRFS:
                names = {self._names.find(line.source) for line, _ in placed}
                sources[devno] = sorted(name for name in names if name)
        return sources

    def _superblock(self, devno: str, placed: Sequence[tuple[MountLine, MountTable]]) -> Superblock:
        fsid = self._fsids.get(devno)
        line, table = placed[0] if len(placed) == 1 else min(placed, key=_fitness)
        return Superblock(
            key=BTRFS_KEY + fsid if fsid else devno,
            first=line,
            namespace=table.namespace,
            placed=placed,
        )


def _by_devno(
    tables: Sequence[MountTable],
) -> dict[str, list[tuple[MountLine, MountTable]]]:
    grouped: dict[str, list[tuple[MountLine, MountTable]]] = {}
    for table in tables:
        for line in table.lines:
            grouped.setdefault(line.devno, []).append((line, table))
    return grouped


def _sources(line: MountLine) -> list[str]:
    """Return the device names in the source field, if the kernel itself writes devices there.

    For other filesystem types without a device number the source is any text given at mount time.
    bcachefs joins its members with colons.
    """
    if line.fstype == BCACHEFS:
        return line.source.split(":")
    return [line.source] if line.fstype == BTRFS and line.source.startswith("/dev/") else []


def _fitness(entry: tuple[MountLine, MountTable]) -> tuple[bool, bool, bool]:
    """Return a sort key: own namespace, not hidden, surely a directory."""
    line, table = entry
    # A bind mount's root may be a file; a btrfs subvolume's is always a directory.
    maybe_file = line.root != "/" and line.fstype != BTRFS
    return table.namespace is not None, line.mount_id in table.hidden, maybe_file


def _mount(line: MountLine, table: MountTable) -> Mount:
    return Mount(
        mount_id=line.mount_id,
        path=line.path,
        fstype=line.fstype,
        root=line.root,
        read_only=line.read_only,
        namespace=table.namespace,
        hidden=line.mount_id in table.hidden,
        pid=table.pid,
    )
