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


def why_not_covered(fstype: str) -> str:
    """Return why no snapshot of a cloud disk holds such a filesystem."""
    if fstype in _NETWORK:
        return f"{fstype} is a network filesystem: its data lies on another machine"
    if fstype == "zfs":
        return "which disks a ZFS pool lies on is not in sysfs, so it cannot be called covered"
    if fstype.startswith("fuse"):
        return f"{fstype} is served by a program: where its data lies is not known"
    return f"{fstype} has no block device that a snapshot could hold"
