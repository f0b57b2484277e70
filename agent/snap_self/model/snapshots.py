"""Values of the snapshot world."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum

from snap_self.model.actions import ANYTHING, TEMPLATE, Holder
from snap_self.model.ids import DiskId, GroupId, InstanceId, RegionId, SnapshotId

OWNER_TAG = "snap-self-owner"
RUN_TAG = "snap-self-run"
BEFORE_TAG = "snap-self-before"
CONSISTENCY_TAG = "snap-self-consistency"
EXPIRES_TAG = "snap-self-expires"
OUTCOME_TAG = "snap-self-outcome"
VERIFIED_TAG = "snap-self-verified"
# Of an execution that goes back by itself: when, unless somebody confirms.
DEADLINE_TAG = "snap-self-deadline"
# Of temporary disks: the instance it is for, what it was made for, and until when it may exist.
TEMPORARY_TAG = "snap-self-temp"
RESTORE_TAG = "snap-self-restore"
UNTIL_TAG = "snap-self-temp-until"


class Consistency(Enum):
    """What a snapshot is worth, weakest first; the weaker one is the smaller."""

    CRASH = "crash"
    FLUSH = "flush"
    FILESYSTEM = "filesystem"
    APPLICATION = "application"

    def __lt__(self, other: Consistency) -> bool:
        return _LEVELS.index(self) < _LEVELS.index(other)

    def at_least(self, other: Consistency) -> bool:
        """Tell whether it is worth as much as the other one, or more."""
        return not self < other

    @property
    def is_held(self) -> bool:
        """Tell whether filesystems are frozen until the cut."""
        return self.at_least(Consistency.FILESYSTEM)


_LEVELS = tuple(Consistency)


class SnapshotStatus(Enum):
    """The API's ``Status``; a word that is not documented stands for none of the others yet."""

    PROGRESSING = "progressing"
    ACCOMPLISHED = "accomplished"
    FAILED = "failed"
    UNKNOWN = "unknown"


class Cut(Enum):
    """What is known of the instant a snapshot's content is fixed at."""

    MADE = "made"
    NOT_YET = "not-yet"
    NOT_KNOWN = "not-known"


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
        progress: percent, 0 to 100; None when it is not known.
        cut_time: ``CreationTime``; None until the cut is made, or when it cannot be read.
        usage: ``none``, ``image``, ``disk`` or ``image_disk``: what depends on it.
        retention_days: None when kept for ever, or when it cannot be read.
        group_id: from the ``Created_from_ssg-…`` text the cloud leaves on group members, if seen.
        size_gib: of the source disk.
        automatic: made by an automatic snapshot policy, which has a limit of its own.
        unread: attributes of the API that are there and cannot be read.
        cut_unread: what a ``CreationTime`` that is no time tells of the cut.
        remaining_s: how long the upload will take on, by the cloud's guess; None without one.
    """

    snapshot_id: SnapshotId
    name: str
    description: str
    disk_id: DiskId
    disk_kind: str
    status: SnapshotStatus
    progress: int | None
    available: bool
    cut_time: datetime | None
    retention_days: int | None
    size_gib: int
    usage: str
    group_id: GroupId | None
    tags: Mapping[str, str]
    automatic: bool = False
    unread: frozenset[str] = frozenset()
    cut_unread: Cut = Cut.NOT_YET
    remaining_s: int | None = None

    @property
    def cut(self) -> Cut:
        """What is known of its cut."""
        if self.cut_time is not None or self.status is SnapshotStatus.ACCOMPLISHED:
            return Cut.MADE
        return self.cut_unread


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupMember:
    """A member as DescribeSnapshotGroups shows it.

    Args:
        disk_id: empty when the cloud does not name it there.
        progress: percent, 0 to 100; None when it is not known.
    """

    snapshot_id: SnapshotId
    disk_id: DiskId
    progress: int | None
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
    unread: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberDeletion:
    """What became of one member of a group that was to be deleted.

    Args:
        api_code: why it was kept; empty when it was deleted.
        api_message: the same in the cloud's words.
        request_id: of the deletion.
    """

    snapshot_id: SnapshotId
    deleted: bool
    api_code: str
    api_message: str = ""
    request_id: str = ""


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
    """An instance as DescribeInstances shows it.

    Args:
        stopped_mode: how it was stopped (``KeepCharging``, ``StopCharging`` for economical mode);
            empty when the cloud does not tell it.
    """

    instance_id: InstanceId
    status: str
    instance_type: str
    locks: tuple[str, ...] = ()
    stopped_mode: str = ""


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

    @property
    def holder(self) -> Holder:
        """Whose disks a RAM policy of this instance is about, as far as the metadata tell."""
        return Holder(
            region=self.region,
            account=self.account or ANYTHING,
            instance_id=self.instance_id,
            disks=tuple(dict.fromkeys(self.serial_to_disk.values())) or TEMPLATE.disks,
        )


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


def uploaded(progress: int | None) -> str:
    """Return in words how far an upload is."""
    return "upload not known" if progress is None else f"{progress} % uploaded"
