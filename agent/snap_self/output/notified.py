"""What became of telling people, as text, as JSON (schema 1) and for the system's log."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from snap_self.config.settings import NotifySettings
from snap_self.errors import ExitStatus, NotNotified
from snap_self.model.notifying import Delivery, Outcome, Sink
from snap_self.model.report import ErrorReport
from snap_self.model.result import Result
from snap_self.model.shown import printable
from snap_self.output.jsonform import envelope, write_json
from snap_self.output.streams import Streams
from snap_self.output.text import write_error_report

_WHO = {Sink.PING: "ping URL", Sink.ROBOT: "robot", Sink.COMMAND: "command"}
_MARK = {Outcome.SENT: "ok  ", Outcome.HELD_BACK: "skip", Outcome.FAILED: "FAIL"}


def write_notified(
    streams: Streams, made: Sequence[Delivery], settings: NotifySettings
) -> ExitStatus:
    """Write what became of each, and return the exit status."""
    error = _error(made)
    if streams.json:
        write_json(streams, notified_json(made), error=error)
    else:
        for each in made:
            name = f"{each.sink.value} ({settings.robot.value})"
            told = name if each.sink is Sink.ROBOT else each.sink.value
            streams.data(f"{_MARK[each.outcome]}  {told}: {each.why or _status(each)}")
            if each.hint:
                streams.data(f"      -> {each.hint}")
        if error:
            write_error_report(streams, error)
        else:
            streams.message("All took the test message; see whether it came to people's eyes.")
    return NotNotified.exit_status if error else ExitStatus.DONE


def notified_json(made: Sequence[Delivery]) -> dict[str, Any]:
    """Return the same as a JSON object."""
    error = _error(made)
    sent = any(each.outcome is Outcome.SENT for each in made)
    failed = Result.PARTIAL if sent else Result.FAILED
    return {
        **envelope(
            "notify",
            exit_status=NotNotified.exit_status if error else ExitStatus.DONE,
            result=failed if error else Result.DONE,
            error=error,
        ),
        "told": [
            {
                "to": each.sink.value,
                "event": each.event,
                "outcome": each.outcome.value,
                "status": each.status,
                "answer": each.answer,
                "why": each.why,
                "hint": each.hint,
            }
            for each in made
        ],
    }


def log_line(delivery: Delivery) -> str:
    """Return what the system's log is told of one who was not told."""
    hint = f" ({delivery.hint})" if delivery.hint else ""
    told = f"notify: the event {delivery.event} was not told to the {_WHO[delivery.sink]}"
    return printable(f"{told}: {delivery.why}{hint}")


def _status(each: Delivery) -> str:
    if each.sink is Sink.COMMAND:
        return "it ran, and ended with 0"
    code = "" if each.answer is None else f", code {each.answer}"
    return f"it took the message (HTTP status {each.status}{code})"


def _error(made: Sequence[Delivery]) -> ErrorReport | None:
    failed = [each.sink.value for each in made if each.outcome is Outcome.FAILED]
    if not failed:
        return None
    return ErrorReport.of(
        NotNotified(
            f"the test message did not reach: {', '.join(failed)}",
            hint="mend what is named there, then try it again; a run itself never fails of it",
        )
    )
