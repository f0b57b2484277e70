"""The text form of reports: what a tired person reads."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from snap_self.errors import ExitStatus, SnapSelfError
from snap_self.output.streams import Streams

if TYPE_CHECKING:  # the text of one value is not to load what makes the others
    from snap_self.model.changes import LoggedChange
    from snap_self.model.disks import CloudDisk, Target
    from snap_self.model.report import Report, SnapshotReport, UploadWatch
    from snap_self.model.ways import Way
    from snap_self.usecases.listing import ListedSnapshot, Listing, Shown

SHOWN_MOUNTS = 6
SHOWN_GAPS = 4


def write_report(streams: Streams, report: Report, *, started: bool = False) -> None:
    """Write what became of a run; faults are written even when quiet."""
    if report.identity:
        one = report.identity
        streams.message(f"Instance   {one.instance_id} in {one.region} ({one.zone})")
    for line in _disk_lines(report.targets):
        streams.message(line)
    for skipped in report.skipped:
        streams.message(f"Left out   {skipped.disk_id}: {skipped.why}")
    for gap in report.not_covered:
        if gap.data_at_risk:
            streams.message(f"Not covered  {gap.what} ({gap.kind}): {gap.why}")
    if report.result == "planned":
        _write_plan(streams, report)
    for shot in report.snapshots:
        streams.data(_snapshot_line(shot))
    for note in report.notes:
        streams.message(f"Note       {note}")
    _write_conclusion(streams, report, started=started)


def write_error(streams: Streams, error: SnapSelfError) -> None:
    """Write a failure: what is the matter, and what to do."""
    _write_error(streams, error.message, error.hint, error.code)
    if error.details and streams.verbosity > 0:
        streams.fault(error.details)


def write_listing(streams: Streams, listing: Listing, *, now: datetime) -> None:
    """Write the list as a table, newest first."""
    rows = [_listed_row(shot, now) for shot in listing.snapshots]
    head = ("SNAPSHOT", "AGE", "BEFORE", "LEVEL", "DISK", "STATE", "EXPIRES", "OUTCOME")
    streams.data("\n".join(table(head, rows)))  # line by line would be a system call each
    for note in listing.notes:
        streams.message(f"Note: {note}")


def write_shown(streams: Streams, shown: Shown, *, now: datetime) -> None:
    """Write one run in full, with the ways back."""
    record = shown.record
    if record:
        streams.data(f"Run        {record.run_id}, before {record.before!r}")
        ended = record.result or "not ended"
        streams.data(f"Started    {_instant(record.started)}; result {ended}")
        if shown.upload:
            streams.data(f"Upload     {shown.upload}")
        if record.explained:
            streams.data(f"Explained  {record.explained}")
    if outcome := next((shot.outcome for shot in shown.snapshots), record and record.outcome):
        streams.data(f"Command    {outcome}")
    for shot in shown.snapshots:
        group = f", group {shot.group_id}" if shot.group_id else ""
        streams.data(
            f"Snapshot   {shot.snapshot_id} of {shot.disk_id} ({shot.size_gib} GiB){group}"
        )
        streams.data(
            f"           cut {_instant(shot.cut_time)} ({_age(shot.cut_time, now)} ago), "
            f"{shot.level.value}, {shot.state} {shot.progress} %, "
            f"expires {_instant(shot.expires) if shot.expires else 'never'}"
        )
        if shot.used_by:
            streams.data(f"           used by {shot.used_by}")
    for change in shown.changes:
        streams.data("\n".join(_change_lines(change)))
    for way in shown.ways:
        streams.data("\n".join(_way_lines(way)))
    for name, content in record.kept.items() if record else ():
        streams.data(f"Needed for a restore, {name}:")
        streams.data("\n".join(f"  {line}" for line in content.splitlines()))
    for note in shown.notes:
        streams.message(f"Note: {note}")


def _change_lines(change: LoggedChange) -> Iterator[str]:
    from snap_self.model.changes import package_line

    count = len(change.packages)
    yield f"Change     {change.program} at {change.at}, {count} package{'s' * (count != 1)}:"
    yield from (f"  {_printable(package_line(package))}" for package in change.packages)


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in text)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterable[str]:
    """Return left-aligned columns; the last one is not padded."""
    widths = [max(len(row[i]) for row in (head, *rows)) for i in range(len(head))]
    for row in (head, *rows):
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def _write_error(streams: Streams, message: str, hint: str, code: str) -> None:
    streams.fault(f"snap-self: {message}")
    if hint:
        streams.fault(f"  -> {hint}")
    if streams.verbosity > 0:
        streams.fault(f"  code: {code}")


def _disk_lines(targets: Sequence[Target]) -> Iterable[str]:
    for target in targets:
        disk: CloudDisk = target.cloud
        device = f"/dev/{target.local.name}" if target.local else "device not seen"
        paths = [
            f"{mount.path} ({mount.fstype})"
            for filesystem in target.filesystems
            for mount in filesystem.mounts[:1]
        ]
        shown = ", ".join(paths[:SHOWN_MOUNTS]) or "nothing mounted"
        more = f" and {len(paths) - SHOWN_MOUNTS} more" if len(paths) > SHOWN_MOUNTS else ""
        yield (
            f"Disk       {disk.disk_id}  {disk.kind.value}, {disk.category}, {disk.size_gib} GiB, "
            f"{device}: {shown}{more}"
        )


def _write_plan(streams: Streams, report: Report) -> None:
    streams.data(f"Plan for before {report.before!r} (nothing is done):")
    for number, step in enumerate(report.steps, start=1):
        streams.data(f"{number:3}. {step.name:10} {step.reason}")
    level = report.consistency
    streams.data(f"Consistency asked: {level.asked.value}")
    if level.why:
        streams.data(f"  it may be weaker: {level.why}")


def _snapshot_line(shot: SnapshotReport) -> str:
    group = f"  group {shot.group_id}" if shot.group_id else ""
    state = "available" if shot.available else shot.status
    return (
        f"Snapshot   {shot.snapshot_id or '(not shown yet)'} of {shot.disk_id}{group}  {state}, "
        f"{shot.progress} % uploaded, cut {_instant(shot.cut_time)}"
    )


def _write_conclusion(streams: Streams, report: Report, *, started: bool) -> None:
    if report.result == "planned":
        return
    if report.snapshots:
        level = report.consistency
        reached = level.reached.value if level.reached else "not known"
        why = f" (asked: {level.asked.value}; {level.why})" if level.why else ""
        streams.message(f"Consistency  {reached}{why}")
    if report.undo:
        for line in _undo_lines(report.undo):
            streams.message(line)
    if report.error:  # last, where a tired person looks first
        _write_error(streams, report.error.message, report.error.hint, report.error.code)
    else:
        for line in conclusion(report, started=started):
            streams.message(line)


def conclusion(report: Report, *, started: bool = False) -> Iterable[str]:
    """Return the last words on a run that made what was asked: may the change begin?

    Args:
        started: nobody is asked, since the change is started right after it.
    """
    before, doubts = report.before, tuple(_doubts(report))
    yield from doubts
    if report.result in _EARLIER and (cuts := [s.cut_time for s in report.snapshots if s.cut_time]):
        yield f"Cut {_instant(min(cuts))}: what was written since is not in it."
    uncut = any(shot.cut_time is None for shot in report.snapshots)
    if started and (uncut or doubts):
        what = "Its content is not fixed yet (cut)" if uncut else "Made, but see above"
        yield f"{what}; the command is started: {before}"
    elif uncut:
        yield (
            f"Do not begin yet with: {before}. `snap-self show {report.run_id}` tells when the "
            "content is fixed (cut)."
        )
    elif doubts:
        yield f"Made, but decide before you go on with: {before}"
    else:
        yield f"Safe to go on with: {before}"
    if any(shot.status == "progressing" for shot in report.snapshots):
        yield "No stop or reboot of this instance before the upload is finished (`snap-self list`)."
        if report.watch:
            yield watched(report.watch)


def watched(watch: UploadWatch) -> str:
    """Say who keeps a reboot from spoiling the upload, and until when."""
    if not watch.held:
        return f"Nothing holds a reboot back meanwhile: {watch.why}."
    until = _instant(watch.until)
    return (
        f"A follower holds a reboot back meanwhile, until {until} at the latest. One that is "
        "forced, the ECS console's or, before systemd 257, root's goes through all the same and "
        "may spoil the upload (`systemctl reboot --check-inhibitors=yes` does not)."
    )


_EARLIER = ("reused", "resumed")


def _doubts(report: Report) -> Iterable[str]:
    level = report.consistency
    if report.exit_status is ExitStatus.WEAKER and level.reached:
        yield f"Weaker than asked: {level.reached.value} instead of {level.asked.value}."
    left_out = [skipped.disk_id for skipped in report.skipped if not skipped.asked]
    if left_out:
        yield f"Not in the snapshot, though asked for: {', '.join(left_out)}."
    gaps = sorted((gap.what for gap in report.not_covered if gap.data_at_risk), key=len)
    if gaps:
        more = f" and {len(gaps) - SHOWN_GAPS} more" if len(gaps) > SHOWN_GAPS else ""
        yield f"Not in the snapshot: {', '.join(gaps[:SHOWN_GAPS])}{more} (see Not covered)."
    if any(shot.cut_time is None for shot in report.snapshots):
        yield "Not cut yet: what is written from now on may still get into the snapshot."
    elif not all(shot.available for shot in report.snapshots):
        yield "Not available yet: until then it cannot be used to go back."


def _way_lines(way: Way) -> Iterable[str]:
    yield ""
    yield way.title
    yield from (f"  mind: {line}" for line in way.cautions)
    yield "  in the ECS console:"
    yield from (f"    {number}. {line}" for number, line in enumerate(way.console, start=1))
    yield "  or by command:"
    yield from (f"    {line}" for line in way.commands)
    yield from (f"  then: {line}" for line in way.after)


def _undo_lines(undo: Sequence[str]) -> Iterable[str]:
    if undo:
        yield "How to go back:"
    for line in undo:
        yield f"  {line}"


def _listed_row(shot: ListedSnapshot, now: datetime) -> tuple[str, ...]:
    state = shot.state if shot.progress == 100 else f"{shot.state} {shot.progress}%"
    return (
        shot.snapshot_id,
        _age(shot.cut_time, now),
        shot.before[:40],
        shot.level.value,
        f"{shot.disk_id} {shot.size_gib}G",
        state,
        f"{shot.expires:%Y-%m-%d}" if shot.expires else "never",
        shot.outcome or "-",
    )


def _instant(instant: datetime | None) -> str:
    return f"{instant:%Y-%m-%d %H:%M:%S} UTC" if instant else "not made yet"


def _age(instant: datetime | None, now: datetime) -> str:
    if instant is None:
        return "-"
    seconds = max(0, int((now - instant).total_seconds()))
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= size:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"
