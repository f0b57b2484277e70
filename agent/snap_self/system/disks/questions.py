"""Questions to the kernel whose answer may never come.

Paths belong to the agent's own namespace. Every answer consists of values that ``marshal`` can
write. Each question loads what it needs itself: see ``aside_entry``.
"""

from __future__ import annotations

import errno
import os
import sys
from contextlib import suppress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import Any

    from snap_self.model.flushing import PlainWay

EXCHANGED, NOT_OPENED, NOT_WRITTEN = "exchanged", "not-opened", "not-written"
_CHUNK_BYTES = 1 << 20
MOST_LINKS = 10_000
_LONGEST_PATH = 4096
_LIST = os.O_RDONLY | os.O_DIRECTORY | os.O_NONBLOCK | os.O_CLOEXEC
_READ_PLAIN = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC

# linux/loop.h: struct loop_info64 begins with the file's device, its inode, and its own number.
_LOOP_GET_STATUS64 = 0x4C05
_LOOP_INFO_BYTES = 232


def _sync(*ways: PlainWay) -> tuple[int, str, int]:
    """Sync through the first way that works.

    Returns:
        The number of the way that was tried last, why it failed (empty if it did not), the errno.
    """
    outcome = (0, NOT_OPENED, errno.ENOENT)
    for number, way in enumerate(ways):
        outcome = (number, *_sync_through(way))
        # The kernel reports a failed write once: another try would not see it.
        if outcome[1] in ("", NOT_WRITTEN):
            break
    return outcome


def _sync_through(way: PlainWay) -> tuple[str, int]:
    from snap_self.system.disks.directories import open_mount, sync

    try:
        fd = open_mount(way)
    except OSError as error:
        return (EXCHANGED if error.errno == errno.ESTALE else NOT_OPENED), error.errno or errno.EIO
    try:
        sync(fd)
    except OSError as error:
        return NOT_WRITTEN, error.errno or errno.EIO
    finally:
        os.close(fd)
    return "", 0


def read_bytes(path: str) -> bytes:
    """Return a file's content by plain calls: its name need not be UTF-8.

    Raises:
        OSError: it cannot be read.
    """
    fd = os.open(os.fsencode(path), os.O_RDONLY | os.O_CLOEXEC)
    try:
        parts = []
        while part := os.read(fd, _CHUNK_BYTES):
            parts.append(part)
    finally:
        os.close(fd)
    return b"".join(parts)


def _locate(path: str) -> tuple[str, int, int, bytes]:
    """Return the path without links, the id of its mount, its device, and its mount's line.

    The mount's line of mountinfo is given for overlays of this namespace only: only their layers
    are asked for. A directory is opened as a directory, so that the kernel triggers an automount.

    Source: open(2) for ``O_PATH``, proc_pid_fdinfo(5) for ``mnt_id``, path_resolution(7).
    """
    from snap_self.system.disks.calls import mount_id_of

    try:
        fd = os.open(path, os.O_PATH | os.O_CLOEXEC | os.O_DIRECTORY)
    except NotADirectoryError:
        fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        mount_id, device = mount_id_of(fd), os.fstat(fd).st_dev
    finally:
        os.close(fd)
    begin = b"%d " % mount_id
    lines = read_bytes("/proc/self/mountinfo").split(b"\n")
    overlays = (each for each in lines if each.startswith(begin) and b" - overlay " in each)
    return os.path.realpath(path), mount_id, device, next(overlays, b"")


def _inside(pid: int, path: str) -> tuple[str, int, int, int, bytes]:
    """Return where a path of a process leads: path, mount, device, owner, and the mount's line."""
    from snap_self.system.disks.inside import mount_line, reach

    fd, steps = reach(pid, path)
    os.close(fd)
    place, _, owner, _, mount_id, device = steps[-1]
    return place, mount_id, device, owner, mount_line(pid, mount_id, device)


