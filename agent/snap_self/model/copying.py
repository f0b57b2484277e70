"""Bring files back from an opened copy of a filesystem: what differs, what was done."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Change(Enum):
    """How the running system differs from the copy at one path."""

    NEW = "new"  # the running system lacks it
    CONTENT = "content"
    ATTRIBUTES = "attributes"  # owner, mode, times, extended attributes, flags, hard links
    KIND = "kind"  # a directory there and a file here, a file there and a link here
    EXTRA = "extra"  # the copy lacks it


class Leaving(Enum):
    """Why something is not brought back, or not whole; the values are stable codes."""

    NOT_THERE = "not-there"  # the copy lacks it
    BAD_PATH = "bad-path"  # not absolute, or with ".."
    LINK = "link"  # a symbolic link leads to it on the running system, which is not followed
    LINK_OUTSIDE = "link-outside"  # on the copy a link leads to another filesystem
    NO_DIRECTORY = "no-directory"  # what is above it is no directory, or cannot be opened
    MOUNT_POINT = "mount-point"  # another filesystem is mounted there
    SUBVOLUME = "subvolume"  # a btrfs subvolume of its own
    IN_USE = "in-use"  # a process has it, or a file beside it, open for writing
    PACKAGE_DATABASE = "package-database"
    LOCK_FILE = "lock-file"
    OWN_STATE = "own-state"  # of snap-self
    KEPT_BY_RESTORE = "kept-by-restore"  # what an earlier restore has replaced, or left
    SOCKET = "socket"  # only its server can make it
    ENCRYPTED = "encrypted"  # by the filesystem (fscrypt)
    OVERLAY = "overlay"  # a layer of a container's mounted overlay
    VOLATILE = "volatile"  # the filesystem there is not on a disk
    NO_ROOM = "no-room"
    QUOTA = "quota"
    READ_ONLY = "read-only"
    IO_ERROR = "io-error"
    IMMUTABLE = "immutable"  # its flag, or its directory's, could not be cleared
    DIRECTORY = "directory"  # stands where a file was, and nothing is kept aside
    ASIDE = "aside"  # what is replaced cannot be kept in the directory for that
    TOO_DEEP = "too-deep"
    CHANGING = "changing"  # somebody changes it meanwhile
    FAILED = "failed"  # the kernel refused otherwise
    # These are brought back all the same.
    PART_OF_ATTRIBUTES = "attributes"  # a flag or extended attribute was refused
    NOT_VERIFIED = "not-verified"  # read again, it was not what the copy holds


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """One path to bring back, with all below it.

    Args:
        path: absolute, on the running system.
        inside: the same, relative to the root of the copy; empty for that root itself.
    """

    path: str
    inside: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One path that is not as it was.

    Of a directory that is new, extra or of another kind, what is below it is told only where the
    copy has it.

    Args:
        size_before: bytes in the copy; None if that has none, or it is no plain file.
        size_now: bytes on the running system, likewise.
    """

    path: str
    kind: Change
    size_before: int | None = None
    size_now: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """One path that is not brought back, or not whole.

    Args:
        why: a part of a sentence, to stand behind the path.
    """

    path: str
    why: str
    code: Leaving


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyPlan:
    """What would be done.

    Args:
        bytes_needed: for what is new, while all that is replaced is kept.
        inodes_needed: likewise.
        same: how many files and directories are as they were.
        followed: path as asked for and real path, where the copy has a link in the path.
    """

    differences: tuple[Difference, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    bytes_needed: int = 0
    inodes_needed: int = 0
    same: int = 0
    followed: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyOutcome:
    """What was done.

    Args:
        copied: files, links, devices and directories that were made or set right.
        removed: what was too many, a directory as one.
        kept_aside: path, and where what it was is kept now. Both end with ``/`` where only the
            attributes of a directory were changed: those are kept.
        made: path of what was not there before, the topmost directory for all below it, and where
            an ``undo`` would put it. Empty where nothing is kept aside.
        in_place: what had to be written in place, as something is mounted on it.
        followed: as in ``CopyPlan``.
    """

    copied: int = 0
    removed: int = 0
    left_out: tuple[LeftOut, ...] = ()
    kept_aside: tuple[tuple[str, str], ...] = ()
    made: tuple[tuple[str, str], ...] = ()
    in_place: tuple[str, ...] = ()
    followed: tuple[tuple[str, str], ...] = ()
