"""One run's snapshots in full with the ways back, as text and as JSON (schema 1)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from snap_self.model.executions import Back
from snap_self.model.listed import run_of
from snap_self.model.result import Result
from snap_self.model.run import ArmedEnd
from snap_self.model.shown import quoted
from snap_self.model.snapshots import uploaded
from snap_self.output.differences import since_json, summary
from snap_self.output.jsonform import envelope, when, write_json
from snap_self.output.listing import (
    VERDICT_WORDS,
    expires_words,
    listed_json,
    return_json,
    return_lines,
)
from snap_self.output.report import unseen_json
from snap_self.output.steps import step_line, undo_lines
from snap_self.output.streams import Streams
from snap_self.output.text import ago_words, cut_words, instant_words, short_instant

if TYPE_CHECKING:  # the form of one value is not to load what makes the others
    from snap_self.model.changes import LoggedChange
    from snap_self.model.listed import ListedSnapshot
    from snap_self.model.run import RunRecord
    from snap_self.model.ways import Way
    from snap_self.recovery.went_back import Return
    from snap_self.usecases.show import Lack, Shown

SHOWN_LACKS = 6
ENDS = {
    ArmedEnd.CONFIRMED: "confirmed before",
    ArmedEnd.NOT_ARMED: "it could not be armed",
    ArmedEnd.CAME_TO_NOTHING: "it came to nothing",
    ArmedEnd.WENT_BACK: "nobody confirmed, and it was gone back to",
    ArmedEnd.HALF_WAY: "nobody confirmed, and a part of the disks went back to it, or may have",
}
ROOT = "/"


def write_shown(streams: Streams, shown: Shown, *, now: datetime) -> None:
    """Write one run in full, with the ways back."""
    if streams.json:
        write_json(streams, shown_json(shown))
        return
    record = shown.record
    if record:
        streams.data(f"Run        {record.run_id}, before {quoted(record.before)}")
        if shown.unknown:
            streams.data(
                f"Unknown    it is of {record.instance_id}, from which the journal here was copied"
            )
        streams.data(f"Started    {instant_words(record.started)}; result {_result(shown, record)}")
        if shown.upload:
            streams.data(f"Upload     {shown.upload}")
        if record.unseen:
            streams.data(f"Asked for  the run did not see its cut: {record.unseen.words}")
        streams.data(*_back_lines(record, now))
        if record.explained and shown.went_back is None:
            streams.data(f"Explained  {record.explained}")
    elif shown.unknown:
        streams.data(
            "Unknown    it carries this instance's tag, and is not known to be of it: nothing that "
            "it claims is proved"
        )
    elif shown.snapshots:
        first = shown.snapshots[0]
        text = f", before {quoted(first.before)}" if first.before else ""
        streams.data(f"Run        {run_of(first)}{text}; this journal has nothing of it")
    if shown.went_back:
        first_line, *others = return_lines(shown.went_back)
        streams.data(f"Went back  {first_line}", *(f"           {each}" for each in others))
    if shown.lost_by:
        streams.data(f"Lost       since then {_went(shown.lost_by)} to run {shown.lost_by.run}")
    if outcome := next((shot.outcome for shot in shown.snapshots), record and record.outcome):
        streams.data(f"Command    {outcome}")
    for shot in shown.snapshots:
        streams.data(*_snapshot_lines(shot, now))
    if record and not shown.snapshots:
        streams.data("Snapshot   the cloud shows none of this run (any more)")
    streams.data(*_lacking_lines(shown.lacks))
    for change in shown.changes:
        streams.data(*_change_lines(change))
    if shown.since:
        noted = short_instant(shown.since.taken)
        streams.data(f"Since then {summary(shown.since.differences)}; as of {noted}")
    for way in shown.ways:
        streams.data(*way_lines(way))
    for name, content in record.kept.items() if record else ():
        streams.data(f"Needed for a restore, {name}:")
        streams.data(*(f"  {line}" for line in content.removesuffix("\n").split("\n")))
    streams.message(*(f"Note: {note}" for note in shown.notes))


def _went(one: Return) -> str:
    if one.execution.is_doubtful:
        return "disks may have gone back"
    part = one.execution.back is Back.PART
    return "a part of the disks went back, or may have," if part else "disks went back"


def _back_lines(record: RunRecord, now: datetime) -> Iterator[str]:
    """Yield what was asked for of OOS, to go back to a run."""
    if record.rollback:
        name = record.rollback.execution_id or "whose answer was lost"
        asked = instant_words(record.rollback.asked)
        yield f"Back to it asked for {asked}; execution {name} of OOS"
    if record.waiting:
        yield f"Waits      {record.waiting.words(now)}"
    elif record.armed and record.armed.ended:
        at = instant_words(record.armed.deadline)
        yield f"Waited     to be gone back to at {at}: {ENDS[record.armed.ended]}"


def _snapshot_lines(shot: ListedSnapshot, now: datetime) -> Iterator[str]:
    group = f", group {shot.group_id}" if shot.group_id else ""
    yield f"Snapshot   {shot.snapshot_id} of {shot.disk_id} ({shot.size_gib} GiB){group}"
    yield (
        f"           cut {cut_words(shot)}{ago_words(shot.cut_time, now)}, "
        f"{shot.level.value}, {shot.state.value}, {uploaded(shot.progress)}, "
        f"expires {expires_words(shot, instant_words(shot.expires))}"
    )
    if shot.used_by:
        yield f"           used by {shot.used_by}"
    if shot.verified:
        words = VERDICT_WORDS[shot.verified.result]
        yield f"           verified {short_instant(shot.verified.at)}: {words}"


def _result(shown: Shown, record: RunRecord) -> str:
    """Return how a run ended; a journal of the moment of its cut does not know."""
    if shown.went_back and record.result is Result.INTERRUPTED:
        return "not in this journal, which is of the moment of its cut"
    return record.result.value or "not ended"


def shown_json(shown: Shown) -> dict[str, Any]:
    """Return one run in full as a JSON object."""
    record = shown.record
    return {
        **envelope("show"),
        "snapshots": [listed_json(shot) for shot in shown.snapshots],
        "unknown": shown.unknown,
        "run": record and _run_json(record, shown.upload),
        "lacks": [lack.what for lack in shown.lacks],
        "lack_reasons": [{"what": lack.what, "why": lack.why or None} for lack in shown.lacks],
        "undo": list(undo_lines(shown.undo)),
        "ways": [
            {
                "title": way.title,
                "cautions": list(way.cautions),
                "console": list(way.console),
                "commands": [step_line(step) for step in way.steps],
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
        "since": shown.since and since_json(shown.since),
        "went_back": shown.went_back and return_json(shown.went_back),
        "lost_by": shown.lost_by and shown.lost_by.run,
        "notes": list(shown.notes),
    }


def _run_json(record: RunRecord, upload: str) -> dict[str, Any]:
    return {
        "id": record.run_id,
        "before": record.before,
        "started": when(record.started),
        "finished": when(record.finished),
        "result": record.result.value,
        "exit_status": record.exit_status,
        "explained": record.explained,
        "outcome": record.outcome,
        "kept": dict(record.kept),
        "upload": upload,
        "unseen": unseen_json(record.unseen),
        "rollback": record.rollback
        and {
            "asked": when(record.rollback.asked),
            "execution_id": record.rollback.execution_id or None,
        },
        "armed": record.armed
        and {
            "asked": when(record.armed.asked),
            "deadline": when(record.armed.deadline),
            "execution_id": record.armed.execution_id or None,
            "unconfirmed": record.armed.unconfirmed,
            "ended": record.armed.ended and record.armed.ended.value,
            "check": record.armed.check or None,
        },
    }


def _lacking_lines(lacks: Sequence[Lack]) -> Iterator[str]:
    """Yield a line for each reason why something is not in it, and what that means."""
    reasons: dict[str, list[str]] = {}
    for lack in lacks:
        reasons.setdefault(lack.why, []).append(lack.what)
    for number, (why, places) in enumerate(reasons.items()):
        more = f" and {len(places) - SHOWN_LACKS} more" if len(places) > SHOWN_LACKS else ""
        reason = f" ({why})" if why else ""
        yield f"{'' if number else 'Not in it':11}{', '.join(places[:SHOWN_LACKS])}{more}{reason}"
    if lacks:
        yield "           nothing below brings back what is there"
    if any(lack.what == ROOT for lack in lacks):
        yield "           without / the operating system stays as it is now"


def _change_lines(change: LoggedChange) -> Iterator[str]:
    from snap_self.model.changes import package_line

    count = len(change.packages)
    yield f"Change     {change.program} at {change.at}, {count} package{'s' * (count != 1)}:"
    yield from (f"  {package_line(package)}" for package in change.packages)


def way_lines(way: Way) -> Iterable[str]:
    """Yield one way back, for people and to be pasted."""
    yield ""
    yield way.title
    yield from (f"  mind: {line}" for line in way.cautions)
    yield "  in the ECS console:"
    yield from (f"    {number}. {line}" for number, line in enumerate(way.console, start=1))
    yield "  or by command:"
    yield from (f"    {step_line(step)}" for step in way.steps)
    yield from (f"  then: {line}" for line in way.after)
