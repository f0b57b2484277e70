"""What became of `confirm`; text and JSON (schema 1)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from snap_self.output.jsonform import envelope, write_json
from snap_self.output.report import armed_json
from snap_self.output.streams import Streams
from snap_self.output.text import in_words, instant_words
from snap_self.usecases.confirming.confirm import Confirmed, ConfirmOutcome


def write_confirmed(streams: Streams, confirmed: Confirmed, *, now: datetime) -> None:
    """Write what does not wait any more, and what does."""
    if streams.json:
        write_json(streams, confirmed_json(confirmed))
        return
    streams.data(*_lines(confirmed, now))
    streams.message(*(f"Note: {note}" for note in confirmed.notes))


def _lines(confirmed: Confirmed, now: datetime) -> Iterator[str]:
    yield from (f"Checked    {check.name}" for check in confirmed.checks)
    waiting = confirmed.waiting
    if confirmed.outcome is ConfirmOutcome.CONFIRMED:
        for each in confirmed.called_off:
            yield (
                f"Confirmed  this machine stays as it is: the rollback to run {each.run} is called "
                "off; its snapshots stay"
            )
    elif waiting is not None:
        at = f"{instant_words(waiting.deadline)}{in_words(waiting.deadline, now)}"
        if confirmed.outcome is ConfirmOutcome.NO_CHECK:
            yield f"No check   is there, so nothing is confirmed: back to run {waiting.run} at {at}"
        elif confirmed.outcome is ConfirmOutcome.COMMAND_FAILED:
            yield (
                f"Failed     is the command of run {waiting.run}, so no check confirms it: back to "
                f"it at {at}, unless you say: snap-self confirm"
            )
        else:
            yield f"Waits      until {at}, then goes back to run {waiting.run}"
    elif confirmed.outcome is ConfirmOutcome.NOTHING_NOTED:
        yield "No rollback is noted here to wait for a confirmation; the cloud was not asked."
    else:
        yield "No rollback waits for a confirmation."


def confirmed_json(confirmed: Confirmed) -> dict[str, Any]:
    """Return the same as a JSON object."""
    return {
        **envelope("confirm"),
        "called_off": [armed_json(each) for each in confirmed.called_off],
        "armed": armed_json(confirmed.waiting),
        "checks": [each.name for each in confirmed.checks],
        "notes": list(confirmed.notes),
    }
