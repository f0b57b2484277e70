"""Reads what the journal knows about a run whose process was killed, and loads nothing else."""

from __future__ import annotations

import os

from snap_self.model.manager_facts import Asked
from snap_self.system.managers.outside import read_bytes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

BOOT_ID = "/proc/sys/kernel/random/boot_id"
# The run is one of the newest; run names begin with the time.
MAX_LOOKED_AT = 64


def asked_by(folder: str, pid: int) -> Asked | None:
    """Return what a process asked the cloud for, if it has not closed its record.

    Args:
        folder: the state directory.
    """
    runs = f"{folder}/runs"
    if not pid or not _is_private(runs):
        return None
    boot_id = read_bytes(BOOT_ID, 64).decode("ascii", "replace").strip()
    try:
        names = sorted(os.listdir(runs), reverse=True)  # noqa: PTH208
    except OSError:
        return None
    for name in [name for name in names if name.endswith(".json")][:MAX_LOOKED_AT]:
        record = _object(f"{runs}/{name}")
        if (record.get("pid"), record.get("boot_id")) == (pid, boot_id):
            return _asked(record)
    return None


def _asked(record: dict[str, Any]) -> Asked | None:
    """Return what a record says; None if it asked for nothing or has ended."""
    if record.get("stage") not in ("creating", "created"):
        return None
    orders = [one for one in record.get("orders") or () if one.get("sent")]
    if not orders or all(one.get("error") for one in orders):
        return None
    ids: list[str] = []
    for one in orders:
        ids += list((one.get("snapshot_ids") or {}).values()) or [one.get("group_id") or ""]
    return Asked(str(record.get("run_id")), [each for each in ids if each])


def _object(path: str) -> dict[str, Any]:
    import json

    try:
        said = json.loads(read_bytes(path))
    except (ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}


def _is_private(folder: str) -> bool:
    """Return whether nobody else can have put a record there."""
    try:
        found = os.lstat(folder)
    except OSError:
        return False
    return (found.st_mode & ~0o7700, found.st_uid) == (0o040000, os.geteuid())
