"""What `restore` is about to do and did, as text and as JSON (schema 1; fields are only added)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from snap_self.model.copying import Change, CopyOutcome, CopyPlan, Difference, LeftOut
from snap_self.model.report import ErrorReport
from snap_self.model.restored import Intent, Restored, Undone
from snap_self.model.result import Result
from snap_self.model.shell import command
from snap_self.model.temporary import CopyRecord, DiskStage, KeptFiles
from snap_self.output.caveats import caveat_lines, caveats_json
from snap_self.output.jsonform import envelope, when, write_json
from snap_self.output.streams import Streams, Style
from snap_self.output.text import ago_words, short_instant, write_error, write_paragraph

# What one screen takes beside the rest; --verbose and --json have all.
MOST_LINES = 12

_WORDS = {
    Change.NEW: "is not here now",
    Change.ATTRIBUTES: "owner, mode, times or the like differ",
    Change.KIND: "is something else now",
}


def intent_lines(intent: Intent, now: datetime) -> Iterator[str]:
    """Yield what is about to be made, and what for."""
    many = len(intent.paths)
    what = "1 path" if many == 1 else f"{many} paths"
    age = f"{short_instant(intent.cut_time)}{ago_words(intent.cut_time, now)}"
    yield (
        f"Restore {what} of {intent.source} ({intent.fstype}) from {', '.join(intent.snapshot_ids)}"
        f", cut {age}, before: {intent.before or '-'}"
    )
    for path in intent.paths[:MOST_LINES]:
        yield f"  {path}"
    if many > MOST_LINES:
        yield f"  and {many - MOST_LINES} more"
    if intent.to is not None:
        yield f"They go below {intent.to}, not to their own places."
    yield disk_sentence(intent)
    if intent.aside:
        yield f"What is replaced is kept in {intent.aside}."
    else:
        yield "What is replaced is not kept."
    yield from warning_lines(intent)


def warning_lines(intent: Intent) -> Iterator[str]:
    """Yield what is to be known before anything is brought back."""
    yield from (f"Note: {text}" for text in intent.warnings)


def disk_sentence(intent: Intent) -> str:
    """Return what is paid for, and for how long."""
    disks = "A disk" if intent.disks == 1 else f"{intent.disks} disks"
    each = "is" if intent.disks == 1 else "are"
    return (
        f"{disks} of {intent.gib} GiB {each} made for this and deleted right afterwards, at the "
        f"latest at {short_instant(intent.until)}; until then the account pays for it."
    )


def difference_lines(plan: CopyPlan, *, exact: bool, all_of: bool) -> Iterator[str]:
    """Yield what differs, a line a path; some of many unless all are wanted."""
    most = len(plan.differences) if all_of else MOST_LINES
    width = max((len(one.path) for one in plan.differences[:most]), default=0)
    for one in plan.differences[:most]:
        yield f"  {one.path:<{min(width, 48)}}  {_difference(one, exact=exact)}"
    if len(plan.differences) > most:
        yield f"  and {len(plan.differences) - most} more (-v names them)"


def _difference(one: Difference, *, exact: bool) -> str:
    if one.kind is Change.EXTRA:
        return "is not in the snapshot: " + ("goes" if exact else "stays")
    if one.kind is Change.CONTENT:
        return f"other content: {_bytes(one.size_before)} then, {_bytes(one.size_now)} now"
    then = f" ({_bytes(one.size_before)} then)" if one.size_before is not None else ""
    return _WORDS[one.kind] + (then if one.kind is Change.NEW else "")


def _bytes(size: int | None) -> str:
    return "-" if size is None else f"{size:,} B"


def write_plan(streams: Streams, plan: CopyPlan, *, exact: bool) -> None:
    """Write what would be replaced, as data."""
    streams.data(*difference_lines(plan, exact=exact, all_of=streams.verbosity > 0))


def write_restored(streams: Streams, done: Restored) -> None:
    """Write what came of a restore; what differed was written before."""
    if streams.json:
        write_json(streams, restored_json(done), error=_error(done))
        return
    outcome = done.outcome
    left = outcome.left_out if outcome else done.plan.left_out
    _write_left_out(streams, left)
    if outcome is not None:
        for path in outcome.in_place:
            streams.message(f"  {path}  was written in place, since something is mounted on it")
        if done.aside:
            undo = command("snap-self", "restore", "--undo", done.record.restore_id)
            write_paragraph(streams, f"What was replaced is in {done.aside}; to go back: {undo}")
    streams.message(*caveat_lines(done.caveats, all_of=streams.verbosity > 0))
    streams.message(*(f"Note: {note}" for note in done.notes))
    if done.left is not None:
        streams.message(_conclusion(done), style=Style.DOUBT)
        write_error(streams, done.left)
        return
    write_paragraph(
        streams,
        f"{_conclusion(done)} {gone_words(done.record)}",
        style=Style.DOUBT if left else Style.GOOD,
    )


def gone_words(record: CopyRecord) -> str:
    """Return that the disk is gone, and how long it was paid for."""
    many = len(record.disks) != 1
    life = f" after {record.existed_s:.0f} s" if record.existed_s else ""
    return f"The temporary disk{'s are' if many else ' is'} deleted{life}."


def _write_left_out(streams: Streams, left: Sequence[LeftOut]) -> None:
    most = len(left) if streams.verbosity > 0 else MOST_LINES
    for one in left[:most]:
        write_paragraph(streams, f"  left out: {one.path}: {one.why}", indent="    ")
    if len(left) > most:
        streams.message(f"  left out: {len(left) - most} more (-v names them)")


def _conclusion(done: Restored) -> str:
    outcome, to = done.outcome, done.intent.to
    if outcome is None:
        if done.declined:
            return "Nothing was changed."
        if not done.plan.differences:
            return f"Nothing differs: all {done.plan.same} are as they were."
        return f"{len(done.plan.differences)} differ; nothing was changed (--dry-run)."
    where = f" to {to}" if to else ""
    removed = f", removed {outcome.removed}" if outcome.removed else ""
    left = f" ({len(outcome.left_out)} left out)" if outcome.left_out else ""
    things = "1 file or directory" if outcome.copied == 1 else f"{outcome.copied} files and such"
    return f"Restored {things}{where}{removed}{left}."


def _result(done: Restored) -> Result:
    if done.outcome is None and (done.dry_run or done.declined):
        return Result.PLANNED
    return Result.PARTIAL if done.exit_status else Result.DONE


def _error(done: Restored) -> ErrorReport | None:
    return ErrorReport.of(done.left) if done.left else None


def restored_json(done: Restored) -> dict[str, Any]:
    """Return the same as a JSON object."""
    outcome = done.outcome or CopyOutcome()
    left = outcome.left_out if done.outcome else done.plan.left_out
    return {
        **envelope(
            "restore", exit_status=done.exit_status, result=_result(done), error=_error(done)
        ),
        "restore": {
            "id": done.record.restore_id,
            "run": done.record.run_id or None,
            "source": done.intent.source,
            "to": done.intent.to,
            "aside": done.aside,
        },
        "disks": disks_json(done.record),
        "differences": [
            {
                "path": one.path,
                "kind": one.kind.value,
                "size_before": one.size_before,
                "size_now": one.size_now,
            }
            for one in done.plan.differences
        ],
        "same": done.plan.same,
        "copied": outcome.copied,
        "removed": outcome.removed,
        "left_out": left_json(left),
        "kept": _pairs(outcome.kept_aside),
        "in_place": list(outcome.in_place),
        "caveats": caveats_json(done.caveats),
        "notes": [*done.intent.warnings, *done.notes],
    }


def _pairs(pairs: Sequence[tuple[str, str]]) -> list[dict[str, str]]:
    return [{"path": path, "kept": kept} for path, kept in pairs]


def left_json(left: Sequence[LeftOut]) -> list[dict[str, str]]:
    """Return what was left out."""
    return [{"path": one.path, "code": one.code.value, "why": one.why} for one in left]


def disks_json(record: CopyRecord) -> list[dict[str, Any]]:
    """Return the temporary disks that were asked for."""
    return [
        {
            "disk_id": disk.disk_id,
            "snapshot_id": disk.order.snapshot_id,
            "source_disk_id": disk.source,
            "size_gib": disk.order.choice.size_gib,
            "category": disk.order.choice.category,
            "made": when(disk.made),
            "deleted": disk.stage is DiskStage.GONE,
            "seconds": round(record.existed_s, 1),
        }
        for disk in record.disks
    ]


def undo_lines(kept: KeptFiles) -> Iterator[str]:
    """Yield what is about to be put back and moved away, some of many."""
    began = "" if kept.whole else " It was broken off; what it did not come to is passed over."
    yield f"Take back restore {kept.restore_id}.{began}"
    lines = [f"  {each.path}  is put back" for each in kept.files]
    lines += [f"  {each.path}  was not there before, and is moved away" for each in kept.made]
    yield from lines[:MOST_LINES]
    if len(lines) > MOST_LINES:
        yield f"  and {len(lines) - MOST_LINES} more"
    yield "What is there by now is kept, so that this can be taken back too."


def write_undone(streams: Streams, undone: Undone) -> None:
    """Write what came of taking a restore back."""
    if streams.json:
        write_json(streams, undone_json(undone))
        return
    _write_left_out(streams, undone.outcome.left_out)
    again = command("snap-self", "restore", "--undo", undone.restore_id)
    write_paragraph(
        streams,
        f"Put back {undone.outcome.copied}, moved away {undone.outcome.removed}. Nothing is lost: "
        f"what was there is kept, and {again} puts it back.",
        style=Style.DOUBT if undone.outcome.left_out else Style.GOOD,
    )


def undone_json(undone: Undone) -> dict[str, Any]:
    """Return the same as a JSON object, of the same form as a restore's."""
    outcome = undone.outcome
    result = Result.PARTIAL if outcome.left_out else Result.DONE
    return {
        **envelope("restore", exit_status=undone.exit_status, result=result),
        "restore": {
            "id": undone.restore_id,
            "run": None,
            "source": None,
            "to": None,
            "aside": None,
        },
        "disks": [],
        "differences": [],
        "same": 0,
        "copied": outcome.copied,
        "removed": outcome.removed,
        "left_out": left_json(outcome.left_out),
        "kept": _pairs(outcome.kept_aside),
        "in_place": list(outcome.in_place),
        "caveats": [],
        "notes": [],
    }


def write_declined(streams: Streams) -> None:
    """Write that nothing was made, since nobody agreed."""
    streams.message("Nothing was made and nothing was changed.")
