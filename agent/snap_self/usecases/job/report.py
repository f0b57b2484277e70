"""From what a run knows to its report."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from snap_self.errors import ExitStatus, SnapshotSetTorn
from snap_self.model.ids import DiskId
from snap_self.model.plan import NoteKind
from snap_self.model.report import (
    ConsistencyReport,
    ErrorReport,
    Report,
    StepReport,
)
from snap_self.model.result import Result
from snap_self.model.retention import Retention, kept_until, kept_words
from snap_self.model.snapshots import SnapshotStatus
from snap_self.model.ways import Step
from snap_self.recovery.steps import roll_back
from snap_self.usecases.job.facts import RunFacts


def build_report(facts: RunFacts, *, result: Result, finished: datetime | None = None) -> Report:
    """Return the report; the exit status follows from what was asked, reached and left out."""
    coverage, identity = facts.coverage, facts.identity
    return Report(
        result=told_result(facts, result),
        of_earlier=result.of_earlier,
        exit_status=exit_status(facts, result),
        error=ErrorReport.of(facts.error) if facts.error else None,
        run_id=None if result is Result.PLANNED else facts.run_id,
        before=facts.request.before,
        started=facts.started,
        finished=finished,
        identity=identity,
        targets=coverage.targets if coverage else (),
        skipped=coverage.skipped if coverage else (),
        not_covered=coverage.not_covered if coverage else (),
        excluded=coverage.excluded if coverage else (),
        snapshots=facts.snapshots,
        consistency=_consistency(facts, result),
        steps=_steps(facts, result),
        frozen_s=facts.frozen_s,
        undo=_undo(facts),
        notes=_notes(facts, result),
        news=tuple(note for note in facts.notes if note not in facts.told),
        watch=facts.watch,
        applications=facts.applications,
        unseen=facts.unseen if result is Result.ASKED else None,
    )


def _notes(facts: RunFacts, result: Result) -> tuple[str, ...]:
    """Return what else to know of what was made; of what was not, nothing is promised."""
    planned = facts.plan.notes if facts.plan else ()
    if result is Result.PLANNED:
        return (*(note.text for note in planned), *facts.notes)
    told = (NoteKind.EARLIER, *((NoteKind.MADE, NoteKind.NO_REBOOT) if facts.snapshots else ()))
    uploaded = all(s.status == SnapshotStatus.ACCOMPLISHED.value for s in facts.snapshots)
    notes = [
        note.text
        for note in planned
        if note.kind in told and not (uploaded and note.kind is NoteKind.NO_REBOOT)
    ]
    return (*notes, *_kept(facts), *facts.notes)


def _kept(facts: RunFacts) -> Iterator[str]:
    """Yield for how long what was made is kept, as the cloud has accepted it.

    Of what an earlier run made only what is not as it should be is worth a word.
    """
    states = {shot.retention for shot in facts.snapshots if not shot.is_lost}
    lacking = any(state.is_lacking for state in states)
    if states and (facts.plan or lacking or Retention.NOT_KNOWN in states):
        cut = min((shot.cut_time for shot in facts.snapshots if shot.cut_time), default=None)
        until = kept_until(facts.expires, cut or facts.started, asked=facts.started)
        yield kept_words(until, states)


def exit_status(facts: RunFacts, result: Result) -> ExitStatus:
    """Return what the run ends with: it follows from what was asked, reached and left out."""
    if facts.error:
        return facts.error.exit_status
    if result is Result.PLANNED:
        return ExitStatus.DONE
    if facts.coverage and facts.coverage.is_partial:
        return ExitStatus.LEFT_OUT
    if facts.weaker:
        return ExitStatus.WEAKER
    return ExitStatus.DONE


def told_result(facts: RunFacts, result: Result) -> Result:
    """Return the word for what became of the run: a set that lacks something is partial.

    Whether it is new or that of an earlier run, the report tells beside it.
    """
    return Result.PARTIAL if exit_status(facts, result) is ExitStatus.LEFT_OUT else result


def _consistency(facts: RunFacts, result: Result) -> ConsistencyReport:
    """Report the level; none is reached where there is no snapshot."""
    proved = facts.reached if facts.snapshots else None
    why = facts.why or (facts.plan.weaker if facts.plan and result is Result.PLANNED else "")
    return ConsistencyReport(asked=facts.request.consistency, reached=proved, why=why)


def _steps(facts: RunFacts, result: Result) -> tuple[StepReport, ...]:
    if facts.plan is None or result is not Result.PLANNED:
        return tuple(facts.steps.steps)
    return tuple(
        StepReport(
            name=step.name.value,
            reason=step.sentence,
            seconds=None,
            result="planned",
        )
        for step in facts.plan.steps
    )


def _undo(facts: RunFacts) -> tuple[Step, ...]:
    """Return the way back; none leads to what is lost, or to a set that does not fit together."""
    if facts.identity is None or isinstance(facts.error, SnapshotSetTorn):
        return ()
    lost = _lost_with(facts, {shot.disk_id for shot in facts.snapshots if shot.is_lost})
    pairs = {
        shot.disk_id: shot.snapshot_id
        for shot in facts.snapshots
        if shot.snapshot_id and shot.disk_id not in lost
    }
    return roll_back(facts.identity, pairs, facts.cloud_disks)


def _lost_with(facts: RunFacts, lost: set[DiskId]) -> set[DiskId]:
    """Return the disks whose snapshot is lost, and those that share a volume with one of them."""
    coverage = facts.coverage
    if coverage is None or not lost:
        return lost
    ids = {t.local.name: t.cloud.disk_id for t in coverage.targets if t.local}
    shared = [{ids[name] for name in span.disks if name in ids} for span in coverage.spans]
    while more := [disks for disks in shared if disks & lost and not disks <= lost]:
        lost = lost.union(*more)
    return lost
