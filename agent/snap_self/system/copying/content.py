"""The bytes of a file: copied, compared and read again, with its holes."""

from __future__ import annotations

import errno
import hashlib
import os

_PIECE = 1 << 20

Extents = tuple[tuple[int, int], ...]


class Written:
    """What was written: where, and its digest, so that it can be read again and compared."""

    __slots__ = ("digest", "extents", "size")

    def __init__(self, size: int, extents: Extents, digest: bytes) -> None:
        self.size = size
        self.extents = extents
        self.digest = digest


def extents_of(fd: int, status: os.stat_result) -> Extents:
    """Return begin and end of each stretch of data; all else is holes.

    Raises:
        OSError: the filesystem cannot tell.
    """
    size = status.st_size
    if not size:
        return ()
    found: list[tuple[int, int]] = []
    try:
        # No file is too small for a hole, and its blocks may be those of its extended attributes.
        # Most have none, which this one call tells.
        end = min(os.lseek(fd, 0, os.SEEK_HOLE), size)
        if end == size:
            return ((0, size),)
        if end:
            found.append((0, end))
        while end < size:
            begin = os.lseek(fd, end, os.SEEK_DATA)
            end = min(os.lseek(fd, begin, os.SEEK_HOLE), size)
            if end <= begin:
                break
            found.append((begin, end))
    except OSError as error:
        if error.errno != errno.ENXIO:  # only a hole is left
            raise
    return tuple(found)


def copy_content(source: int, target: int, status: os.stat_result) -> Written:
    """Copy into an empty file.

    Raises:
        OSError: from the kernel; EIO if the source is shorter than it was.
    """
    digest, extents = _digest(), extents_of(source, status)
    for here, end in extents:
        while here < end:
            piece = _piece(source, here, end)
            digest.update(piece)
            write_all(target, piece, here)
            here += len(piece)
    if not extents or extents[-1][1] != status.st_size:
        os.ftruncate(target, status.st_size)
    return Written(status.st_size, extents, digest.digest())


def _digest() -> hashlib.blake2b:
    return hashlib.blake2b(digest_size=16)


def _piece(fd: int, here: int, end: int) -> bytes:
    """Return what a file holds from there on, not all of it if it is much.

    Raises:
        OSError: EIO if the file ends before.
    """
    piece = os.pread(fd, min(end - here, _PIECE), here)
    if not piece:
        raise OSError(errno.EIO, "the file ends too early")
    return piece


def write_all(fd: int, piece: bytes, offset: int) -> None:
    """Write at an offset, however often the kernel takes only a part.

    Raises:
        OSError: from the kernel.
    """
    done = os.pwrite(fd, piece, offset)
    while done < len(piece):
        done += os.pwrite(fd, piece[done:], offset + done)


def write_zeros(fd: int, begin: int, end: int) -> None:
    """Overwrite what a hole of another file leaves as it was.

    Raises:
        OSError: from the kernel.
    """
    while begin < end:
        length = min(end - begin, _PIECE)
        write_all(fd, bytes(length), begin)
        begin += length


def is_as_written(fd: int, status: os.stat_result, written: Written) -> bool:
    """Read a file again; tell whether it holds what was written.

    Raises:
        OSError: it cannot be read.
    """
    if status.st_size != written.size:
        return False
    digest = _digest()
    for here, end in written.extents:
        while here < end:
            piece = _piece(fd, here, end)
            digest.update(piece)
            here += len(piece)
    return digest.digest() == written.digest


def same_content(one: int, other: int, size: int) -> bool:
    """Tell whether two files of one size hold the same; holes are zeros.

    Raises:
        OSError: one cannot be read.
    """
    begin = 0
    while begin < size:
        length = min(size - begin, _PIECE)
        ours, theirs = os.pread(one, length, begin), os.pread(other, length, begin)
        if ours != theirs or not ours:
            return False
        begin += len(ours)
    return True
