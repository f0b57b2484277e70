"""Understand a machine's storage: from the kernel's text to disks, filesystems and spans."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from snap_self.disks import fstypes, namespaces
from snap_self.disks.alive import unseen
from snap_self.disks.blocks import read_blocks
from snap_self.disks.btrfs import members_by_fsid, told_ids
from snap_self.disks.journals import hidden_journals, outer_journals
from snap_self.disks.kinds import Device
from snap_self.disks.names import DeviceNames
from snap_self.disks.stack import Stack, joined
from snap_self.disks.superblocks import OVERLAY, Superblock, Superblocks
from snap_self.disks.swaps import parse_swaps
from snap_self.model.disks import (
    MOUNT,
    Doubt,
    Filesystem,
    Layer,
    Layout,
    LocalDisk,
    NotCovered,
    Span,
)
from snap_self.model.machine import MachineText

SWAPS = "proc/swaps"


def read_layout(machine: MachineText) -> Layout:
    """Return the machine's storage.

    Raises:
        TopologyError: the text is not as the kernel writes it, or describes something impossible.
    """
    blocks = read_blocks(machine)
    names = DeviceNames(blocks, machine)
    superblocks = Superblocks(
        namespaces.mount_tables(machine),
        blocks,
        names=names,
        btrfs_members=members_by_fsid(machine),
        btrfs_told=told_ids(machine),
        journals=outer_journals(machine, blocks),
    )
    stack = superblocks.stack
    filesystems = _filesystems(superblocks)
    paths = _paths(stack)
    devices = {
        alias: stack.below(paths.get(name, name)).disks for alias, name in names.aliases().items()
    }
    return Layout(
        disks=_whole_disks(superblocks, paths),
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
        why_elsewhere=dict(_why_elsewhere(superblocks, filesystems)),
        unseen=tuple(unseen(machine, superblocks)),
        doubts=tuple(_doubts(machine, superblocks)),
    )


def _filesystems(superblocks: Superblocks) -> dict[str, Filesystem]:
    found = {}
    for superblock in superblocks.all.values():
        below = superblocks.below(superblock)
        if not below.ways:
            continue
        line = superblock.first
        mount = Layer(kind=MOUNT, name=line.path)
        found[superblock.key] = Filesystem(
            key=superblock.key,
            fstype=line.fstype,
            source=line.source,
            mounts=superblock.mounts(),
            disks=below.disks,
            ways=tuple([way for _, way in sorted(below.under(mount).items())]),
            parents=below.carriers,
            devno=line.devno,
            read_only=superblock.read_only,
        )
    return found


def _paths(stack: Stack) -> dict[str, str]:
    """Return each additional path of a multipath disk to the path that represents the disk."""
    paths = {}
    for name, device in stack.devices.items():
        if device.one_of_paths and len(kept := stack.below(name).disks) == 1:
            paths.update(dict.fromkeys(set(device.lower) - kept, min(kept)))
    return paths


def _whole_disks(superblocks: Superblocks, paths: Mapping[str, str]) -> dict[str, LocalDisk]:
    """Return the devices that lie on nothing else and hold anything at all."""
    stack = superblocks.stack
    return {
        name: _local_disk(device, superblocks.carrier_of(device.backing) if device.backing else "")
        for name, device in stack.devices.items()
        if stack.below(name).disks == {name}
        and name not in paths
        and (device.block.size_bytes or device.block.serial)
    }


def _local_disk(device: Device, carried_by: str) -> LocalDisk:
    block = device.block
    return LocalDisk(
        name=block.name,
        devno=block.devno,
        size_bytes=block.size_bytes,
        serial=block.serial,
        serial_from=block.serial_from,
        kind=device.kind,
        carried_by=carried_by,
    )


def _device_spans(stack: Stack) -> Iterable[Span]:
    """Yield each volume that joins disks, not the volumes that only lie on one."""
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
    for devno, name in superblocks.unresolved.items():
        superblock = superblocks.all[devno]
        yield Span(
            kind=superblocks.title(superblock.first),
            name=superblock.first.path,
            disks=superblocks.below(superblock).disks,
            unknown=name,
        )
    for fsid in superblocks.untied:
        members = superblocks.members_of(fsid)
        disks = joined([superblocks.stack.below(member) for member in members]).disks
        if len(disks) > 1:
            yield Span(kind="btrfs", name=fsid, disks=disks)


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
        if line.fstype in fstypes.PSEUDO or superblocks.below(superblock).ways:
            continue
        if line.fstype == OVERLAY and not _is_own(superblock):
            continue  # its layers are paths of a namespace that cannot be asked
        yield NotCovered(
            what=_place(superblock),
            kind=line.fstype,
            why=_why_nowhere(superblock, superblocks),
            data_at_risk=True,
            left_out=_is_on_devices(superblock) and not superblock.read_only,
            paths=tuple(m.path for m in superblock.mounts() if m.namespace is None),
        )
    unread = [why for path, why in machine.failures.items() if path.startswith(namespaces.FOLDER)]
    if unread:
        yield NotCovered(
            what=f"mounts seen by {len(unread)} other process(es)",
            kind="namespace",
            why=f"their mount namespace could not be read: {unread[0]}",
            data_at_risk=False,
        )


def _doubts(machine: MachineText, superblocks: Superblocks) -> Iterable[Doubt]:
    hidden = hidden_journals(machine)
    for superblock in superblocks.all.values():
        fstype = superblock.first.fstype
        if fstype in fstypes.SEVERAL_DEVICES:
            why = f"nothing tells whether this {fstype} lies on further devices"
        elif hidden and superblocks.device_of(superblock) in hidden:
            why = (
                "whether its journal lies on a device of its own cannot be told, since its thread "
                "is not visible here"
            )
        else:
            continue
        if disks := superblocks.below(superblock).disks:
            yield Doubt(what=_place(superblock), why=why, disks=disks)


def _why_nowhere(superblock: Superblock, superblocks: Superblocks) -> str:
    devno = superblock.first.devno
    if not devno.startswith("0:") and superblocks.device_of(superblock) is None:
        return f"its device {devno} is not there any more"
    return fstypes.why_not_covered(superblock.first.fstype)


def _is_on_devices(superblock: Superblock) -> bool:
    """Tell whether a filesystem lies on block devices, though on which is not known.

    One of another namespace alone cannot be named, so it could not be excluded either.
    """
    line = superblock.first
    on_devices = line.fstype in fstypes.ON_DEVICES or not line.devno.startswith("0:")
    return on_devices and _is_own(superblock)


def _why_elsewhere(
    superblocks: Superblocks, filesystems: Mapping[str, Filesystem]
) -> Iterable[tuple[int, str]]:
    for superblock in superblocks.all.values():
        if superblock.key in filesystems or superblock.first.fstype in fstypes.PSEUDO:
            continue
        why = _why_nowhere(superblock, superblocks)
        for mount in superblock.mounts():
            if mount.namespace is None:
                yield mount.mount_id, why


def _is_own(superblock: Superblock) -> bool:
    return superblock.mounts()[0].namespace is None


def _place(superblock: Superblock) -> str:
    mount = superblock.mounts()[0]
    if mount.namespace is None:
        return mount.path
    return f"{mount.path} (in mount namespace {mount.namespace})"
