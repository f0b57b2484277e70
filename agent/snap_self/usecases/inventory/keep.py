"""Decide which of this instance's own snapshots may go: pure, from what the cloud shows to steps.

What one run made stands or falls together, and a group is only ever deleted whole. In doubt a
snapshot is kept: one too many costs a little money, one too few is the way back.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from snap_self.model.ids import DiskId, GroupId, InstanceId, RunId, SnapshotId
from snap_self.model.snapshots import OWNER_TAG, SnapshotGroup, SnapshotStatus
from snap_self.usecases.inventory.own import OwnSnapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class PrunePolicy:
    """What is to be kept.

    Without a number, what is past its date goes. With one or both, what either of them keeps stays,
    past its date or not, and everything else goes, save what was made to be kept for ever.

    Args:
        keep_last: how many of the newest sets of the same disks.
        keep_per_text: the same, among those made before the same change.
        force: also what disks were made from; these can then not be re-initialised any more.
    """

    keep_last: int | None = None
    keep_per_text: int | None = None
    force: bool = False

    @property
    def counts(self) -> bool:
        """Whether numbers decide, not dates."""
        return self.keep_last is not None or self.keep_per_text is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class PruneStep:
    """A group or a snapshot, and what is to become of it.

    Args:
        group_id: None where its members are deleted one by one, as a single snapshot is.
        forced: a disk was made from one of them.
    """

    delete: bool
    group_id: GroupId | None
    members: tuple[OwnSnapshot, ...]
    reason: str
    forced: bool = False

    @property
    def snapshot_ids(self) -> tuple[SnapshotId, ...]:
        """Which snapshots it is about."""
        return tuple(one.shot.snapshot_id for one in self.members)


@dataclass(frozen=True, slots=True, kw_only=True)
class Holdings:
    """What the cloud shows.

    Args:
        groups: those that the snapshots are members of, as far as they can be seen.
        awaited: runs that the machine goes back to by itself unless somebody confirms.
    """

    instance_id: InstanceId
    own: tuple[OwnSnapshot, ...]
    groups: Mapping[GroupId, SnapshotGroup]
    awaited: Collection[RunId] = ()


def prune_steps(holdings: Holdings, policy: PrunePolicy, *, now: datetime) -> tuple[PruneStep, ...]:
    """Return a step for every group and single snapshot, oldest first."""
    mine = tuple(one for one in holdings.own if one.tags.get(OWNER_TAG) == holdings.instance_id)
    sets = tuple(_Set(tuple(members)) for members in _parted(mine, _run_key).values())
    hindrances = _Hindrances(holdings, policy, mine)
    steps = []
    for each in sorted(sets, key=lambda one: (one.sort_key, one.members[0].shot.snapshot_id)):
        due, reason = _verdict(each, sets, policy, now)
        for members in _parted(each.members, _unit_key).values():
            steps.append(hindrances.judged(tuple(members), due=due, reason=reason))
    return tuple(steps)


def _run_key(one: OwnSnapshot) -> str:
    return one.run_id or _unit_key(one)


def _unit_key(one: OwnSnapshot) -> str:
    return one.group_id or one.shot.snapshot_id


def _parted(
    own: Iterable[OwnSnapshot], key: Callable[[OwnSnapshot], str]
) -> Mapping[str, list[OwnSnapshot]]:
    parts: dict[str, list[OwnSnapshot]] = defaultdict(list)
    for one in own:
        parts[key(one)].append(one)
    return parts


def _is_unfinished(one: OwnSnapshot) -> bool:
    """Tell whether it is being made, or may be: its state may not be known."""
    return one.shot.status in (SnapshotStatus.PROGRESSING, SnapshotStatus.UNKNOWN)


def _is_good(one: OwnSnapshot) -> bool:
    return one.shot.status is SnapshotStatus.ACCOMPLISHED and one.shot.cut_time is not None


@dataclass(frozen=True, slots=True)
class _Set:
    """What one run made."""

    members: tuple[OwnSnapshot, ...]

    @property
    def good_disks(self) -> frozenset[DiskId]:
        return frozenset(one.shot.disk_id for one in self.members if _is_good(one))

    @property
    def sort_key(self) -> float:
        cuts = [one.shot.cut_time for one in self.members if one.shot.cut_time]
        return max(cuts).timestamp() if cuts else float("inf")

    @property
    def expires(self) -> datetime | None:
        """The latest date of its members; None if one of them is to be kept for ever."""
        dates = [one.expires for one in self.members]
        known = [date for date in dates if date]
        return max(known) if len(known) == len(dates) else None

    def newer_of_same(self, sets: Iterable[_Set], *, per_text: bool) -> int:
        """Count the newer good sets that make this one needless.

        One is needless also if they cover more disks: what a half failed deletion left is then not
        the newest of its kind.
        """
        mine = (self.sort_key, self.members[0].shot.snapshot_id)
        return sum(
            (other.sort_key, other.members[0].shot.snapshot_id) > mine
            and other.good_disks >= self.good_disks
            and not (per_text and other.members[0].before != self.members[0].before)
            for other in sets
            if other is not self and other.good_disks
        )


def _verdict(
    each: _Set, sets: Sequence[_Set], policy: PrunePolicy, now: datetime
) -> tuple[bool, str]:
    """Tell whether a set is due by policy, and why."""
    if each.expires is None:
        return False, "it is kept for ever"
    date = f"{each.expires:%Y-%m-%d %H:%M} UTC"
    if not policy.counts or not each.good_disks:
        return (True, f"expired {date}") if each.expires <= now else (False, f"kept until {date}")
    for limit, per_text, what in (
        (policy.keep_last, False, "of these disks"),
        (policy.keep_per_text, True, "of these disks before the same change"),
    ):
        if limit is None:
            continue
        newer = each.newer_of_same(sets, per_text=per_text)
        if newer < limit:
            return False, f"number {newer + 1} of the newest {limit} {what}"
        reason = f"{newer} newer one{'s' * (newer != 1)} {what}"
    return True, reason


class _Hindrances:
    """What keeps a group or snapshot that is due from being deleted."""

    def __init__(
        self, holdings: Holdings, policy: PrunePolicy, mine: Sequence[OwnSnapshot]
    ) -> None:
        self._holdings = holdings
        self._policy = policy
        self._mine = {one.shot.snapshot_id for one in mine}
        self._newest = frozenset(_newest_good(mine))
        self._busy = {one.shot.disk_id for one in mine if _is_unfinished(one)}

    def judged(self, members: tuple[OwnSnapshot, ...], *, due: bool, reason: str) -> PruneStep:
        """Return the step for one group or single snapshot."""
        group_id = members[0].group_id
        group = self._holdings.groups.get(group_id) if group_id else None
        why = self._why_not(members, group) if due else reason
        return PruneStep(
            delete=not why,
            # A group that is gone has left what could not be deleted with it as single snapshots.
            group_id=group_id if group else None,
            members=members,
            reason=why or reason,
            forced=any(one.shot.usage != "none" for one in members),
        )

    def _why_not(self, members: Collection[OwnSnapshot], group: SnapshotGroup | None) -> str:
        """Return the first reason to keep something that is due; empty if there is none."""
        checks = (self._unfinished(members, group), self._whole(members, group))
        hindrance = next(filter(None, checks), "")
        return hindrance or next(filter(None, map(self._needed, members)), "")

    def _unfinished(self, members: Collection[OwnSnapshot], group: SnapshotGroup | None) -> str:
        unfinished = group is not None and group.status is SnapshotStatus.PROGRESSING
        if unfinished or any(map(_is_unfinished, members)):
            return "it is still being made"
        busy = sorted({one.shot.disk_id for one in members} & self._busy)
        if busy:
            return f"another snapshot of {busy[0]} is being made; the cloud deletes none meanwhile"
        return ""

    def _whole(self, members: Collection[OwnSnapshot], group: SnapshotGroup | None) -> str:
        if group is None:
            return ""
        if group.tags.get(OWNER_TAG) != self._holdings.instance_id:
            return f"group {group.group_id} is not tagged as this instance's"
        here = {one.shot.snapshot_id for one in members}
        foreign = [m.snapshot_id for m in group.members if m.snapshot_id not in here]
        if foreign:
            return f"its group has a member that is not known as ours: {foreign[0]}"
        return ""

    def _needed(self, one: OwnSnapshot) -> str:
        shot = one.shot
        if one.run_id and one.run_id in self._holdings.awaited:
            return f"the machine goes back to run {one.run_id} unless `snap-self confirm` is said"
        if shot.snapshot_id in self._newest:
            return f"{shot.snapshot_id} is the newest good one of {shot.disk_id}"
        if not shot.disk_id:
            return f"the disk of {shot.snapshot_id} is gone, so it may be the last one of it"
        if shot.usage == "disk":
            used = f"a disk was made from {shot.snapshot_id} (--force deletes it all the same)"
            return "" if self._policy.force else used
        return "" if shot.usage == "none" else f"a custom image uses {shot.snapshot_id}"


def _newest_good(own: Iterable[OwnSnapshot]) -> Iterable[SnapshotId]:
    newest: dict[DiskId, tuple[datetime, SnapshotId]] = {}
    for one in own:
        if one.shot.cut_time is not None and _is_good(one):
            this = (one.shot.cut_time, one.shot.snapshot_id)
            newest[one.shot.disk_id] = max(this, newest.get(one.shot.disk_id, this))
    return (snapshot_id for _, snapshot_id in newest.values())
