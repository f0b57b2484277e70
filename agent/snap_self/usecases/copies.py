"""How to open what a copy of a disk holds, beside the original, without the two being mixed up.

Source: vgimportclone(8), xfs(5) ``nouuid``, cryptsetup(8), btrfs(5) on filesystem ids.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from snap_self.disks.mapping import DiskMap
from snap_self.model.disks import Filesystem, Layout
from snap_self.model.ids import DiskId

ARROW = " ← "
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
        layers: kinds and names between the two, the lowest first.
        disks: names of all local disks it lies on.
    """

    mount: str
    fstype: str
    part: str
    layers: tuple[tuple[str, str], ...]
    disks: frozenset[str]


def copied_by_disk(layout: Layout, disk_map: DiskMap) -> Mapping[DiskId, tuple[Copied, ...]]:
    """Return for each cloud disk the filesystems on it, by mount point."""
    found: dict[DiskId, tuple[Copied, ...]] = {}
    for entry in disk_map.disks:
        if entry.local:
            name = entry.local.name
            on_it = (_copied(fs, name) for fs in layout.filesystems.values() if name in fs.disks)
            found[entry.cloud.disk_id] = tuple(
                sorted(filter(None, on_it), key=lambda one: one.mount)
            )
    return found


def _copied(filesystem: Filesystem, disk: str) -> Copied | None:
    """Return None for what lies in a file: it is found inside what holds that."""
    if filesystem.parents or filesystem.fstype == "overlay":
        return None
    chain = next(
        c for d, c in zip(sorted(filesystem.disks), filesystem.chain, strict=True) if d == disk
    )
    _, *steps = chain.split(ARROW)
    *middle, lowest = steps
    part = ""
    if middle and middle[-1].startswith(lowest) and "(" not in middle[-1]:
        part = middle.pop()[len(lowest) :]
    return Copied(
        mount=filesystem.mounts[0].path,
        fstype=filesystem.fstype,
        part=part,
        layers=tuple(_layer(step) for step in reversed(middle)),
        disks=filesystem.disks,
    )


def _layer(step: str) -> tuple[str, str]:
    name, _, kind = step.partition(" (")
    return kind.rstrip(")") or "partition", name


def open_copies(copies: Sequence[Copied]) -> Iterator[str]:
    """Yield the commands that open each filesystem of a copy read-only."""
    if not copies:
        yield f"mkdir -p {WHERE}"
        yield f"mount -o ro /dev/NEW {WHERE}   # NEW or one of its partitions; xfs: -o ro,nouuid"
    imported: set[str] = set()
    for number, one in enumerate(copies, start=1):
        yield from _opened(one, imported, WHERE if len(copies) == 1 else f"{WHERE}-{number}")


def _opened(one: Copied, imported: set[str], where: str) -> Iterator[str]:
    if why := _why_elsewhere(one):
        yield (
            f"# {one.mount} is on {why}: attach the copy to another instance, where the original "
            "is not, and open it there"
        )
        return
    device = f"/dev/NEW{one.part}"
    for kind, name in one.layers:
        if kind == "lvm":
            group, volume = _lvm_names(name)
            if group not in imported:
                imported.add(group)
                yield from _import_group(one, device, group)
            device = f"/dev/restore_{group}/{volume}"
        elif kind == "crypt":
            yield f"cryptsetup open --readonly {device} restore_{name}"
            device = f"/dev/mapper/restore_{name}"
    options = "ro,nouuid" if one.fstype == "xfs" else "ro"
    yield f"mkdir -p {where}"
    yield (
        f"mount -t {one.fstype} -o {options} {shlex.quote(device)} {where}   # what was "
        f"{one.mount}; its log is replayed on the copy"
    )


def _import_group(one: Copied, lower: str, group: str) -> Iterator[str]:
    if len(one.disks) > 1:
        yield (
            f"# volume group {group} lies on {len(one.disks)} disks: make and attach copies of all "
            "of them from this run first, and name each in the next command"
        )
    yield f"vgimportclone --basevgname restore_{group} {lower}   # RHEL 9 on: --importdevices too"
    yield f"vgchange --activate y restore_{group}"


def _why_elsewhere(one: Copied) -> str:
    if one.fstype == "btrfs":
        return "btrfs, of which one machine must never see two with the same id"
    kinds = [kind for kind, _ in one.layers]
    if len(one.disks) > 1 and "lvm" not in kinds and not ELSEWHERE.keys() & set(kinds):
        return "several disks, all of which it needs copied"
    return next((ELSEWHERE[kind] for kind in kinds if kind in ELSEWHERE), "")


def _lvm_names(name: str) -> tuple[str, str]:
    """Return group and volume of a device mapper name, in which a hyphen stands twice."""
    plain = name.replace("--", "\0")
    group, _, volume = plain.partition("-")
    return group.replace("\0", "-"), volume.replace("\0", "-")
