"""Wait until the snapshots of a run have come as far as was asked."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from functools import partial

from snap_self.cloud.client import EcsClient
from snap_self.errors import CloudRefused, CloudThrottled, CloudUnreachable, SnapSelfError
from snap_self.model.asked import CutUnseen
from snap_self.model.ids import DiskId, SnapshotId
from snap_self.model.progress import Event, EventKind, Listener
from snap_self.model.run import OrderRecord
from snap_self.model.snapshots import (
    Cut,
    GroupMember,
    Snapshot,
    SnapshotStatus,
    WaitFor,
    uploaded,
)
from snap_self.ports import Clock
from snap_self.usecases.inventory.members import learn_members, members_of

# However long it takes, a look comes so often.
LAST_POLL_S = 10.0
# Members of a young group appear late; one still missing so long after the others were cut is not
# coming. Right after creation, polls 65 ms apart were seen with members missing.
MEMBER_GRACE_S = 5.0
# What was shown, and is not in so many polls over so long, is gone. Answers lag behind by less.
GONE_POLLS = 3
GONE_S = 10.0
# What was never shown beside others that are counts as gone after so long; when nothing at all is
# shown, that is said.
NEVER_S = 60.0
# An answer that cannot be understood may be followed by one that can.
MOST_REFUSALS = 3
UNSHOWN_DOUBT = (
    "may this instance's role list them (ecs:DescribeSnapshots, ecs:DescribeSnapshotGroups)?"
)


class Reached(IntEnum):
    """How far a snapshot has come."""

    FAILED = -1
    ASKED = 0
    CUT = 1
    AVAILABLE = 2
    ACCOMPLISHED = 3


WANTED = {
    WaitFor.NONE: Reached.ASKED,
    WaitFor.CUT: Reached.CUT,
    WaitFor.AVAILABLE: Reached.AVAILABLE,
    WaitFor.ACCOMPLISHED: Reached.ACCOMPLISHED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """Where the snapshots are when the wait ends.

    Args:
        snapshots: by disk, those the cloud shows.
        missing: disks asked for that the cloud left out of their group for certain; one that is
            only not seen yet is in no list.
        timed_out: the wait ended before all had come as far as was asked.
        unseen: last reason why the cloud could not be asked; empty if it could.
        members: by disk, what the groups told of those that may not be seen themselves.
        gone: disks whose snapshot the cloud does not show any more.
        trouble: the kind of that reason; None if the cloud could be asked.
    """

    records: tuple[OrderRecord, ...]
    snapshots: Mapping[DiskId, Snapshot]
    missing: tuple[DiskId, ...]
    timed_out: bool
    unseen: str
    members: Mapping[DiskId, GroupMember] = field(default_factory=dict)
    gone: tuple[DiskId, ...] = ()
    trouble: CutUnseen | None = None

    def snapshot_of(self, disk_id: DiskId) -> SnapshotId | None:
        """Return the id of a disk's snapshot as far as it is known."""
        found = (r.snapshot_ids[disk_id] for r in self.records if disk_id in r.snapshot_ids)
        return next(found, None)

    def why_uncut(self) -> CutUnseen | None:
        """Return why the cut of what was asked for was not seen; None where all of it was."""
        asked = [r for r in self.records if r.is_made]
        disks = [d for r in asked for d in r.order.disk_ids if d not in self.missing]
        uncut = [d for d in disks if not self._is_cut(d)]
        if not uncut:
            return None
        shown = all(d in self.snapshots or d in self.members for d in uncut)
        return self.trouble or (CutUnseen.NOT_CUT if shown else CutUnseen.NOT_SHOWN)

    def _is_cut(self, disk_id: DiskId) -> bool:
        member = self.members.get(disk_id)
        # A snapshot that can be used was cut.
        seen = member is not None and member.available
        return seen or reached(self.snapshots.get(disk_id)) >= Reached.CUT


def reached(snapshot: Snapshot | None) -> Reached:
    """Return how far a snapshot has come; one that cannot be seen yet was only asked for."""
    if snapshot is None:
        return Reached.ASKED
    if snapshot.status is SnapshotStatus.FAILED:
        return Reached.FAILED
    if snapshot.status is SnapshotStatus.ACCOMPLISHED:
        return Reached.ACCOMPLISHED
    if snapshot.cut is not Cut.MADE:
        return Reached.ASKED
    return Reached.AVAILABLE if snapshot.available else Reached.CUT


