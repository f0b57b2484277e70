"""What each command's JSON object has beyond the envelope when the command came to nothing.

The fields are those of its success, so that a reader finds each of them; what is not known is null
or empty.
"""

from __future__ import annotations

from typing import Any

from snap_self.model.invocation import PLAN, RUN, SNAPSHOT, Invocation


def blank(asked: Invocation) -> dict[str, Any]:
    """Return a command's own fields where nothing is known; none of a command without JSON."""
    if asked.command in (SNAPSHOT, PLAN, RUN):
        return _job(asked)
    return {name: _empty(value) for name, value in OTHERS.get(asked.command, {}).items()}


# Of the commands beside the main job.
OTHERS: dict[str, dict[str, Any]] = {
    "list": {
        "instance": None,
        "snapshots": [],
        "went_back": [],
        "armed": [],
        "unknown": [],
        "notes": [],
    },
    "show": {
        "snapshots": [],
        "unknown": None,
        "run": None,
        "lacks": [],
        "lack_reasons": [],
        "undo": [],
        "ways": [],
        "changes": [],
        "since": None,
        "went_back": None,
        "lost_by": None,
        "notes": [],
    },
    "diff": {
        "different": None,
        "before": None,
        "after": None,
        "all": None,
        "paths": [],
        "packages": [],
        "files": [],
        "units": [],
        "kernel": [],
        "boot": [],
        "mounts": [],
        "users": [],
        "groups": [],
        "listening": [],
        "alternatives": [],
        "diversions": [],
        "not_compared": [],
        "outside": [],
        "contents": None,
        "unread": [],
        "disks": [],
        "notes": [],
    },
    "prune": {"instance": None, "steps": [], "notes": []},
    "restore": {
        "restore": None,
        "disks": [],
        "differences": [],
        "same": None,
        "copied": None,
        "removed": None,
        "left_out": [],
        "kept": [],
        "in_place": [],
        "caveats": [],
        "notes": [],
    },
    "rollback": {
        "run": None,
        "instance": None,
        "disks": [],
        "staying": [],
        "lost_since": None,
        "later_runs": [],
        "cautions": [],
        "console": [],
        "commands": [],
        "after": [],
        "script": None,
        "execution_id": None,
        "online": None,
        "notes": [],
    },
    "confirm": {"called_off": [], "armed": None, "checks": [], "notes": []},
    "mount": {"mount": None, "disks": [], "caveats": [], "notes": []},
    "verify": {"verify": None, "filesystems": [], "disks": [], "notes": []},
    "unmount": {"ended": [], "open": [], "notes": []},
    "doctor": {"ready": None, "installation": None, "checks": []},
    "notify": {"told": []},
    "policy": {
        "kind": None,
        "instance": None,
        "disks": [],
        "fleet": None,
        "policy": None,
        "characters": None,
        "limit": None,
        "role": None,
        "policy_name": None,
        "commands": [],
        "update_command": None,
        "console": [],
        "rollback": None,
        "warnings": [],
    },
    "check": {"status": None, "findings": [], "disks": [], "thresholds": None, "written": None},
    "reset": {"state_dir": None, "forgotten": [], "strange": [], "asides": [], "notes": []},
    "thaw": {"thawed": None, "text": ""},
    "config check": {"files": [], "faults": [], "notes": []},
    "hook status": {
        "limit_s": None,
        "throttled_limit_s": None,
        "spread_s": None,
        "hooks": [],
        "absent": [],
        "skipped": "",
        "guard": [],
        "configuration": [],
        "guard_placed": None,
    },
    "hook enable": {"changed": None, "enabled": [], "placed": []},
    "hook disable": {"changed": None, "enabled": [], "placed": []},
    "hook covers": {
        "run": None,
        "serves": None,
        "gone": [],
        "failed": [],
        "uncut": [],
        "pending": None,
    },
}


def _empty(value: Any) -> Any:
    return list(value) if isinstance(value, list) else value


def _job(asked: Invocation) -> dict[str, Any]:
    job: dict[str, Any] = {
        "of_earlier": False,
        "run": {"id": None, "before": asked.before, "started": None, "finished": None},
        "instance": None,
        "disks": [],
        "skipped": [],
        "not_covered": [],
        "excluded": [],
        "snapshots": [],
        "consistency": {"asked": None, "reached": None, "why": ""},
        "steps": [],
        "frozen_s": None,
        "undo": [],
        "notes": [],
        "watch": None,
        "applications": [],
        "unseen": None,
        "interrupted": None,
        "armed": None,
    }
    if asked.command == RUN:
        job["snapshot_exit_status"] = None
        job["confirmed"] = None
        job["cmd"] = {"argv": list(asked.argv), "status": None, "signal": None, "seconds": None}
    return job
