"""Zeroes the few bytes by which a copy would be found, and nothing else.

What holds the copy's content stays. A reboot while the copy is attached then finds one filesystem
of that id, the original.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Collection, Iterable, Sequence

from snap_self.system.opening import kernel
from snap_self.system.opening.held import Grip
from snap_self.system.opening.superblocks import Kind, Magic, Read, Signature, probe
from snap_self.system.opening.tables import partitions

_FORBIDDEN = (errno.EPERM, errno.EACCES, errno.EROFS)


def read_from(fd: int) -> Read:
    """Return a reader of an open device."""

    def read(offset: int, length: int) -> bytes:
        return os.pread(fd, length, offset)

    return read


def look(fd: int) -> tuple[Signature, ...]:
    """Return what is recognised on an open block device, which may be the original's."""
    return probe(read_from(fd), kernel.size_of(fd))


def signatures(fd: int) -> tuple[Signature, ...]:
    """Return what stands on an open block device now, whatever the kernel remembers of it."""
    kernel.drop_cache(fd)
    return look(fd)


def of_disk(fd: int, kinds: Collection[Kind]) -> tuple[Magic, ...]:
    """Return the magics of these kinds on a whole disk, and of the swap areas in its partitions."""
    read = read_from(fd)
    found = [magic for each in signatures(fd) if each.kind in kinds for magic in each.magics]
    for partition in partitions(read, kernel.sector_size_of(fd)):
        here = partition.start

        def inside(offset: int, length: int, start: int = here) -> bytes:
            return read(start + offset, length)

        for each in _only_swap(probe(inside, partition.length)):
            found += [Magic(offset=here + m.offset, value=m.value) for m in each.magics]
    return tuple(found)


def _only_swap(found: Sequence[Signature]) -> Sequence[Signature]:
    """Return the signature of a swap area; none where it may be the content of a file."""
    return found if [each.kind for each in found] == [Kind.SWAP] else ()


def zero(grip: Grip, node: str, magics: Sequence[Magic]) -> bool:
    """Zero those of the magics that stand there now; return False where the kernel forbids it.

    The kernel's cache of the device is dropped first: a filesystem that writes past it, as xfs
    and btrfs do, would get old content back around the zeroes.

    Raises:
        OSError: the disk fails, or is no temporary one.
    """
    if not magics:
        return True
    try:
        with grip.opened(node, write=True) as fd:
            kernel.drop_cache(fd)
            for magic in magics:
                if os.pread(fd, len(magic.value), magic.offset) == magic.value:
                    _write(fd, bytes(len(magic.value)), magic.offset)
            os.fsync(fd)
    except OSError as error:
        if error.errno in _FORBIDDEN:
            return False
        raise
    return True


def _write(fd: int, data: bytes, offset: int) -> None:
    if os.pwrite(fd, data, offset) != len(data):
        raise OSError(errno.EIO, os.strerror(errno.EIO))


def remain(grip: Grip, nodes: Iterable[str]) -> tuple[str, ...]:
    """Return those devices on which something can still be found."""
    left = []
    for node in nodes:
        with grip.opened(node) as fd:
            if signatures(fd):
                left.append(node)
    return tuple(left)
