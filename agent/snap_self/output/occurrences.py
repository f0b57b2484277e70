"""What happened, as the programs get it that are told of it."""

from __future__ import annotations

from collections.abc import Mapping

from snap_self.model.occurrences import Occurrence
from snap_self.output.jsonform import when

SCHEMA = 1


def occurrence_json(one: Occurrence) -> Mapping[str, object]:
    """Return it as other programs get it; fields are only added, never renamed."""
    return {
        "schema": SCHEMA,
        "event": one.kind.value,
        "at": when(one.at),
        "instance_id": one.instance_id,
        "region": one.region,
        "run": one.run_id,
        "trigger": one.trigger,
        "result": one.result,
        "code": one.code,
        "exit_status": one.exit_status,
        "before": one.before,
        "disks": list(one.disks),
        "snapshots": list(one.snapshots),
        "text": one.text,
        "hint": one.hint,
    }
