"""Values of the snapshot world."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum

from snap_self.model.ids import DiskId, GroupId, InstanceId, RegionId, SnapshotId

OWNER_TAG = "snap-self-owner"
RUN_TAG = "snap-self-run"
BEFORE_TAG = "snap-self-before"
CONSISTENCY_TAG = "snap-self-consistency"
EXPIRES_TAG = "snap-self-expires"
OUTCOME_TAG = "snap-self-outcome"


class Consistency(Enum):
    """What a snapshot is worth, weakest first."""

    CRASH = "crash"
    FLUSH = "flush"
    FILESYSTEM = "filesystem"
    APPLICATION = "application"


class SnapshotStatus(Enum):
    """The API's ``Status``."""

    PROGRESSING = "progressing"
    ACCOMPLISHED = "accomplished"
    FAILED = "failed"


class WaitFor(Enum):
    """When the main job returns."""

    NONE = "none"
    CUT = "cut"
    AVAILABLE = "available"
    ACCOMPLISHED = "accomplished"


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """A snapshot as DescribeSnapshots shows it.

    Args:
        progress: percent, 0 to 100.
        cut_time: ``CreationTime``; None until the cut is made.
        usage: ``none``, ``image``, ``disk`` or ``image_disk``: what depends on it.
        retention_days: None when kept for ever.
        group_id: from the ``Created_from_ssg-…`` text the cloud leaves on group members, if seen.
        size_gib: of the source disk.
        automatic: made by an automatic snapshot policy, which has a limit of its own.
    """

    snapshot_id: SnapshotId
    name: str
    description: str
    disk_id: DiskId
    disk_kind: str
    status: SnapshotStatus
    progress: int
    available: bool
    cut_time: datetime | None
    retention_days: int | None
    size_gib: int
    usage: str
    group_id: GroupId | None
    tags: Mapping[str, str]
    automatic: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupMember:
    """A member as DescribeSnapshotGroups shows it."""

    snapshot_id: SnapshotId
    disk_id: DiskId
    progress: int
    available: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotGroup:
    """A snapshot-consistent group as DescribeSnapshotGroups shows it; members may come late."""

    group_id: GroupId
    name: str
    description: str
    status: SnapshotStatus
    instance_id: InstanceId | None
    created: datetime | None
    members: tuple[GroupMember, ...]
    tags: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberDeletion:
    """What became of one member of a group that was to be deleted.

    Args:
        api_code: why it was kept; empty when it was deleted.
    """

    snapshot_id: SnapshotId
    deleted: bool
    api_code: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotOrder:
    """One create request, complete.

    Args:
        disk_ids: one disk for a single snapshot, one or more for a group.
        grouped: CreateSnapshotGroup instead of CreateSnapshot.
        retention_days: only for a single snapshot; the API has none for groups.
        client_token: at most 64 ASCII characters; the same order keeps the same token.
    """

    disk_ids: tuple[DiskId, ...]
    grouped: bool
    name: str
    description: str
    tags: Mapping[str, str]
    retention_days: int | None
    client_token: str


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceState:
    """An instance as DescribeInstances shows it."""

    instance_id: InstanceId
    status: str
    instance_type: str
    locks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who and where this instance is.

    Args:
        source: where it was learned: ``identity document`` or ``single items``.
        mode: ``token`` or ``plain``.
    """

    instance_id: InstanceId
    region: RegionId
    zone: str
    account: str
    instance_type: str
    source: str
    mode: str
    serial_to_disk: Mapping[str, DiskId] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """Keys that sign API calls; never printed whole.

    Args:
        source: which link of the chain gave them, in words.
        expires: UTC; None for keys that do not run out.
    """

    access_key_id: str = field(repr=False)
    access_key_secret: str = field(repr=False)
    security_token: str = field(repr=False)
    source: str
    expires: datetime | None
