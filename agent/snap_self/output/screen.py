"""What the main job says at its end to a tired person: one screen, the verdict where it is seen.

On a terminal each thing has a row of its own, cut or broken to its width; in a log what belongs
together is one line.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from snap_self.errors import ExitStatus
from snap_self.model.command import lasted
from snap_self.model.executions import CONFIRM
from snap_self.model.report import UNKNOWN
from snap_self.model.result import Result
from snap_self.model.retention import Retention, day_words, kept_until
from snap_self.model.shell import command
from snap_self.model.shown import printable
from snap_self.model.snapshots import Cut, uploaded
from snap_self.model.wrapping import GLUE
from snap_self.output.cells import cell_width, fitted, padded
from snap_self.output.streams import Streams, Style
from snap_self.output.text import cut_words, instant_words, short_instant, write_paragraph

if TYPE_CHECKING:  # the form of one value is not to load what makes the others
    from snap_self.model.executions import Waiting
    from snap_self.model.report import Report, SnapshotReport, UploadWatch

SHOWN_PLACES = 4
SHOWN_CAUSES = 3
SHOWN_ROWS = 12
# The screen is shared with a command, and with what is said at its end.
FEW_ROWS = 4
# Below that a row tells where a snapshot is of, and nothing of how far it is; sentences are short.
ROOMY_COLUMNS = 60
LEAST_LABEL = 4
# What a reason takes at most; the plan and -v have it whole.
REASON_ROWS = 2
LONGEST_BEFORE = 64
_NOT_IN_IT = "Not in it: "
_ROLL_BACK = "Roll Back Disk".replace(" ", GLUE)


def write_screen(streams: Streams, report: Report, *, started: bool = False) -> None:
    """Write what was made, what it lacks and, unless there is an error, the verdict.

    Quiet is no reason to leave out why the exit status is not 0.

    Args:
        started: nobody is asked, since the change is started right after it; the way back is told
            when it is needed.
    """
    narrow = streams.columns is not None and streams.columns < ROOMY_COLUMNS
    if report.snapshots and report.result is not Result.ASKED:
        _say(streams, headline(report, narrow=narrow))
    write_rows(streams, report, most=FEW_ROWS if started else SHOWN_ROWS)
    loud = report.exit_status is not ExitStatus.DONE
    write_lacks(streams, report, loud=loud)
    _say(streams, *(f"Note: {each}" for each in report.news))
    if report.error is None and not started:
        _say(streams, verdict(report, narrow=narrow), style=_verdict_style(report), loud=loud)
    _say(streams, *after(report, started=started, narrow=narrow))


def write_lacks(streams: Streams, report: Report, *, loud: bool = False) -> None:
    """Write what the snapshot has less than one might think; ``loud`` also when quiet."""
    room = _room(streams.columns)
    missing = (fitted(each, room) if room else each for each in lacks(report, room))
    _say(streams, *missing, style=Style.LACK, loud=loud)


def write_rows(streams: Streams, report: Report, *, most: int = SHOWN_ROWS) -> None:
    """Write a line of data for each snapshot: fitted to a terminal, whole for all others.

    Args:
        most: of more than so many several share a row.
    """
    if streams.out_columns is None or streams.verbosity > 0:
        streams.data(*map(snapshot_line, report.snapshots))
    else:
        streams.data(*rows(report, streams.out_columns, most))


def snapshot_line(shot: SnapshotReport) -> str:
    """Return all that is known of one snapshot in one line, whose form programs rely on."""
    group = f"  group {shot.group_id}" if shot.group_id else ""
    state = "available" if shot.available else shot.status
    return (
        f"Snapshot   {_name(shot)} of {shot.disk_id}{group}  {state}, "
        f"{uploaded(shot.progress)}, cut {cut_words(shot)}"
    )


def rows(report: Report, columns: int, most: int = SHOWN_ROWS) -> Iterator[str]:
    """Yield a row of at most so many cells for each snapshot; its id is whole.

    Of more than there is room for, several share a row, which then has no mount points.
    """
    if len(report.snapshots) > most:
        yield from _in_columns([_short_name(report, shot) for shot in report.snapshots], columns)
        return
    labels = {target.cloud.disk_id: printable(target.label) for target in report.targets}
    names = [_name(shot) for shot in report.snapshots]
    left = columns - max(map(len, names), default=0) - 4
    states = [_state(shot) for shot in report.snapshots]
    if columns < ROOMY_COLUMNS:
        states = ["" if shot.available else _state(shot) for shot in report.snapshots]
    widest = max(map(len, states), default=0)
    room = max(left - (widest + 2 if widest else 0), LEAST_LABEL)
    room = min(room, max(map(cell_width, labels.values()), default=room))
    for shot, name, state in zip(report.snapshots, names, states, strict=True):
        label = fitted(labels.get(shot.disk_id, shot.disk_id), room)
        row = f"  {name.ljust(max(map(len, names)))}  {padded(label, room)}  {state}"
        yield row.rstrip()


def headline(report: Report, *, narrow: bool = False) -> str:
    """Return what was made in one sentence: of how many disks, how quickly, kept for how long.

    Args:
        narrow: without the group's id, which takes a row there and is told by ``show``.
    """
    shots = report.snapshots
    count = len({shot.disk_id for shot in shots})
    disks = f"{count} disk{'s' * (count != 1)}"
    groups = {shot.group_id for shot in shots}
    if groups == {None}:
        held = report.consistency.reached is not None and report.consistency.reached.is_held
        how = " (not at one instant)" if count > 1 and not held else ""
        what = f"Snapshot of {disks}" if count == 1 else f"Snapshots of {disks}"
    else:
        how = "" if narrow else f" (group {', '.join(sorted(filter(None, groups)))})"
        what = f"Snapshot of {disks}"
    return f"{what} {_made(report)}{_kept(report)}{how}."


def lacks(report: Report, room: int | None = None) -> Iterator[str]:
    """Yield what the snapshot has less than one might think, grouped by reason.

    Args:
        room: cells for a sentence, of which few are told then; None for a log, which is all that
            there is later.
    """
    level = report.consistency
    if level.reached and level.reached < level.asked and not report.error:
        why = f": {level.why}" if level.why else ""
        yield f"Weaker than asked: {level.reached.value} instead of {level.asked.value}{why}."
    if not report.snapshots:
        return
    causes = _causes(report)
    shown = causes if room is None else causes[:SHOWN_CAUSES]
    for cause, places in shown:
        counts = range(SHOWN_PLACES, 0, -1)
        if room is not None:  # one that is longer than a row would be broken anywhere
            places = [fitted(each, room // REASON_ROWS - len(_NOT_IN_IT)) for each in places]
        tried = [f"{_NOT_IN_IT}{_listed(places, count)} ({cause})." for count in counts]
        yield next((each for each in tried if room is None or cell_width(each) <= room), tried[-1])
    if rest := causes[len(shown) :]:
        count = sum(len(places) for _, places in rest)
        yield f"Not in it either: {count} more, for other reasons (`snap-self plan` tells them)."


def verdict(report: Report, *, narrow: bool = False) -> str:
    """Return whether the change may begin; it never says more than the exit status."""
    before = fitted(report.before, LONGEST_BEFORE)
    if not report.content_is_fixed:
        look = command("snap-self", "show", report.run_id or "RUN")
        return f"Do not begin yet with: {before}. `{look}` tells when the content is fixed."
    if report.exit_status is ExitStatus.LEFT_OUT:
        if narrow:
            return (
                f"Do not go on with: {before}, unless you can do without what is missing. "
                "`--exclude MOUNTPOINT` accepts that."
            )
        return (
            f"Do not go on with: {before}, unless you can do without what is missing. To accept "
            "that for good: `--exclude MOUNTPOINT`, or disks.exclude in the configuration."
        )
    if report.exit_status is not ExitStatus.DONE:
        return f"Do not go on with: {before}, unless that is good enough."
    if not all(shot.available for shot in report.snapshots):
        return (
            f"Safe to go on with: {before}, as the content is fixed. It cannot be used to go back "
            "before it is available."
        )
    return f"Safe to go on with: {before}"


def after(report: Report, *, started: bool = False, narrow: bool = False) -> Iterator[str]:
    """Yield how to go back to what was made, and what a reboot meanwhile does to it."""
    if report.armed is not None:
        yield waits_words(report.armed)
    if report.undo and not started and report.result is not Result.ASKED:
        yield where_to_go_back(report)
    if any(shot.may_go_on for shot in report.snapshots):
        yield _uploading(report.watch, narrow=narrow)
        nobody = report.watch is not None and report.watch.until is None
        if (
            nobody
            and not started
            and any(shot.retention is Retention.PENDING for shot in report.snapshots)
        ):
            yield "After that, `snap-self doctor` has the cloud note until when it is kept."


def waits_words(waiting: Waiting) -> str:
    """Return when it goes back by itself, and what calls that off."""
    at, say = short_instant(waiting.deadline), CONFIRM.replace(" ", GLUE)
    return f"This machine goes back by itself at {at}, unless you say: {say}"


def where_to_go_back(report: Report) -> str:
    """Return in one line what tells all ways back."""
    look = command("snap-self", "show", report.run_id or "RUN").replace(" ", GLUE)
    return f"To go back: {look}"


def how_in_short(report: Report, columns: int) -> Iterator[str]:
    """Yield how to go back also where this machine does not work any more, in few rows."""
    yield where_to_go_back(report)
    yield (
        f"If this machine is gone: ECS console, stop the instance, Snapshots > {_ROLL_BACK} of "
        "these. What was written since is lost."
    )
    yield from _in_columns([_short_name(report, shot) for shot in report.snapshots], columns)


def watched(watch: UploadWatch) -> str:
    """Say in full who keeps a reboot from spoiling the upload, and until when."""
    if not watch.held:
        return f"Nothing holds a reboot back meanwhile: {watch.why}."
    until = instant_words(watch.until)
    return (
        f"A follower holds a reboot back meanwhile, until {until} at the latest. One that is "
        "forced, the ECS console's or, before systemd 257, root's goes through all the same and "
        "may spoil the upload (`systemctl reboot --check-inhibitors=yes` does not)."
    )


def _say(streams: Streams, *sentences: str, style: Style | None = None, loud: bool = False) -> None:
    """Write sentences: each for itself on a terminal, all in one line elsewhere."""
    if streams.columns is None:
        sentences = (" ".join(map(_ended, sentences)),) if len(sentences) > 1 else sentences
    for each in sentences:
        write_paragraph(streams, each, style=style, loud=loud)


def _room(columns: int | None) -> int | None:
    """Return how many cells a reason takes on a terminal at most; None for a log."""
    # Rows are broken between words, and all but the first are set in.
    return None if columns is None else REASON_ROWS * (columns - columns // 8)


def _ended(sentence: str) -> str:
    return sentence if sentence.endswith(".") else f"{sentence}."


def _made(report: Report) -> str:
    if report.error:
        return "asked for"
    if report.result is Result.REUSED or (report.result is Result.PARTIAL and report.of_earlier):
        cuts = [shot.cut_time for shot in report.snapshots if shot.cut_time]
        cut = f"cut {short_instant(min(cuts))}; " if cuts else ""
        return f"of an earlier run is used again ({cut}what was written since is not in it)"
    if not report.of_earlier and report.started and report.finished:
        return f"made in {lasted((report.finished - report.started).total_seconds())}"
    return "made"


def _kept(report: Report) -> str:
    """Return until when it is kept, for as much as the cloud has accepted."""
    shots = [shot for shot in report.snapshots if not shot.is_lost]
    states = {shot.retention for shot in shots}
    if not shots:
        return ""
    if any(state.is_lacking for state in states):
        return ", kept (and paid for) until it is deleted: the cloud has no retention for it"
    cuts = [shot.cut_time for shot in shots if shot.cut_time]
    since = min(cuts, default=report.started)
    expires = max((shot.expires for shot in shots if shot.expires), default=None)
    asked = None if report.of_earlier else report.started
    until = kept_until(expires, since, asked=asked) if since else None
    if until is None:
        return ", kept until it is deleted"
    if Retention.NOT_KNOWN in states:
        return f", to be kept until {day_words(until)} (the cloud does not tell)"
    if Retention.PENDING not in states:
        return f", kept until {day_words(until)}"
    return f", to be kept until {day_words(until)}"


def _causes(report: Report) -> list[tuple[str, list[str]]]:
    """Return why something is not in it, each with all that is not for that reason."""
    found: dict[str, list[str]] = {}
    left_out = [skipped for skipped in report.skipped if not skipped.asked]
    for gap in report.not_covered:
        if gap.data_at_risk:
            found.setdefault(gap.cause or gap.why, []).append(gap.what)
    for skipped in left_out:
        found.setdefault(skipped.why, []).append(skipped.disk_id)
    # What keeps the run from being whole goes first.
    decides = {gap.what for gap in report.not_covered if gap.left_out}
    decides |= {skipped.disk_id for skipped in left_out}
    return sorted(found.items(), key=lambda one: decides.isdisjoint(one[1]))


def _listed(places: Sequence[str], most: int) -> str:
    ordered = sorted(places, key=len)
    more = f" and {len(places) - most} more" if len(places) > most else ""
    return f"{', '.join(ordered[:most])}{more}"


def _short_name(report: Report, shot: SnapshotReport) -> str:
    """Return a snapshot's id with the device that it is of, and its state if that is not good."""
    of = {target.cloud.disk_id: target.device for target in report.targets}
    bad = shot.is_lost or shot.cut is not Cut.MADE or not shot.available
    words = (of.get(shot.disk_id) or shot.disk_id, _state(shot) if bad else "")
    return f"{_name(shot)} ({', '.join(filter(None, words))})"


