"""What is done to a copy's devices, in a process of its own that may hang without harm.

What cannot be done raises ``Trouble``, and then nothing is mounted.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import ExitStack, suppress
from typing import NamedTuple

from snap_self.system.opening import kernel, magics, stacked
from snap_self.system.opening.held import Disk, Grip, NotTemporary
from snap_self.system.opening.mounting import Mounted, NoSubvolume, mount
from snap_self.system.opening.signs import signs_on
from snap_self.system.opening.superblocks import JOINED, TABLES, Kind, Magic, as_unmounted, family
from snap_self.system.opening.tables import Partition, partitions

# What filesystems say of what they cannot read.
_DAMAGE = (errno.EUCLEAN, errno.EINVAL, errno.EIO, errno.EBADMSG)

_AROUND = TABLES | {Kind.LVM}

BUSY, UNLIKE, DAMAGED, FAILED = "busy", "unlike", "damaged", "failed"


class Trouble(Exception):
    """Why a copy is not opened.

    Args:
        kind: ``BUSY``, ``UNLIKE``, ``DAMAGED`` or ``FAILED``.
        told: the kernel's own words; may be empty.
    """

    def __init__(self, kind: str, message: str, told: str = "") -> None:
        super().__init__(message)
        self.kind = kind
        self.told = told


class Order(NamedTuple):
    """What is to be opened.

    Args:
        disks: device node of each temporary disk, and how it is known again.
        fstype: of the original.
        partition: its start and length in bytes; None for the whole device.
        subvolume: path from the top of a btrfs; empty for the top.
        at: visible mount point; empty for none.
        volume: device node of a logical volume on the disks; empty if there is none.
        labels: device nodes of the physical volumes that the disks hold.
        old_calls: mount as kernels before Linux 5.2 must.
        only_checked: do not mount it.
    """

    disks: Mapping[str, Disk]
    fstype: str
    partition: tuple[int, int] | None = None
    subvolume: str = ""
    at: str = ""
    volume: str = ""
    labels: Sequence[str] = ()
    old_calls: bool = False
    only_checked: bool = False


class Done(NamedTuple):
    """What was opened.

    Args:
        device: what is mounted.
        loops: loop devices made for it; they end with their last user.
        taken: what was zeroed on the device.
        shown: offset and bytes of what its checker is to see otherwise than it is.
        hidden: no reboot can find it.
        sealed: the kernel refuses writes to it.
    """

    mounted: Mounted
    device: str
    loops: tuple[str, ...]
    taken: tuple[Magic, ...]
    hidden: bool
    sealed: bool
    shown: tuple[tuple[int, bytes], ...] = ()


def open_copy(grip: Grip, order: Order) -> Done:
    """Mount the copy, take from its disks what would be found, and forbid writes to it.

    Args:
        grip: gets hold of the disks.

    Raises:
        Trouble: it cannot be opened.
    """
    for node, disk in order.disks.items():
        hold_unused(grip, node, disk, free=not order.volume)
    unseal(grip, order.disks)  # as a process that was killed may have left it
    try:
        device, loops = _device(grip, order)
        # Its name must still be its own when the kernel mounts it.
        _keep(grip, device)
        found, shown = _found_on(grip, device, order.fstype)
        around = _found_around(grip, device, order)
        mounted = _held(grip, device) if order.only_checked else _mount(order, device)
        with ExitStack() as undo:
            undo.callback(mounted.undo)
            hidden = _hide(grip, {device: found, **around})
            # A loop device would keep this after a kill, for its next user.
            sealed = seal(grip, (*(() if loops else (device,)), *order.labels, *order.disks))
            undo.pop_all()
    finally:
        kernel.release_loops()
    return Done(
        mounted=mounted,
        device=device,
        loops=loops,
        taken=found,
        hidden=hidden,
        sealed=sealed,
        shown=shown,
    )


def hold_unused(grip: Grip, node: str, disk: Disk, *, free: bool) -> None:
    """Hold a disk; refuse one that is another by now, or that somebody uses.

    Args:
        free: it must be unused.

    Raises:
        Trouble: as it says.
    """
    try:
        grip.hold(node, disk)
        users = stacked.users_of(node) if free else ()
        if users or (free and not grip.is_free(node)):
            raise Trouble(BUSY, f"{node} is in use: {', '.join(users) or 'somebody holds it'}")
    except NotTemporary as error:
        raise Trouble(UNLIKE, f"{node} is another device than a moment ago") from error
    except OSError as error:
        raise failed(f"{node} cannot be looked at", error) from error


def failed(message: str, error: OSError) -> Trouble:
    """Return the trouble that a failed call means."""
    return Trouble(FAILED, f"{message}: {error.strerror or type(error).__name__}")


def _keep(grip: Grip, device: str) -> None:
    try:
        grip.keep(device)
    except NotTemporary as error:
        raise Trouble(UNLIKE, f"{device} does not stand on the temporary disks alone") from error
    except OSError as error:
        raise failed(f"{device} cannot be opened", error) from error


def _device(grip: Grip, order: Order) -> tuple[str, tuple[str, ...]]:
    """Return the device that holds the filesystem, and the loop devices made for it."""
    if order.volume:
        return order.volume, ()
    (disk,) = order.disks
    if order.partition is None:
        return disk, ()
    start, length = order.partition
    try:
        with grip.opened(disk, write=True) as fd:
            kernel.drop_cache(fd)
            table = partitions(magics.read_from(fd), kernel.sector_size_of(fd))
            if Partition(start=start, length=length) not in table:
                raise Trouble(
                    UNLIKE,
                    f"the copy has no partition of {length} bytes at {start}, as the original has",
                )
            if node := stacked.partition_nodes(stacked.name_of(disk)).get((start, length)):
                return node, ()
            loop = kernel.attach_loop(fd, start, length)
    except OSError as error:
        raise failed(f"the partition on {disk} cannot be opened", error) from error
    return loop, (loop,)


def _found_on(
    grip: Grip, device: str, fstype: str
) -> tuple[tuple[Magic, ...], tuple[tuple[int, bytes], ...]]:
    """Return the magics of the filesystem on a device, which must be one of that type alone.

    Also what of it is to be seen as in an unmounted one.
    """
    wanted = family(fstype)
    try:
        with grip.opened(device) as fd:
            found = magics.signatures(fd)
            shown = as_unmounted(wanted, magics.read_from(fd)) if wanted else ()
    except OSError as error:
        raise failed(f"{device} cannot be read", error) from error
    kinds = {each.kind for each in found}
    if wanted is None or wanted not in kinds or kinds & JOINED:
        there = ", ".join(sorted(kind.value for kind in kinds)) or "nothing that is known"
        raise Trouble(UNLIKE, f"the copy holds {there} where the original has {fstype}")
    if any(each.members > 1 for each in found if each.kind is wanted):
        raise Trouble(UNLIKE, f"the {fstype} of the copy has a part on another device")
    # Nothing else: what looks like another magic may be the content of a file.
    return tuple(magic for each in found if each.kind is wanted for magic in each.magics), shown


def _held(grip: Grip, device: str) -> Mounted:
    """Hold a device that is not mounted: a loop device would go with its last user."""
    try:
        with grip.opened(device) as fd:
            return Mounted(root=os.dup(fd), at="", follows_links=False, old_calls=False)
    except OSError as error:
        raise failed(f"{device} cannot be opened", error) from error


def _mount(order: Order, device: str) -> Mounted:
    if family(order.fstype) is Kind.BTRFS:
        kernel.forget_btrfs(device)
    try:
        return mount(device, order.fstype, order.subvolume, order.at, old_calls=order.old_calls)
    except NoSubvolume as error:
        raise Trouble(UNLIKE, f"the copy has no subvolume {order.subvolume}") from error
    except kernel.MountRefused as error:
        raise Trouble(
            DAMAGED if error.errno in _DAMAGE else FAILED,
            f"the kernel does not mount the copy's {order.fstype}: {error.strerror}",
            error.told,
        ) from error
    except OSError as error:
        if error.errno == errno.ENODEV:
            raise Trouble(
                FAILED,
                f"the running kernel has no {order.fstype}: an upgrade may have removed its module",
            ) from error
        raise failed(f"the copy's {order.fstype} cannot be opened", error) from error


def _found_around(grip: Grip, device: str, order: Order) -> dict[str, tuple[Magic, ...]]:
    """Return device node to magics of the tables, labels and swap areas around the filesystem."""
    try:
        return {
            node: found_on_disk(grip, node, _AROUND)
            for node in (*order.labels, *order.disks)
            if node != device
        }
    except OSError as error:
        raise failed("the copy's disk cannot be read", error) from error


def _hide(grip: Grip, found: Mapping[str, Sequence[Magic]]) -> bool:
    """Zero all by which the copy would be found; return whether the kernel let us."""
    hidden = True
    try:
        for node, there in found.items():
            hidden &= magics.zero(grip, node, there)
    except OSError as error:
        raise failed("the copy's disk cannot be written to", error) from error
    return hidden


def found_on_disk(grip: Grip, node: str, kinds: Collection[Kind]) -> tuple[Magic, ...]:
    """Return the magics of these kinds on a disk, and of the swap areas in its partitions.

    Raises:
        OSError: the disk fails, or is no temporary one.
    """
    with grip.opened(node) as fd:
        return magics.of_disk(fd, kinds)


def seal(grip: Grip, nodes: Iterable[str]) -> bool:
    """Forbid writes to devices; return whether the kernel did all of it."""
    sealed = True
    for node in nodes:
        try:
            with grip.opened(node) as fd:
                kernel.set_read_only(fd, on=True)
        except OSError:
            sealed = False
    return sealed


def unseal(grip: Grip, nodes: Iterable[str]) -> None:
    """Allow writes again: a loop device would keep it for its next user."""
    for node in nodes:
        with suppress(OSError), grip.opened(node) as fd:
            kernel.set_read_only(fd, on=False)


def physical_volumes(grip: Grip, disks: Mapping[str, Disk]) -> list[str]:
    """Return the device nodes on these disks that are physical volumes of LVM.

    Args:
        grip: gets hold of the disks.

    Raises:
        Trouble: a disk is in use, or cannot be read.
    """
    found = []
    for disk, known in disks.items():
        hold_unused(grip, disk, known, free=True)
        nodes = (disk, *stacked.partition_nodes(stacked.name_of(disk)).values())
        try:
            for node in nodes:
                with grip.opened(node) as fd:
                    if any(each.kind is Kind.LVM for each in magics.signatures(fd)):
                        found.append(node)
        except OSError as error:
            raise failed(f"{disk} cannot be read", error) from error
    return found


def signs(grip: Grip) -> tuple[list[tuple[str, int | None]], list[str]]:
    """Return what a boot would find on the disks that are held, and where they are in use.

    Raises:
        OSError: one cannot be read.
    """
    found: list[tuple[str, int | None]] = []
    for node in grip.nodes:
        with grip.opened(node) as fd:
            kernel.drop_cache(fd)
            size, sector_size = kernel.size_of(fd), kernel.sector_size_of(fd)
            found += [
                (s.kind, s.mounted) for s in signs_on(magics.read_from(fd), size, sector_size)
            ]
    nodes = stacked.stack(grip.nodes)
    places = [mount.place for mount in stacked.mounts_of(nodes)]
    return found, places or [user for node in nodes for user in stacked.users_of(node)]
