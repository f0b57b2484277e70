"""What was read of a machine, before anybody understands it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineText:
    """The kernel's own text about disks and mounts, as one value that can be recorded.

    Args:
        files: path without leading slash (``sys/class/block/vda/size``) to its content, decoded
            as UTF-8 with ``surrogateescape``, not stripped.
        links: path without leading slash to the target text of the symbolic link.
        failures: path to the reason for what existed but could not be read.
    """

    files: Mapping[str, str]
    links: Mapping[str, str]
    failures: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class PathFact:
    """Where a path a user named really lies.

    Args:
        asked: the path as given.
        real: the absolute path without symbolic links.
        mount_id: field 1 of the mountinfo line it lies on; None where the kernel was not asked
            (a recorded machine), then the longest mount point that is a prefix counts.
        devno: ``major:minor`` of the filesystem it is on, also where that is mounted in another
            namespace only; of a btrfs it may be a subvolume's. Empty if unknown.
        overlay: that line of mountinfo if it is an overlay's; else empty.
        layers: where the layers of that overlay lie, as far as they could be looked at.
        owner: the user id that it belongs to; None where that was not asked.
    """

    asked: str
    real: str
    mount_id: int | None
    devno: str = ""
    overlay: str = ""
    layers: tuple[PathFact, ...] = ()
    owner: int | None = None
