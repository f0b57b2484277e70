"""What was found in the configuration, as text and as JSON (schema 1)."""

from __future__ import annotations

from typing import Any

from snap_self.config.fault import Fault
from snap_self.config.load import EXTRA_FOLDER, MAIN_FILE
from snap_self.errors import ExitStatus
from snap_self.model.report import ErrorReport
from snap_self.model.result import Result
from snap_self.output.jsonform import envelope, write_json
from snap_self.output.streams import Streams
from snap_self.output.text import write_error_report
from snap_self.usecases.config_check import ConfigChecked

UNREAD = f"It is not read at this place: {MAIN_FILE} and {EXTRA_FOLDER}/*.toml are"


def write_checked(streams: Streams, checked: ConfigChecked) -> None:
    """Write every fault to standard error, or that there is none to standard output."""
    if checked.fault is not None:
        # In JSON too: who only passes on what a validator says passes on standard error.
        write_error_report(streams, ErrorReport.of(checked.fault), _lines(checked.faults))
    if streams.json:
        write_json(streams, checked_json(checked))
        return
    for note in _notes(checked):
        streams.message(f"Note: {note}.")
    if checked.fault is None:
        streams.data(_sound(checked))


def checked_json(checked: ConfigChecked) -> dict[str, Any]:
    """Return the same as a JSON object."""
    fault = checked.fault
    return {
        **envelope(
            "config check",
            exit_status=fault.exit_status if fault else ExitStatus.DONE,
            result=Result.FAILED if fault else Result.DONE,
            error=ErrorReport.of(fault) if fault else None,
        ),
        "files": list(checked.files),
        "faults": [_fault(each) for each in checked.faults],
        "notes": list(_notes(checked)),
    }


def _lines(faults: tuple[Fault, ...]) -> list[str]:
    several = len(faults) > 1
    lines = [f"{len(faults)} faults in the configuration:"] if several else []
    for fault in faults:
        lines.append(f"  {fault.told}" if several else fault.told)
        if fault.accepted:
            lines.append(f"    {fault.key} takes {fault.accepted}")
    return lines


def _notes(checked: ConfigChecked) -> tuple[str, ...]:
    return (UNREAD,) if checked.unread else ()


def _sound(checked: ConfigChecked) -> str:
    if not checked.files:
        return "There is no file of the configuration: every key has its default."
    return f"No fault in {', '.join(checked.files)}."


def _fault(fault: Fault) -> dict[str, Any]:
    return {
        "text": fault.told,
        "file": fault.place.file or None,
        "line": fault.place.line,
        "key": fault.key or None,
        "accepted": fault.accepted or None,
    }