def _in_columns(entries: Sequence[str], columns: int) -> Iterator[str]:
    """Yield rows of as many entries as fit beside each other."""
    widest = max(map(len, entries), default=0)
    beside = max(1, columns // (widest + 2))
    for first in range(0, len(entries), beside):
        row = entries[first : first + beside]
        yield "".join(f"  {each.ljust(widest)}" for each in row).rstrip()


def _verdict_style(report: Report) -> Style:
    safe = report.exit_status is ExitStatus.DONE and report.content_is_fixed
    return Style.GOOD if safe else Style.DOUBT


def _uploading(watch: UploadWatch | None, *, narrow: bool) -> str:
    if watch and watch.held:
        if narrow:
            until = short_instant(watch.until)
            return f"A reboot is held back until it is uploaded, at the latest until {until}."
        return (
            f"Uploading: a reboot is held back until it is done, at the latest until "
            f"{short_instant(watch.until)}; a forced one spoils it."
        )
    if narrow:
        return "No stop or reboot before it is uploaded."
    return "No stop or reboot of this instance before it is uploaded (`snap-self list`)."


def _name(shot: SnapshotReport) -> str:
    return shot.snapshot_id or ("(not known)" if shot.status == UNKNOWN else "(not shown yet)")


def _state(shot: SnapshotReport) -> str:
    """Return what is worth a word of how far a snapshot is; nothing where all is well."""
    if shot.is_lost:
        return shot.status
    if shot.cut is not Cut.MADE:
        return "content not fixed yet" if shot.cut is Cut.NOT_YET else "not seen yet"
    if not shot.available:
        return "not usable yet"
    return uploaded(shot.progress) if shot.may_go_on and shot.progress is not None else ""
