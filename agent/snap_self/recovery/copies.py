"""How to open what a copy of a disk holds, beside the original, without the two being mixed up.

Source: vgimportclone(8), xfs(5) ``nouuid``, cryptsetup(8), btrfs(5) on filesystem ids.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from snap_self.disks.mapping import DiskMap
from snap_self.model.disks import PARTITION, CloudDisk, DiskKind, Filesystem, Layer, Layout
from snap_self.model.ways import NEW_NODE, Local

WHERE = "/mnt/restore"
# With two of the same identity at one machine, the kernel's own bookkeeping can take one for the
# other; no option helps.
ELSEWHERE = {
    "md": "an md array",
    "bcache": "bcache",
    "multipath": "multipath",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Copied:
    """A filesystem that lies, whole or in part, on one disk.

    Args:
        mount: where the original is mounted.
        part: what the disk's name is followed by (``1``, ``p2``); empty for the whole disk.
        layers: what lies between the two, the lowest first.
        disks: names of all local disks it lies on.
    """

    mount: str
    fstype: str
    part: str
    layers: tuple[Layer, ...]
    disks: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class AttachedDisk:
    """A cloud disk that is attached to the instance now.

    Args:
        name: the kernel's; empty where it is not known which one it is here.
        copied: the filesystems that a copy of it would hold, as it looks now, by mount point.
    """

    cloud: CloudDisk
    name: str = ""
    copied: tuple[Copied, ...] = ()

    @property
    def is_system(self) -> bool:
        """Whether the instance starts from it."""
        return self.cloud.kind is DiskKind.SYSTEM

    @property
    def mounts(self) -> tuple[str, ...]:
        """Where what it carries is mounted."""
        return tuple(one.mount for one in self.copied)


def attached_disks(
    disks: Iterable[CloudDisk], layout: Layout, disk_map: DiskMap
) -> tuple[AttachedDisk, ...]:
    """Return each of the instance's cloud disks with what lies on it."""
    names = {each.cloud.disk_id: each.local.name for each in disk_map.disks if each.local}
    return tuple(_attached(disk, names.get(disk.disk_id, ""), layout) for disk in disks)


def _attached(disk: CloudDisk, name: str, layout: Layout) -> AttachedDisk:
    on_it = (_copied(fs, name) for fs in layout.filesystems.values() if name in fs.disks)
    copied = sorted(filter(None, on_it), key=lambda one: one.mount)
    return AttachedDisk(cloud=disk, name=name, copied=tuple(copied))


def _copied(filesystem: Filesystem, disk: str) -> Copied | None:
    """Return None for what lies in a file: it is found inside what holds that."""
    if filesystem.parents or filesystem.fstype == "overlay":
        return None
    _, *middle, _ = filesystem.way_to(disk)
    part = ""
    if middle and middle[-1].kind == PARTITION:
        part = middle.pop().device.removeprefix(disk)
    return Copied(
        mount=filesystem.mounts[0].path,
        fstype=filesystem.fstype,
        part=part,
        layers=tuple(reversed(middle)),
        disks=filesystem.disks,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """How what copies hold is opened read-only, and closed again.

    Args:
        closing: what undoes the steps, before the copy may be detached.
        cautions: what to know before, such as what cannot be opened here.
        after: what is then found where.
    """

    steps: tuple[Local, ...] = ()
    closing: tuple[Local, ...] = ()
    cautions: tuple[str, ...] = ()
    after: tuple[str, ...] = ()


def open_copies(copies: Sequence[Copied]) -> Opening:
    """Return how each filesystem of a copy is opened."""
    if not copies:
        mount = Local(
            argv=("mount", "-o", "ro", NEW_NODE, WHERE),
            why="NEW or one of its partitions; xfs: -o ro,nouuid",
        )
        opening = (Local(argv=("mkdir", "-p", WHERE)), mount)
        return Opening(steps=opening, closing=(_closed("umount", WHERE),))
    plan = _Plan()
    for number, one in enumerate(copies, start=1):
        plan.add(one, WHERE if len(copies) == 1 else f"{WHERE}-{number}")
    return Opening(
        steps=tuple(plan.steps),
        closing=tuple(reversed(plan.undoing)),
        cautions=tuple(plan.cautions),
        after=tuple(plan.after),
    )


def _closed(*argv: str) -> Local:
    return Local(argv=argv, why="on the instance, when done")


@dataclass(slots=True)
class _Plan:
    """Gathers what opens the copies one after the other.

    Args:
        undoing: what undoes it, in the order of what is undone.
    """

    steps: list[Local] = field(default_factory=list)
    undoing: list[Local] = field(default_factory=list)
    cautions: list[str] = field(default_factory=list)
    after: list[str] = field(default_factory=list)
    imported: set[str] = field(default_factory=set)

    def add(self, one: Copied, where: str) -> None:
        if why := _why_elsewhere(one):
            self.cautions.append(
                f"{one.mount} is on {why}: attach the copy to another instance, where the original "
                "is not, and open it there"
            )
            return
        device = f"{NEW_NODE}{one.part}"
        for layer in one.layers:
            if layer.kind == "lvm":
                group, volume = _lvm_names(layer.name)
                self._import_group(one, device, group)
                device = f"/dev/restore_{group}/{volume}"
            elif layer.kind == "crypt":
                opened = f"restore_{layer.name}"
                self._do("cryptsetup", "open", "--readonly", device, opened)
                self.undoing.append(_closed("cryptsetup", "close", opened))
                device = f"/dev/mapper/{opened}"
        options = "ro,nouuid" if one.fstype == "xfs" else "ro"
        self._do("mkdir", "-p", where)
        self._do("mount", "-t", one.fstype, "-o", options, device, where)
        self.undoing.append(_closed("umount", where))
        self.after.append(f"{where} holds what was {one.mount}; its log was replayed on the copy")

    def _import_group(self, one: Copied, lower: str, group: str) -> None:
        if group in self.imported:
            return
        self.imported.add(group)
        if len(one.disks) > 1:
            self.cautions.append(
                f"volume group {group} lies on {len(one.disks)} disks: make and attach copies of "
                "all of them from this run first, and name each where vgimportclone is called"
            )
        name = f"restore_{group}"
        imported = ("vgimportclone", "--basevgname", name, lower)
        self.steps.append(Local(argv=imported, why="RHEL 9 on: --importdevices too"))
        self._do("vgchange", "--activate", "y", name)
        self.undoing.append(_closed("vgchange", "--activate", "n", name))

    def _do(self, *argv: str) -> None:
        self.steps.append(Local(argv=argv))


def _why_elsewhere(one: Copied) -> str:
    if one.fstype == "btrfs":
        return "btrfs, of which one machine must never see two with the same id"
    kinds = [layer.kind for layer in one.layers]
    if len(one.disks) > 1 and "lvm" not in kinds and not ELSEWHERE.keys() & set(kinds):
        return "several disks, all of which it needs copied"
    return next((ELSEWHERE[kind] for kind in kinds if kind in ELSEWHERE), "")


def _lvm_names(name: str) -> tuple[str, str]:
    """Return group and volume of a device mapper name, in which a hyphen stands twice."""
    plain = name.replace("--", "\0")
    group, _, volume = plain.partition("-")
    return group.replace("\0", "-"), volume.replace("\0", "-")
