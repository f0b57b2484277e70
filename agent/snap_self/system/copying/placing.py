"""One file: made beside its place under a name of ours, and put there in one step."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from dataclasses import dataclass, field
from typing import NamedTuple

from snap_self.model.copying import Leaving
from snap_self.system.copying import kernel
from snap_self.system.copying.asides import Aside, Kept, freed
from snap_self.system.copying.attributes import (
    Attributes,
    attributes_at,
    attributes_of,
    set_attributes,
    set_attributes_at,
    set_flags,
)
from snap_self.system.copying.content import Written, copy_content, write_zeros
from snap_self.system.copying.planning import open_file
from snap_self.system.copying.walking import Refused, closing, open_directory, or_else
from snap_self.system.disks.calls import mount_id_of

_PRIVATE = 0o600
_WRITE = os.O_RDWR | os.O_CLOEXEC
# The filesystem, or the kernel, has no files without a name.
_NO_UNNAMED = (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL, errno.ENOENT)
_NO_RESERVING = (errno.EOPNOTSUPP, errno.EINVAL)
_MOUNTED = (errno.EBUSY, errno.EXDEV)


@dataclass(slots=True)
class Placed:
    """How one thing was put in its place.

    Args:
        kept: where what was there is kept; empty if nothing is.
        refused: which attributes were refused, each a part of a sentence.
        written: of a plain file.
        new: nothing was there.
    """

    kept: str = ""
    refused: list[str] = field(default_factory=list)
    written: Written | None = None
    new: bool = False
    in_place: bool = False


class Spot(NamedTuple):
    """Where one thing comes from and goes.

    Args:
        source: descriptor of its directory in the copy.
        live: descriptor of the directory here.
        path: whole, on the running system.
        beside: the name of a temporary file.
    """

    source: int
    name: str
    live: int
    live_name: str
    path: str
    beside: str


def place_file(spot: Spot, aside: Aside | None) -> Placed:
    """Bring back a plain file with its content.

    Raises:
        Refused: it must be left out.
        OSError: it could not be; what was there is there.
    """
    source, status = open_file(spot.source, spot.name)
    with closing(source):
        attributes = attributes_of(source, status)
        if attributes.encrypted:
            raise Refused(Leaving.ENCRYPTED, "is encrypted by the filesystem (fscrypt)")
        fd, named = _open_new(spot.live, spot.beside)
        with closing(fd):
            try:
                written = copy_content(source, fd, status)
                refused = set_attributes(fd, attributes)
                placed = _put(spot, aside, None if named else fd)
            except OSError as error:
                if error.errno not in _MOUNTED or not _is_mounted_on(spot.live, spot.live_name):
                    raise
                return write_in_place(spot, aside)
            finally:
                if named:
                    _forget(spot)
            placed.written = written
            placed.refused += [*refused, *set_flags(fd, attributes)]
            return placed


def place_link_of(
    spot: Spot, first: tuple[str, str], inode: tuple[int, int], aside: Aside | None
) -> Placed | None:
    """Give a file that was brought back its next name.

    Args:
        first: directory and name of another one of its names.
        inode: what must be found there.

    Returns:
        None if it is not there any more.

    Raises:
        OSError: the name could not be given; what was there is there.
    """
    try:
        folder = open_directory(first[0])
    except (OSError, Refused):
        return None
    with closing(folder), freed(folder, first[1]) as refused:
        try:
            _clear(spot)
            os.link(
                first[1],
                spot.beside,
                src_dir_fd=folder,
                dst_dir_fd=spot.live,
                follow_symlinks=False,
            )
            found = os.stat(spot.beside, dir_fd=spot.live, follow_symlinks=False)
            if (found.st_dev, found.st_ino) != inode:
                return None
            placed = _put(spot, aside, None)
        except FileNotFoundError:
            return None
        finally:
            _forget(spot)
    placed.refused += refused
    return placed


def place_special(spot: Spot, status: os.stat_result, aside: Aside | None) -> Placed:
    """Bring back a link, fifo or device.

    Raises:
        OSError: it could not be; what was there is there.
    """
    attributes = attributes_at(spot.source, spot.name, status)
    _clear(spot)
    try:
        if stat.S_ISLNK(status.st_mode):
            os.symlink(os.readlink(spot.name, dir_fd=spot.source), spot.beside, dir_fd=spot.live)
        else:
            mode = stat.S_IFMT(status.st_mode) | _PRIVATE
            os.mknod(spot.beside, mode, status.st_rdev, dir_fd=spot.live)
        refused = set_attributes_at(spot.live, spot.beside, attributes)
        placed = _put(spot, aside, None)
    finally:
        _forget(spot)
    placed.refused += refused
    return placed


def place_directory(spot: Spot, aside: Aside | None) -> Placed:
    """Make an empty directory, also where something else is.

    Raises:
        OSError: it could not be made; what was there is there.
    """
    try:
        os.mkdir(spot.live_name, 0o700, dir_fd=spot.live)
        return Placed(new=True)
    except FileExistsError:
        status = os.stat(spot.live_name, dir_fd=spot.live, follow_symlinks=False)
        if stat.S_ISDIR(status.st_mode):
            raise
    _clear(spot)
    os.mkdir(spot.beside, 0o700, dir_fd=spot.live)
    try:
        with freed(spot.live, spot.live_name) as refused:
            kept = aside.keep(spot.live, spot.live_name, spot.path) if aside else None
            with or_else(lambda: _put_back(kept, spot)):
                _exchange(spot)
            # What was there, before its flags are set again; it has another name where it is kept.
            os.unlink(spot.beside, dir_fd=spot.live)
    finally:
        _forget(spot)
    return Placed(kept=kept.path if kept else "", refused=refused)


def _exchange(spot: Spot) -> None:
    kernel.rename_with(kernel.EXCHANGE, spot.live, spot.beside, spot.live, spot.live_name)


def _open_new(live: int, beside: str) -> tuple[int, bool]:
    """Return a descriptor of a new empty file, and whether it has a name."""
    try:
        return os.open(".", _WRITE | os.O_TMPFILE, _PRIVATE, dir_fd=live), False
    except OSError as error:
        if error.errno not in _NO_UNNAMED:
            raise
    with suppress(FileNotFoundError):
        os.unlink(beside, dir_fd=live)
    return os.open(
        beside, _WRITE | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, _PRIVATE, dir_fd=live
    ), True


def _put(spot: Spot, aside: Aside | None, unnamed: int | None) -> Placed:
    """Put the new one where it belongs: beside it first, unless nothing is there."""
    try:
        _name_it(spot, unnamed)
        return Placed(new=True)
    except FileExistsError:
        pass  # what is there is kept
    try:
        if unnamed is not None:
            _clear(spot)
            _link_unnamed(unnamed, spot.live, spot.beside)
        return _replace(spot, aside)
    finally:
        if unnamed is not None:
            _forget(spot)


def _name_it(spot: Spot, unnamed: int | None) -> None:
    if unnamed is not None:
        _link_unnamed(unnamed, spot.live, spot.live_name)
        return
    try:
        kernel.rename_with(kernel.NOREPLACE, spot.live, spot.beside, spot.live, spot.live_name)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOSYS):
            raise
        os.link(
            spot.beside,
            spot.live_name,
            src_dir_fd=spot.live,
            dst_dir_fd=spot.live,
            follow_symlinks=False,
        )


def _link_unnamed(fd: int, directory: int, name: str) -> None:
    os.link(f"/proc/self/fd/{fd}", name, dst_dir_fd=directory, follow_symlinks=True)


def _replace(spot: Spot, aside: Aside | None) -> Placed:
    """Rename the new one over the old one, which is kept first."""
    with freed(spot.live, spot.live_name) as refused:
        kept = aside.keep(spot.live, spot.live_name, spot.path) if aside else None
        with or_else(lambda: _put_back(kept, spot)):
            if kept is None:
                _make_way(spot)
            os.rename(spot.beside, spot.live_name, src_dir_fd=spot.live, dst_dir_fd=spot.live)
    return Placed(kept=kept.path if kept else "", refused=refused)


def _make_way(spot: Spot) -> None:
    """Remove an empty directory, over which no file can be renamed."""
    status = os.stat(spot.live_name, dir_fd=spot.live, follow_symlinks=False)
    if not stat.S_ISDIR(status.st_mode):
        return
    try:
        os.rmdir(spot.live_name, dir_fd=spot.live)
    except OSError as error:
        if error.errno != errno.ENOTEMPTY:
            raise
        why = "is a directory with something in it now, and nothing is kept aside"
        raise Refused(Leaving.DIRECTORY, why) from error


def _put_back(kept: Kept | None, spot: Spot) -> None:
    if kept:
        kept.put_back(spot.live, spot.live_name)


def _clear(spot: Spot) -> None:
    """Remove what an earlier try with the same mark left."""
    with suppress(FileNotFoundError):
        os.unlink(spot.beside, dir_fd=spot.live)


def _forget(spot: Spot) -> None:
    """Remove the temporary file or empty directory, if it is still there."""
    with suppress(OSError):
        os.unlink(spot.beside, dir_fd=spot.live)
        return
    with suppress(OSError):
        os.rmdir(spot.beside, dir_fd=spot.live)


def _is_mounted_on(directory: int, name: str) -> bool:
    place = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
    with closing(place):
        return mount_id_of(place) != mount_id_of(directory)


def write_in_place(spot: Spot, aside: Aside | None) -> Placed:
    """Write into a file on which another one is mounted, so that it cannot be replaced.

    What it was is copied first, and written again if something fails.

    Raises:
        Refused: it is no plain file, or cannot be written to.
        OSError: this failed.
    """
    source, status = open_file(spot.source, spot.name)
    with closing(source), closing(_open_mounted(spot.live, spot.live_name)) as fd:
        wanted, before = attributes_of(source, status), attributes_of(fd)
        folder = aside.folder(spot.path.rpartition("/")[0]) if aside else spot.live
        with closing(_copy_of(fd, before, folder)) as backup:
            placed = Placed(in_place=True, kept=aside.add(backup, spot.path) if aside else "")
            with or_else(lambda: _as_before(fd, backup, before)):
                placed.written = _overwrite(fd, source, wanted)
                placed.refused = set_attributes(fd, wanted)
            placed.refused += set_flags(fd, wanted)
            return placed


def _as_before(fd: int, backup: int, before: Attributes) -> None:
    _overwrite(fd, backup, before)
    set_attributes(fd, before)


def _open_mounted(directory: int, name: str) -> int:
    try:
        fd = os.open(name, _WRITE | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=directory)
    except OSError as error:
        why = f"has a file mounted on it that cannot be written to: {error.strerror}"
        raise Refused(Leaving.MOUNT_POINT, why) from error
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise Refused(Leaving.MOUNT_POINT, "has something mounted on it that is no plain file")
    return fd


def _copy_of(fd: int, attributes: Attributes, directory: int) -> int:
    """Return a descriptor of an unnamed copy of an open file.

    Raises:
        OSError: it could not be made.
    """
    copy = os.open(".", _WRITE | os.O_TMPFILE, _PRIVATE, dir_fd=directory)
    with or_else(lambda: os.close(copy)):
        copy_content(fd, copy, attributes.status)
        set_attributes(copy, attributes)
    return copy


def _overwrite(fd: int, source: int, attributes: Attributes) -> Written:
    """Put other content into an open file, which stays as it is if there is no room for it."""
    size = attributes.status.st_size
    try:
        if size:
            os.posix_fallocate(fd, 0, size)
    except OSError as error:
        if error.errno not in _NO_RESERVING:
            raise
    written = copy_content(source, fd, attributes.status)
    here = 0
    for begin, end in (*written.extents, (size, size)):
        write_zeros(fd, here, begin)
        here = end
    os.ftruncate(fd, size)
    return written
