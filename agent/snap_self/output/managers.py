"""Package managers' hooks as a table and as JSON (schema 1; fields are only ever added)."""

from __future__ import annotations

from typing import Any

from snap_self.errors import ConfigError, EnvironmentFault
from snap_self.model.duration import format_duration
from snap_self.model.registration import Loaded, ManagerFault, Placed, Rehearsal
from snap_self.model.report import ErrorReport
from snap_self.model.result import Result
from snap_self.output.jsonform import envelope, write_json
from snap_self.output.streams import Streams
from snap_self.output.text import table
from snap_self.usecases.cover import Cover
from snap_self.usecases.manager_status import ManagersReport, ManagerStatus
from snap_self.usecases.manager_switch import Switched

HEAD = ("HOOK", "VERSION", "SWITCHED", "FILES", "READ", "CAN STOP", "ON FAILURE")


def write_managers(streams: Streams, report: ManagersReport) -> None:
    """Write a line for each manager, then each fault with its mend."""
    if streams.json:
        write_json(streams, managers_json(report), error=_error(report))
        return
    for fault in report.configuration:
        _write_fault(streams, "configuration", fault)
    if report.hooks:
        streams.data(*table(HEAD, [_row(one) for one in report.hooks]))
    for fault in report.guard:
        _write_fault(streams, "all", fault)
    if report.skipped:
        streams.data(f"all: at present no change gets a snapshot: {report.skipped}")
    if report.guard_file.placed is Placed.CHANGED:
        streams.message(f"Note: {report.guard_file.path} was changed.")
    for one in report.hooks:
        tried = one.registration.rehearsal
        if tried is not None and tried.reached is None:
            hook = one.registration.hook
            streams.message(f"Note: {hook}: a rehearsal did not come about: {tried.why}")
        for fault in one.registration.faults:
            _write_fault(streams, one.registration.hook, fault)
        if one.registration.veto:
            streams.message(f"Note: {one.registration.hook}: {one.registration.veto}")
        if one.on_failure == "abort" and not one.registration.can_veto:
            hook = one.registration.hook
            streams.message(f"Note: on_failure = abort has no effect on {hook}: it goes on")
    if report.absent:
        streams.message(f"Not on this machine: {', '.join(report.absent)}")
    streams.message(f"No change is held up for longer than {_limits(report)}.")


def managers_json(report: ManagersReport) -> dict[str, Any]:
    """Return the same as a JSON object."""
    error = _error(report)
    return {
        **envelope(
            "hook status",
            exit_status=report.exit_status,
            result=Result.FAILED if error else Result.DONE,
            error=error,
        ),
        "limit_s": report.limit_s,
        "throttled_limit_s": report.throttled_limit_s,
        "spread_s": report.spread_s,
        "hooks": [_hook(one) for one in report.hooks],
        "absent": list(report.absent),
        "skipped": report.skipped,
        "guard": [_fault(fault) for fault in report.guard],
        "configuration": [_fault(fault) for fault in report.configuration],
        "guard_placed": report.guard_file.placed.value,
    }


def cover_json(cover: Cover) -> dict[str, Any]:
    """Return what the cloud has of a run as a JSON object, for the hook that asked."""
    return {
        **envelope("hook covers"),
        "run": cover.run_id,
        "serves": cover.serves,
        "gone": list(cover.gone),
        "failed": list(cover.failed),
        "uncut": list(cover.uncut),
        "pending": cover.pending,
    }


def write_switched(streams: Streams, switched: Switched, *, on: bool) -> None:
    """Write what was switched and placed.

    Args:
        on: it was to be switched on.
    """
    if streams.json:
        write_json(streams, switched_json(switched, on=on))
        return
    streams.message(*switched.placed)
    names = ", ".join(switched.enabled) or "none"
    streams.message(f"Switched on{'' if switched.changed else ' as before'}: {names}")
    if switched.not_here:
        verb = "is" if len(switched.not_here) == 1 else "are"
        streams.message(f"Note: {', '.join(switched.not_here)} {verb} not on this machine.")


def switched_json(switched: Switched, *, on: bool) -> dict[str, Any]:
    """Return the same as a JSON object."""
    return {
        **envelope("hook enable" if on else "hook disable"),
        "changed": switched.changed,
        "enabled": list(switched.enabled),
        "placed": list(switched.placed),
    }


def _error(report: ManagersReport) -> ErrorReport | None:
    """Return the first reason why what is switched on makes no snapshot."""
    if not report.exit_status:
        return None
    for fault in report.configuration:
        return ErrorReport(code=ConfigError.code, message=fault.text, hint=fault.mend)
    faults = [("all", fault) for fault in report.guard]
    if not faults and not report.skipped:
        faults = [
            (one.registration.hook, fault)
            for one in report.hooks
            if one.enabled
            for fault in one.registration.faults
        ]
    code = EnvironmentFault.code
    for hook, fault in faults:
        return ErrorReport(code=code, message=f"{hook}: {fault.text}", hint=fault.mend)
    return ErrorReport(code=code, message=f"no change gets a snapshot: {report.skipped}", hint="")


def _limits(report: ManagersReport) -> str:
    """Return how long a change may be held up, and for how much longer when nobody waits."""
    said = format_duration(report.limit_s)
    if report.throttled_limit_s > report.limit_s:
        longer = format_duration(report.throttled_limit_s)
        said += f", or {longer} without a terminal once the cloud refuses calls as too many"
    if report.spread_s:
        said += f"; without a terminal a delay below {format_duration(report.spread_s)} goes before"
    return said


def _row(one: ManagerStatus) -> tuple[str, ...]:
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


def _write_fault(streams: Streams, what: str, fault: ManagerFault) -> None:
    streams.data(f"{what}: {fault.text}")
    streams.data(f"  -> {fault.mend}")


def _hook(one: ManagerStatus) -> dict[str, Any]:
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
        "rehearsal": _rehearsal(found.rehearsal),
    }


def _rehearsal(seen: Rehearsal | None) -> dict[str, Any] | None:
    if seen is None:
        return None
    return {
        "reached": seen.reached,
        "stopped": seen.stopped,
        "skipped": seen.note.skipped if seen.note else "",
        "why": seen.why,
    }


def _fault(fault: ManagerFault) -> dict[str, str]:
    return {"text": fault.text, "mend": fault.mend}


_FILES = {Placed.OURS: "in place", Placed.CHANGED: "changed", Placed.MISSING: "MISSING"}
_READ = {Loaded.YES: "yes", Loaded.NO: "NO", Loaded.UNKNOWN: "not known"}