def _leads(pid: int, path: str) -> list[str]:
    """Return the links in a directory of a process and in its folders.

    Links are names relative to the directory; for InnoDB's link files (``.isl``) it is the path in
    the file. A link right in the directory counts only if it leads to a folder: a link to a file,
    such as a certificate, is not a table.
    """
    from snap_self.system.disks.inside import reach

    place, _ = reach(pid, path)
    try:
        top = os.open(".", _LIST, dir_fd=place)
    finally:
        os.close(place)
    try:
        links, folders = _listed(top)
        links = [name for name in links if _is_folder(pid, f"{path}/{name}")]
        for folder in folders:
            try:
                below = os.open(folder, _LIST | os.O_NOFOLLOW, dir_fd=top)
            except FileNotFoundError:
                continue
            try:
                links += [f"{folder}/{each}" for each in _listed(below)[0]]
                links += _named_in(below)
            finally:
                os.close(below)
            if len(links) > MOST_LINKS:
                raise OSError(errno.E2BIG, os.strerror(errno.E2BIG))
        return links
    finally:
        os.close(top)


def _is_folder(pid: int, path: str) -> bool:
    """Return whether a path of a process leads to a folder."""
    import stat

    from snap_self.system.disks.inside import reach

    try:
        place, steps = reach(pid, path)
    except OSError:  # it leads nowhere
        return False
    os.close(place)
    return stat.S_ISDIR(steps[-1][1])


def _listed(folder: int) -> tuple[list[str], list[str]]:
    """Return the names of the links and of the folders in an open directory."""
    links, folders = [], []
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_symlink():
                links.append(entry.name)
            elif entry.is_dir(follow_symlinks=False):
                folders.append(entry.name)
    return links, folders


def _named_in(folder: int) -> Iterator[str]:
    """Yield the paths in InnoDB's link files."""
    import stat

    for name in os.listdir(folder):
        if not name.endswith(".isl"):
            continue
        with suppress(FileNotFoundError):
            fd = os.open(name, _READ_PLAIN, dir_fd=folder)
            try:
                if stat.S_ISREG(os.fstat(fd).st_mode):
                    yield os.fsdecode(os.read(fd, _LONGEST_PATH)).strip()
            finally:
                os.close(fd)


def _loop_file(device: str, image: str) -> tuple[str, int, str]:
    """Return device, mount id and own number of the file below a loop device.

    The mount id is asked for only if the mount table has no such device, as for a btrfs, whose
    subvolumes have their own device numbers. It is -1 if the image's name does not lead to that
    file. The own number is empty unless the file is a block device.

    Source: loop(4), LOOP_GET_STATUS64.
    """
    import fcntl

    from snap_self.system.disks.calls import mount_id_of

    fd = os.open(device, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        answer = bytearray(_LOOP_INFO_BYTES)
        fcntl.ioctl(fd, _LOOP_GET_STATUS64, answer)
    finally:
        os.close(fd)
    holder, inode, itself = (
        int.from_bytes(answer[at : at + 8], sys.byteorder) for at in (0, 8, 16)
    )
    mount_id = -1
    if not os.major(holder):
        with suppress(OSError):
            place = os.open(image, os.O_PATH | os.O_CLOEXEC)
            try:
                found = os.fstat(place)
                if (found.st_dev, found.st_ino) == (holder, inode):
                    mount_id = mount_id_of(place)
            finally:
                os.close(place)
    own = f"{os.major(itself)}:{os.minor(itself)}" if itself else ""
    return f"{os.major(holder)}:{os.minor(holder)}", mount_id, own


def _number(path: str) -> str:
    """Return ``major:minor`` of the block device at a path; empty if it is not a block device."""
    import stat

    status = os.stat(path)  # noqa: PTH116
    if not stat.S_ISBLK(status.st_mode):
        return ""
    return f"{os.major(status.st_rdev)}:{os.minor(status.st_rdev)}"


def _fsid(way: PlainWay) -> str:
    """Return the id of a mount's btrfs."""
    from snap_self.system.disks.directories import fsid_of, open_mount

    fd = open_mount(way)
    try:
        return fsid_of(fd)
    finally:
        os.close(fd)


def _open(way: PlainWay) -> tuple[int, int, int]:
    """Open a mount and keep it open; the agent takes it over from ``/proc/PID/fd/NUMBER``.

    Returns:
        This process's id, the descriptor's number, and the device (st_dev).
    """
    from snap_self.system.disks.directories import open_mount

    fd = open_mount(way)
    return os.getpid(), fd, os.fstat(fd).st_dev


QUESTIONS: Mapping[str, Callable[..., Any]] = {
    "sync": _sync,
    "read": read_bytes,
    "locate": _locate,
    "inside": _inside,
    "leads": _leads,
    "loop-file": _loop_file,
    "number": _number,
    "fsid": _fsid,
    "open": _open,
    "close": os.close,
}
