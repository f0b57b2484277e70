"""Keep in the journal and with the snapshots what became of the commands they were made for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime

from snap_self.errors import SnapSelfError
from snap_self.model.ids import RunId
from snap_self.model.progress import Event, EventKind
from snap_self.model.report import Report
from snap_self.model.run import CommandRecord, RunRecord, Stage, rebooted
from snap_self.model.snapshots import OUTCOME_TAG
from snap_self.usecases.tools import Tools

# The command must not wait long for somebody else's run, nor its caller for the cloud.
LOCK_WAIT_S = 10.0
TAG_LIMIT_S = 10.0


def note_started(tools: Tools, run_id: RunId) -> int:
    """Put into the journal that a command is about to run; return its number, 0 if it cannot be.

    A journal that cannot be written does not keep the command from running: the user is warned.
    """
    number = 0

    def add(record: RunRecord) -> RunRecord:
        nonlocal number
        number = len(record.commands) + 1
        added = CommandRecord(
            number=number,
            started=tools.clock.now(),
            pid=tools.process.pid,
            pid_started=tools.process_started(tools.process.pid) or 0,
            boot_id=tools.process.boot_id,
        )
        return _with(record, (*record.commands, added))

    return number if _update(tools, run_id, add) else 0


def note_outcome(
    tools: Tools, run_id: RunId, number: int, outcome: str, *, failed: bool = False
) -> None:
    """Put into the journal how that command ended.

    Args:
        failed: it did not succeed, or was not started.
    """

    def close(record: RunRecord) -> RunRecord:
        return _with(
            record,
            [
                replace(c, outcome=outcome, failed=failed) if c.number == number else c
                for c in record.commands
            ],
        )

    if number:
        _update(tools, run_id, close)


def tag_outcome(tools: Tools, report: Report, outcome: str) -> bool:
    """Tag the run's snapshots with the outcome as far as that is allowed; tell whether it was.

    The command may just have cut the network or replaced the Python that the agent runs on, so
    neither a refused call nor an import that fails is worth a word.
    """
    ids = [shot.snapshot_id for shot in report.snapshots if shot.snapshot_id]
    if not ids or report.identity is None:
        return False
    with suppress(SnapSelfError, ImportError):
        cloud = tools.connect(report.identity)
        cloud.tag_snapshots(ids, {OUTCOME_TAG: outcome}, deadline_s=TAG_LIMIT_S)
        return True
    return False


def explain_lost_commands(tools: Tools, record: RunRecord) -> RunRecord | None:
    """Return the record with the commands closed whose agent is gone; None if none is."""
    lost = [c for c in record.commands if not c.outcome and not _has_agent(tools, c)]
    if not lost:
        return None
    closed = [replace(c, outcome=_lost_words(c)) if c in lost else c for c in record.commands]
    return replace(_with(record, closed), explained=_sentence(record, lost[-1]))


def _update(tools: Tools, run_id: RunId, change: Callable[[RunRecord], RunRecord]) -> bool:
    """Change a record while nobody else does; tell whether there is one and it was changed."""
    try:
        with tools.lock.hold(timeout_s=LOCK_WAIT_S, purpose="note what became of a command"):
            record = tools.store.load(run_id)
            if record is not None:
                tools.store.save(change(record))
            return record is not None
    except SnapSelfError as error:
        text = f"the journal will not tell what became of the command: {error.message}"
        tools.listener(Event(kind=EventKind.WARNING, text=text))
        return False


def _with(record: RunRecord, commands: Sequence[CommandRecord]) -> RunRecord:
    """Return the record with these commands, and the stage and outcome that follow from them."""
    running = any(not command.outcome for command in commands)
    # A main job that has not ended itself stays so, to be resumed or explained.
    ended = record.stage in (Stage.FINISHED, Stage.COMMAND)
    stage = (Stage.COMMAND if running else Stage.FINISHED) if ended else record.stage
    words = [c.outcome or f"running since {_when(c.started)}" for c in commands]
    return replace(record, commands=tuple(commands), stage=stage, outcome="; ".join(words))


def _has_agent(tools: Tools, command: CommandRecord) -> bool:
    if rebooted(command.boot_id, tools.process.boot_id):
        return False
    return tools.process_started(command.pid) == command.pid_started


def _lost_words(command: CommandRecord) -> str:
    return f"not known; started {_when(command.started)}"


def _sentence(record: RunRecord, command: CommandRecord) -> str:
    made = ", ".join(record.snapshot_ids)
    kept = f"; of the snapshots made before it these are known: {made}" if made else ""
    return (
        f"{record.label}: snap-self was ended while the command "
        f"ran that it had started at {_when(command.started)}; how it ended, or whether it still "
        f"runs, is not known{kept}"
    )


def _when(instant: datetime) -> str:
    return f"{instant:%Y-%m-%d %H:%M:%S} UTC"
