"""Mounts a copy read-only: without a mount point, or where everybody can see it."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from typing import NamedTuple

from snap_self.system.opening import kernel
from snap_self.system.opening.superblocks import Kind, family

# Any folder serves: what is mounted there is seen by nobody else.
_FOLDERS = ("/mnt", "/media", "/srv", "/tmp", "/")  # nosec B108  # noqa: S108
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_PLACE = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class NoSubvolume(Exception):
    """The filesystem has no folder of that path."""


class Mounted(NamedTuple):
    """A mounted copy.

    Args:
        root: descriptor of the directory that was asked for.
        at: its visible mount point; empty without one.
        follows_links: the kernel has no ``nosymfollow``.
        old_calls: mounted as before Linux 5.2.
    """

    root: int
    at: str
    follows_links: bool
    old_calls: bool

    def undo(self) -> None:
        """Unmount it."""
        os.close(self.root)
        if self.at:
            with suppress(OSError):
                kernel.unmount(self.at, lazily=True)


def mount(device: str, fstype: str, subvolume: str, at: str, *, old_calls: bool) -> Mounted:
    """Mount a filesystem read-only, so that its log is replayed and nothing else happens.

    Args:
        subvolume: path from the top of a btrfs to what is wanted; empty for the top.
        at: an existing folder; empty for none.
        old_calls: do as kernels before Linux 5.2 must.

    Raises:
        kernel.MountRefused: the kernel does not mount it.
        NoSubvolume: there is none of that path.
        OSError: anything else; nothing is mounted.
    """
    if not old_calls:
        try:
            top, no_links = kernel.mount_nowhere(device, fstype, _options(fstype))
        except kernel.MountRefused:
            raise
        except OSError as error:
            if error.errno not in kernel.MISSING_CALL:
                raise
        else:
            try:
                root = _shown(top, subvolume, at) if at else _walk(top, subvolume)
            finally:
                os.close(top)
            return Mounted(root=root, at=at, follows_links=not no_links, old_calls=False)
    return _mount_old(device, fstype, subvolume, at)


def _options(fstype: str) -> tuple[str, ...]:
    kind = family(fstype)
    if kind is Kind.XFS:
        return ("nouuid",)
    # What the superblock of an ext4 says may be "panic".
    return ("subvolid=5",) if kind is Kind.BTRFS else ("errors=remount-ro",)


def _shown(top: int, subvolume: str, at: str) -> int:
    """Give a mount its place; of a btrfs to the subvolume alone. Return the directory there."""
    folder = os.open(at, _PLACE)
    try:
        kernel.place_mount(top, folder)
        try:
            if not subvolume.strip("/"):
                return _walk(top, "")
            return _only_subvolume(top, subvolume, folder, at)
        except (OSError, NoSubvolume):
            with suppress(OSError):
                kernel.unmount(at, lazily=True)
            raise
    finally:
        os.close(folder)


def _only_subvolume(top: int, subvolume: str, folder: int, at: str) -> int:
    """Exchange the mount of a whole btrfs for one of a part of it."""
    inside = _walk(top, subvolume)
    try:
        tree = kernel.clone_tree(inside)
    finally:
        os.close(inside)
    try:
        kernel.unmount(at, lazily=True)
        kernel.place_mount(tree, folder)
        return _walk(tree, "")
    finally:
        os.close(tree)


def _mount_old(device: str, fstype: str, subvolume: str, at: str) -> Mounted:
    options = _options(fstype)
    if at:
        if subvolume.strip("/"):
            options = (f"subvol={subvolume}",)
        no_links = kernel.mount_at(device, at, fstype, options)
        root = os.open(at, _FOLDER)
        return Mounted(root=root, at=at, follows_links=not no_links, old_calls=True)
    kernel.enter_own_namespace()
    folder = next(each for each in _FOLDERS if os.path.isdir(each))
    no_links = kernel.mount_at(device, folder, fstype, options)
    try:
        top = os.open(folder, _PLACE)
        try:
            root = _walk(top, subvolume)
        finally:
            os.close(top)
    finally:
        # Whoever has a descriptor of it keeps it.
        kernel.unmount(folder, lazily=True)
    return Mounted(root=root, at="", follows_links=not no_links, old_calls=True)


def _walk(top: int, path: str) -> int:
    """Return a directory below another, reached without following a link."""
    here = os.open(".", _FOLDER, dir_fd=top)
    for name in filter(None, path.split("/")):
        try:
            if name == "..":
                raise NoSubvolume(path)
            step = os.open(name, _FOLDER, dir_fd=here)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
                raise NoSubvolume(path) from error
            raise
        finally:
            os.close(here)
        here = step
    return here
