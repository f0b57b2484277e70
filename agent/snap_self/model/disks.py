"""Values of the disk world: local disks, filesystems, cloud disks, and which carries what."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from enum import Enum

from snap_self.model.ids import DiskId, InstanceId

BTRFS_KEY = "btrfs:"
"""What the key of a btrfs begins with; its id follows."""


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


PARTITION = "partition"
MOUNT = "mount"
# Their names tell what they are.
_PLAIN = frozenset({PARTITION, MOUNT, "disk"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """A filesystem or device on the way down to a whole disk.

    Args:
        kind: ``mount`` (a filesystem), ``partition``, ``lvm``, ``crypt``, ``md``, ``loop`` …; of a
            whole disk ``disk``, or why it is none.
        name: as users know it (``vg0-data``, ``vda1``); of a filesystem its mount point.
        device: kernel name (``dm-3``); empty for a filesystem.
        image: the file below a loop device; what holds that is the next layer.
    """

    kind: str
    name: str
    device: str = ""
    image: str = ""

    @property
    def words(self) -> str:
        """The name, with what it is where that does not tell it."""
        if self.image:
            return f"{self.name} (image {self.image})"
        return self.name if self.kind in _PLAIN else f"{self.name} ({self.kind})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Filesystem:
    """One superblock, wherever it is mounted.

    Args:
        key: ``major:minor`` of mountinfo field 3, or ``btrfs:FSID``.
        source: device node or label as mountinfo names it.
        mounts: every mount of it in this namespace, then some of other namespaces; all of theirs
            where this namespace does not lead to it.
        disks: names of the whole local disks under it (``vda``); empty if none is concerned.
        ways: for each disk the way down to it, from the filesystem to the disk itself.
        parents: keys of filesystems whose files carry it (loop images), for freeze order.
        devno: ``major:minor`` of mountinfo field 3.
        read_only: its superblock is, so there is nothing to write; a read-only mount alone does not
            say so.
    """

    key: str
    fstype: str
    source: str
    mounts: tuple[Mount, ...]
    disks: frozenset[str]
    ways: tuple[tuple[Layer, ...], ...]
    parents: frozenset[str]
    devno: str = ""
    read_only: bool = False

    def way_to(self, disk: str) -> tuple[Layer, ...]:
        """Return the layers down to one of its disks; empty if it does not lie on that."""
        return next((way for way in self.ways if way[-1].device == disk), ())


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalDisk:
    """A whole disk as the kernel sees it.

    Args:
        name: kernel name (``vda``, ``nvme0n1``, ``loop3``).
        serial: stripped; empty if it has none.
        serial_from: ``sysfs``, ``by-id``, ``unreadable``, ``ambiguous`` or empty.
        kind: ``disk``, or why it is none: ``loop``, ``zram``, ``ram``, ``nbd``, ``rom`` …
        carried_by: of a loop device, the type of the filesystem that holds its image, as long as
            that lies on no disk itself; empty if that is not known.
    """

    name: str
    devno: str
    size_bytes: int
    serial: str
    serial_from: str
    kind: str
    carried_by: str = ""

    @property
    def node(self) -> str:
        """Its device node; sysfs has ``!`` where the node's name has ``/``."""
        return "/dev/" + self.name.replace("!", "/")


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A volume over several disks, which one snapshot of one disk would tear.

    Args:
        kind: ``lvm``, ``md``, ``btrfs``, ``bcache``, ``crypt``, ``xfs-log`` …
        name: as users know it (``vg0-data``, ``md0``, ``/data``).
        disks: names of the local disks.
        unknown: the name of a further device of it that could not be found; empty if all were.
    """

    kind: str
    name: str
    disks: frozenset[str]
    unknown: str = ""

    def is_within(self, names: Set[str]) -> bool:
        """Tell whether all of it is known to lie on these disks."""
        return not self.unknown and self.disks <= names


@dataclass(frozen=True, slots=True, kw_only=True)
class NotCovered:
    """Something mounted or used here that no snapshot of a cloud disk holds.

    Args:
        what: mount point or device.
        kind: filesystem type or device kind (``nfs4``, ``tmpfs``, ``zram``).
        why: a sentence.
        data_at_risk: False for what is never data (proc, tmpfs), True for what a user could miss
            (nfs, an unmapped disk).
        left_out: a set without it is partial: it can be written, lies on a block device of this
            machine, and nobody asked for it to be left out.
        paths: its mount points in the agent's namespace.
        cause: the part of the reason that others share; empty where that is all of it.
    """

    what: str
    kind: str
    why: str
    data_at_risk: bool
    left_out: bool = False
    paths: tuple[str, ...] = ()
    cause: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unseen:
    """A filesystem that the kernel has alive, and that no mount table shows.

    Args:
        what: for people: its device, or its id.
        disks: names of the whole local disks under it.
    """

    what: str
    fstype: str
    disks: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubt:
    """A filesystem that may have a part on a device which nothing here tells.

    Args:
        what: its mount point.
        why: a sentence.
        disks: names of the whole local disks under it that are known.
    """

    what: str
    why: str
    disks: frozenset[str]


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
        why_elsewhere: of those that may hold data, by their ids, why none does.
        unseen: filesystems on whole disks that are alive and mounted nowhere that can be seen.
        doubts: filesystems on whole disks that may lie on further devices.
    """

    disks: Mapping[str, LocalDisk]
    filesystems: Mapping[str, Filesystem]
    spans: tuple[Span, ...]
    swaps: Mapping[str, frozenset[str]]
    devices: Mapping[str, frozenset[str]]
    not_covered: tuple[NotCovered, ...]
    elsewhere: tuple[Mount, ...] = ()
    why_elsewhere: Mapping[int, str] = field(default_factory=dict)
    unseen: tuple[Unseen, ...] = ()
    doubts: tuple[Doubt, ...] = ()


