"""The list of an instance's snapshots, as a table with a row a run, and as JSON (schema 1)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from snap_self.model.executions import Back
from snap_self.model.listed import ListedRun, SnapshotState, runs_of
from snap_self.model.retention import Retention
from snap_self.model.shown import printable, quoted
from snap_self.model.verification import Verdict, worst
from snap_self.output.cells import cell_width, fitted
from snap_self.output.columns import Column, columns_of, laid_out
from snap_self.output.jsonform import envelope, when, write_json
from snap_self.output.report import armed_json
from snap_self.output.streams import Streams, Style
from snap_self.output.text import age_words, instant_words, write_paragraph
from snap_self.recovery.went_back import return_words

if TYPE_CHECKING:  # the form of one value is not to load what makes the others
    from snap_self.model.listed import ListedSnapshot
    from snap_self.recovery.went_back import Return
    from snap_self.usecases.listing import Listing

# A column is not cut to fewer cells than these.
LEAST_BEFORE, LEAST_DISKS, LEAST_OUTCOME, LEAST_OPEN = 14, 7, 10, 12
# A going back is told with each list for so long; `show` tells it ever after.
NEWS = timedelta(days=7)
SHOWN_LOST = 5


def write_listing(streams: Streams, listing: Listing, *, now: datetime) -> None:
    """Write a row for each run, newest first; verbose also each of its snapshots."""
    if streams.json:
        write_json(streams, listing_json(listing))
        return
    runs = runs_of(listing.snapshots)
    for waiting in listing.armed:
        write_paragraph(streams, f"Mind: {waiting.words(now)}", style=Style.DOUBT, loud=True)
    if runs:
        streams.data(*_lines(runs, now, columns_of(streams.out), each=streams.verbosity > 0))
    streams.message(*(f"Note: {note}" for note in _notes(listing, now)))
    if runs:
        streams.message("`snap-self show RUN` shows one in full, with the ways back.")


def _notes(listing: Listing, now: datetime) -> Iterator[str]:
    """Yield what should be known, first the last going back while it is news."""
    for one in listing.returns[:1]:
        last = one.execution.finished or one.execution.began
        if last is None or now - last < NEWS:
            yield "; ".join(return_lines(one))
    yield from listing.notes


def return_lines(one: Return) -> Iterator[str]:
    """Yield what went back, and what is lost by it."""
    yield return_words(f"run {one.run}{_before(one.before)}", one.execution)
    back = one.execution.back
    if back is Back.NONE and not one.lost:
        return
    where = " on the disks that went back" if back is Back.PART else ""
    lost = "may be lost" if one.execution.is_doubtful else "is lost"
    yield f"what was written since its cut, {instant_words(one.cut_time)}, {lost}{where}"
    if one.lost:
        names = ", ".join(f"{run.name}{_before(run.before)}" for run in one.lost[:SHOWN_LOST])
        more = len(one.lost) - SHOWN_LOST
        others = f" and {more} more" if more > 0 else ""
        yield f"with it what came after run {names}{others}; their snapshots stay"


def _before(text: str) -> str:
    return f", before {quoted(text)}" if text else ""


def return_json(one: Return) -> dict[str, Any]:
    """Return a going back as a JSON object."""
    seen = one.execution
    return {
        "run": one.run,
        "before": one.before,
        "execution_id": seen.execution_id,
        "status": seen.status,
        "disks_back": seen.back and seen.back.value,
        "message": seen.said or None,
        "by": seen.by or None,
        "began": when(seen.began),
        "ended": when(seen.finished),
        "lost_since": when(one.cut_time),
        "lost_runs": [
            {"id": run.name, "before": run.before, "cut_time": when(run.cut_time)}
            for run in one.lost
        ],
    }


def listing_json(listing: Listing) -> dict[str, Any]:
    """Return the list as a JSON object."""
    return {
        **envelope("list"),
        "instance": {
            "id": listing.identity.instance_id,
            "region": listing.identity.region,
            "zone": listing.identity.zone,
        },
        "snapshots": [listed_json(shot) for shot in listing.snapshots],
        "went_back": [return_json(one) for one in listing.returns],
        "armed": [armed_json(each) for each in listing.armed],
        "unknown": [listed_json(shot) for shot in listing.unknown],
        "notes": list(listing.notes),
    }


def listed_json(shot: ListedSnapshot) -> dict[str, Any]:
    """Return one line of the list as a JSON object."""
    return {
        "snapshot_id": shot.snapshot_id,
        "group_id": shot.group_id,
        "run_id": shot.run_id,
        "disk_id": shot.disk_id,
        "before": shot.before,
        "consistency": shot.level.value,
        "state": shot.state.value,
        "progress": shot.progress,
        "cut": shot.cut.value,
        "cut_time": when(shot.cut_time),
        "size_gib": shot.size_gib,
        "expires": when(shot.expires),
        "retention": shot.retention.value,
        "used_by": shot.used_by or None,
        "outcome": shot.outcome or None,
        "open_at": shot.open_at or None,
        "partial": shot.partial,
        "verified": shot.verified
        and {"at": when(shot.verified.at), "result": shot.verified.result.value},
    }


def expires_words(shot: ListedSnapshot, date: str) -> str:
    """Return a date for no more than the cloud has accepted."""
    if shot.expires is None:
        return "never"
    return _RETENTION[shot.retention].format(date=date)


_RETENTION = {
    Retention.NONE: "{date}",
    Retention.SET: "{date}",
    Retention.PENDING: "{date} pending",
    Retention.REFUSED: "not set",
    Retention.NOT_SET: "not set",
    Retention.NOT_KNOWN: "not known",
}


def run_columns(runs: Sequence[ListedRun], now: datetime) -> list[Column]:
    """Return what tells one run from the others: its id, its age, and what it was made for."""
    return [
        Column(head="RUN", cells=[run.name for run in runs]),
        Column(head="AGE", cells=[age_words(run.cut_time, now) for run in runs], rank=1),
        Column(head="BEFORE", cells=[run.before for run in runs], least=LEAST_BEFORE),
    ]


def disks_column(runs: Sequence[ListedRun], *, rank: int) -> Column:
    """Return the column of what a run's disks are, by mount point where that is known."""
    names = [
        sorted(set(map(_disk_name, run.shots)), key=lambda name: (len(name), name)) for run in runs
    ]
    return Column(
        head="DISKS",
        cells=[", ".join(each) for each in names],
        least=LEAST_DISKS,
        rank=rank,
        cut=lambda row, cells: _some(names[row], cells),
    )


