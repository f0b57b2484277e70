"""Judge a summary as monitoring plugins do: OK, WARNING, CRITICAL or UNKNOWN, each with its reason.

Sources: the guidelines of https://www.monitoring-plugins.org, statuses and thresholds.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum, IntEnum, unique

from snap_self.model.command import MADE
from snap_self.model.snapshots import Consistency
from snap_self.model.summary import DiskSummary, LastRun, Summary

# A disk with more snapshots than that is near the cloud's limit.
NEAR_LIMIT = 240
# A freeze of our own ends within 30 s; a marker older than this was left behind.
FREEZE_ENDS = timedelta(seconds=60)
# Retention is set again by every run; what is still pending after this is not by chance.
RETENTION_SET = timedelta(days=1)
# The timer renews the summary every 15 minutes.
RENEWED = timedelta(days=2)
# Clocks are set, and a run writes while another reads.
CLOCK_SLACK = timedelta(minutes=5)


class Status(IntEnum):
    """What a plugin exits with."""

    OK = 0
    WARNING = 1
    CRITICAL = 2
    UNKNOWN = 3


# Worst first: what is known to be wrong goes before what is not known.
WORST_FIRST = (Status.CRITICAL, Status.UNKNOWN, Status.WARNING, Status.OK)


@unique
class Kind(Enum):
    """What was found; its value is the word in JSON, its status never changes."""

    FROZEN = "frozen"
    UNPROTECTED_CHANGE = "unprotected-change"
    UPLOAD_FAILED = "upload-failed"
    NOT_COUNTED = "not-counted"
    NO_SNAPSHOT = "no-snapshot"
    VERY_OLD = "very-old"
    UNREADABLE = "summary-unreadable"
    NO_SUMMARY = "no-summary"
    BEFORE_BOOT = "summary-before-boot"
    NOT_RENEWED = "summary-not-renewed"
    OF_THE_FUTURE = "summary-of-the-future"
    DISK_NOT_KNOWN = "disk-not-known"
    MARKER_HIDDEN = "marker-hidden"
    SETTINGS_HIDDEN = "settings-hidden"
    WENT_BACK = "went-back"
    GOES_BACK = "goes-back"
    INTERRUPTED_CHANGE = "interrupted-change"
    OLD = "old"
    WEAK = "weak"
    NEAR_LIMIT = "near-limit"
    LAST_RUN_FAILED = "last-run-failed"
    RETENTION_PENDING = "retention-pending"

    @property
    def status(self) -> Status:
        """What it makes of the whole."""
        return _STATUS_OF[self]


_STATUS_OF = {
    **dict.fromkeys(
        (
            Kind.FROZEN,
            Kind.UNPROTECTED_CHANGE,
            Kind.UPLOAD_FAILED,
            Kind.NOT_COUNTED,
            Kind.NO_SNAPSHOT,
            Kind.VERY_OLD,
        ),
        Status.CRITICAL,
    ),
    **dict.fromkeys(
        (
            Kind.UNREADABLE,
            Kind.NO_SUMMARY,
            Kind.BEFORE_BOOT,
            Kind.NOT_RENEWED,
            Kind.OF_THE_FUTURE,
            Kind.DISK_NOT_KNOWN,
            Kind.MARKER_HIDDEN,
            Kind.SETTINGS_HIDDEN,
        ),
        Status.UNKNOWN,
    ),
    **dict.fromkeys(
        (
            Kind.WENT_BACK,
            Kind.GOES_BACK,
            Kind.INTERRUPTED_CHANGE,
            Kind.OLD,
            Kind.WEAK,
            Kind.NEAR_LIMIT,
            Kind.LAST_RUN_FAILED,
            Kind.RETENTION_PENDING,
        ),
        Status.WARNING,
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """What is good enough.

    Args:
        warning_s: age of the newest good snapshot of a disk above which that is a warning.
        critical_s: the same for critical.
        level: a weaker one is a warning.
    """

    warning_s: int
    critical_s: int
    level: Consistency


@dataclass(frozen=True, slots=True, kw_only=True)
class Present:
    """What is seen of the machine now.

    Args:
        boot_id: of this boot; empty where it cannot be read.
        frozen_since: when the marker of a freeze was written; None without one.
        marker_hidden: whether there is one cannot be seen by this user.
        settings_hidden: what of the configuration this user may not read though it counts; empty
            for nothing.
        unsure: what is judged by a threshold that may stand there, and so is not judged.
        timer: the timer that renews the summary is on.
        untold: something happened that could not be counted.
    """

    now: datetime
    boot_id: str
    frozen_since: datetime | None = None
    marker_hidden: bool = False
    settings_hidden: str = ""
    unsure: frozenset[Kind] = frozenset()
    timer: bool = False
    untold: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is wrong, or not known.

    Args:
        disk: that it is about; None for the machine.
        at: since when, or when.
        count: how many.
        word: a code, a name or a trigger.
        text: a sentence of an error, where there is one.
        hint: the same.
        in_part: it is not known of each disk.
    """

    kind: Kind
    disk: DiskSummary | None = None
    at: datetime | None = None
    count: int | None = None
    word: str = ""
    text: str = ""
    hint: str = ""
    in_part: bool = False

    @property
    def status(self) -> Status:
        """What it makes of the whole."""
        return self.kind.status


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """The verdict.

    Args:
        findings: worst first.
        disks: those that were judged, the one whose newest good snapshot is oldest first.
        summary: from which; None where it cannot be used.
    """

    thresholds: Thresholds
    present: Present
    findings: tuple[Finding, ...] = ()
    disks: tuple[DiskSummary, ...] = ()
    summary: Summary | None = None
    status: Status = field(init=False)

    def __post_init__(self) -> None:
        """Take the worst status there is."""
        met = {finding.status for finding in self.findings} | {Status.OK}
        worst = next(status for status in WORST_FIRST if status in met)
        object.__setattr__(self, "status", worst)


