"""What happened, from what a command or a change of the journal has to tell."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from snap_self.errors import ExitStatus
from snap_self.model.command import MADE
from snap_self.model.executions import Back
from snap_self.model.occurrences import Occasion, Occurrence
from snap_self.model.report import Report
from snap_self.model.result import Result
from snap_self.model.run import ArmedEnd, RunRecord
from snap_self.model.shown import shown
from snap_self.model.summary import LastRun
from snap_self.watching.login import TIME

# What a run ends with that raised something which is no error of ours.
BUG = "bug"
_BY_RESULT = {Result.REUSED: Occasion.REUSED, Result.ASKED: Occasion.ASKED}
# There is a snapshot to rely on; what the status tells is of something else.
_GOOD = frozenset({*MADE, ExitStatus.NOT_ARMED, ExitStatus.WILL_GO_BACK})
_VERBS = {
    Occasion.MADE: "snapshot made",
    Occasion.REUSED: "an earlier snapshot serves",
    Occasion.ASKED: "a snapshot was asked for, and its cut was not seen,",
    Occasion.FAILED: "no snapshot to rely on",
}
LOOK = "snap-self list"
THAW = "snap-self thaw"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """Who asked for a snapshot, and before what.

    Args:
        trigger: ``cli``, ``run`` or a package manager's name.
        before: the change; empty where that is not known.
    """

    trigger: str
    before: str


def begun(asked: Asking, now: datetime) -> Occurrence:
    """Return that a run of the main job has begun."""
    return Occurrence(
        kind=Occasion.BEGUN,
        at=now,
        text=f"a run of snap-self before {shown(asked.before)} has begun",
        trigger=asked.trigger,
        before=asked.before,
    )


def ended(report: Report, trigger: str, now: datetime) -> tuple[Occurrence, ...]:
    """Return what a run of the main job has come to."""
    kind = _kind_of(report)
    why = f": {report.error.message}" if report.error else ""
    snapshots = tuple(shot.snapshot_id for shot in report.snapshots if shot.snapshot_id)
    level = report.consistency.reached
    named = f" ({', '.join(snapshots)})" if snapshots else ""
    worth = f", level {level.value}" if level and kind in (Occasion.MADE, Occasion.REUSED) else ""
    one = Occurrence(
        kind=kind,
        at=now,
        text=f"{_VERBS[kind]} before {shown(report.before)}{named}{worth}{why}",
        instance_id=report.identity.instance_id if report.identity else "",
        region=report.identity.region if report.identity else "",
        run_id=report.run_id or "",
        trigger=trigger,
        result=report.result.value,
        code=report.error.code if report.error else "",
        exit_status=int(report.exit_status),
        before=report.before,
        disks=tuple(shot.disk_id for shot in report.snapshots),
        snapshots=snapshots,
        hint=report.error.hint if report.error else "",
    )
    if report.exit_status is not ExitStatus.MAYBE_FROZEN:
        return (one,)
    text = "a filesystem may still be frozen, and what writes to it hangs"
    return (one, replace(one, kind=Occasion.FROZEN, text=text, hint=THAW))


def _kind_of(report: Report) -> Occasion:
    if kind := _BY_RESULT.get(report.result):
        return kind
    return Occasion.MADE if report.exit_status in _GOOD and report.snapshots else Occasion.FAILED


def failed(
    asked: Asking, now: datetime, *, code: str, message: str, hint: str, status: int
) -> Occurrence:
    """Return that a run ended without a report: refused, ended by a signal, or a bug of ours."""
    return Occurrence(
        kind=Occasion.FAILED,
        at=now,
        text=f"no snapshot before {shown(asked.before)}: {message}",
        trigger=asked.trigger,
        result=Result.FAILED.value,
        code=code,
        exit_status=status,
        before=asked.before,
        hint=hint,
    )


def last_run(report: Report, trigger: str, now: datetime) -> LastRun:
    """Return what is kept of a run that has ended."""
    began = report.started or now
    return LastRun(
        trigger=trigger,
        started=began,
        exit_status=int(report.exit_status),
        result=report.result.value,
        code=report.error.code if report.error else "",
        seconds=max(0.0, round((now - began).total_seconds(), 3)),
        frozen_s=report.frozen_s,
    )


def unprotected(
    manager: str, now: datetime, *, code: str, text: str, run_id: str = ""
) -> Occurrence:
    """Return that a package manager went on without a snapshot to rely on."""
    return Occurrence(
        kind=Occasion.UNPROTECTED,
        at=now,
        text=f"{manager} went on without a snapshot to rely on: {text}",
        run_id=run_id,
        trigger=manager,
        code=code,
        hint=LOOK if run_id else "snap-self doctor",
    )


def interrupted(
    manager: str, now: datetime, *, run_id: str = "", snapshots: Sequence[str] = ()
) -> Occurrence:
    """Return that a hook was interrupted whose change may have been made all the same.

    Args:
        snapshots: what the cloud was asked for, and was not seen to make.
    """
    text = (
        f"the hook of {manager} was interrupted: whether {manager} made its change all the same, "
        "without a snapshot to rely on, is not known"
    )
    asked = f"; asked for and not seen: {', '.join(snapshots)}" if snapshots else ""
    return Occurrence(
        kind=Occasion.INTERRUPTED,
        at=now,
        text=f"{text}{asked}",
        run_id=run_id,
        trigger=manager,
        result=Result.INTERRUPTED.value,
        snapshots=tuple(snapshots),
        hint=LOOK,
    )


def pruned(instance_id: str, deleted: Sequence[str], now: datetime) -> Occurrence:
    """Return that snapshots were deleted."""
    return Occurrence(
        kind=Occasion.PRUNED,
        at=now,
        text=f"snapshots deleted that were due: {', '.join(deleted)}",
        instance_id=instance_id,
        snapshots=tuple(deleted),
    )


def changed(before: RunRecord | None, after: RunRecord, now: datetime) -> Iterator[Occurrence]:
    """Yield what a new record of a run tells that the one before did not.

    Args:
        before: None where there was none, or where it cannot be read.
    """
    if before is None:
        return
    if (kind := _upload_kind(before, after)) and after.upload is not None:
        text = f"the upload of {after.label}: {after.upload.text}"
        yield _of_record(after, kind, now, text)
    if (kind := _armed_kind(before, after)) and after.armed is not None:
        until = f"{after.armed.deadline:{TIME}}"
        text = {
            Occasion.ARMED: f"this machine goes back to {after.label} at {until} unless somebody "
            "confirms",
            Occasion.CONFIRMED: f"the rollback to {after.label} is called off",
        }[kind]
        hint = "snap-self confirm" if kind is Occasion.ARMED else ""
        yield _of_record(after, kind, now, text, hint=hint)
    if (text := _went_back(after)) and text != _went_back(before):
        yield _of_record(after, Occasion.WENT_BACK, now, text, hint=LOOK)


def _upload_kind(before: RunRecord, after: RunRecord) -> Occasion | None:
    was, now = before.upload, after.upload
    if now is None or now.going_on or (was is not None and not was.going_on):
        return None
    return Occasion.UPLOADED if now.accomplished else Occasion.UPLOAD_FAILED


def _armed_kind(before: RunRecord, after: RunRecord) -> Occasion | None:
    was, now = before.armed, after.armed
    if now is None or now == was:
        return None
    if now.ended is ArmedEnd.CONFIRMED and (was is None or was.ended is not now.ended):
        return Occasion.CONFIRMED
    # It is armed once the cloud has answered; a later deadline is news too.
    told = was is not None and (was.execution_id, was.deadline) == (now.execution_id, now.deadline)
    return Occasion.ARMED if now.unconfirmed and now.execution_id and not told else None


def _went_back(record: RunRecord) -> str:
    """Return what is told of disks that went back; empty where none did."""
    seen = record.went_back
    if seen is None or not seen.brought_back:
        return ""
    if seen.is_doubtful:
        return f"a rollback to {record.label} failed, and whether disks went back is not known"
    if seen.back is Back.PART:
        return f"a part of this machine's disks went back to {record.label}, or may have"
    return f"this machine went back to {record.label}"


def _of_record(
    record: RunRecord, kind: Occasion, now: datetime, text: str, *, hint: str = ""
) -> Occurrence:
    return Occurrence(
        kind=kind,
        at=now,
        text=text,
        instance_id=record.instance_id,
        region=record.region,
        run_id=record.run_id,
        before=record.before,
        disks=tuple(record.disk_ids),
        snapshots=record.snapshot_ids,
        hint=hint,
    )
