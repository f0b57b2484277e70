"""What `prune` did or would do, as text and as JSON (schema 1; fields are only ever added)."""

from __future__ import annotations

from typing import Any

from snap_self.model.report import SCHEMA
from snap_self.output.jsonform import when
from snap_self.output.streams import Streams
from snap_self.output.text import write_error
from snap_self.usecases.prune import Pruned, PruneOutcome


def write_pruned(streams: Streams, pruned: Pruned) -> None:
    """Write a line for each snapshot; what is kept only says why when nothing was deleted."""
    for outcome in pruned.outcomes:
        if outcome.step.delete or pruned.dry_run or streams.verbosity > 0:
            _write_outcome(streams, outcome, dry_run=pruned.dry_run)
    for note in pruned.notes:
        streams.message(f"Note: {note}")
    if pruned.error:
        write_error(streams, pruned.error)
    streams.message(_conclusion(pruned))


def pruned_json(pruned: Pruned) -> dict[str, Any]:
    """Return the same as a JSON object."""
    error = pruned.error
    return {
        "schema": SCHEMA,
        "result": _result(pruned),
        "exit_status": int(pruned.exit_status),
        "error": error and {"code": error.code, "message": error.message, "hint": error.hint},
        "instance": {
            "id": pruned.identity.instance_id,
            "region": pruned.identity.region,
            "zone": pruned.identity.zone,
        },
        "steps": [_step(outcome) for outcome in pruned.outcomes],
        "notes": list(pruned.notes),
    }


def _write_outcome(streams: Streams, outcome: PruneOutcome, *, dry_run: bool) -> None:
    step = outcome.step
    group = f"  group {step.group_id}" if step.group_id else ""
    for one in step.members:
        shot = one.shot
        word = "delete" if dry_run else "deleted"
        if not step.delete:
            word = "keep" if dry_run else "kept"
        why = outcome.failed.get(shot.snapshot_id)
        if why is not None:
            word = "FAILED"
        streams.data(
            f"{word:8} {shot.snapshot_id} of {shot.disk_id}{group}  "
            f"before {one.before[:40]!r}: {why or step.reason}"
        )


def _conclusion(pruned: Pruned) -> str:
    kept = sum(len(o.step.members) for o in pruned.outcomes if not o.step.delete)
    if pruned.dry_run:
        ask = " `snap-self prune --yes` deletes them." if pruned.due else ""
        return f"Nothing was deleted. {pruned.due} may go, {kept} are kept.{ask}"
    left = f", {pruned.left_over} could not be" if pruned.left_over else ""
    return f"{pruned.deleted} deleted{left}, {kept} kept."


def _result(pruned: Pruned) -> str:
    if pruned.dry_run:
        return "planned"
    if pruned.error is None:
        return "done"
    return "partial" if pruned.deleted else "failed"


def _step(outcome: PruneOutcome) -> dict[str, Any]:
    step = outcome.step
    return {
        "action": "delete" if step.delete else "keep",
        "reason": step.reason,
        "group_id": step.group_id,
        "run_id": step.members[0].run_id,
        "before": step.members[0].before,
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