def judge(
    summary: Summary | None,
    thresholds: Thresholds,
    present: Present,
    *,
    disk_id: str = "",
    unreadable: Finding | None = None,
) -> Judged:
    """Judge this machine.

    Args:
        summary: None where there is none that can be read.
        disk_id: the only disk to look at; empty for all.
        unreadable: why the summary cannot be read.
    """
    unusable = unreadable or _unusable(summary, present)
    found = [*_of_marker(present)]
    disks: tuple[DiskSummary, ...] = ()
    if unusable is not None:
        found.append(unusable)
    elif summary is not None:
        known = [disk for disk in summary.disks if disk_id in ("", disk.disk_id)]
        disks = tuple(sorted(known, key=lambda disk: _age_s(disk, present.now), reverse=True))
        of_disks = _of_disks(disks, thresholds, present.now, disk_id=disk_id)
        found += [each for each in of_disks if each.kind not in present.unsure]
        found += _of_machine(summary, present.now)
    found.sort(key=lambda each: WORST_FIRST.index(each.status))
    return Judged(
        thresholds=thresholds,
        present=present,
        findings=tuple(found),
        disks=disks,
        summary=None if unusable else summary,
    )


def age_s(disk: DiskSummary, now: datetime) -> int | None:
    """Return how old a disk's newest good snapshot is; None where there is none."""
    return None if disk.cut is None else max(0, int((now - disk.cut).total_seconds()))


def _age_s(disk: DiskSummary, now: datetime) -> float:
    age = age_s(disk, now)
    return float("inf") if age is None else age


def _unusable(summary: Summary | None, present: Present) -> Finding | None:
    """Return why a summary says nothing of the machine as it is now."""
    if summary is None:
        return Finding(kind=Kind.NO_SUMMARY)
    age = present.now - summary.written
    if age < -CLOCK_SLACK:
        return Finding(kind=Kind.OF_THE_FUTURE, at=summary.written)
    if present.boot_id and summary.boot_id != present.boot_id:
        # The disk may have been put back while the machine was off, and the summary with it.
        return Finding(kind=Kind.BEFORE_BOOT, at=summary.written)
    if present.timer and age > RENEWED:
        return Finding(kind=Kind.NOT_RENEWED, at=summary.written)
    return None


def _of_marker(present: Present) -> Iterator[Finding]:
    if present.untold:
        yield Finding(kind=Kind.NOT_COUNTED)
    if present.marker_hidden:
        yield Finding(kind=Kind.MARKER_HIDDEN)
    if present.settings_hidden:
        yield Finding(kind=Kind.SETTINGS_HIDDEN, word=present.settings_hidden)
    since = present.frozen_since
    if since is not None and not timedelta(0) <= present.now - since <= FREEZE_ENDS:
        yield Finding(kind=Kind.FROZEN, at=since)


def _of_disks(
    disks: tuple[DiskSummary, ...], thresholds: Thresholds, now: datetime, *, disk_id: str
) -> Iterator[Finding]:
    if not disks:
        kind = Kind.DISK_NOT_KNOWN if disk_id else Kind.NO_SNAPSHOT
        yield Finding(kind=kind, word=disk_id)
    for disk in disks:
        yield from _of_disk(disk, thresholds, now)


def _of_disk(disk: DiskSummary, thresholds: Thresholds, now: datetime) -> Iterator[Finding]:
    age = age_s(disk, now)
    if age is None or (disk.expires is not None and disk.expires <= now):
        yield Finding(kind=Kind.NO_SNAPSHOT, disk=disk)
    elif age > thresholds.critical_s:
        yield Finding(kind=Kind.VERY_OLD, disk=disk, at=disk.cut)
    elif age > thresholds.warning_s:
        yield Finding(kind=Kind.OLD, disk=disk, at=disk.cut)
    if age is not None and not (disk.consistency or Consistency.CRASH).at_least(thresholds.level):
        yield Finding(kind=Kind.WEAK, disk=disk)
    if disk.snapshots is not None and disk.snapshots > NEAR_LIMIT:
        yield Finding(kind=Kind.NEAR_LIMIT, disk=disk, count=disk.snapshots)


def _of_machine(summary: Summary, now: datetime) -> Iterator[Finding]:
    change = summary.unprotected
    if change is not None and not change.settled:
        yield Finding(
            kind=Kind.UNPROTECTED_CHANGE, at=change.at, word=change.manager, text=change.code
        )
    doubt = summary.interrupted
    if doubt is not None and not doubt.settled:
        yield Finding(kind=Kind.INTERRUPTED_CHANGE, at=doubt.at, word=doubt.manager)
    if summary.upload_failed:
        yield Finding(kind=Kind.UPLOAD_FAILED, count=summary.upload_failed)
    if summary.went_back is not None:
        part = summary.back_in_part
        yield Finding(kind=Kind.WENT_BACK, at=summary.went_back, in_part=part)
    if summary.goes_back is not None:
        yield Finding(kind=Kind.GOES_BACK, at=summary.goes_back)
    newest = max(summary.runs, key=lambda run: run.started, default=None)
    if newest is not None and newest.exit_status not in (None, *MADE):
        yield _failed(newest)
    pending = summary.retention_pending
    if pending and (newest is None or now - newest.started > RETENTION_SET):
        yield Finding(kind=Kind.RETENTION_PENDING, count=pending)


def _failed(run: LastRun) -> Finding:
    return Finding(
        kind=Kind.LAST_RUN_FAILED,
        at=run.started,
        word=run.trigger,
        text=run.code,
        count=run.exit_status,
    )
