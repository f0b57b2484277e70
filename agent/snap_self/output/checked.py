"""The verdict on this machine as a monitoring plugin says it, and as JSON (schema 1).

The first line is ``SNAP-SELF OK - text | 'label'=value[UOM];warn;crit;min;max``, details follow.
Source: https://www.monitoring-plugins.org/doc/guidelines.html, "Plugin Output for Nagios".
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from snap_self.model.duration import format_duration
from snap_self.model.shown import printable
from snap_self.model.summary import SNAPSHOT_LIMIT, DiskSummary
from snap_self.output.jsonform import envelope, when, write_json
from snap_self.output.streams import Streams
from snap_self.output.text import age_words, in_words, short_instant
from snap_self.watching.check import NEAR_LIMIT, Finding, Judged, Kind, Status, age_s

NAME = "SNAP-SELF"
# Nagios and its kin read so much, and cut what is longer anywhere.
MOST_BYTES = 4096
# Of them for the first line, so that details fit too.
MOST_TEXT, MOST_PERFORMANCE = 600, 2400
SEPARATOR = " | "
RENEW = "as root: snap-self metrics --refresh"
TIMER = "systemctl enable --now snap-self-metrics.timer"

Said = tuple[str, str]

# When each is found; the documents have it.
MEANING: Mapping[Kind, str] = {
    Kind.FROZEN: "The marker of a freeze is there for more than a minute.",
    Kind.UNPROTECTED_CHANGE: "A package manager changed packages without a good snapshot, and none "
    "was made since.",
    Kind.UPLOAD_FAILED: "A snapshot's upload failed, and no good one was made since.",
    Kind.NOT_COUNTED: "Something happened and is not counted yet: a disk is full or frozen, or a "
    "hook's guard went on without the agent.",
    Kind.NO_SNAPSHOT: "No good snapshot of a disk, or none at all, is known.",
    Kind.VERY_OLD: "A disk's newest good snapshot is older than `--critical`.",
    Kind.UNREADABLE: "The summary is damaged, or this user may not read it.",
    Kind.NO_SUMMARY: "There is no summary.",
    Kind.BEFORE_BOOT: "The summary is from before this boot.",
    Kind.NOT_RENEWED: "The timer is on, and the summary older than 2 days.",
    Kind.OF_THE_FUTURE: "The summary's time is not yet: the clock was set.",
    Kind.DISK_NOT_KNOWN: "No snapshot of the disk of `--disk` was asked for.",
    Kind.MARKER_HIDDEN: "This user cannot see whether a freeze goes on.",
    Kind.SETTINGS_HIDDEN: "This user may not read a part of the configuration, which may set a "
    "threshold that was not given.",
    Kind.WENT_BACK: "The machine has gone back, and no good snapshot was made since.",
    Kind.GOES_BACK: "The machine goes back unless somebody confirms.",
    Kind.INTERRUPTED_CHANGE: "A package manager's hook was interrupted: whether its change was "
    "made is not known, and no good snapshot was made since.",
    Kind.OLD: "A disk's newest good snapshot is older than `--warning`.",
    Kind.WEAK: "A disk's newest good snapshot is worth less than `--level`.",
    Kind.NEAR_LIMIT: f"A disk has more than {NEAR_LIMIT} snapshots; it may have {SNAPSHOT_LIMIT}.",
    Kind.LAST_RUN_FAILED: "The last run, whatever started it, failed.",
    Kind.RETENTION_PENDING: "Retention is not set yet though the last run is a day old.",
}


def write_judged(streams: Streams, judged: Judged) -> None:
    """Write what was found, all of it to standard output, and nothing else."""
    if streams.json:
        write_json(streams, judged_json(judged))
        return
    streams.data(*plugin_lines(judged))


def fault_line(message: str, hint: str = "") -> str:
    """Return the one line of a check that failed itself."""
    told = f"{message} ({hint})" if hint else message
    return _cut(f"{NAME} {Status.UNKNOWN.name} - {_plain(told)}", MOST_TEXT)


def plugin_lines(judged: Judged) -> tuple[str, ...]:
    """Return the first line with performance data, and the details, in at most 4 KB."""
    first = _cut(f"{NAME} {judged.status.name} - {_plain(_headline(judged))}", MOST_TEXT)
    performance = _fitting(_performance(judged), MOST_PERFORMANCE)
    lines = [first + SEPARATOR + " ".join(performance) if performance else first]
    details = [_cut(_plain(each), MOST_TEXT) for each in _details(judged)]
    room = (
        MOST_BYTES - len(lines[0].encode()) - len(f"\n… and {len(details)} lines more\n".encode())
    )
    shown = _fitting(details, room)
    left = len(details) - len(shown)
    return (*lines, *shown, *([f"… and {left} line{'s' * (left > 1)} more"] if left else ()))


def judged_json(judged: Judged) -> dict[str, Any]:
    """Return the verdict as a JSON object."""
    now, summary, thresholds = judged.present.now, judged.summary, judged.thresholds
    return {
        **envelope("check", exit_status=int(judged.status)),
        "status": judged.status.name.lower(),
        "findings": [_finding_json(each, judged) for each in judged.findings],
        "disks": [
            {
                "disk_id": disk.disk_id,
                "snapshot_id": disk.snapshot_id or None,
                "run_id": disk.run_id or None,
                "cut_time": when(disk.cut),
                "age_s": age_s(disk, now),
                "consistency": disk.consistency and disk.consistency.value,
                "snapshots": disk.snapshots,
            }
            for disk in judged.disks
        ],
        "thresholds": {
            "warning_s": thresholds.warning_s,
            "critical_s": thresholds.critical_s,
            "level": thresholds.level.value,
        },
        "written": when(summary.written if summary else None),
    }


def _finding_json(finding: Finding, judged: Judged) -> dict[str, Any]:
    text, hint = _said(finding, judged)
    return {
        "kind": finding.kind.value,
        "status": finding.status.name.lower(),
        "disk_id": finding.disk.disk_id if finding.disk else None,
        "at": when(finding.at),
        "count": finding.count,
        "text": text,
        "hint": hint,
    }


def _headline(judged: Judged) -> str:
    if judged.findings:
        text, hint = _said(judged.findings[0], judged)
        others = len(judged.findings) - 1
        more = f"; {others} more" if others else ""
        return f"{text}{f' ({hint})' if hint else ''}{more}"
    oldest, now = judged.disks[0], judged.present.now
    which = oldest.disk_id if len(judged.disks) == 1 else f"{len(judged.disks)} disks"
    age = age_words(oldest.cut, now)
    most = "" if len(judged.disks) == 1 else "at most "
    return f"newest good snapshot {most}{age} old ({which}, {_level(oldest)})"


def _details(judged: Judged) -> Iterator[str]:
    """Yield what was found, worst first, then each disk."""
    # A single one stands in the first line already.
    for finding in judged.findings if len(judged.findings) > 1 else ():
        text, hint = _said(finding, judged)
        yield f"{finding.status.name}: {text}{f' ({hint})' if hint else ''}"
    for disk in judged.disks:
        yield f"{disk.disk_id}: {_disk_words(disk, judged)}"


def _disk_words(disk: DiskSummary, judged: Judged) -> str:
    if disk.cut is None:
        return "no good snapshot is known"
    count = "" if disk.snapshots is None else f", {disk.snapshots} of {SNAPSHOT_LIMIT} snapshots"
    age = age_words(disk.cut, judged.present.now)
    return f"{disk.snapshot_id or 'snapshot'} {age} old, {_level(disk)}{count}"


def _level(disk: DiskSummary) -> str:
    return disk.consistency.value if disk.consistency else "level not known"


def _performance(judged: Judged) -> list[str]:
    """Return performance data; a value that is not known is ``U``."""
    warning, critical = judged.thresholds.warning_s, judged.thresholds.critical_s
    ages, counts = [], []
    for disk in judged.disks:
        age = age_s(disk, judged.present.now)
        known = "U" if age is None else f"{age}s"
        ages.append(f"{_label(f'age_{disk.disk_id}')}={known};{warning};{critical};0;")
        if disk.snapshots is not None:
            label = _label(f"snapshots_{disk.disk_id}")
            counts.append(f"{label}={disk.snapshots};{NEAR_LIMIT};;0;{SNAPSHOT_LIMIT}")
    summary = judged.summary
    if summary is None:
        return []
    rest = {"uploading": summary.uploading, "retention_pending": summary.retention_pending}
    return [*ages, *counts, *(f"{_label(name)}={value};;;0;" for name, value in rest.items())]


def _label(name: str) -> str:
    """Return a label in quotes; in it neither a quote nor an equals sign may stand."""
    return f"'{_plain(name).replace('=', '_').replace(chr(39), '_')}'"


def _plain(text: str) -> str:
    """Return a text on one line, without what begins performance data."""
    return printable(text).replace("|", "/")


def _cut(text: str, most: int) -> str:
    """Return a text of at most so many bytes."""
    encoded = text.encode()
    if len(encoded) <= most:
        return text
    return encoded[: most - 3].decode(errors="ignore") + "…"


def _fitting(texts: list[str], room: int) -> list[str]:
    """Return the first texts that, each with what parts it from the next, take so many bytes."""
    fitting: list[str] = []
    for text in texts:
        room -= len(text.encode()) + 1
        if room < 0:
            break
        fitting.append(text)
    return fitting


def _said(finding: Finding, judged: Judged) -> Said:
    """Return what was found, and what to do about it, which may be empty."""
    return _WORDS[finding.kind](finding, judged)


def _on(finding: Finding) -> str:
    return finding.disk.disk_id if finding.disk else ""


def _old(finding: Finding, judged: Judged) -> Said:
    limits = judged.thresholds
    limit = limits.critical_s if finding.kind is Kind.VERY_OLD else limits.warning_s
    age = age_words(finding.at, judged.present.now)
    text = f"newest good snapshot of {_on(finding)} is {age} old"
    return f"{text}, more than {format_duration(limit)}", ""


def _none(finding: Finding, judged: Judged) -> Said:
    del judged
    hint = "make one: snap-self --before TEXT"
    if finding.disk is None:
        return "no snapshot of this machine is known", hint
    return f"no good snapshot of {_on(finding)} is known", hint


def _change(finding: Finding, judged: Judged) -> Said:
    why = f" ({finding.text})" if finding.text else ""
    at = f"{finding.word} changed packages without a snapshot{why} at {short_instant(finding.at)}"
    del judged
    return at, "when its cause is mended: snap-self --before TEXT"


def _doubt(finding: Finding, judged: Judged) -> Said:
    del judged
    text = f"the hook of {finding.word} was interrupted at {short_instant(finding.at)}"
    return f"{text}; whether it changed packages is not known", "snap-self --before TEXT"


def _gone_back(finding: Finding, judged: Judged) -> Said:
    del judged
    part = "disks of this machine have gone back, or may have"
    what = part if finding.in_part else "this machine has gone back"
    text = f"{what}, seen at {short_instant(finding.at)}, with no good snapshot since"
    return text, "as root: snap-self list"


def _run_failed(finding: Finding, judged: Judged) -> Said:
    age = age_words(finding.at, judged.present.now)
    why = ", ".join(
        filter(None, (finding.text, "" if finding.count is None else f"status {finding.count}"))
    )
    return f"the last run ({finding.word}) failed {age} ago{f': {why}' if why else ''}", (
        "snap-self doctor tells what is missing"
    )


def _summary_old(finding: Finding, judged: Judged) -> Said:
    age = age_words(finding.at, judged.present.now)
    if finding.kind is Kind.BEFORE_BOOT:
        return f"the summary is {age} old, from before this boot", f"{RENEW}, or {TIMER}"
    text = f"the summary is {age} old though snap-self-metrics.timer is on"
    return text, "systemctl status snap-self-metrics.service"


def _weak(finding: Finding, judged: Judged) -> Said:
    level = _level(finding.disk) if finding.disk else ""
    wanted = judged.thresholds.level.value
    return f"newest good snapshot of {_on(finding)} is worth {level}, less than {wanted}", ""


def _goes_back(finding: Finding, judged: Judged) -> Said:
    at = finding.at
    far = in_words(at, judged.present.now) if at else ""
    return f"this machine goes back at {short_instant(at)}{far} unless somebody confirms", (
        "if all is well: snap-self confirm"
    )


def _fixed(text: str, hint: str = "") -> Callable[[Finding, Judged], Said]:
    """Return what says a text with the finding's own values."""

    def said(finding: Finding, judged: Judged) -> Said:
        del judged
        values = {
            "at": short_instant(finding.at),
            "count": finding.count,
            "word": finding.word,
            "disk": _on(finding),
            "text": finding.text,
            "hint": finding.hint,
        }
        return text.format_map(values), hint.format_map(values)

    return said


