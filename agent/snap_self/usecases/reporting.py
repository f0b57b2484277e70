"""From the facts of a run to its report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from snap_self.errors import ExitStatus, SnapSelfError
from snap_self.model.disks import CloudDisk, Coverage
from snap_self.model.ids import DiskId, GroupId, RunId, SnapshotId
from snap_self.model.plan import Plan
from snap_self.model.report import (
    ConsistencyReport,
    ErrorReport,
    Report,
    SnapshotReport,
    StepReport,
    UploadWatch,
)
from snap_self.model.request import Request
from snap_self.model.snapshots import Consistency, Identity, Snapshot
from snap_self.plan import NO_REBOOT
from snap_self.usecases.recording import StepLog
from snap_self.usecases.undo import ways_back

if TYPE_CHECKING:  # only a run that waits, or freezes, pays for the import
    from snap_self.usecases.holding import Held
    from snap_self.usecases.waiting import Settled

LEVELS = tuple(Consistency)


@dataclass(slots=True, kw_only=True)
class RunFacts:
    """What a run has learned so far; filled in as it goes."""

    request: Request
    started: datetime
    run_id: RunId
    steps: StepLog
    identity: Identity | None = None
    cloud_disks: tuple[CloudDisk, ...] = ()
    coverage: Coverage | None = None
    plan: Plan | None = None
    reached: Consistency | None = None
    why: str = ""
    expires: datetime | None = None
    snapshots: tuple[SnapshotReport, ...] = ()
    error: SnapSelfError | None = None
    finished: datetime | None = None
    notes: list[str] = field(default_factory=list)
    frozen_s: float | None = None
    maybe_frozen: SnapSelfError | None = None
    kept: Mapping[str, str] = field(default_factory=dict)
    watch: UploadWatch | None = None

    @property
    def weaker(self) -> bool:
        """Tell whether less was reached than asked."""
        return self.reached is not None and LEVELS.index(self.reached) < LEVELS.index(
            self.request.consistency
        )

    def take_hold(self, held: Held) -> None:
        """Take over what a hold was worth; it never makes the flush before it worth less."""
        self.reached = held.level or self.reached
        self.why = "; ".join(filter(None, (self.why, held.why)))
        self.frozen_s = held.frozen_s
        self.maybe_frozen = self.maybe_frozen or held.fault
        self.kept = held.kept
        if held.frozen_s is not None:
            self.steps.add(
                "freeze",
                "hold every filesystem still from before the create call until after the cut",
                seconds=held.frozen_s,
                result="done" if held.level else f"failed: {held.why}",
            )
        self.notes += held.lines

    def need_coverage(self) -> Coverage:
        """Return the coverage, which is known at this point of the run."""
        assert self.coverage is not None
        return self.coverage

    def need_plan(self) -> Plan:
        """Return the plan, which is known at this point of the run."""
        assert self.plan is not None
        return self.plan

    def settle(self, settled: Settled) -> None:
        """Take over where the snapshots are."""
        self.snapshots = tuple(
            snapshot_report(
                settled.snapshots.get(disk_id),
                disk_id=disk_id,
                snapshot_id=record.snapshot_ids.get(disk_id),
                group_id=record.group_id,
                expires=self.expires,
            )
            for record in settled.records
            if record.group_id or record.snapshot_ids
            for disk_id in record.order.disk_ids
            if disk_id not in settled.missing
        )


def snapshot_report(
    shot: Snapshot | None,
    *,
    disk_id: DiskId,
    snapshot_id: SnapshotId | None,
    group_id: GroupId | None,
    expires: datetime | None,
) -> SnapshotReport:
    """Return one snapshot's line, also for one the cloud does not show yet."""
    return SnapshotReport(
        snapshot_id=snapshot_id or (shot.snapshot_id if shot else None),
        group_id=group_id,
        disk_id=disk_id,
        status=shot.status.value if shot else "progressing",
        progress=shot.progress if shot else 0,
        available=bool(shot and shot.available),
        cut_time=shot.cut_time if shot else None,
        expires=expires,
    )


def build_report(facts: RunFacts, *, result: str) -> Report:
    """Return the report; the exit status follows from what was asked, reached and left out."""
    coverage, plan, identity = facts.coverage, facts.plan, facts.identity
    return Report(
        result=result,
        exit_status=_exit_status(facts, result),
        error=_error(facts.error),
        run_id=None if result == "planned" else facts.run_id,
        before=facts.request.before,
        started=facts.started,
        finished=facts.finished,
        identity=identity,
        targets=coverage.targets if coverage else (),
        skipped=coverage.skipped if coverage else (),
        not_covered=coverage.not_covered if coverage else (),
        snapshots=facts.snapshots,
        consistency=_consistency(facts, result),
        steps=_planned_steps(plan) if plan and result == "planned" else tuple(facts.steps.steps),
        frozen_s=facts.frozen_s,
        undo=_undo(facts),
        notes=_notes(facts),
        watch=facts.watch,
    )


def _notes(facts: RunFacts) -> tuple[str, ...]:
    """Return what else to know, without advice that the end of the uploads has made untrue."""
    planned = facts.plan.notes if facts.plan else ()
    uploaded = bool(facts.snapshots) and all(s.status == "accomplished" for s in facts.snapshots)
    return (*(note for note in planned if not (uploaded and note == NO_REBOOT)), *facts.notes)


def _exit_status(facts: RunFacts, result: str) -> ExitStatus:
    if facts.error:
        return facts.error.exit_status
    if result == "planned":
        return ExitStatus.DONE
    coverage = facts.coverage
    if coverage and any(not skipped.asked for skipped in coverage.skipped):
        return ExitStatus.LEFT_OUT
    if facts.weaker:
        return ExitStatus.WEAKER
    return ExitStatus.DONE


def _error(error: SnapSelfError | None) -> ErrorReport | None:
    if error is None:
        return None
    return ErrorReport(code=error.code, message=error.message, hint=error.hint)


def _consistency(facts: RunFacts, result: str) -> ConsistencyReport:
    """Report the level; none is reached where there is no snapshot."""
    proved = facts.reached if facts.snapshots else None
    why = facts.why or (facts.plan.weaker if facts.plan and result == "planned" else "")
    return ConsistencyReport(asked=facts.request.consistency, reached=proved, why=why)


def _planned_steps(plan: Plan) -> tuple[StepReport, ...]:
    return tuple(
        StepReport(
            name=step.name.value,
            reason=f"{step.what}: {step.reason}",
            seconds=None,
            result="planned",
        )
        for step in plan.steps
    )


def _undo(facts: RunFacts) -> tuple[str, ...]:
    if facts.identity is None:
        return ()
    return ways_back(
        instance_id=facts.identity.instance_id,
        region=facts.identity.region,
        pairs={s.disk_id: s.snapshot_id for s in facts.snapshots if s.snapshot_id},
        disks=facts.cloud_disks,
    )
