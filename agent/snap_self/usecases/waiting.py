"""Wait until the snapshots of a run have come as far as was asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum

from snap_self.cloud.client import EcsClient
from snap_self.errors import CloudThrottled, CloudUnreachable
from snap_self.model.ids import DiskId, GroupId, SnapshotId
from snap_self.model.progress import Event, EventKind, Listener
from snap_self.model.run import OrderRecord
from snap_self.model.snapshots import Snapshot, SnapshotStatus, WaitFor
from snap_self.ports import Clock

# Polls are close together until the cut, which takes about a second, and then ever further apart.
FIRST_POLL_S = 0.2
LAST_POLL_S = 5.0
POLL_GROWTH = 1.4
# Members of a young group appear late; one still missing so long after the others were cut is not
# coming. Right after creation, polls 65 ms apart were seen with members missing.
MEMBER_GRACE_S = 5.0


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
    """

    records: tuple[OrderRecord, ...]
    snapshots: Mapping[DiskId, Snapshot]
    missing: tuple[DiskId, ...]
    timed_out: bool
    unseen: str


def reached(snapshot: Snapshot | None) -> Reached:
    """Return how far a snapshot has come; one that cannot be seen yet was only asked for."""
    if snapshot is None:
        return Reached.ASKED
    if snapshot.status is SnapshotStatus.FAILED:
        return Reached.FAILED
    if snapshot.status is SnapshotStatus.ACCOMPLISHED:
        return Reached.ACCOMPLISHED
    if snapshot.cut_time is None:
        return Reached.ASKED
    return Reached.AVAILABLE if snapshot.available else Reached.CUT


class Waiter:
    """Polls the cloud for the snapshots of a run."""

    def __init__(self, cloud: EcsClient, clock: Clock, listener: Listener) -> None:
        self._cloud = cloud
        self._clock = clock
        self._listener = listener
        self._told: dict[DiskId, tuple[Reached, int]] = {}
        self._snapshots: dict[DiskId, Snapshot] = {}
        self._cut_since: float | None = None
        self._unseen = ""

    def until(self, records: Sequence[OrderRecord], wait: WaitFor, *, timeout_s: float) -> Settled:
        """Poll until every snapshot has come that far, one failed, or the time is up."""
        wanted = WANTED[wait]
        end = self._clock.monotonic() + timeout_s
        pause = FIRST_POLL_S
        current = tuple(records)
        while True:
            current = self._look(current, end)
            missing = _missing(current)
            if self._ended(current, missing, wanted):
                return self._settled(current, missing, timed_out=False)
            if self._clock.monotonic() + pause >= end:
                return self._settled(current, missing, timed_out=True)
            self._clock.sleep(pause)
            pause = min(pause * POLL_GROWTH, LAST_POLL_S)

    def known(self, records: Sequence[OrderRecord]) -> Settled:
        """Return where things stand as far as it was seen, without another poll."""
        return self._settled(tuple(records), _missing(records), timed_out=True)

    def look(self, records: Sequence[OrderRecord], *, timeout_s: float) -> Settled:
        """Poll once, for a report of how things stand."""
        current = self._look(tuple(records), self._clock.monotonic() + timeout_s)
        return self._settled(current, _missing(current), timed_out=False)

    def _settled(
        self, records: tuple[OrderRecord, ...], missing: tuple[DiskId, ...], *, timed_out: bool
    ) -> Settled:
        return Settled(
            records=records,
            snapshots=dict(self._snapshots),
            missing=missing if self._grace_is_over() else (),
            timed_out=timed_out,
            unseen=self._unseen,
        )

    def _look(self, records: tuple[OrderRecord, ...], end: float) -> tuple[OrderRecord, ...]:
        left_s = max(1.0, end - self._clock.monotonic())
        try:
            records = self._learn_members(records, left_s)
            ids = [sid for record in records for sid in record.snapshot_ids.values()]
            if ids:
                for shot in self._cloud.describe_snapshots(ids=ids, deadline_s=left_s):
                    self._see(shot)
            self._unseen = ""
        except (CloudUnreachable, CloudThrottled) as error:
            # The snapshots go on without being watched; the next poll may get through.
            self._unseen = error.message
        if self._cut_since is None and _all_known_are_cut(records, self._snapshots):
            self._cut_since = self._clock.monotonic()
        return records

    def _learn_members(
        self, records: tuple[OrderRecord, ...], left_s: float
    ) -> tuple[OrderRecord, ...]:
        young: list[GroupId] = [
            record.group_id
            for record in records
            if record.group_id and len(record.snapshot_ids) < len(record.order.disk_ids)
        ]
        if not young:
            return records
        found: dict[GroupId, dict[DiskId, SnapshotId]] = {
            group.group_id: {m.disk_id: m.snapshot_id for m in group.members}
            for group in self._cloud.describe_groups(ids=young, deadline_s=left_s)
        }
        return tuple(
            replace(record, snapshot_ids={**record.snapshot_ids, **found[record.group_id]})
            if record.group_id in found
            else record
            for record in records
        )

    def _see(self, shot: Snapshot) -> None:
        self._snapshots[shot.disk_id] = shot
        state = reached(shot)
        if self._told.get(shot.disk_id) == (state, shot.progress):
            return
        self._told[shot.disk_id] = (state, shot.progress)
        self._listener(
            Event(
                kind=EventKind.DISK,
                text=f"{shot.snapshot_id}: {state.name.lower()}, {shot.progress} % uploaded",
                disk_id=shot.disk_id,
                percent=shot.progress,
                state=state.name.lower(),
            )
        )

    def _ended(
        self, records: Sequence[OrderRecord], missing: Sequence[DiskId], wanted: Reached
    ) -> bool:
        known = [disk_id for record in records for disk_id in record.snapshot_ids]
        states = [reached(self._snapshots.get(disk_id)) for disk_id in known]
        if Reached.FAILED in states:
            return True
        if not states or min(states) < wanted:
            return False
        return not missing or self._grace_is_over()

    def _grace_is_over(self) -> bool:
        since = self._cut_since
        return since is not None and self._clock.monotonic() - since >= MEMBER_GRACE_S


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
