"""This instance's own snapshots as the cloud's tags tell them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar

from snap_self.cloud.answers import Unclear
from snap_self.cloud.client import EcsClient
from snap_self.errors import ApiFault
from snap_self.model.ids import DiskId, GroupId, InstanceId, RunId, SnapshotId
from snap_self.model.snapshots import (
    BEFORE_TAG,
    CONSISTENCY_TAG,
    EXPIRES_TAG,
    OWNER_TAG,
    RUN_TAG,
    Consistency,
    Snapshot,
    SnapshotGroup,
)

T = TypeVar("T")

# API limits are shared by the whole account, so a list must not use them up; pages hold 100.
CALL_BUDGET = 100
PAGE = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnSnapshot:
    """A snapshot of ours, with the tags it has itself or has from its group."""

    shot: Snapshot
    tags: Mapping[str, str]
    group_id: GroupId | None

    @property
    def run_id(self) -> RunId | None:
        """The run that made it."""
        text = self.tags.get(RUN_TAG)
        return RunId(text) if text else None

    @property
    def before(self) -> str:
        """The change it was made for."""
        return self.tags.get(BEFORE_TAG, "")

    @property
    def level(self) -> Consistency:
        """What it is worth; an unknown word counts as the weakest."""
        try:
            return Consistency(self.tags.get(CONSISTENCY_TAG, ""))
        except ValueError:
            return Consistency.CRASH

    @property
    def expires(self) -> datetime | None:
        """When it may be deleted; None for never."""
        text = self.tags.get(EXPIRES_TAG, "")
        try:
            # A tenth of strptime's time, which a list of thousands shows; "Z" since Python 3.11.
            instant = datetime.fromisoformat(text.replace("Z", "+00:00"))
        except ValueError:
            return None
        return instant if instant.tzinfo else None


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnSnapshots:
    """All of them.

    Args:
        incomplete: why some may be missing; empty if none should be.
        groups: those that carry the tag themselves.
        on_disks: how many snapshots each disk here has, whosever they are; empty where not all
            were read.
    """

    found: tuple[OwnSnapshot, ...]
    incomplete: str
    groups: tuple[SnapshotGroup, ...] = ()
    on_disks: Mapping[DiskId, int] = field(default_factory=dict)


def own_snapshots(cloud: EcsClient, instance_id: InstanceId) -> OwnSnapshots:
    """Return every snapshot that carries our owner tag, by itself or through its group.

    The instance's disks are asked first, since a list by tag ends silently after 1000; then the
    tag, which also finds snapshots of disks that are detached by now; then the groups, whose tags
    may not reach their members.

    Source: ECS API reference, DescribeSnapshots, parameter Tag.N.
    """
    tags = {OWNER_TAG: instance_id}
    calls = _Budget(CALL_BUDGET)
    unclear: list[Unclear] = []
    here = cloud.describe_snapshots(instance_id=instance_id, max_pages=calls.left, unclear=unclear)
    calls.spend(here)
    if not calls.left:
        return _all_here(here, instance_id)
    # The other two only add to what is on the disks here.
    tagged, unread = _read(
        lambda: cloud.describe_snapshots(tags=tags, max_pages=calls.left, unclear=unclear)
    )
    calls.spend(tagged)
    shots = {shot.snapshot_id: shot for shot in (*here, *tagged)}
    if not calls.left:
        return _all_here(tuple(shots.values()), instance_id)
    found, groups_unread = _read(lambda: cloud.describe_groups(tags=tags, unclear=unclear))
    groups = _Groups.of(found)
    unseen = [sid for sid in groups.by_member if sid not in shots]
    for shot in cloud.describe_snapshots(ids=unseen, unclear=unclear):
        shots[shot.snapshot_id] = shot
    own = tuple(filter(None, (groups.own(shot, instance_id) for shot in shots.values())))
    why = "; ".join(filter(None, (unread, groups_unread)))
    told = [f"some may be missing: {why}"] if why else []
    told += _not_understood(unclear, instance_id, groups)
    told += _untold([*shots.values(), *found], {one.shot.snapshot_id for one in own})
    on_disks = Counter(shot.disk_id for shot in here)
    return OwnSnapshots(found=own, incomplete="; ".join(told), groups=found, on_disks=on_disks)


def _not_understood(
    unclear: Iterable[Unclear], instance_id: InstanceId, groups: _Groups
) -> Iterator[str]:
    """Say of each entry that cannot be shown whether it is ours; no other is hidden by it."""
    for name, one in {each.name or each.why: each for each in unclear}.items():
        ours = one.tags.get(OWNER_TAG) == instance_id or name in groups.by_member
        word = "is this instance's own, and " if ours else ""
        yield f"{one.name or 'an entry without a name'} {word}is not shown: {one.why}"


def _untold(seen: Iterable[Snapshot | SnapshotGroup], own: Collection[SnapshotId]) -> Iterator[str]:
    """Say of what it is not known whether it is ours."""
    for each in seen:
        name = each.snapshot_id if isinstance(each, Snapshot) else each.group_id
        if "Tags" in each.unread and name not in own:
            yield f"{name}: its tags cannot be read, so whether it is this instance's is not known"


def _read(read: Callable[[], tuple[T, ...]]) -> tuple[tuple[T, ...], str]:
    """Return what was read, or nothing and why the cloud refused it."""
    try:
        return read(), ""
    except ApiFault as error:
        return (), error.told


class _Budget:
    """How many calls may still be made."""

    def __init__(self, calls: int) -> None:
        self.left = calls

    def spend(self, shots: Sequence[Snapshot]) -> None:
        """Count the pages these came in; the last one may have been empty."""
        self.left = max(0, self.left - max(1, -(-len(shots) // PAGE)))


@dataclass(frozen=True, slots=True)
class _Groups:
    """Our groups, by member."""

    by_member: Mapping[SnapshotId, SnapshotGroup]

    @classmethod
    def of(cls, groups: Iterable[SnapshotGroup]) -> _Groups:
        return cls({m.snapshot_id: group for group in groups for m in group.members})

    def own(self, shot: Snapshot, instance_id: InstanceId) -> OwnSnapshot | None:
        """Return the snapshot with its own and its group's tags, or None if it is not ours."""
        group = self.by_member.get(shot.snapshot_id)
        tags = {**(group.tags if group else {}), **shot.tags}
        if tags.get(OWNER_TAG) != instance_id:
            return None
        group_id = group.group_id if group else shot.group_id
        return OwnSnapshot(shot=shot, tags=tags, group_id=group_id)


def _all_here(shots: Sequence[Snapshot], instance_id: InstanceId) -> OwnSnapshots:
    own = (_Groups({}).own(shot, instance_id) for shot in shots)
    return OwnSnapshots(
        found=tuple(one for one in own if one),
        incomplete=f"{len(shots)} snapshots took {CALL_BUDGET} calls, as many as a list may make; "
        "groups and detached disks were not asked",
    )
