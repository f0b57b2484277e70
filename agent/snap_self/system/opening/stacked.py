"""What stands on a temporary disk: its partitions, loop devices and volumes, and their mounts."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import NamedTuple

from snap_self.system.disks.calls import mount_id_of
from snap_self.system.kernel_text import read_kernel_text
from snap_self.system.mangled import unmangled

CLASS = "/sys/class/block"
SECTOR = 512


class Visible(NamedTuple):
    """One mount that mountinfo shows.

    Args:
        number: the mount's own.
        below: number of the mount that it is mounted on.
        read_only: the filesystem itself is, wherever it is mounted.
    """

    number: int
    below: int
    devno: str
    place: str
    source: str
    read_only: bool


def name_of(node: str) -> str:
    """Return the kernel's name of a device node, as sysfs spells it."""
    return node.removeprefix("/dev/").replace("/", "!")


def node_of(name: str) -> str:
    """Return the device node of a name of sysfs."""
    return "/dev/" + name.replace("!", "/")


def attribute(name: str, path: str, *, sysfs: str = CLASS) -> str:
    """Return an attribute of a block device, stripped; empty if it has none."""
    try:
        with open(f"{sysfs}/{name}/{path}", encoding="utf-8", errors="replace") as file:
            return file.read().strip(" \t\r\n\0")
    except OSError:
        return ""


def partition_nodes(disk: str) -> dict[tuple[int, int], str]:
    """Return a disk's partitions as the kernel shows them: start and length in bytes to node."""
    found = {}
    for name in _below(disk):
        start, size = attribute(name, "start"), attribute(name, "size")
        if attribute(name, "partition") and start.isdigit() and size.isdigit():
            found[(int(start) * SECTOR, int(size) * SECTOR)] = node_of(name)
    return found


def _below(disk: str) -> list[str]:
    with suppress(OSError):
        return sorted(os.listdir(f"{CLASS}/{disk}"))
    return []


def stack(disks: Iterable[str]) -> list[str]:
    """Return the device nodes of all that stands on these disks, what is higher first."""
    found: dict[str, None] = {}
    waiting = [name_of(node) for node in disks]
    while waiting:
        name = waiting.pop(0)
        if name not in found:
            found[name] = None
            waiting += [name_of(node) for node in partition_nodes(name).values()]
            waiting += [each for each in _holders(name) if each.startswith("dm-")]
            waiting += _loops_on(node_of(name))
    return [node_of(name) for name in reversed(found)]


def others_on(nodes: Iterable[str], *, sysfs: str = CLASS) -> list[str]:
    """Return the nodes of what stands on devices and is neither partition, mapped nor loop.

    Such as arrays of md and caches of bcache, which ``stack`` does not follow.
    """
    held = (each for node in nodes for each in _holders(name_of(node), sysfs=sysfs))
    return [node_of(name) for name in dict.fromkeys(held) if not name.startswith("dm-")]


def _holders(name: str, *, sysfs: str = CLASS) -> list[str]:
    with suppress(OSError):
        return sorted(os.listdir(f"{sysfs}/{name}/holders"))
    return []


def _loops_on(node: str) -> Iterator[str]:
    for name in sorted(_names()):
        if name.startswith("loop") and attribute(name, "loop/backing_file") == node:
            yield name


def _names() -> list[str]:
    with suppress(OSError):
        return os.listdir(CLASS)
    return []


def users_of(node: str) -> tuple[str, ...]:
    """Return what uses a device as far as sysfs and procfs tell: for people, and maybe nothing."""
    found = [f"{each} stands on it" for each in _holders(name_of(node))]
    found += [f"{loop} stands on it" for loop in _loops_on(node)]
    with suppress(OSError), open("/proc/swaps", encoding="utf-8", errors="replace") as file:
        found += ["it is swap"] * any(line.split(" ")[0] == node for line in file)
    places = {line.place for line in mounts_of([node])}
    return (*found, *(f"it is mounted at {place}" for place in sorted(places)))


def copies_of(nodes: Iterable[str], at: str) -> list[Visible]:
    """Return the mounts of copies on these devices; those that lie on others come first.

    Copies are mounted read-only. What can be written to is somebody else's.

    Args:
        at: where a copy was mounted whose device may be gone by now; empty for none.
    """
    wanted = {*nodes}
    return [
        mount
        for mount in mounts_of(wanted)
        + [gone for gone in visible_mounts() if gone.place == at and _is_gone(gone.source)][::-1]
        if mount.read_only
    ]


def _is_gone(source: str) -> bool:
    return source.startswith("/dev/") and not os.path.exists(source)


def is_on_top(mount: Visible) -> bool:
    """Tell whether nothing is mounted on a mount, and its place leads to it."""
    return (
        all(other.below != mount.number for other in visible_mounts())
        and mount_at(mount.place) == mount.number
    )


def mount_at(place: str) -> int | None:
    """Return the number of the mount to which a place leads; None if it leads to nothing."""
    with suppress(OSError):
        fd = os.open(place, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            return mount_id_of(fd)
        finally:
            os.close(fd)
    return None


def mounts_of(nodes: Iterable[str]) -> list[Visible]:
    """Return the visible mounts of these devices; those that lie on others come first."""
    wanted = set(nodes)
    devnos = {attribute(name_of(node), "dev") for node in wanted} - {""}
    # A btrfs has no device number that a block device shares.
    found = [line for line in visible_mounts() if line.devno in devnos or line.source in wanted]
    return found[::-1]


def visible_mounts() -> list[Visible]:
    """Return every mount in this process's namespace, in the order of the kernel."""
    found = []
    for line in read_kernel_text("/proc/self/mountinfo").split("\n"):
        left, _, right = line.partition(" - ")
        if right:
            fields, behind = left.split(" "), right.split(" ")
            found.append(
                Visible(
                    number=int(fields[0]),
                    below=int(fields[1]),
                    devno=fields[2],
                    place=unmangled(fields[4]),
                    source=unmangled(behind[1]),
                    read_only="ro" in behind[-1].split(","),
                )
            )
    return found
