"""What the JSON forms of all commands share: the envelope, its errors and instants.

One object a command, on standard output: first the envelope, then what the command has to tell.
Each command's object has a schema in ``data/schema``; fields are only ever added.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

from snap_self.errors import ExitStatus, SnapSelfError
from snap_self.model.invocation import Invocation
from snap_self.model.report import SCHEMA, ErrorReport
from snap_self.model.result import Result
from snap_self.output.blank import blank
from snap_self.output.streams import Streams
from snap_self.output.text import write_error_report


def dumps(value: Mapping[str, Any]) -> str:
    """Return one JSON object as text, each attribute, and each entry of a list, on its own line.

    Paths that are not UTF-8 stay readable and reversible.
    """
    # Not `indent`: with it the encoder written in Python is used, which lists of thousands show.
    lines = (f"  {_encode(name)}: {_attribute(entry)}" for name, entry in value.items())
    return "{\n" + ",\n".join(lines) + "\n}"


def write_json(
    streams: Streams, value: Mapping[str, Any], *, error: ErrorReport | None = None
) -> None:
    """Write one JSON object to standard output.

    Args:
        error: what failed, if that was not said yet. It is said in words on standard error, also
            when quiet: the mail of a job that failed is not to be empty.
    """
    if error:
        write_error_report(streams, error)
    streams.data(*dumps(value).split("\n"))


_encode = json.JSONEncoder(ensure_ascii=True).encode


def _attribute(value: object) -> str:
    if not isinstance(value, list) or not value:
        return _encode(value)
    return "[\n    " + ",\n    ".join(map(_encode, value)) + "\n  ]"


def envelope(
    command: str,
    *,
    exit_status: int = ExitStatus.DONE,
    result: Result = Result.DONE,
    error: ErrorReport | None = None,
) -> dict[str, Any]:
    """Return what every command's object begins with.

    Args:
        command: which it is, and so which schema the object has.
        exit_status: what the process ends with.
        error: what failed; None where nothing did.
    """
    return {
        "schema": SCHEMA,
        "command": command,
        "exit_status": int(exit_status),
        "result": result.value,
        "error": error and error_json(error),
    }


def fault_json(error: SnapSelfError, asked: Invocation | None = None) -> dict[str, Any]:
    """Return what a command that made no report says: its own fields, empty, with the error.

    Args:
        asked: what was started; the main job where it is not known.
    """
    asked = asked or Invocation()
    return {
        **envelope(
            asked.command,
            exit_status=error.exit_status,
            result=Result.FAILED,
            error=ErrorReport.of(error),
        ),
        **blank(asked),
    }


def error_json(error: ErrorReport) -> dict[str, str | None]:
    """Return an error as a JSON object; the cloud's own words where there are any."""
    return {
        "code": error.code,
        "message": error.message,
        "hint": error.hint,
        "api_code": error.api_code or None,
        "api_message": error.api_message or None,
        "request_id": error.request_id or None,
        "action": error.action or None,
    }


def when(instant: datetime | None) -> str | None:
    """Return an instant as ISO 8601 in UTC, to the second."""
    if instant is None:
        return None
    # Half of strftime's time, which a list of thousands shows.
    text = instant.astimezone(timezone.utc).isoformat(timespec="seconds")
    return text.removesuffix("+00:00") + "Z"
