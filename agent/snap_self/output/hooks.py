"""Package managers' hooks as a table and as JSON (schema 1; fields are only ever added)."""

from __future__ import annotations

from typing import Any

from snap_self.model.duration import format_duration
from snap_self.model.registration import HookFault, Loaded, Placed
from snap_self.model.report import SCHEMA
from snap_self.output.streams import Streams
from snap_self.output.text import table
from snap_self.usecases.hook_status import HooksReport, HookStatus
from snap_self.usecases.hook_switch import Switched

HEAD = ("HOOK", "VERSION", "SWITCHED", "FILES", "READ", "CAN STOP", "ON FAILURE")


def write_hooks(streams: Streams, report: HooksReport) -> None:
    """Write a line for each manager, then each fault with its mend."""
    if report.hooks:
        streams.data("\n".join(table(HEAD, [_row(one) for one in report.hooks])))
    for fault in report.guard:
        _write_fault(streams, "all", fault)
    if report.skipped:
        streams.data(f"all: at present no change gets a snapshot: {report.skipped}")
    for one in report.hooks:
        for fault in one.registration.faults:
            _write_fault(streams, one.registration.hook, fault)
        if one.registration.veto:
            streams.message(f"Note: {one.registration.hook}: {one.registration.veto}")
        if one.on_failure == "abort" and not one.registration.can_veto:
            hook = one.registration.hook
            streams.message(f"Note: on_failure = abort has no effect on {hook}: it goes on")
    if report.absent:
        streams.message(f"Not on this machine: {', '.join(report.absent)}")
    streams.message(f"No change is held up for longer than {format_duration(report.limit_s)}.")


def hooks_json(report: HooksReport) -> dict[str, Any]:
    """Return the same as a JSON object."""
    return {
        "schema": SCHEMA,
        "exit_status": int(report.exit_status),
        "limit_s": report.limit_s,
        "hooks": [_hook(one) for one in report.hooks],
        "absent": list(report.absent),
        "skipped": report.skipped,
        "guard": [_fault(fault) for fault in report.guard],
    }


def write_switched(streams: Streams, switched: Switched) -> None:
    """Write what was switched and placed."""
    for line in switched.placed:
        streams.message(line)
    names = ", ".join(switched.enabled) or "none"
    streams.message(f"Switched on{'' if switched.changed else ' as before'}: {names}")
    if switched.not_here:
        streams.message("Note: it is not on this machine.")


def switched_json(switched: Switched) -> dict[str, Any]:
    """Return the same as a JSON object."""
    return {
        "schema": SCHEMA,
        "changed": switched.changed,
        "enabled": list(switched.enabled),
        "placed": list(switched.placed),
    }


def _row(one: HookStatus) -> tuple[str, ...]:
    found = one.registration
    return (
        found.hook,
        found.version or "?",
        "on" if one.enabled else "off",
        _FILES[found.placed],
        _READ[found.loaded],
        ("partly" if found.veto else "yes") if found.can_veto else "no",
        one.on_failure,
    )


def _write_fault(streams: Streams, what: str, fault: HookFault) -> None:
    streams.data(f"{what}: {fault.text}")
    streams.data(f"  -> {fault.mend}")


def _hook(one: HookStatus) -> dict[str, Any]:
    found = one.registration
    return {
        "hook": found.hook,
        "manager": found.manager,
        "version": found.version,
        "enabled": one.enabled,
        "on_failure": one.on_failure,
        "placed": found.placed.value,
        "files": [{"path": file.path, "placed": file.placed.value} for file in found.files],
        "loaded": found.loaded.value,
        "loaded_how": found.loaded_how,
        "can_veto": found.can_veto,
        "veto": found.veto,
        "faults": [_fault(fault) for fault in found.faults],
    }


def _fault(fault: HookFault) -> dict[str, str]:
    return {"text": fault.text, "mend": fault.mend}


_FILES = {Placed.OURS: "in place", Placed.CHANGED: "changed", Placed.MISSING: "MISSING"}
_READ = {Loaded.YES: "yes", Loaded.NO: "NO", Loaded.UNKNOWN: "not known"}
