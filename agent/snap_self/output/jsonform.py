"""The JSON form of reports (schema 1); fields are only ever added."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from snap_self.errors import SnapSelfError
from snap_self.model.report import SCHEMA

if TYPE_CHECKING:  # the form of one value is not to load what makes the others
    from snap_self.model.disks import Target
    from snap_self.model.report import Report, SnapshotReport
    from snap_self.usecases.doctor import Diagnosis
    from snap_self.usecases.listing import ListedSnapshot, Listing, Shown


def dumps(value: Mapping[str, Any]) -> str:
    """Return one JSON object as text, each attribute, and each entry of a list, on its own line.

    Paths that are not UTF-8 stay readable and reversible.
    """
    # Not `indent`: with it the encoder written in Python is used, which lists of thousands show.
    lines = (f"  {_encode(name)}: {_attribute(entry)}" for name, entry in value.items())
    return "{\n" + ",\n".join(lines) + "\n}"


_encode = json.JSONEncoder(ensure_ascii=True).encode


def _attribute(value: object) -> str:
    if not isinstance(value, list) or not value:
        return _encode(value)
    return "[\n    " + ",\n    ".join(map(_encode, value)) + "\n  ]"


def report_json(report: Report) -> dict[str, Any]:
    """Return the main job's report as a JSON object."""
    return {
        "schema": SCHEMA,
        "result": report.result,
        "exit_status": int(report.exit_status),
        "error": _error(report),
        "run": _run(report),
        "instance": _instance(report),
        "disks": [_disk(target) for target in report.targets],
        "skipped": [{"disk_id": s.disk_id, "why": s.why} for s in report.skipped],
        "not_covered": [
            {"what": gap.what, "kind": gap.kind, "why": gap.why}
            for gap in report.not_covered
            if gap.data_at_risk
        ],
        "snapshots": [_snapshot(shot) for shot in report.snapshots],
        "consistency": _consistency(report),
        "steps": [
            {"name": s.name, "reason": s.reason, "seconds": s.seconds, "result": s.result}
            for s in report.steps
        ],
        "frozen_s": report.frozen_s,
        "undo": list(report.undo),
        "notes": list(report.notes),
        "watch": _watch(report),
    }


def fault_json(error: SnapSelfError) -> dict[str, Any]:
    """Return what a command that made no report says: the same object, with the error."""
    return {
        "schema": SCHEMA,
        "result": "failed",
        "exit_status": int(error.exit_status),
        "error": {"code": error.code, "message": error.message, "hint": error.hint},
        "run": {"id": None, "before": None, "started": None, "finished": None},
        "instance": None,
        "disks": [],
        "skipped": [],
        "not_covered": [],
        "snapshots": [],
        "consistency": {"asked": None, "reached": None, "why": ""},
        "steps": [],
        "frozen_s": None,
        "undo": [],
        "notes": [],
    }


def listing_json(listing: Listing) -> dict[str, Any]:
    """Return the list as a JSON object."""
    return {
        "schema": SCHEMA,
        "instance": {
            "id": listing.identity.instance_id,
            "region": listing.identity.region,
            "zone": listing.identity.zone,
        },
        "snapshots": [_listed(shot) for shot in listing.snapshots],
        "notes": list(listing.notes),
    }


def shown_json(shown: Shown) -> dict[str, Any]:
    """Return one run in full as a JSON object."""
    record = shown.record
    return {
        "schema": SCHEMA,
        "snapshots": [_listed(shot) for shot in shown.snapshots],
        "run": record
        and {
            "id": record.run_id,
            "before": record.before,
            "started": when(record.started),
            "finished": when(record.finished),
            "result": record.result,
            "exit_status": record.exit_status,
            "explained": record.explained,
            "outcome": record.outcome,
            "kept": dict(record.kept),
            "upload": shown.upload,
        },
        "undo": list(shown.undo),
        "ways": [
            {
                "title": way.title,
                "cautions": list(way.cautions),
                "console": list(way.console),
                "commands": list(way.commands),
                "after": list(way.after),
            }
            for way in shown.ways
        ],
        "changes": [
            {
                "at": change.at,
                "program": change.program,
                "packages": [
                    {"name": p.name, "action": p.action, "arch": p.arch, "from": p.old, "to": p.new}
                    for p in change.packages
                ],
            }
            for change in shown.changes
        ],
        "notes": list(shown.notes),
    }


def diagnosis_json(diagnosis: Diagnosis) -> dict[str, Any]:
    """Return the doctor's findings as a JSON object."""
    return {
        "schema": SCHEMA,
        "exit_status": int(diagnosis.exit_status),
        "checks": [
            {"check": f.check, "verdict": f.verdict.value, "text": f.text, "hint": f.hint}
            for f in diagnosis.findings
        ],
    }


def when(instant: datetime | None) -> str | None:
    """Return an instant as ISO 8601 in UTC, to the second."""
    if instant is None:
        return None
    # Half of strftime's time, which a list of thousands shows.
    text = instant.astimezone(timezone.utc).isoformat(timespec="seconds")
    return text.removesuffix("+00:00") + "Z"


def _error(report: Report) -> dict[str, str] | None:
    error = report.error
    if error is None:
        return None
    return {"code": error.code, "message": error.message, "hint": error.hint}


def _watch(report: Report) -> dict[str, Any] | None:
    watch = report.watch
    if watch is None:
        return None
    return {"held": watch.held, "until": when(watch.until), "why": watch.why}


def _run(report: Report) -> dict[str, Any]:
    return {
        "id": report.run_id,
        "before": report.before,
        "started": when(report.started),
        "finished": when(report.finished),
    }


def _instance(report: Report) -> dict[str, str] | None:
    one = report.identity
    if one is None:
        return None
    return {"id": one.instance_id, "region": one.region, "zone": one.zone}


def _disk(target: Target) -> dict[str, Any]:
    mounts = {
        (mount.path, mount.fstype): None
        for filesystem in target.filesystems
        for mount in filesystem.mounts
        if mount.namespace is None
    }
    return {
        "disk_id": target.cloud.disk_id,
        "device": f"/dev/{target.local.name}" if target.local else None,
        "serial": target.cloud.serial,
        "size_gib": target.cloud.size_gib,
        "category": target.cloud.category,
        "mounts": [{"path": path, "fstype": fstype} for path, fstype in mounts],
    }


def _snapshot(shot: SnapshotReport) -> dict[str, Any]:
    return {
        "snapshot_id": shot.snapshot_id,
        "group_id": shot.group_id,
        "disk_id": shot.disk_id,
        "status": shot.status,
        "progress": shot.progress,
        "available": shot.available,
        "cut_time": when(shot.cut_time),
        "expires": when(shot.expires),
    }


def _consistency(report: Report) -> dict[str, Any]:
    level = report.consistency
    return {
        "asked": level.asked.value,
        "reached": level.reached.value if level.reached else None,
        "why": level.why,
    }


def _listed(shot: ListedSnapshot) -> dict[str, Any]:
    return {
        "snapshot_id": shot.snapshot_id,
        "group_id": shot.group_id,
        "run_id": shot.run_id,
        "disk_id": shot.disk_id,
        "before": shot.before,
        "consistency": shot.level.value,
        "state": shot.state,
        "progress": shot.progress,
        "cut_time": when(shot.cut_time),
        "size_gib": shot.size_gib,
        "expires": when(shot.expires),
        "used_by": shot.used_by or None,
        "outcome": shot.outcome or None,
    }
