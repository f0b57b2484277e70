"""Understand a machine's storage: from the kernel's text to disks, filesystems and spans."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from snap_self.disks import fstypes, namespaces
from snap_self.disks.blocks import Block, read_blocks
from snap_self.disks.btrfs import members_by_fsid
from snap_self.disks.journals import outer_journals
from snap_self.disks.names import DeviceNames
from snap_self.disks.stack import Stack
from snap_self.disks.superblocks import OVERLAY, Superblock, Superblocks
from snap_self.disks.swaps import parse_swaps
from snap_self.model.disks import Filesystem, Layout, LocalDisk, NotCovered, Span
from snap_self.model.machine import MachineText

SWAPS = "proc/swaps"


def read_layout(machine: MachineText) -> Layout:
    """Return the machine's storage.

    Raises:
        TopologyError: the text is not what the kernel writes, or describes something impossible.
    """
    blocks = read_blocks(machine)
    names = DeviceNames(blocks, machine.links)
    superblocks = Superblocks(
        namespaces.mount_tables(machine),
        blocks,
        names=names,
        btrfs_members=members_by_fsid(machine),
        journals=outer_journals(machine, blocks),
    )
    stack = superblocks.stack
    filesystems = _filesystems(superblocks)
    paths = _paths(stack)
    devices = {
        alias: stack.below(paths.get(name, name)).disks for alias, name in names.aliases().items()
    }
    return Layout(
        disks=_whole_disks(stack, paths),
        filesystems=filesystems,
        spans=(*_device_spans(stack), *_filesystem_spans(superblocks, filesystems)),
        swaps=_swaps(machine.files.get(SWAPS, ""), superblocks, devices),
        devices=devices,
        not_covered=tuple(_not_covered(machine, superblocks)),
        elsewhere=tuple(
            mount
            for superblock in superblocks.all.values()
            if superblock.key not in filesystems
            for mount in superblock.mounts()
            if mount.namespace is None
        ),
    )


def _filesystems(superblocks: Superblocks) -> dict[str, Filesystem]:
    found = {}
    for superblock in superblocks.all.values():
        below = superblocks.below(superblock)
        if not below.chains:
            continue
        line = superblock.first
        found[superblock.key] = Filesystem(
            key=superblock.key,
            fstype=line.fstype,
            source=line.source,
            mounts=superblock.mounts(),
            disks=below.disks,
            chain=tuple(f"{line.path} ← {below.chains[disk]}" for disk in sorted(below.chains)),
            parents=below.carriers,
            devno=line.devno,
        )
    return found


def _paths(stack: Stack) -> dict[str, str]:
    """Return each further path of a multipath disk to the path that stands for the disk."""
    paths = {}
    for name, device in stack.devices.items():
        if device.one_of_paths and len(kept := stack.below(name).disks) == 1:
            paths.update(dict.fromkeys(set(device.lower) - kept, min(kept)))
    return paths


def _whole_disks(stack: Stack, paths: Mapping[str, str]) -> dict[str, LocalDisk]:
    """Return the devices that lie on nothing else and hold anything at all."""
    return {
        name: _local_disk(device.block, device.kind)
        for name, device in stack.devices.items()
        if stack.below(name).disks == {name}
        and name not in paths
        and (device.block.size_bytes or device.block.serial)
    }


def _local_disk(block: Block, kind: str) -> LocalDisk:
    return LocalDisk(
        name=block.name,
        devno=block.devno,
        size_bytes=block.size_bytes,
        serial=block.serial,
        serial_from=block.serial_from,
        kind=kind,
    )


def _device_spans(stack: Stack) -> Iterable[Span]:
    """Yield each volume that joins disks, not those that merely lie on such a one."""
    for name, device in stack.devices.items():
        disks = stack.below(name).disks
        if len(disks) > 1 and all(stack.below(lower).disks != disks for lower in device.lower):
            if device.kind == "loop":  # what its image lies on is a span already
                continue
            yield Span(kind=device.kind, name=device.label, disks=disks)


def _filesystem_spans(
    superblocks: Superblocks, filesystems: Mapping[str, Filesystem]
) -> Iterable[Span]:
    for superblock in superblocks.all.values():
        filesystem = filesystems.get(superblock.key)
        if filesystem is None or len(filesystem.disks) < 2 or filesystem.fstype == OVERLAY:
            continue
        if superblocks.joins_devices(superblock):
            yield Span(
                kind=superblocks.title(superblock.first),
                name=superblock.first.path,
                disks=filesystem.disks,
            )


def _swaps(
    text: str, superblocks: Superblocks, devices: Mapping[str, frozenset[str]]
) -> dict[str, frozenset[str]]:
    areas = {}
    for area in parse_swaps(text):
        if area.is_file:
            areas[area.path] = superblocks.file_below(area.path).disks
        else:
            areas[area.path] = devices.get(area.path.removeprefix("/dev/"), frozenset())
    return areas


def _not_covered(machine: MachineText, superblocks: Superblocks) -> Iterable[NotCovered]:
    for superblock in superblocks.all.values():
        line = superblock.first
        if line.fstype in fstypes.PSEUDO or superblocks.below(superblock).chains:
            continue
        if line.fstype == OVERLAY and not _is_own(superblock):
            continue  # its layers are paths of a namespace that cannot be asked
        yield NotCovered(
            what=_place(superblock),
            kind=line.fstype,
            why=fstypes.why_not_covered(line.fstype),
            data_at_risk=True,
        )
    unread = [why for path, why in machine.failures.items() if path.startswith(namespaces.FOLDER)]
    if unread:
        yield NotCovered(
            what=f"mounts seen by {len(unread)} other process(es)",
            kind="namespace",
            why=f"their mount namespace could not be read: {unread[0]}",
            data_at_risk=False,
        )


def _is_own(superblock: Superblock) -> bool:
    return superblock.mounts()[0].namespace is None


def _place(superblock: Superblock) -> str:
    mount = superblock.mounts()[0]
    if mount.namespace is None:
        return mount.path
    return f"{mount.path} (in mount namespace {mount.namespace})"
