"""Find a good snapshot set of the same disks that is fresh enough to be used again."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from snap_self.model.disks import Coverage
from snap_self.model.ids import DiskId, RunId
from snap_self.model.report import SnapshotReport
from snap_self.model.request import Request
from snap_self.model.run import OrderRecord
from snap_self.model.snapshots import Consistency, SnapshotOrder, WaitFor
from snap_self.usecases.own import OwnSnapshot
from snap_self.usecases.reporting import LEVELS, snapshot_report
from snap_self.usecases.waiting import WANTED, Reached, reached


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
            snapshot_report(
                own.shot,
                disk_id=own.shot.disk_id,
                snapshot_id=own.shot.snapshot_id,
                group_id=own.group_id,
                expires=own.expires,
            )
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
    own: Iterable[OwnSnapshot], now: datetime, request: Request, coverage: Coverage
) -> Reusable | None:
    """Return the newest run of ours that covers all these disks, at least as well, or None."""
    oldest = now - timedelta(seconds=request.reuse_s or 0)
    wanted = frozenset(target.cloud.disk_id for target in coverage.targets)
    runs: dict[RunId, list[OwnSnapshot]] = defaultdict(list)
    for one in own:
        if one.run_id and one.shot.disk_id in wanted:
            runs[one.run_id].append(one)
    good = [
        (run_id, shots)
        for run_id, shots in runs.items()
        if _serves(shots, wanted, request.consistency, oldest)
    ]
    if not good:
        return None
    return _reusable(*max(good, key=lambda pair: _cut(pair[1])))


def _serves(
    shots: Sequence[OwnSnapshot],
    wanted: frozenset[DiskId],
    level: Consistency,
    oldest: datetime,
) -> bool:
    return {own.shot.disk_id for own in shots} == wanted and all(
        reached(own.shot) >= Reached.CUT
        and own.shot.cut_time is not None
        and own.shot.cut_time >= oldest
        and LEVELS.index(own.level) >= LEVELS.index(level)
        for own in shots
    )


def _cut(shots: Sequence[OwnSnapshot]) -> datetime:
    return min(own.shot.cut_time for own in shots if own.shot.cut_time)


def _reusable(run_id: RunId, shots: Sequence[OwnSnapshot]) -> Reusable:
    return Reusable(
        run_id=run_id,
        level=min((own.level for own in shots), key=LEVELS.index),
        expires=shots[0].expires,
        found=tuple(shots),
    )
