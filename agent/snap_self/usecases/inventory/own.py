"""This instance's own snapshots as the cloud's tags tell them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import TypeVar

from snap_self.cloud.answers import Unclear
from snap_self.cloud.client import EcsClient
from snap_self.errors import ApiFault
from snap_self.model.ids import DiskId, GroupId, InstanceId, RunId, SnapshotId
from snap_self.model.run import RunRecord
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
        on_disks: how many manual snapshots each disk here has, whosever they are; empty where not
            all were read. Automatic ones have a limit of their own.
        unknown: what carries the tag, and is not known to be of this instance. Whoever may make a
            snapshot of any disk may give it the tag, so nothing is done with these but to tell.
    """

    found: tuple[OwnSnapshot, ...]
    incomplete: str
    groups: tuple[SnapshotGroup, ...] = ()
    on_disks: Mapping[DiskId, int] = field(default_factory=dict)
    unknown: tuple[OwnSnapshot, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Remembered:
    """What this instance's own records name, whatever the cloud says of it."""

    disk_ids: frozenset[DiskId] = frozenset()
    snapshot_ids: frozenset[SnapshotId] = frozenset()

    def names(self, shot: Snapshot) -> bool:
        """Tell whether the snapshot or its disk is among them; some have no disk any more."""
        known_disk = bool(shot.disk_id) and shot.disk_id in self.disk_ids
        return known_disk or shot.snapshot_id in self.snapshot_ids

    @classmethod
    def of(cls, records: Iterable[RunRecord], instance_id: InstanceId) -> Remembered:
        """Return what the records name; those of another instance count for nothing."""
        own = [record for record in records if record.instance_id == instance_id]
        return cls(
            disk_ids=frozenset(disk_id for record in own for disk_id in record.disk_ids),
            snapshot_ids=frozenset(sid for record in own for sid in record.snapshot_ids),
        )


def own_snapshots(
    cloud: EcsClient, instance_id: InstanceId, remembered: Callable[[], Remembered]
) -> OwnSnapshots:
    """Return every snapshot that carries our owner tag, by itself or through its group.

    It counts as our own if its disk is attached now or is in the journal. A list by instance has
    the snapshots of the disks that are attached to it, so nothing more is asked for that.

    The instance's disks are asked first, since a list by tag ends silently after 1000; then the
    tag, which also finds snapshots of disks that are detached by now; then the groups, whose tags
    may not reach their members.

    Args:
        remembered: reads the journal, which takes a while; called at most once, and only for a
            snapshot of a disk that is not attached.

    Source: ECS API reference, DescribeSnapshots, parameter Tag.N.
    """
    tags = {OWNER_TAG: instance_id}
    calls = _Budget(CALL_BUDGET)
    unclear: list[Unclear] = []
    here = cloud.describe_snapshots(instance_id=instance_id, max_pages=calls.left, unclear=unclear)
    calls.spend(here)
    judge = _Judge(remembered, here)
    if not calls.left:
        return _all_here(here, instance_id, judge)
    # The other two only add to what is on the disks here.
    tagged, unread = _read(
        lambda: cloud.describe_snapshots(tags=tags, max_pages=calls.left, unclear=unclear)
    )
    calls.spend(tagged)
    shots = {shot.snapshot_id: shot for shot in (*here, *tagged)}
    if not calls.left:
        return _all_here(tuple(shots.values()), instance_id, judge)
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
    return OwnSnapshots(
        found=tuple(filter(judge.knows, own)),
        incomplete="; ".join(told),
        groups=found,
        unknown=tuple(one for one in own if not judge.knows(one)),
        on_disks=Counter(shot.disk_id for shot in here if not shot.automatic),
    )


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


class _Judge:
    """Tells what is known to be of this instance.

    Args:
        here: the snapshots of the disks that are attached now.
    """

    def __init__(self, remembered: Callable[[], Remembered], here: Iterable[Snapshot]) -> None:
        shown = tuple(here)
        self._here = Remembered(
            disk_ids=frozenset(shot.disk_id for shot in shown),
            snapshot_ids=frozenset(shot.snapshot_id for shot in shown),
        )
        self._remembered = cache(remembered)

    def knows(self, one: OwnSnapshot) -> bool:
        """Tell whether it may be counted; the agent makes no automatic snapshot."""
        shot = one.shot
        return not shot.automatic and (self._here.names(shot) or self._remembered().names(shot))


def _all_here(shots: Sequence[Snapshot], instance_id: InstanceId, judge: _Judge) -> OwnSnapshots:
    groups = _Groups({})
    own = [one for shot in shots if (one := groups.own(shot, instance_id))]
    return OwnSnapshots(
        found=tuple(filter(judge.knows, own)),
        unknown=tuple(one for one in own if not judge.knows(one)),
        incomplete=f"{len(shots)} snapshots took {CALL_BUDGET} calls, as many as a list may make; "
        "groups and detached disks were not asked",
    )
