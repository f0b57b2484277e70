"""What `prune` did or would do, as text and as JSON (schema 1; fields are only ever added)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from snap_self.model.listed import ListedRun, ListedSnapshot, newness, run_of
from snap_self.model.report import ErrorReport
from snap_self.model.result import Result
from snap_self.output.columns import Column, columns_of, laid_out
from snap_self.output.jsonform import envelope, when, write_json
from snap_self.output.listing import disks_column, run_columns, shot_lines
from snap_self.output.streams import Streams
from snap_self.output.text import write_error
from snap_self.usecases.prune import Pruned, PruneOutcome

# Enough for a date.
LEAST_WHY = 24


def write_pruned(streams: Streams, pruned: Pruned) -> None:
    """Write a row for each run, newest first; what is kept only when nothing was deleted."""
    if streams.json:
        write_json(streams, pruned_json(pruned), error=_error(pruned))
        return
    shown = [
        outcome
        for outcome in pruned.outcomes
        if outcome.step.delete or pruned.dry_run or streams.verbosity > 0
    ]
    rows = _rows(shown, pruned)
    if rows:
        streams.data(*_lines(rows, pruned.now, columns_of(streams.out), each=streams.verbosity > 0))
    streams.message(*(f"Note: {note}" for note in pruned.notes))
    if pruned.error:
        write_error(streams, pruned.error)
    streams.message(_conclusion(pruned))


def pruned_json(pruned: Pruned) -> dict[str, Any]:
    """Return the same as a JSON object."""
    return {
        **envelope(
            "prune",
            exit_status=pruned.exit_status,
            result=_result(pruned),
            error=_error(pruned),
        ),
        "instance": {
            "id": pruned.identity.instance_id,
            "region": pruned.identity.region,
            "zone": pruned.identity.zone,
        },
        "steps": [_step(outcome, pruned) for outcome in pruned.outcomes],
        "notes": list(pruned.notes),
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    """What becomes of snapshots of one run, all in the same way."""

    word: str
    why: str
    run: ListedRun


def _rows(outcomes: Iterable[PruneOutcome], pruned: Pruned) -> list[_Row]:
    shots: dict[tuple[str, str, str], list[ListedSnapshot]] = {}
    for outcome in outcomes:
        kept, gone = ("keep", "delete") if pruned.dry_run else ("kept", "deleted")
        for one in outcome.step.members:
            shot = pruned.listed[one.shot.snapshot_id]
            why = outcome.failed.get(shot.snapshot_id)
            word = "FAILED" if why is not None else gone if outcome.step.delete else kept
            shots.setdefault((run_of(shot), word, why or outcome.step.reason), []).append(shot)
    rows = [
        _Row(word=word, why=why, run=ListedRun(name=name, shots=tuple(made)))
        for (name, word, why), made in shots.items()
    ]
    return sorted(rows, key=lambda row: max(map(newness, row.run.shots)), reverse=True)


def _lines(rows: Sequence[_Row], now: datetime, width: int, *, each: bool) -> Iterator[str]:
    runs = [row.run for row in rows]
    columns = [
        Column(head="", cells=[row.word for row in rows]),
        *run_columns(runs, now),
        disks_column(runs, rank=2),
        Column(head="WHY", cells=[row.why for row in rows], least=LEAST_WHY),
    ]
    head, *lines = laid_out(columns, width)
    yield head
    for row, line in zip(rows, lines, strict=True):
        yield line
        if each:
            yield from shot_lines(row.run, width)


def _conclusion(pruned: Pruned) -> str:
    kept = sum(len(o.step.members) for o in pruned.outcomes if not o.step.delete)
    if pruned.dry_run:
        # Other options may have chosen them, so a whole command line would be another one.
        ask = " With --yes and the same choice they are deleted." if pruned.due else ""
        stay = "is" if kept == 1 else "are"
        return f"Nothing was deleted. {pruned.due} may go, {kept} {stay} kept.{ask}"
    left = f", {pruned.left_over} could not be" if pruned.left_over else ""
    return f"{pruned.deleted} deleted{left}, {kept} kept."


def _error(pruned: Pruned) -> ErrorReport | None:
    return ErrorReport.of(pruned.error) if pruned.error else None


def _result(pruned: Pruned) -> Result:
    if pruned.dry_run:
        return Result.PLANNED
    if pruned.error is None:
        return Result.DONE
    return Result.PARTIAL if pruned.deleted else Result.FAILED


def _step(outcome: PruneOutcome, pruned: Pruned) -> dict[str, Any]:
    step = outcome.step
    return {
        "action": "delete" if step.delete else "keep",
        "reason": step.reason,
        "group_id": step.group_id,
        "run_id": step.members[0].run_id,
        "before": pruned.listed[step.members[0].shot.snapshot_id].before,
        "snapshots": [
            {
                "snapshot_id": one.shot.snapshot_id,
                "disk_id": one.shot.disk_id,
                "cut_time": when(one.shot.cut_time),
                "expires": when(one.expires),
                "deleted": one.shot.snapshot_id in outcome.deleted,
                "why_not": outcome.failed.get(one.shot.snapshot_id),
            }
            for one in step.members
        ],
    }
