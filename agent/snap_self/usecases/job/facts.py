"""The state of a run: its record, and what need not be remembered of it."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING

from snap_self.errors import SnapSelfError
from snap_self.model.asked import CutUnseen
from snap_self.model.disks import CloudDisk, Coverage
from snap_self.model.ids import RunId, SnapshotId
from snap_self.model.plan import Plan
from snap_self.model.report import SnapshotReport, UploadWatch
from snap_self.model.request import Request
from snap_self.model.retention import Retention
from snap_self.model.snapshots import Consistency, Identity
from snap_self.plan import FREEZE, QUIESCE
from snap_self.usecases.job.shots import settled_reports
from snap_self.usecases.job.steps import DONE, StepLog

if TYPE_CHECKING:  # only a run that waits, or freezes, pays for the import
    from snap_self.model.flushed import FlushResult
    from snap_self.model.run import RunRecord
    from snap_self.model.servers import RestedApplication
    from snap_self.usecases.job.hold import Held
    from snap_self.usecases.job.reuse import Reusable
    from snap_self.usecases.job.wait import Settled


@dataclass(slots=True, kw_only=True)
class RunFacts:
    """What a run knows; filled in as it goes. What is remembered stands in the record alone.

    Args:
        began: when this command did; a record that it takes over began earlier.
        new_id: names the run, unless it takes over or reuses what another one made.
        record: what the journal is given of the run; None before there is anything to remember.
        reused: the set that serves in place of a new one; there is no record then.
        reasons: each part of the record's ``consistency_why``.
        told: those notes that were told when they were met, or that the report tells otherwise.
        lost_writes: the kernel gave up data of a program's, which no later sync tells again.
    """

    request: Request
    began: datetime
    new_id: RunId
    steps: StepLog
    record: RunRecord | None = None
    reused: Reusable | None = None
    identity: Identity | None = None
    cloud_disks: tuple[CloudDisk, ...] = ()
    coverage: Coverage | None = None
    plan: Plan | None = None
    reasons: tuple[str, ...] = ()
    lost_writes: bool = False
    snapshots: tuple[SnapshotReport, ...] = ()
    error: SnapSelfError | None = None
    notes: list[str] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    frozen_s: float | None = None
    maybe_frozen: SnapSelfError | None = None
    applications: tuple[RestedApplication, ...] = ()
    watch: UploadWatch | None = None

    @property
    def run_id(self) -> RunId:
        """Return the run that made, or is to make, the snapshots."""
        if self.reused is not None:
            return self.reused.run_id
        return self.record.run_id if self.record else self.new_id

    @property
    def started(self) -> datetime:
        """Return when the run began that this command does or finishes."""
        return self.record.started if self.record else self.began

    @property
    def reached(self) -> Consistency | None:
        """Return the level that is proved so far."""
        if self.reused is not None:
            return self.reused.level
        return self.record.consistency_reached if self.record else None

    @property
    def why(self) -> str:
        """Return why less was reached than asked."""
        return self.record.consistency_why if self.record else ""

    @property
    def expires(self) -> datetime | None:
        """Return when the snapshots may be deleted; None for never."""
        if self.reused is not None:
            return self.reused.expires
        return self.record.expires if self.record else None

    @property
    def unseen(self) -> CutUnseen | None:
        """Return why no cut of what was asked for was seen."""
        return self.record.unseen if self.record else None

    @property
    def weaker(self) -> bool:
        """Tell whether less was reached than asked."""
        return self.reached is not None and self.reached < self.request.consistency

    def take_over(self, record: RunRecord) -> None:
        """Go on with an earlier run: what that one did not see is looked for again."""
        self.record = replace(record, unseen=None)
        self.reasons = (record.consistency_why,)

    def prove(self, level: Consistency | None, *reasons: str) -> None:
        """Take over the level that is proved by now, and what further is missing to that asked."""
        self.reasons = tuple(dict.fromkeys(filter(None, (*self.reasons, *reasons))))
        self.record = replace(
            self.need_record(),
            consistency_reached=level,
            consistency_why="; ".join(self.reasons),
        )

    def take_flush(self, flushed: FlushResult) -> None:
        """Take over what a flush was worth."""
        self.lost_writes = flushed.lost_writes
        self.prove(flushed.level, *flushed.reasons)

    def take_second_flush(self, flushed: FlushResult) -> None:
        """Take over that what was synced again, as it was old by now, could not all be."""
        self.lost_writes = self.lost_writes or flushed.lost_writes
        if flushed.level is Consistency.CRASH:
            self.prove(flushed.level, *flushed.reasons)

    def take_hold(self, held: Held) -> None:
        """Take over what a hold was worth; it never makes the flush before it worth less.

        Nor does it mend what the flush was told that the kernel had given up.
        """
        proved = held.level and not self.lost_writes
        self.prove(held.level if proved else self.reached, *held.reasons)
        self.record = replace(self.need_record(), kept=held.kept)
        self.frozen_s = held.frozen_s
        self.maybe_frozen = self.maybe_frozen or held.fault
        self.applications = held.applications
        self._log_hold(held)
        self.notes += held.lines

    def _log_hold(self, held: Held) -> None:
        missing = f"failed: {held.why}"
        if held.rest_s is not None:
            result = DONE if held.at_rest else missing
            self.steps.add(QUIESCE, seconds=held.rest_s, result=result)
        if held.frozen_s is not None:
            result = DONE if held.level else missing
            self.steps.add(FREEZE, seconds=held.frozen_s, result=result)

    def need_coverage(self) -> Coverage:
        """Return the coverage, which is known at this point of the run."""
        assert self.coverage is not None
        return self.coverage

    def need_plan(self) -> Plan:
        """Return the plan, which is known at this point of the run."""
        assert self.plan is not None
        return self.plan

    def need_record(self) -> RunRecord:
        """Return the record, which there is at this point of the run."""
        assert self.record is not None
        return self.record

    def settle(self, settled: Settled) -> None:
        """Take over where the snapshots are."""
        self.snapshots = settled_reports(settled, self.expires)

    def retain(
        self,
        *,
        done: Collection[SnapshotId],
        refused: Collection[SnapshotId],
        refusals: Iterable[str],
    ) -> None:
        """Take over which retentions the cloud took, and which it refused and why."""
        self.snapshots = tuple(
            replace(shot, retention=Retention.SET)
            if shot.snapshot_id in done
            else replace(shot, retention=Retention.REFUSED)
            if shot.snapshot_id in refused
            else shot
            for shot in self.snapshots
        )
        self.notes += refusals
