"""Find the disks below each mounted filesystem, and gather its mounts in all namespaces."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from snap_self.disks import btrfs, overlay
from snap_self.disks.blocks import Block
from snap_self.disks.mountinfo import MountLine, options
from snap_self.disks.mounts import MountTable
from snap_self.disks.names import DeviceNames
from snap_self.disks.stack import ARROW, MAX_LAYERS, Below, Stack
from snap_self.errors import TopologyError
from snap_self.model.disks import Mount

OVERLAY = "overlay"
BTRFS = "btrfs"

# Superblock options that name a further device holding part of the filesystem.
# Source: xfs(5).
_DEVICE_OPTIONS = frozenset({"logdev", "rtdev"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Superblock:
    """One mounted filesystem and all lines that mount it.

    Args:
        first: the line that describes it best.
        placed: each line with the namespace it was seen in.
    """

    key: str
    first: MountLine
    placed: Sequence[tuple[MountLine, MountTable]]

    def mounts(self) -> tuple[Mount, ...]:
        """Return its mounts, those best fit for opening first."""
        placed = self.placed if len(self.placed) == 1 else sorted(self.placed, key=_fitness)
        return tuple(_mount(line, table) for line, table in placed)


class Superblocks:
    """The mounted filesystems of a machine, each resolved once.

    Args:
        tables: the agent's own namespace first.
        journals: block device of a filesystem to the other one that holds its journal.
    """

    def __init__(
        self,
        tables: Sequence[MountTable],
        blocks: Mapping[str, Block],
        *,
        names: DeviceNames,
        btrfs_members: Mapping[str, frozenset[str]],
        journals: Mapping[str, str],
    ) -> None:
        self._own = tables[0]
        self._names = names
        self._by_devno = {block.devno: name for name, block in blocks.items()}
        self._btrfs_members = btrfs_members
        self._journals = journals
        self.stack = Stack(blocks, self.file_below)
        by_devno = _by_devno(tables)
        self._fsids = btrfs.assign(btrfs_members, self._btrfs_sources(by_devno))
        self._known: dict[str, Below] = {}
        self._known_mounts: dict[int, Below] = {}
        self._open: set[str] = set()
        self.all = {devno: self._superblock(devno, placed) for devno, placed in by_devno.items()}

    def below(self, superblock: Superblock) -> Below:
        """Return the disks below a filesystem; none for those without block devices.

        Raises:
            TopologyError: as ``Stack.below``.
        """
        devno = superblock.first.devno
        if devno in self._known:
            return self._known[devno]
        if devno in self._open:  # an overlay in its own layer: the other layers tell
            return Below()
        if len(self._open) >= MAX_LAYERS:
            raise TopologyError(
                f"overlays lie on each other more than {MAX_LAYERS} deep, last at "
                f"{superblock.first.path}",
                hint="look at the overlay lines in /proc/self/mountinfo",
            )
        self._open.add(devno)
        try:
            result = self._walk(superblock.first)
        finally:
            self._open.discard(devno)
        self._known[devno] = result
        return result

    def file_below(self, path: str, without: Collection[str] = ()) -> Below:
        """Return what lies below a file of the agent's own namespace.

        Args:
            without: device numbers whose mounts are looked through.
        """
        line = self._own.find(path, without={*without, *self._open})
        return Below() if line is None else self._below_mount(line)

    def joins_devices(self, superblock: Superblock) -> bool:
        """Return whether the filesystem itself, not a volume below it, makes disks one."""
        disks = self.below(superblock).disks
        return all(
            self.stack.below(name).disks != disks for name in self._devices(superblock.first)
        )

    def title(self, line: MountLine) -> str:
        """Return the kind of volume that a filesystem over several devices is."""
        if line.fstype in (BTRFS, "bcachefs"):
            return line.fstype
        return "xfs-log" if line.fstype == "xfs" else f"{line.fstype}-journal"

    def _walk(self, line: MountLine) -> Below:
        if line.fstype == OVERLAY:
            layers = self._own.below_any(overlay.layers(line), without=self._open)
            parts = [self._below_mount(mount) for mount in layers]
        else:
            parts = [self.stack.below(name) for name in self._devices(line)]
        if len(parts) == 1:
            return parts[0]
        chains: dict[str, str] = {}
        for part in parts:
            for disk, way in part.chains.items():
                chains.setdefault(disk, way)
        return Below(chains=chains, carriers=frozenset().union(*(p.carriers for p in parts)))

    def _below_mount(self, line: MountLine) -> Below:
        """Return what lies below a file of a mount of the agent's own namespace."""
        if known := self._known_mounts.get(line.mount_id):
            return known
        superblock = self.all[line.devno]
        way = self.below(superblock)
        result = Below(
            chains={disk: line.path + ARROW + rest for disk, rest in way.chains.items()},
            carriers=frozenset({superblock.key}),
        )
        if line.devno in self._known:  # and not in the middle of being walked
            self._known_mounts[line.mount_id] = result
        return result

    def _devices(self, line: MountLine) -> Iterable[str]:
        """Return the block devices that a filesystem lies on itself."""
        if line.fstype == BTRFS and line.devno in self._fsids:
            return sorted(self._btrfs_members[self._fsids[line.devno]])
        own = self._by_devno.get(line.devno)
        found = {own, self._journals.get(own or "")}
        if line.devno.startswith("0:"):
            found.update(self._names.find(part) for part in _sources(line))
        if line.fstype == "xfs":
            found.update(self._names.find(v) for n, v in options(line) if n in _DEVICE_OPTIONS)
        return sorted(name for name in found if name)

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
        return Superblock(
            key=f"btrfs:{fsid}" if fsid else devno,
            first=placed[0][0] if len(placed) == 1 else min(placed, key=_fitness)[0],
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
    """Return the device names in the source field; bcachefs joins its members with colons."""
    if line.fstype == "bcachefs":
        return line.source.split(":")
    return [line.source] if line.source.startswith("/dev/") else []


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
