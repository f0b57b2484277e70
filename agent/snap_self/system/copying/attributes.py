"""Owner, mode, times, extended attributes, flags and project of one file: read, compare, set.

The order matters: a change of owner drops set-user-id bits and capabilities, so it comes first;
flags may forbid all the rest, so they are cleared first and set last.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Mapping
from typing import NamedTuple

from snap_self.system.copying import kernel

# linux/fs.h, FS_*_FL; the letters are those of chattr(1).
IMMUTABLE, APPEND_ONLY = 0x10, 0x20
HELD = IMMUTABLE | APPEND_ONLY
ENCRYPTED = 0x800
_CARRIED = {
    IMMUTABLE: "i",
    APPEND_ONLY: "a",
    0x40: "d",
    0x80: "A",
    0x08: "S",
    0x4000: "j",
    0x10000: "D",
    0x20000000: "P",
}
_MASK = sum(_CARRIED)
# Each label belongs to the policy of the day; without one the kernel's own choice stands.
_LABEL = "security.selinux"
# XFS shows its access lists a second time, in a form of its own.
_TWICE = ("trusted.SGI_ACL_FILE", "trusted.SGI_ACL_DEFAULT")
_NO_XATTRS = (errno.EOPNOTSUPP, errno.ENOSYS)


class Attributes(NamedTuple):
    """What is to be known of a file but for its content and name.

    Args:
        flags: those that are carried over.
    """

    status: os.stat_result
    xattrs: Mapping[str, bytes]
    flags: int = 0
    project: int = 0
    encrypted: bool = False

    def equal(self, other: Attributes, *, times: bool = True) -> bool:
        """Tell whether another file has the same; access times do not count."""
        mine, theirs = self.status, other.status
        return (
            (mine.st_mode, mine.st_uid, mine.st_gid)
            == (theirs.st_mode, theirs.st_uid, theirs.st_gid)
            and (not times or mine.st_mtime_ns == theirs.st_mtime_ns)
            and (self.flags, self.project) == (other.flags, other.project)
            and _without_label(self, other) == _without_label(other, self)
        )


def _without_label(one: Attributes, other: Attributes) -> dict[str, bytes]:
    """Return the extended attributes to compare: the label only if both have one."""
    if _LABEL in one.xattrs and _LABEL in other.xattrs:
        return dict(one.xattrs)
    return {name: value for name, value in one.xattrs.items() if name != _LABEL}


def attributes_of(fd: int, status: os.stat_result | None = None) -> Attributes:
    """Return those of an open file or directory.

    Args:
        status: its own, if that is known.

    Raises:
        OSError: they cannot be read.
    """
    flags, project = kernel.flags_and_project(fd)
    return Attributes(
        status or os.fstat(fd),
        _xattrs(fd, follow=True),
        flags & _MASK,
        project,
        encrypted=bool(flags & ENCRYPTED),
    )


def attributes_at(directory: int, name: str, status: os.stat_result) -> Attributes:
    """Return those of a link, fifo or device, which are never opened.

    Raises:
        OSError: they cannot be read.
    """
    return Attributes(status=status, xattrs=_xattrs(_path(directory, name), follow=False))


def _path(directory: int, name: str) -> str:
    """Return a path of something in an open directory, for calls that take no descriptor of it."""
    return f"/proc/self/fd/{directory}/{name}"


def _xattrs(of: int | str, *, follow: bool) -> dict[str, bytes]:
    try:
        names = os.listxattr(of, follow_symlinks=follow)
        if not names:
            return {}
        return {
            name: os.getxattr(of, name, follow_symlinks=follow)
            for name in names
            if name not in _TWICE
        }
    except OSError as error:
        if error.errno in _NO_XATTRS:
            return {}
        raise


def set_attributes(fd: int, wanted: Attributes) -> list[str]:
    """Set all but flags and project of an open file or directory.

    Returns:
        What was refused, each a part of a sentence.

    Raises:
        OSError: owner, mode or times were refused.
    """
    status = wanted.status
    os.fchown(fd, status.st_uid, status.st_gid)
    _drop_xattrs(fd, wanted.xattrs)
    os.fchmod(fd, stat.S_IMODE(status.st_mode))
    refused = _set_xattrs(fd, wanted.xattrs)
    os.utime(fd, ns=(status.st_atime_ns, status.st_mtime_ns))
    return refused


def set_attributes_at(directory: int, name: str, wanted: Attributes) -> list[str]:
    """Set those of a link, fifo or device that was just made under this name.

    In a directory of somebody else's, something else may have the name by now: nothing is set of
    what cannot be the new one, and all is set of the one that was looked at.

    Returns:
        As ``set_attributes``.

    Raises:
        OSError: as ``set_attributes``; ESTALE if something else has the name.
    """
    status = wanted.status
    fd = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
    try:
        if not _is_new(os.fstat(fd), status):
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE), name)
        # Such a descriptor can do nothing but name exactly what was opened, link or not.
        place = f"/proc/self/fd/{fd}"
        os.chown(place, status.st_uid, status.st_gid)
        _drop_xattrs(place, wanted.xattrs)
        if not stat.S_ISLNK(status.st_mode):
            os.chmod(place, stat.S_IMODE(status.st_mode))  # noqa: PTH101
        refused = _set_xattrs(place, wanted.xattrs)
        os.utime(place, ns=(status.st_atime_ns, status.st_mtime_ns))
        return refused
    finally:
        os.close(fd)


def _is_new(found: os.stat_result, wanted: os.stat_result) -> bool:
    """Tell whether this can be what was just made: of that kind, of this user, with one name."""
    return (
        stat.S_IFMT(found.st_mode) == stat.S_IFMT(wanted.st_mode)
        and (stat.S_ISLNK(found.st_mode) or stat.S_IMODE(found.st_mode) & ~0o600 == 0)
        and (found.st_uid, found.st_nlink) == (os.geteuid(), 1)
        and found.st_rdev == wanted.st_rdev
    )


def _drop_xattrs(of: int | str, wanted: Mapping[str, bytes]) -> None:
    """Remove what a new file got from its directory, such as a default access list.

    Args:
        of: a descriptor, or the path of one under ``/proc``.
    """
    for name in _xattrs(of, follow=True):
        if name not in wanted and name != _LABEL:
            try:
                os.removexattr(of, name)
            except OSError as error:
                # What only the kernel's own modules write (ima, evm) is not ours to take away.
                if not name.startswith("security."):
                    raise error from None


def _set_xattrs(of: int | str, wanted: Mapping[str, bytes]) -> list[str]:
    refused = []
    for name, value in wanted.items():
        try:
            os.setxattr(of, name, value)
        except OSError as error:
            refused.append(_refused_xattr(name, error))
    return refused


def _refused_xattr(name: str, error: OSError) -> str:
    if name == _LABEL and error.errno == errno.EINVAL:
        return "its security label is unknown to today's policy (restorecon sets one)"
    return f"its extended attribute {name} was refused: {error.strerror}"


def set_flags(fd: int, wanted: Attributes) -> list[str]:
    """Set project and flags, the last thing that is done to a file.

    Returns:
        What was refused, each a part of a sentence.
    """
    refused = []
    now, project = kernel.flags_and_project(fd)
    if project != wanted.project:
        try:
            kernel.set_project(fd, wanted.project)
        except OSError as error:
            refused.append(f"its project {wanted.project} was refused: {error.strerror}")
        now = kernel.file_flags(fd)
    if now & _MASK != wanted.flags and (bad := _set(fd, now & ~_MASK, wanted.flags)):
        refused.append(f"of its flags (lsattr), {bad} could not be set")
    return refused


def _set(fd: int, kept: int, wanted: int) -> str:
    """Set flags, together or, if that is refused, each by itself; return the refused letters."""
    try:
        kernel.set_file_flags(fd, kept | wanted)
    except OSError:
        return _set_each(fd, kept, wanted)
    return ""


def _set_each(fd: int, kept: int, wanted: int) -> str:
    bad = ""
    # What forbids changes comes last.
    for flag in sorted(_CARRIED, key=lambda each: each in (IMMUTABLE, APPEND_ONLY)):
        try:
            if wanted & flag:
                kernel.set_file_flags(fd, kept | flag)
                kept |= flag
        except OSError:
            bad += _CARRIED[flag]
    return bad


def free(fd: int) -> int:
    """Clear the flags that forbid changes; return those that were set.

    Raises:
        OSError: this was refused.
    """
    flags = kernel.file_flags(fd)
    if flags & HELD:
        kernel.set_file_flags(fd, flags & ~HELD)
    return flags & HELD


def hold_again(fd: int, held: int) -> None:
    """Set flags that ``free`` cleared.

    Raises:
        OSError: this was refused.
    """
    if held:
        kernel.set_file_flags(fd, kernel.file_flags(fd) | held)