@dataclass(slots=True)
class _Absence:
    """How often in a row a snapshot was not shown, and since when."""

    since: float
    polls: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Looks:
    """When the cloud is asked how far snapshots are.

    Args:
        first_s: how long after they were asked for, at the earliest.
        spread_s: so much later at the latest, by chance.
        pause_s: between the first look and the second.
        growth: of each pause against the one before.
    """

    first_s: float
    spread_s: float
    pause_s: float
    growth: float


# A cut takes a second to a second and a half. Looks before that only use up a limit that everybody
# in the account shares; looks by machines that began together are spread.
SPARING = Looks(first_s=1.2, spread_s=0.4, pause_s=0.5, growth=1.6)
# Filesystems are frozen until the cut is seen.
HELD = Looks(first_s=0.0, spread_s=0.0, pause_s=0.2, growth=1.4)
# Little time must not pass without a look.
MOST_OF_TIMEOUT = 0.5


class Waiter:
    """Polls the cloud for the snapshots of a run.

    Args:
        random: gives 0 to 1, evenly.
    """

    def __init__(
        self,
        cloud: EcsClient,
        clock: Clock,
        listener: Listener,
        *,
        random: Callable[[], float],
        looks: Looks = SPARING,
    ) -> None:
        self._looks = looks
        self._random = random
        self._cloud = cloud
        self._clock = clock
        self._listener = listener
        self._records: tuple[OrderRecord, ...] = ()
        self._told: dict[DiskId, tuple[Reached, int | None]] = {}
        self._snapshots: dict[DiskId, Snapshot] = {}
        self._members: dict[DiskId, GroupMember] = {}
        self._absent: dict[DiskId, _Absence] = {}
        self._gone: list[DiskId] = []
        self._cut_since: float | None = None
        self._unseen = ""
        self._trouble: CutUnseen | None = None
        self._refusals = 0
        self._began = clock.monotonic()
        self._doubted = False

    def until(
        self,
        records: Sequence[OrderRecord],
        wait: WaitFor,
        *,
        timeout_s: float,
        asked: float | None = None,
    ) -> Settled:
        """Poll until every snapshot has come that far, one failed or is gone, or the time is up.

        Args:
            asked: when the cloud took the order, on the monotonic clock; None if that is long ago.
        """
        wanted = WANTED[wait]
        self._began = self._clock.monotonic()
        end = self._began + timeout_s
        pause = self._looks.pause_s
        self._records = tuple(records)
        if asked is not None and wanted > Reached.ASKED:
            self._await_first(asked, timeout_s)
        while True:
            self._look(end)
            if self._ended(wanted):
                return self._settled(timed_out=False)
            if self._clock.monotonic() + pause >= end:
                return self._settled(timed_out=True)
            self._clock.sleep(pause)
            pause = min(pause * self._looks.growth, LAST_POLL_S)

    def _await_first(self, asked: float, timeout_s: float) -> None:
        """Wait until a cut can be there."""
        first_s = self._looks.first_s + self._looks.spread_s * self._random()
        left_s = min(asked + first_s - self._began, timeout_s * MOST_OF_TIMEOUT)
        if left_s > 0:
            self._clock.sleep(left_s)

    def known(self) -> Settled:
        """Return where things stand as far as it was seen, without another poll."""
        return self._settled(timed_out=True)

    def _settled(self, *, timed_out: bool) -> Settled:
        return Settled(
            records=self._records,
            snapshots={d: shot for d, shot in self._snapshots.items() if d not in self._gone},
            missing=_missing(self._records) if self._grace_is_over() else (),
            timed_out=timed_out,
            unseen=self._unseen,
            members=dict(self._members),
            gone=tuple(self._gone),
            trouble=self._trouble,
        )

    def _look(self, end: float) -> None:
        left_s = max(1.0, end - self._clock.monotonic())
        try:
            self._learn_members(left_s)
            self._see_all(left_s)
            self._unseen, self._trouble, self._refusals = "", None, 0
        except (CloudUnreachable, CloudRefused) as error:
            # The snapshots go on without being watched; the next poll may get through.
            self._unseen, self._trouble = error.told, trouble_of(error)
            lasting = not isinstance(error, CloudUnreachable | CloudThrottled)
            self._refusals += lasting
            if self._refusals >= MOST_REFUSALS:
                raise
        except SnapSelfError as error:
            self._unseen, self._trouble = error.told, CutUnseen.REFUSED
            raise
        if self._cut_since is None and _all_known_are_cut(self._records, self._snapshots):
            self._cut_since = self._clock.monotonic()
        self._say_nothing_shown()

    def _learn_members(self, left_s: float) -> None:
        ask = partial(members_of, self._cloud, deadline_s=left_s)
        self._records, found = learn_members(self._records, ask, given_up=True)
        for members in found.values():
            self._members.update(members)

    def _see_all(self, left_s: float) -> None:
        disks = {sid: d for record in self._records for d, sid in record.snapshot_ids.items()}
        if not disks:
            return
        shots = self._cloud.describe_snapshots(ids=list(disks), deadline_s=left_s)
        shown = {disks[s.snapshot_id]: s for s in shots if s.snapshot_id in disks}
        for disk_id, shot in shown.items():
            self._snapshots[disk_id] = shot
            self._tell(disk_id, shot)
        self._miss(disks.values(), shown)

    def _miss(self, disk_ids: Iterable[DiskId], shown: Collection[DiskId]) -> None:
        """Count what is not shown; what was, and is not for long, is gone."""
        now = self._clock.monotonic()
        for disk_id in disk_ids:
            if disk_id in shown:
                self._absent.pop(disk_id, None)
                continue
            absence = self._absent.setdefault(disk_id, _Absence(now))
            absence.polls += 1
            limit_s = GONE_S if disk_id in self._snapshots else NEVER_S
            certain = bool(shown) or disk_id in self._snapshots
            long_ago = absence.polls >= GONE_POLLS and now - absence.since >= limit_s
            if certain and long_ago and disk_id not in self._gone:
                self._gone.append(disk_id)
        self._gone = [disk_id for disk_id in self._gone if disk_id not in shown]

    def _say_nothing_shown(self) -> None:
        late = self._clock.monotonic() - self._began >= NEVER_S
        if late and not (self._snapshots or self._unseen or self._doubted):
            self._doubted = True
            text = f"after {NEVER_S:g} s the cloud shows none of the snapshots; {UNSHOWN_DOUBT}"
            self._listener(Event(kind=EventKind.WARNING, text=text))

    def _tell(self, disk_id: DiskId, shot: Snapshot) -> None:
        state = reached(shot)
        if self._told.get(disk_id) == (state, shot.progress):
            return
        self._told[disk_id] = (state, shot.progress)
        self._listener(
            Event(
                kind=EventKind.DISK,
                text=f"{shot.snapshot_id}: {state.name.lower()}, {uploaded(shot.progress)}",
                disk_id=disk_id,
                percent=shot.progress or 0,
                state=state.name.lower(),
                remaining_s=shot.remaining_s,
            )
        )

    def _ended(self, wanted: Reached) -> bool:
        known = [disk_id for record in self._records for disk_id in record.snapshot_ids]
        states = [reached(self._snapshots.get(disk_id)) for disk_id in known]
        if Reached.FAILED in states or self._gone:
            return True
        if not states or min(states) < wanted:
            return False
        return not _missing(self._records) or self._grace_is_over()

    def _grace_is_over(self) -> bool:
        since = self._cut_since
        return since is not None and self._clock.monotonic() - since >= MEMBER_GRACE_S


