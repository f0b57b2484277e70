"""That disks went back to a run, and what was lost by it; pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from datetime import datetime, timezone

from snap_self.model.executions import (
    CANCELLED,
    DONE,
    FAILED,
    RESET_FIRST,
    SETTLED,
    SKIPPED,
    UNTOUCHED,
    Back,
    Execution,
    ExecutionTask,
)
from snap_self.model.listed import ListedRun
from snap_self.model.result import Result
from snap_self.model.run import ArmedEnd, RunRecord
from snap_self.model.shown import printable

_LONG_AGO = datetime.min.replace(tzinfo=timezone.utc)


@dataclass(frozen=True, slots=True, kw_only=True)
class Return:
    """Disks went back to a run, or are going back, or were to.

    Args:
        run: its id.
        cut_time: of its snapshots; None where the cloud does not show them any more.
        execution: what did it, as the cloud told of it last.
        lost: the runs whose snapshots are of a time that the disks have no more, newest first;
            these snapshots stay. One of the present state before it, if it was made, is among them.
    """

    run: str
    before: str
    cut_time: datetime | None
    execution: Execution
    lost: tuple[ListedRun, ...]


def returns_of(records: Iterable[RunRecord], runs: Sequence[ListedRun]) -> tuple[Return, ...]:
    """Return every going back that the journal has, the latest first.

    One that was called off has brought nothing back.

    Args:
        records: the journal's.
        runs: as the cloud shows them, newest first.
    """
    kept = tuple(records)
    known = {record.run_id for record in kept}
    found = (
        _return(record, record.went_back, runs, known)
        for record in kept
        if record.went_back is not None and record.went_back.status != CANCELLED
    )
    return tuple(sorted(found, key=_begun, reverse=True))


def armed_it(record: RunRecord, one: Execution) -> bool:
    """Tell whether a run has armed an execution; its tags tell where its id was never noted."""
    armed = record.armed
    if armed is None:
        return False
    if armed.execution_id:
        return one.execution_id == armed.execution_id
    return (one.run, one.deadline) == (record.run_id, armed.deadline)


def replaced_it(record: RunRecord, one: Execution) -> bool:
    """Tell whether a run has armed another in place of an execution, and did not see its end."""
    return record.armed is not None and one.execution_id in record.armed.replaces.split()


def with_seen(record: RunRecord, seen: Execution) -> RunRecord:
    """Return a record that has what an execution of it has come to.

    What was armed is closed once it is seen to have ended, or to have brought the disks back.
    """
    noted = replace(record, went_back=seen)
    armed = record.armed
    if armed is None or not armed_it(record, seen) or not (seen.ended or seen.over):
        return noted
    back = armed.ended is ArmedEnd.WENT_BACK
    ended = ArmedEnd.WENT_BACK if back else end_of(seen)
    name = seen.execution_id
    closed = replace(armed, execution_id=name, unconfirmed=False, replaces="", ended=ended)
    return replace(noted, armed=closed)


def end_of(seen: Execution) -> ArmedEnd:
    """Return what became of what was armed, as its execution tells that has ended or is over."""
    if seen.back is Back.ALL:
        return ArmedEnd.WENT_BACK
    return ArmedEnd.HALF_WAY if seen.brought_back else ArmedEnd.CAME_TO_NOTHING


def how_far(tasks: Sequence[ExecutionTask]) -> Back | None:
    """Return how many disks went back by an execution of our template that failed.

    A first reset that failed may have been heard all the same, unless the disk was seen to be
    untouched.

    Args:
        tasks: those begun, or left out; none tell nothing.
    """
    if not tasks:
        return None
    done = {task.name for task in tasks if task.status == DONE}
    begun = {task.name for task in tasks if task.status != SKIPPED}
    if SETTLED in done:
        return Back.ALL
    tried = any(name.startswith(RESET_FIRST) for name in begun)
    heard = any(name.startswith(RESET_FIRST) for name in done)
    return Back.PART if heard or (tried and UNTOUCHED not in begun) else Back.NONE


def return_words(run: str, seen: Execution) -> str:
    """Return what an execution of OOS has done, for people.

    Args:
        run: what the run is called.
    """
    by = f", started by {printable(seen.by)}" if seen.by else ""
    began = f", begun {_instant(seen.began)}" if seen.began else ""
    ended = f", ended {_instant(seen.finished)}" if seen.finished else ""
    why = f": {printable(seen.said)}" if seen.said and seen.status != DONE else ""
    return f"execution {seen.execution_id} of OOS {_did(seen)} to {run}{by}{began}{ended}{why}"


def _did(seen: Execution) -> str:
    if seen.status == FAILED:
        return _FAILED[seen.back]
    if seen.status == CANCELLED:
        return "was called off before it brought disks back"
    return "brought disks back" if seen.back is Back.ALL else "is bringing disks back"


_FAILED: Mapping[Back | None, str] = {
    Back.ALL: "failed after it had brought disks back",
    Back.PART: "failed when a part of the disks had gone back, or may have,",
    Back.NONE: "failed to bring any disk back",
    None: "failed, and it is not known whether disks went back",
}


def _instant(instant: datetime) -> str:
    return f"{instant:%Y-%m-%d %H:%M:%S} UTC"


def _return(
    record: RunRecord, seen: Execution, runs: Sequence[ListedRun], known: Set[str]
) -> Return:
    cut = next((run.cut_time for run in runs if run.name == record.run_id), None)
    span = (cut or record.started, seen.finished)
    lost = tuple(run for run in runs if run.name != record.run_id and _is_within(run, *span))
    if _is_from_before(record):
        # Its journal went back with it: what is noted there came after.
        lost = tuple(run for run in lost if run.name not in known)
    elif seen.back is Back.NONE:
        lost = ()
    return Return(run=record.run_id, before=record.before, cut_time=cut, execution=seen, lost=lost)


def _is_from_before(record: RunRecord) -> bool:
    """Tell whether a record is of the moment of the cut, so that the disk it is on went back."""
    return record.result is Result.INTERRUPTED


def _is_within(run: ListedRun, since: datetime, until: datetime | None) -> bool:
    """Tell whether a run was cut between two instants; the later one may be still to come."""
    if run.cut_time is None or run.cut_time <= since:
        return False
    return until is None or run.cut_time <= until


def _begun(one: Return) -> datetime:
    return one.execution.began or _LONG_AGO
