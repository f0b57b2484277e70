"""The mount table: what a manifest keeps of it, and what must not be looked into; pure."""

from __future__ import annotations

from snap_self.system.mangled import unmangled

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

Row = tuple[str, str, str]
"""Source, type and options."""

# The kernel's own, and what is empty after each start: they say nothing of what the machine is.
VOLATILE = frozenset(
    (
        *("autofs", "binder", "binfmt_misc", "bpf", "cgroup", "cgroup2", "configfs", "debugfs"),
        *("devpts", "devtmpfs", "efivarfs", "fusectl", "hugetlbfs", "mqueue", "nfsd", "nsfs"),
        *("overlay", "proc", "pstore", "ramfs", "resctrl", "rpc_pipefs", "securityfs", "selinuxfs"),
        *("smackfs", "sysfs", "tmpfs", "tracefs"),
    )
)
# Of these a disk or this machine's memory answers for what is looked at.
LOCAL = frozenset(
    (
        *("bcachefs", "btrfs", "erofs", "exfat", "ext2", "ext3", "ext4", "f2fs", "iso9660", "jfs"),
        *("overlay", "ramfs", "reiserfs", "squashfs", "tmpfs", "udf", "vfat", "xfs", "zfs"),
    )
)
# What sessions and containers mount comes and goes with them.
_PASSING = ("/run/", "/proc/", "/sys/", "/dev/", "/var/lib/docker/", "/var/lib/containers/")


def parse_mounts(text: str) -> dict[str, Row]:
    """Return each mount point of mountinfo with what is mounted there last.

    Source: proc_pid_mountinfo(5).
    """
    return dict(_lines(text))


def lasting(mounts: dict[str, Row]) -> dict[str, Row]:
    """Return those that say something of the machine."""
    return {
        point: row
        for point, row in mounts.items()
        if point == "/" or (row[1] not in VOLATILE and not point.startswith(_PASSING))
    }


def fences(mounts: dict[str, Row]) -> dict[str, str]:
    """Return the mount points that somebody else may have to answer for, and why."""
    return {
        point: f"not looked into, as it is a mount of {row[1]}"
        for point, row in mounts.items()
        if row[1] not in LOCAL
    }


def below(mounts: dict[str, Row], root: str) -> dict[str, Row]:
    """Return those below a folder, by paths from there on; all of them for an empty one."""
    return {
        point.removeprefix(root) or "/": row
        for point, row in mounts.items()
        if not root or point == root or point.startswith(f"{root}/")
    }


def _lines(text: str) -> Iterator[tuple[str, Row]]:
    for line in text.split("\n"):
        head, found, tail = line.partition(" - ")
        fields, last = head.split(" "), tail.split(" ")
        if not found or len(fields) < 6 or len(last) < 2:
            continue
        own = fields[5].split(",")
        own += last[2].split(",") if len(last) > 2 else ()
        options = ",".join(dict.fromkeys(own))
        yield unmangled(fields[4]), (unmangled(last[1]), unmangled(last[0]), options)