class DiskKind(Enum):
    """What the cloud calls the disk's type."""

    SYSTEM = "system"
    DATA = "data"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class CloudDisk:
    """A disk as DescribeDisks shows it.

    Args:
        size_gib: 0 when the cloud does not tell it.
        status: empty when the cloud does not tell it.
        device_label: the API's ``Device``; a label only, never used to map.
        attached_to: every instance it is attached to.
        locks: reasons of ``OperationLocks``.
        level: its performance level; empty for a category without.
        portable: it can be detached and attached.
        delete_with_instance: it is released with its instance; None when the cloud does not tell.
        snapshot_id: what it was made of; empty for none.
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
    level: str = ""
    portable: bool = True
    delete_with_instance: bool | None = None
    snapshot_id: str = ""
    tags: Mapping[str, str] = field(default_factory=dict, hash=False)


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
        always: no run means it: the configuration leaves it out, or a snapshot is open with it.
    """

    disk_id: DiskId
    why: str
    asked: bool
    always: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A cloud disk that gets a snapshot, and what it carries."""

    cloud: CloudDisk
    local: LocalDisk | None
    how: str
    filesystems: tuple[Filesystem, ...]
    why: str

    @property
    def places(self) -> tuple[str, ...]:
        """Return where each of its filesystems is mounted, once each, in their order."""
        return tuple(dict.fromkeys(each.mounts[0].path for each in self.filesystems if each.mounts))

    @property
    def label(self) -> str:
        """Return how people know it: its device and mount points, or its id where none is seen."""
        return f"{self.device or self.cloud.disk_id} {', '.join(self.places)}".rstrip()

    @property
    def device(self) -> str:
        """Return its node's name (``vda``); empty where it is not seen here."""
        return self.local.node.removeprefix("/dev/") if self.local else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """What a run will cover and what it will not.

    Args:
        targets: chosen disks, system disk first, then by disk id.
        torn: spans of which only some disks are chosen; the plan refuses these.
        spans: spans that lie wholly within the chosen disks.
        vain: exclusions that leave nothing out, each with why.
        excluded: filesystems that are in no snapshot as they are excluded, each with by what.
        unseen: filesystems on the chosen disks that are alive and mounted nowhere that can be seen.
        local_only: local disk to why it is none of the attached cloud disks.
        doubts: filesystems on the chosen disks that may lie on further devices.
    """

    targets: tuple[Target, ...]
    skipped: tuple[Skipped, ...]
    spans: tuple[Span, ...]
    torn: tuple[Span, ...]
    not_covered: tuple[NotCovered, ...]
    vain: tuple[str, ...] = ()
    unseen: tuple[Unseen, ...] = ()
    local_only: Mapping[str, str] = field(default_factory=dict)
    doubts: tuple[Doubt, ...] = ()
    excluded: tuple[NotCovered, ...] = ()

    @property
    def is_partial(self) -> bool:
        """Tell whether a set of all targets lacks something that nobody asked to be left out."""
        gaps = any(gap.left_out for gap in self.not_covered)
        return gaps or any(not skipped.asked for skipped in self.skipped)


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which disks a request names; empty ``paths`` and ``disks`` mean all.

    ``disks`` and ``exclude`` hold disk ids, devices (``/dev/vdb``, ``vdb1``) or mount points.

    Args:
        configured: those of ``exclude`` that were not typed but stand in the configuration.
    """

    paths: tuple[str, ...] = ()
    disks: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    configured: frozenset[str] = frozenset()

    @property
    def is_of_all(self) -> bool:
        """Tell whether everything is meant, less what is excluded."""
        return not self.paths and not self.disks

    def origin_of(self, exclusion: str) -> str:
        """Return what an exclusion is asked for by: an option, or a key of the configuration."""
        return "disks.exclude" if exclusion in self.configured else "--exclude"
