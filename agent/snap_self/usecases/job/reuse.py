"""Find a good snapshot set of the same disks that is fresh enough to be used again.

The journal knows which runs come into question; without one nothing is asked. What it names is
asked for by id, and only the cloud's answer tells whether it still exists and when it was cut. A
journal that was lost costs one more snapshot, never none.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from snap_self.cloud.client import EcsClient
from snap_self.errors import SnapSelfError
from snap_self.model.disks import Coverage
from snap_self.model.ids import DiskId, GroupId, InstanceId, RunId, SnapshotId
from snap_self.model.report import SnapshotReport
from snap_self.model.request import Request
from snap_self.model.run import ArmedEnd, OrderRecord, RunRecord
from snap_self.model.snapshots import (
    OWNER_TAG,
    Consistency,
    Snapshot,
    SnapshotGroup,
    SnapshotOrder,
    WaitFor,
)
from snap_self.usecases.inventory.members import named_members, with_members, young_groups
from snap_self.usecases.inventory.own import OwnSnapshot
from snap_self.usecases.job.look import Survey
from snap_self.usecases.job.shots import snapshot_report
from snap_self.usecases.job.wait import WANTED, Reached, reached
from snap_self.usecases.tools import Tools

# A cut is at most so much later than the run's begin: the create may have waited for its minute.
LATE_CUT = timedelta(minutes=10)
# A set that cannot be looked at in time is not used again.
LOOK_S = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Reusable:
    """A set that serves instead of a new one."""

    run_id: RunId
    level: Consistency
    found: tuple[OwnSnapshot, ...]
    expires: datetime | None

    @property
    def snapshots(self) -> tuple[SnapshotReport, ...]:
        """Return how they were found."""
        return tuple(
            snapshot_report(own.shot, group_id=own.group_id, expires=own.expires)
            for own in self.found
        )

    @property
    def records(self) -> tuple[OrderRecord, ...]:
        """Return them as orders that were carried out, to be waited for."""
        return tuple(
            OrderRecord(
                order=SnapshotOrder(
                    disk_ids=(own.shot.disk_id,),
                    grouped=bool(own.group_id),
                    name=own.shot.name,
                    description=own.shot.description,
                    tags=own.tags,
                    retention_days=own.shot.retention_days,
                    client_token="",
                ),
                sent=True,
                group_id=own.group_id,
                snapshot_ids={own.shot.disk_id: own.shot.snapshot_id},
            )
            for own in self.found
        )

    def is_as_far_as(self, wait: WaitFor) -> bool:
        """Tell whether all have come as far as is to be waited for."""
        return all(reached(own.shot) >= WANTED[wait] for own in self.found)


def find_reusable(
    tools: Tools, found: Survey, request: Request, coverage: Coverage
) -> tuple[Reusable | None, str]:
    """Return the newest set of ours that serves, or None; and why that cannot be told, if so.

    What cannot be told costs one more snapshot: a limit of the API that the whole account shares
    must not keep this one from being made.
    """
    wanted = _Wanted.of(request, coverage, found.identity.instance_id, tools.clock.now())
    records = [record for record in tools.store.all() if _may_serve(record, wanted)]
    if not (records and wanted.disks):
        return None, ""
    look = _Look(found.cloud.in_passing(LOOK_S), wanted)
    try:
        sets = [look.at(record) for record in look.with_members(records)]
    except SnapSelfError as error:
        runs = ", ".join(record.run_id for record in records)
        return None, f"whether the snapshots of {runs} serve cannot be told: {error.told}"
    good = [one for one in sets if one and _serves(one, wanted)]
    return max(good, key=_cut, default=None), ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wanted:
    """What a set must be to serve.

    Args:
        oldest: it was cut at this instant or later.
        armed: the machine is to go back to it by itself unless somebody confirms.
    """

    instance_id: InstanceId
    disks: frozenset[DiskId]
    level: Consistency
    oldest: datetime
    armed: bool

    @classmethod
    def of(
        cls, request: Request, coverage: Coverage, instance_id: InstanceId, now: datetime
    ) -> _Wanted:
        return cls(
            instance_id=instance_id,
            disks=frozenset(target.cloud.disk_id for target in coverage.targets),
            level=request.consistency,
            oldest=now - timedelta(seconds=request.reuse_s or 0),
            armed=request.confirm_within_s is not None,
        )


def _may_serve(record: RunRecord, wanted: _Wanted) -> bool:
    level = record.consistency_reached
    ended = record.finished or record.started + LATE_CUT
    made = [order for order in record.orders if order.is_made]
    return (
        # A journal that was copied with its disk names the runs of another instance.
        record.instance_id == wanted.instance_id
        and record.started + LATE_CUT >= wanted.oldest
        and max(ended, record.started) >= wanted.oldest
        and wanted.disks <= {disk_id for order in made for disk_id in order.order.disk_ids}
        and (level is None or level.at_least(wanted.level))
        # To go back to it would also undo what was confirmed since.
        and not (wanted.armed and record.armed and record.armed.ended is ArmedEnd.CONFIRMED)
    )


@dataclass(slots=True)
class _Look:
    """What the cloud shows of these runs; no question is asked twice."""

    cloud: EcsClient
    wanted: _Wanted
    _groups: dict[GroupId, SnapshotGroup] = field(default_factory=dict)
    _shots: Mapping[SnapshotId, Snapshot] = field(default_factory=dict)

    def with_members(self, records: Sequence[RunRecord]) -> tuple[RunRecord, ...]:
        """Return the runs with the members their groups have by now; look at all snapshots."""
        lacking = [group for record in records for group in young_groups(record.orders)]
        found = self._ask_groups(lacking)
        members = named_members(self.cloud, found)
        known = tuple(replace(r, orders=with_members(r.orders, members)) for r in records)
        ids = [sid for record in known for _, _, sid in self._asked(record)]
        shots = self.cloud.describe_snapshots(ids=list(dict.fromkeys(ids)))
        self._shots = {shot.snapshot_id: shot for shot in shots}
        # The tags of a group may not reach its members.
        shown = [
            (group_id, shot)
            for record in known
            for _, group_id, sid in self._asked(record)
            if (shot := self._shots.get(sid))
        ]
        self._ask_groups([g for g, shot in shown if g and OWNER_TAG not in shot.tags])
        return known

    def at(self, record: RunRecord) -> Reusable | None:
        """Return what the cloud shows of a run's set that is this instance's own."""
        own = tuple(
            OwnSnapshot(shot=replace(shot, disk_id=disk_id), tags=tags, group_id=group_id)
            for disk_id, group_id, sid in self._asked(record)
            if (shot := self._shots.get(sid))
            and (tags := self._tags(shot, group_id)).get(OWNER_TAG) == self.wanted.instance_id
        )
        if not own:
            return None
        # The tag may say less than was proved, where the role may not tag afterwards.
        told = min(one.level for one in own)
        return Reusable(
            run_id=record.run_id,
            level=record.consistency_reached or told,
            found=own,
            expires=record.expires,
        )

    def _asked(self, record: RunRecord) -> Iterator[tuple[DiskId, GroupId | None, SnapshotId]]:
        for order in record.orders:
            for disk_id, snapshot_id in order.snapshot_ids.items():
                if disk_id in self.wanted.disks:
                    yield disk_id, order.group_id, snapshot_id

    def _ask_groups(self, ids: Sequence[GroupId]) -> tuple[SnapshotGroup, ...]:
        unknown = [each for each in dict.fromkeys(ids) if each not in self._groups]
        found = self.cloud.describe_groups(ids=unknown)
        self._groups |= {group.group_id: group for group in found}
        return found

    def _tags(self, shot: Snapshot, group_id: GroupId | None) -> Mapping[str, str]:
        group = self._groups.get(group_id) if group_id else None
        return {**(group.tags if group else {}), **shot.tags}


def _serves(one: Reusable, wanted: _Wanted) -> bool:
    return (
        {own.shot.disk_id for own in one.found} == wanted.disks
        and one.level.at_least(wanted.level)
        and all(
            reached(own.shot) >= Reached.CUT
            and own.shot.cut_time is not None
            and own.shot.cut_time >= wanted.oldest
            for own in one.found
        )
    )


def _cut(one: Reusable) -> datetime:
    return min(own.shot.cut_time for own in one.found if own.shot.cut_time)
