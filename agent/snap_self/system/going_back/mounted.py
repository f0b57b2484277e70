"""The mounts of this process's namespace, with all that mounts one of them again as it was.

Source: proc_pid_mountinfo(5).
"""

from __future__ import annotations

from typing import NamedTuple

from snap_self.system.kernel_text import read_kernel_text
from snap_self.system.mangled import unmangled

MOUNTINFO = "/proc/self/mountinfo"
# Told by the kernel, and no option that mount(8) passes on, or any more.
_TOLD_ONLY = frozenset({"seclabel", "attr2"})


class Mounted(NamedTuple):
    """One mount.

    Args:
        number: the mount's own.
        below: number of the mount that it is mounted on.
        root: what part of the filesystem is mounted.
        options: those of the mount and of its superblock, as mount(8) takes them.
    """

    number: int
    below: int
    devno: str
    root: str
    place: str
    fstype: str
    source: str
    options: str


def mounted_now() -> list[Mounted]:
    """Return every mount, in the order of the kernel: what lies on another comes after it."""
    found = []
    for line in read_kernel_text(MOUNTINFO).split("\n"):
        left, _, right = line.partition(" - ")
        if right:
            fields, behind = left.split(" "), right.split(" ")
            found.append(
                Mounted(
                    number=int(fields[0]),
                    below=int(fields[1]),
                    devno=fields[2],
                    root=unmangled(fields[3]),
                    place=unmangled(fields[4]),
                    fstype=behind[0],
                    source=unmangled(behind[1]),
                    options=options(fields[5], behind[2] if len(behind) > 2 else ""),
                )
            )
    return found


def options(own: str, of_superblock: str) -> str:
    """Return the options of a mount and of its superblock as one list; read-only is for both."""
    told = dict.fromkeys((*own.split(","), *unmangled(of_superblock).split(",")))
    wanted = [each for each in told if each and each not in _TOLD_ONLY]
    if "ro" in wanted:
        wanted = ["ro", *(each for each in wanted if each not in ("ro", "rw"))]
    return ",".join(wanted)
