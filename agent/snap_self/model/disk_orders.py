"""A disk that is asked for, made of a snapshot."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from snap_self.model.ids import SnapshotId


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskChoice:
    """What kind of disk.

    Args:
        level: performance level (``PL0``); empty for a category without.
    """

    category: str
    size_gib: int
    level: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskOrder:
    """A disk made of a snapshot; the same order always names the same disk.

    Args:
        zone: the instance's own.
        name: as the console shows it; empty for none.
        client_token: at most 64 ASCII characters; another choice needs another one.
    """

    snapshot_id: SnapshotId
    choice: DiskChoice
    zone: str
    client_token: str
    name: str = ""
    tags: Mapping[str, str] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class OnSale:
    """A category of data disks that is to be had now.

    Args:
        least_gib, most_gib: sizes; 0 where the cloud does not tell.
    """

    category: str
    least_gib: int = 0
    most_gib: int = 0