def _lines(runs: Sequence[ListedRun], now: datetime, width: int, *, each: bool) -> Iterator[str]:
    outcomes = [_outcome(run) for run in runs]
    columns = [
        *run_columns(runs, now),
        disks_column(runs, rank=3),
        Column(head="LEVEL", cells=[_level(run) for run in runs], rank=6),
        Column(head="STATE", cells=[_state(run) for run in runs], rank=2),
        Column(head="EXPIRES", cells=[_expires(run, now) for run in runs], rank=5),
    ]
    if any(outcomes):
        columns.append(Column(head="OUTCOME", cells=outcomes, least=LEAST_OUTCOME, rank=4))
    verified = [_verified(run) for run in runs]
    if any(verified):
        columns.append(Column(head="VERIFIED", cells=verified, rank=4))
    places = [", ".join(filter(None, (shot.open_at for shot in run.shots))) for run in runs]
    if any(places):
        columns.append(Column(head="OPEN", cells=places, least=LEAST_OPEN, rank=1))
    head, *rows = laid_out(columns, width)
    yield head
    for run, row in zip(runs, rows, strict=True):
        yield row
        if each:
            yield from shot_lines(run, width)


def shot_lines(run: ListedRun, width: int) -> Iterator[str]:
    """Yield a line for each of a run's snapshots."""
    for shot in run.shots:
        group = f", group {shot.group_id}" if shot.group_id else ""
        told = f"{shot.snapshot_id} of {shot.disk_id} ({shot.size_gib} GiB), {shot.state.value}"
        yield fitted(f"  {told}{group}", width)


def _disk_name(shot: ListedSnapshot) -> str:
    return next(iter(shot.mounts), shot.disk_id or "a disk that is gone")


def _some(names: Sequence[str], cells: int) -> str:
    """Return as many of the names as fit, and how many more there are."""
    for count in range(len(names) - 1, 0, -1):
        text = f"{', '.join(names[:count])} and {len(names) - count} more"
        if cell_width(printable(text)) <= cells:
            return text
    return names[0] if len(names) == 1 else f"{len(names)} disks"


def _level(run: ListedRun) -> str:
    """Return the weakest: a set is worth no more."""
    return min(shot.level for shot in run.shots).value


def _state(run: ListedRun) -> str:
    """Return how far a run's snapshots are, and first whether they are all that was asked for."""
    return f"partial, {_progress(run)}" if run.partial else _progress(run)


def _progress(run: ListedRun) -> str:
    """Return the state of the one that is furthest behind."""
    failed = sum(shot.failed for shot in run.shots)
    if failed:
        return "failed" if failed == len(run.shots) else f"{failed} of {len(run.shots)} failed"
    last = min(run.shots, key=lambda shot: (_BEHIND.index(shot.state), shot.progress or 0))
    part = "" if last.progress in (100, None) else f" {last.progress}%"
    return "uploaded" if last.uploaded else f"{last.state.value}{part}"


_BEHIND = (
    SnapshotState.FAILED,
    SnapshotState.UNKNOWN,
    SnapshotState.PROGRESSING,
    SnapshotState.AVAILABLE,
    SnapshotState.ACCOMPLISHED,
)


def _expires(run: ListedRun, now: datetime) -> str:
    """Return in what time the first of them may be gone, and nothing the cloud did not accept."""
    shot = min(run.shots, key=_first_to_go)
    left = f"in {age_words(now, shot.expires)}" if shot.expires and shot.expires > now else "due"
    return expires_words(shot, left) if shot.retention is not Retention.PENDING else "pending"


def _verified(run: ListedRun) -> str:
    """Return what is proved of all its snapshots; empty if nobody has looked."""
    known = [shot.verified.result for shot in run.shots if shot.verified]
    if not known:
        return ""
    lacks = len(known) < len(run.shots) and worst(known) is not Verdict.DAMAGED
    return VERDICT_WORDS[Verdict.IN_PART if lacks else worst(known)]


VERDICT_WORDS = {
    Verdict.DAMAGED: "DAMAGED",
    Verdict.NOT_OPENED: "not opened",
    Verdict.IN_PART: "in part",
    Verdict.PROVED: "proved",
}


def _first_to_go(shot: ListedSnapshot) -> tuple[bool, float]:
    is_sure = shot.retention in (Retention.NONE, Retention.SET)
    return is_sure, shot.expires.timestamp() if shot.expires else float("inf")


def _outcome(run: ListedRun) -> str:
    return next((shot.outcome for shot in run.shots if shot.outcome), "")
