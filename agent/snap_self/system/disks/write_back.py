"""Write a btrfs out in pieces before ``syncfs``, which would block its writers.

``syncfs`` sends a writer's page to the disk after everything else that is dirty, and btrfs lets
nobody change a page while it is being written. So recently changed files are written first, a piece
at a time. This is a courtesy: what it misses or may not do is left to the ``syncfs`` that follows.

Source: linux/btrfs.h, btrfs_tree.h, openat2(2), sync_file_range(2).
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import stat
import struct
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

# At most this much is in the disk's queue when a writer's page gets there.
PIECE = 4 << 20
# Each written file is waited for, so many small ones would cost more time than they save.
LEAST_BYTES = 256 << 10
# A package manager's call may have only 60 s for everything.
LIMIT_S = 5.0
# A commit is due every 30 s; the kernel then also writes out pages of that age.
TRANSACTIONS_BEFORE = 2
_START_SYNC, _WAIT_SYNC = 0x80089418, 0x40089416
_TREE_SEARCH_V2, _INO_LOOKUP = 0xC0709411, 0xD0009412
_SEARCH_KEY, _ITEM_HEAD = struct.Struct("=7Q4I4Q"), struct.Struct("=3Q2I")
# btrfs_inode_item: transaction after the generation; mode after five of 64 and three of 32 bits.
_TRANSACTION, _MODE = (struct.Struct("<8xQ"), struct.Struct("<52xI"))
_INODE_ITEM, _FIRST_INODE, _LAST_INODE, _MOST = 1, 256, 2**64 - 256, 2**64 - 1
_MOST_ITEMS, _ITEM_BYTES, _LOOKUP_BYTES = 1000, 65536, 4096
_OPENAT2 = 437  # on every architecture
# RESOLVE_NO_XDEV, _NO_MAGICLINKS, _NO_SYMLINKS and _BENEATH: no other filesystem, which could hang.
_STAY_HERE = 0x01 | 0x02 | 0x04 | 0x08
_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
_WRITE_AND_WAIT = 1 | 2 | 4
_LIBC = ctypes.CDLL(None, use_errno=True)


def write_out_first(fd: int, *, limit_s: float = LIMIT_S) -> None:
    """Write out recently changed files in a directory's subvolume, if it is on a btrfs."""
    end = time.monotonic() + limit_s
    try:
        number = bytearray(8)
        fcntl.ioctl(fd, _START_SYNC, number)
        fcntl.ioctl(fd, _WAIT_SYNC, bytes(number))
        since = struct.unpack("Q", number)[0] - TRANSACTIONS_BEFORE
        for inode in _late_files(fd, since):
            if not _write_out(fd, _path_of(fd, inode), end):
                return
    except OSError:
        return  # not a btrfs, or one that does not tell


def _late_files(fd: int, since: int) -> Iterator[int]:
    """Yield the regular files that were changed in that transaction or later."""
    first = _FIRST_INODE
    while True:
        buffer = bytearray(_SEARCH_KEY.size + 8 + _ITEM_BYTES)
        key = (0, first, _LAST_INODE, 0, _MOST, since, _MOST, _INODE_ITEM, _INODE_ITEM)
        _SEARCH_KEY.pack_into(buffer, 0, *key, _MOST_ITEMS, *(0,) * 5)
        struct.pack_into("Q", buffer, _SEARCH_KEY.size, _ITEM_BYTES)
        fcntl.ioctl(fd, _TREE_SEARCH_V2, buffer)
        count, place = _SEARCH_KEY.unpack_from(buffer)[9], _SEARCH_KEY.size + 8
        for _ in range(count):
            _, inode, _, kind, size = _ITEM_HEAD.unpack_from(buffer, place)
            place += _ITEM_HEAD.size
            # A changed leaf lists all its items, so each inode's own transaction is checked.
            late = kind == _INODE_ITEM and _TRANSACTION.unpack_from(buffer, place)[0] >= since
            if late and stat.S_ISREG(_MODE.unpack_from(buffer, place)[0]):
                yield inode
            place += size
            first = inode + 1
        if not count:
            return


def _path_of(fd: int, inode: int) -> bytes:
    """Return one of a file's names below the root of its subvolume; empty if it has none."""
    buffer = bytearray(_LOOKUP_BYTES)
    struct.pack_into("QQ", buffer, 0, 0, inode)
    try:
        fcntl.ioctl(fd, _INO_LOOKUP, buffer)
    except OSError:
        return b""
    return bytes(buffer[16:]).partition(b"\0")[0].rstrip(b"/")


def _write_out(folder: int, path: bytes, end: float) -> bool:
    """Write a file out; return whether there is time for another."""
    how = struct.pack("3Q", _FLAGS, 0, _STAY_HERE)
    fd = _LIBC.syscall(_OPENAT2, folder, path, how, len(how)) if path else -1
    if fd < 0:
        return time.monotonic() <= end
    try:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode) or found.st_size < LEAST_BYTES:
            return time.monotonic() <= end
        for start in range(0, found.st_size, PIECE):
            if time.monotonic() > end:
                return False
            _LIBC.sync_file_range(fd, ctypes.c_int64(start), ctypes.c_int64(PIECE), _WRITE_AND_WAIT)
    finally:
        os.close(fd)
    return True