def not_seen(records: Sequence[OrderRecord], error: SnapSelfError) -> Settled:
    """Return where snapshots are that could not be looked at, because of this error."""
    return Settled(
        records=tuple(records),
        snapshots={},
        missing=(),
        timed_out=True,
        unseen=error.told,
        trouble=trouble_of(error),
    )


def ended_before(records: Sequence[OrderRecord]) -> Settled:
    """Return where snapshots are that nobody has looked at, since the command was ended."""
    return Settled(
        records=tuple(records),
        snapshots={},
        missing=(),
        timed_out=False,
        unseen=CutUnseen.ENDED.words,
    )


def trouble_of(error: SnapSelfError) -> CutUnseen:
    """Return why no cut was seen when a look ended so."""
    if isinstance(error, CloudThrottled):
        return CutUnseen.THROTTLED
    return CutUnseen.UNREACHABLE if isinstance(error, CloudUnreachable) else CutUnseen.REFUSED


def _all_known_are_cut(
    records: Sequence[OrderRecord], snapshots: Mapping[DiskId, Snapshot]
) -> bool:
    known = [disk_id for record in records for disk_id in record.snapshot_ids]
    return bool(known) and all(reached(snapshots.get(each)) >= Reached.CUT for each in known)


def _missing(records: Sequence[OrderRecord]) -> tuple[DiskId, ...]:
    return tuple(
        disk_id
        for record in records
        if record.group_id
        for disk_id in record.order.disk_ids
        if disk_id not in record.snapshot_ids
    )
