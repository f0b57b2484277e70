"""Filesystem types without a block device below them."""

from __future__ import annotations

# What the kernel or a service manager shows as files; nobody stores data in them.
# fmt: off
PSEUDO = frozenset({
    "autofs", "bdev", "binder", "binfmt_misc", "bpf", "cgroup", "cgroup2", "configfs", "cpuset",
    "dax", "debugfs", "devpts", "devtmpfs", "drm", "efivarfs", "fuse.gvfsd-fuse", "fuse.lxcfs",
    "fuse.portal", "fusectl", "guest_memfd", "hugetlbfs", "ipathfs", "mqueue", "nfsd", "nsfs",
    "pipefs", "proc", "pstore", "ramfs", "resctrl", "rootfs", "rpc_pipefs", "secretmem",
    "securityfs", "selinuxfs", "smackfs", "sockfs", "sysfs", "tmpfs", "tracefs", "usbfs", "xenfs",
})

_NETWORK = frozenset({
    "9p", "afs", "beegfs", "ceph", "cifs", "coda", "glusterfs", "gpfs", "lustre", "ncpfs", "nfs",
    "nfs4", "orangefs", "pvfs2", "smb3", "smbfs", "virtiofs",
})
# fmt: on


# Kept in memory: gone after a reboot.
MEMORY = frozenset({"ramfs", "rootfs", "tmpfs"})
# On block devices for certain, also where nothing tells on which.
ON_DEVICES = frozenset({"bcachefs", "btrfs", "zfs"})
# These show the files of another filesystem, which their source names.
_SHOWING = frozenset({"ecryptfs", "fuse.bindfs", "fuse.gocryptfs", "fuse.encfs"})
# Nothing in the kernel tells how many devices they lie on.
SEVERAL_DEVICES = frozenset({"f2fs", "reiserfs"})


def is_away(fstype: str) -> bool:
    """Tell whether files on it are kept in memory or on another machine, never on a disk here."""
    return fstype in MEMORY or fstype in _NETWORK


def why_not_covered(fstype: str) -> str:
    """Return why no snapshot of a cloud disk holds such a filesystem."""
    if fstype in _SHOWING:
        return f"{fstype} shows the files of another filesystem: name their own place"
    if fstype in ("btrfs", "bcachefs"):
        return f"it could not be found out which devices this {fstype} lies on"
    if fstype == "overlay":
        return "its layers could not be found: named by relative paths, or in another namespace"
    if fstype in _NETWORK:
        return f"{fstype} is a network filesystem: its data lies on another machine"
    if fstype == "zfs":
        return "on which disks a ZFS pool lies is not in sysfs, so it cannot be called covered"
    if fstype.startswith("fuse"):
        return f"{fstype} is served by a program: where its data lies is not known"
    return f"{fstype} has no block device that a snapshot could hold"