_WORDS: Mapping[Kind, Callable[[Finding, Judged], Said]] = {
    Kind.FROZEN: _fixed(
        "a filesystem may be frozen since {at}: what writes hangs", "as root: snap-self thaw"
    ),
    Kind.UNPROTECTED_CHANGE: _change,
    Kind.INTERRUPTED_CHANGE: _doubt,
    Kind.UPLOAD_FAILED: _fixed(
        "upload failed, and no good snapshot since (runs: {count})", "as root: snap-self list"
    ),
    Kind.NOT_COUNTED: _fixed(
        "something happened here that is not counted yet", "as root: snap-self metrics --refresh"
    ),
    Kind.NO_SNAPSHOT: _none,
    Kind.VERY_OLD: _old,
    Kind.OLD: _old,
    Kind.WEAK: _weak,
    Kind.UNREADABLE: _fixed("{text}", "{hint}"),
    Kind.NO_SUMMARY: _fixed("snap-self has noted nothing on this machine yet", RENEW),
    Kind.BEFORE_BOOT: _summary_old,
    Kind.NOT_RENEWED: _summary_old,
    Kind.OF_THE_FUTURE: _fixed(
        "the summary is of {at}, which is not yet", f"is the clock right? Then {RENEW}"
    ),
    Kind.DISK_NOT_KNOWN: _fixed(
        "no snapshot of disk {word} was asked of snap-self here", "snap-self check names all disks"
    ),
    Kind.MARKER_HIDDEN: _fixed(
        "this user cannot see whether a filesystem is frozen",
        "as root: systemd-tmpfiles --create snap-self.conf",
    ),
    Kind.SETTINGS_HIDDEN: _fixed(
        "this user may not read {word}, which may set a threshold",
        "let this user read it, or give --warning, --critical and --level",
    ),
    Kind.WENT_BACK: _gone_back,
    Kind.GOES_BACK: _goes_back,
    Kind.NEAR_LIMIT: _fixed(
        f"{{disk}} has {{count}} of {SNAPSHOT_LIMIT} snapshots", "snap-self prune --dry-run"
    ),
    Kind.LAST_RUN_FAILED: _run_failed,
    Kind.RETENTION_PENDING: _fixed(
        "retention could not be set (snapshots: {count}); they stay and cost money",
        "as root: snap-self doctor",
    ),
}
