"""Values of opening a copy: what is looked for on a temporary disk, and what was found and done."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

MOUNTABLE = ("ext2", "ext3", "ext4", "xfs", "btrfs")
"""The types of filesystems whose copies can be opened beside their originals."""
ONLY_CHECKED = ("vfat",)
"""Those whose copies are not mounted, but shown to their checker: it reads all there is of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogicalVolume:
    """A logical volume of LVM, by the names of the original."""

    group: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyShape:
    """Where a filesystem lies on its disks, as the running system shows the original.

    Args:
        fstype: as mountinfo names it.
        partition: where its partition begins and how long it is, in bytes; None if it is on the
            whole disk, or if LVM is between.
        lvm: the volume that holds it; None if none does.
        subvolume: of a btrfs: path of what is opened, from the top of the filesystem; empty for
            the top.
        layers: kinds of the layers between the filesystem and its disks (``model.disks.Layer``).
        members: how many block devices the filesystem itself is made of.
        disks: serials of the disks that carry it.
        what: what people call it: its mount point.
        only_checked: it is not mounted, since nothing but its checker is to look at it.
    """

    fstype: str
    partition: tuple[int, int] | None = None
    lvm: LogicalVolume | None = None
    subvolume: str = ""
    layers: tuple[str, ...] = ()
    members: int = 1
    disks: frozenset[str] = frozenset()
    what: str = ""
    only_checked: bool = False


class RefusalKind(Enum):
    """Why a copy cannot be opened beside its original."""

    SEVERAL_DEVICES = "several-devices"
    MD = "md"
    LUKS = "luks"
    OLD_KERNEL = "old-kernel"
    FILESYSTEM = "filesystem"
    LAYER = "layer"
    NO_TOOLS = "no-tools"


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A copy that is not opened here, and what does work instead.

    Args:
        what: the mount point, or the device.
        why: a sentence.
        steps: lines for people, in order.
    """

    kind: RefusalKind
    what: str
    why: str
    steps: tuple[str, ...]


class Note(Enum):
    """What differs from the best way of opening, without harm to what is read."""

    MAGIC_STAYS = "magic-stays"
    """The kernel forbids writes to a mounted device: a reboot now may find the copy."""
    NOT_READ_ONLY = "not-read-only"
    """The device could not be set read-only; the mount is."""
    OLD_CALLS = "old-calls"
    """The kernel has no fsopen(2): mounted in a private namespace."""
    LINKS_FOLLOWED = "links-followed"
    """The kernel has no ``nosymfollow``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A copy that is open; dropped with the process unless it has a mount point.

    Args:
        fd: its root directory; of a btrfs the subvolume's; of what is only checked its device.
        device: the block device that is mounted: the disk, a partition, a loop device or a volume.
        fstype: as it was found on the device.
        mounted_at: its visible mount point; None without one.
        devices: serial to device node of the temporary disks below it.
        loops: loop devices that were made for partitions.
        group: the name that LVM's group has while it is open; empty without LVM.
        taken: offset on the device and bytes of what was zeroed there, so that nobody finds it.
        shown: the same of what its checker is shown otherwise than it is.
    """

    fd: int
    device: str
    fstype: str
    mounted_at: str | None
    devices: Mapping[str, str]
    notes: tuple[Note, ...] = ()
    loops: tuple[str, ...] = ()
    group: str = ""
    taken: tuple[tuple[int, bytes], ...] = ()
    shown: tuple[tuple[int, bytes], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """A process that uses what is to be closed.

    Args:
        program: its name; empty if it cannot be read.
    """

    pid: int
    program: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CopySign:
    """One thing on a copy that a boot would find.

    Args:
        kind: such as ``ext4``, ``lvm``, ``gpt``.
        mounted: when it was last mounted to be written to, in seconds since 1970; 0 for never, and
            None where its kind does not tell.
    """

    kind: str
    mounted: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CopySigns:
    """What is seen of a copy that is attached and was not opened.

    Args:
        used_at: where something of it is mounted, or the device that something stands on.
    """

    signs: tuple[CopySign, ...]
    used_at: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Closed:
    """How a copy was closed.

    Args:
        lazily: it was still used when its time was up; it goes when its users go.
        holders: who used it then.
        busy: devices that are still in use afterwards; a disk of these cannot be detached yet.
        magic_stays: devices on which the filesystem can still be found.
    """

    lazily: bool = False
    holders: tuple[Holder, ...] = ()
    busy: tuple[str, ...] = ()
    magic_stays: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """How udev is held back.

    Args:
        rule: the file of rules; empty on a machine without udev.
        reloaded: udev said that it has read it; else it does so by itself within seconds.
    """

    rule: str = ""
    reloaded: bool = False


class CheckResult(Enum):
    """What a filesystem's own checker found."""

    CLEAN = "clean"
    DAMAGED = "damaged"
    NO_PROGRAM = "no-program"
    NO_WAY = "no-way"
    """This kernel offers no way to show it the copy."""
    UNFINISHED = "unfinished"
    """Its time ran out, or it could not do its work."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What the filesystem's own checker said, changing nothing.

    Args:
        program: its name.
        why: its last words, unless all is well; for people.
        status: its exit status; None if it has none.
    """

    result: CheckResult
    program: str
    why: str = ""
    status: int | None = None

    @property
    def clean(self) -> bool:
        """Whether it looked at everything and found no fault."""
        return self.result is CheckResult.CLEAN
