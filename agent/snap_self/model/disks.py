"""Values of the disk world: local disks, filesystems, cloud disks, and which carries what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from snap_self.model.ids import DiskId, InstanceId


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """One place where a filesystem is mounted.

    Args:
        mount_id: field 1 of mountinfo.
        path: mount point as seen from the root of its namespace.
        fstype: as mountinfo names it.
        root: what part of the filesystem is mounted (``/``, or a bind mount's or subvolume's path).
        read_only: either the mount or its superblock is read-only.
        namespace: mount namespace id, or None for the agent's own.
        hidden: another mount lies over this one, so the path does not lead to it.
        pid: a process in that namespace, through whose ``/proc/PID/root`` the path can be opened.
    """

    mount_id: int
    path: str
    fstype: str
    root: str
    read_only: bool
    namespace: int | None
    hidden: bool
    pid: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Filesystem:
    """One superblock, wherever it is mounted.

    Args:
        key: ``major:minor`` of mountinfo field 3, or ``btrfs:FSID``.
        source: device node or label as mountinfo names it.
        mounts: every mount of it in this namespace, then some of other namespaces; all of theirs
            where this namespace does not lead to it.
        disks: names of the whole local disks under it (``vda``); empty if none is concerned.
        chain: for each disk the way down to it, for messages: ``/data ← vg-data (lvm) ← vdb1``.
        parents: keys of filesystems whose files carry it (loop images), for freeze order.
        devno: ``major:minor`` of mountinfo field 3.
    """

    key: str
    fstype: str
    source: str
    mounts: tuple[Mount, ...]
    disks: frozenset[str]
    chain: tuple[str, ...]
    parents: frozenset[str]
    devno: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalDisk:
    """A whole disk as the kernel sees it.

    Args:
        name: kernel name (``vda``, ``nvme0n1``, ``loop3``).
        serial: stripped; empty if it has none.
        serial_from: ``sysfs``, ``by-id``, ``unreadable`` or empty.
        kind: ``disk``, or why it is none: ``loop``, ``zram``, ``ram``, ``nbd``, ``rom`` …
    """

    name: str
    devno: str
    size_bytes: int
    serial: str
    serial_from: str
    kind: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A volume over several disks, which one snapshot of one disk would tear.

    Args:
        kind: ``lvm``, ``md``, ``btrfs``, ``bcache``, ``crypt``, ``xfs-log`` …
        name: as users know it (``vg0-data``, ``md0``, ``/data``).
        disks: names of the local disks.
    """

    kind: str
    name: str
    disks: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class NotCovered:
    """Something mounted or used here that no snapshot of a cloud disk holds.

    Args:
        what: mount point or device.
        kind: filesystem type or device kind (``nfs4``, ``tmpfs``, ``zram``).
        why: a sentence.
        data_at_risk: False for what is never data (proc, tmpfs), True for what a user could miss
            (nfs, an unmapped disk).
    """

    what: str
    kind: str
    why: str
    data_at_risk: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """All of a machine's storage, understood.

    Args:
        disks: whole disks by name.
        filesystems: those with at least one whole disk below, by key.
        swaps: swap area path to the disks below it.
        devices: every block device node name (``vda1``, ``dm-0``, ``vg0-data``) to its disks.
        elsewhere: mounts in the agent's namespace that no whole disk carries (proc, tmpfs, nfs),
            to tell where a path lies.
    """

    disks: Mapping[str, LocalDisk]
    filesystems: Mapping[str, Filesystem]
    spans: tuple[Span, ...]
    swaps: Mapping[str, frozenset[str]]
    devices: Mapping[str, frozenset[str]]
    not_covered: tuple[NotCovered, ...]
    elsewhere: tuple[Mount, ...] = ()


class DiskKind(Enum):
    """What the cloud calls the disk's type."""

    SYSTEM = "system"
    DATA = "data"


@dataclass(frozen=True, slots=True, kw_only=True)
class CloudDisk:
    """A disk as DescribeDisks shows it.

    Args:
        device_label: the API's ``Device``; a label only, never used to map.
        attached_to: every instance it is attached to.
        locks: reasons of ``OperationLocks``.
    """

    disk_id: DiskId
    name: str
    serial: str
    category: str
    kind: DiskKind
    size_gib: int
    status: str
    zone: str
    device_label: str
    attached_to: frozenset[InstanceId]
    multi_attach: bool
    encrypted: bool
    locks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class MappedDisk:
    """A cloud disk tied to the local disk it is.

    Args:
        local: None when no local disk was found for it.
        how: one sentence of evidence (``serial bp1… in sysfs, attached here, both 40 GiB``).
    """

    cloud: CloudDisk
    local: LocalDisk | None
    how: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Skipped:
    """A cloud disk that gets no snapshot.

    Args:
        asked: the user excluded it, so its absence is as asked.
    """

    disk_id: DiskId
    why: str
    asked: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A cloud disk that gets a snapshot, and what it carries."""

    cloud: CloudDisk
    local: LocalDisk | None
    how: str
    filesystems: tuple[Filesystem, ...]
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """What a run will cover and what it will not.

    Args:
        targets: chosen disks, system disk first, then by disk id.
        torn: spans of which only some disks are chosen; the plan refuses these.
        spans: spans that lie wholly within the chosen disks.
        vain: exclusions that leave no disk out, each with why.
    """

    targets: tuple[Target, ...]
    skipped: tuple[Skipped, ...]
    spans: tuple[Span, ...]
    torn: tuple[Span, ...]
    not_covered: tuple[NotCovered, ...]
    vain: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which disks a request names; empty ``paths`` and ``disks`` mean all.

    ``disks`` and ``exclude`` hold disk ids, devices (``/dev/vdb``, ``vdb1``) or mount points.
    """

    paths: tuple[str, ...] = ()
    disks: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
