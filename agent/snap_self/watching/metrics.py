"""The metrics: each one's name, help and labels, and the text that Prometheus reads.

Names, labels and help texts are an interface: rules and dashboards name them, and node_exporter
refuses a name with two help texts. They are only added to. No sample has a timestamp, since the
textfile collector skips a file that has one.
Sources: https://prometheus.io/docs/instrumenting/exposition_formats and …/practices/naming.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from snap_self.model.packages import MANAGERS
from snap_self.model.snapshots import Consistency
from snap_self.model.summary import SNAPSHOT_LIMIT, Interrupted, LastRun, Summary, Unprotected

GAUGE, COUNTER = "gauge", "counter"
LEVELS = tuple(Consistency)
# The results that a counter begins at zero for, once its trigger was seen.
RESULTS = ("done", "reused", "partial", "asked", "failed")
# Of a disk of which no good snapshot is known: a sample that is missing can alert nobody.
NEVER = 0


@dataclass(frozen=True, slots=True)
class Sample:
    """One value, with one text for each of its metric's labels."""

    value: float
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What the metrics are made of.

    Args:
        frozen: the marker of a freeze is there; None where that cannot be seen.
    """

    summary: Summary
    frozen: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One metric.

    Args:
        help: one line, which never changes.
        samples: yields its values.
    """

    name: str
    kind: str
    help: str
    labels: tuple[str, ...] = ()
    samples: Callable[[Seen], Iterator[Sample]]


def exposition_lines(summary: Summary, *, frozen: bool | None) -> tuple[str, ...]:
    """Return the lines of ``exposition``."""
    seen = Seen(summary=summary, frozen=frozen)
    return tuple(line for metric in METRICS for line in _lines(metric, seen))


def exposition(summary: Summary, *, frozen: bool | None) -> str:
    """Return all metrics in the text format, each with its help and type.

    A metric without a sample is left out.

    Args:
        frozen: the marker of a freeze is there; None where that cannot be seen.
    """
    return "".join(f"{line}\n" for line in exposition_lines(summary, frozen=frozen))


def _lines(metric: Metric, seen: Seen) -> Iterator[str]:
    samples = [_sample(metric, sample) for sample in metric.samples(seen)]
    if samples:
        yield f"# HELP {metric.name} {_escaped(metric.help)}"
        yield f"# TYPE {metric.name} {metric.kind}"
        yield from samples


def _sample(metric: Metric, sample: Sample) -> str:
    pairs = zip(metric.labels, sample.labels, strict=True)
    labels = ",".join(f'{name}="{_quoted(value)}"' for name, value in pairs)
    return f"{metric.name}{f'{{{labels}}}' if labels else ''} {_number(sample.value)}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n")


def _quoted(text: str) -> str:
    return _escaped(text).replace('"', '\\"')


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(value)


def _one(get: Callable[[Seen], float]) -> Callable[[Seen], Iterator[Sample]]:
    """Return what yields one value without labels."""

    def samples(seen: Seen) -> Iterator[Sample]:
        yield Sample(get(seen))

    return samples


def _last_runs(get: Callable[[LastRun], float | None]) -> Callable[[Seen], Iterator[Sample]]:
    """Return what yields a value of the last run of each trigger, where it is known."""

    def samples(seen: Seen) -> Iterator[Sample]:
        for run in seen.summary.runs:
            if (value := get(run)) is not None:
                yield Sample(value, (run.trigger,))

    return samples


def _counted(
    get: Callable[[Seen], Mapping[str, int]], known: Callable[[Seen], Iterable[str]] | None = None
) -> Callable[[Seen], Iterator[Sample]]:
    """Return what yields counters by name.

    Args:
        known: names that are there before they count. `increase()` does not see a counter's first
            value, so one that came into being with it would hide it.
    """

    def samples(seen: Seen) -> Iterator[Sample]:
        counted = get(seen)
        before = known(seen) if known else ()
        for name in dict.fromkeys((*before, *sorted(counted))):
            yield Sample(counted.get(name, 0), (name,))

    return samples


def _managers(seen: Seen) -> tuple[str, ...]:
    del seen
    return MANAGERS


def _info(seen: Seen) -> Iterator[Sample]:
    summary = seen.summary
    yield Sample(1, (summary.version, summary.instance_id, summary.region))


def _cuts(seen: Seen) -> Iterator[Sample]:
    for disk in seen.summary.disks:
        yield Sample(_instant(disk.cut), (disk.disk_id,))


def _consistencies(seen: Seen) -> Iterator[Sample]:
    for disk in seen.summary.disks:
        if disk.consistency is not None:
            yield Sample(LEVELS.index(disk.consistency), (disk.disk_id,))


def _snapshots(seen: Seen) -> Iterator[Sample]:
    for disk in seen.summary.disks:
        if disk.snapshots is not None:
            yield Sample(disk.snapshots, (disk.disk_id,))


def _limits(seen: Seen) -> Iterator[Sample]:
    for disk in seen.summary.disks:
        yield Sample(SNAPSHOT_LIMIT, (disk.disk_id,))


def _runs(seen: Seen) -> Iterator[Sample]:
    counted = seen.summary.counts.runs
    for trigger in sorted({*counted, *(run.trigger for run in seen.summary.runs)}):
        results = counted.get(trigger, {})
        for result in dict.fromkeys((*RESULTS, *sorted(results))):
            yield Sample(results.get(result, 0), (trigger, result))


def _freezes(seen: Seen) -> Iterator[Sample]:
    if seen.frozen is not None:
        yield Sample(seen.frozen)


def _is_open(change: Unprotected | Interrupted | None) -> bool:
    return change is not None and not change.settled


def _instant(at: datetime | None) -> float:
    """Return seconds since 1970, 0 for never."""
    return NEVER if at is None else int(at.timestamp())


METRICS: tuple[Metric, ...] = (
    Metric(
        name="snap_self_info",
        kind=GAUGE,
        help="Always 1; what is installed, and where.",
        labels=("version", "instance_id", "region"),
        samples=_info,
    ),
    Metric(
        name="snap_self_written_timestamp_seconds",
        kind=GAUGE,
        help="When these values were put together.",
        samples=_one(lambda seen: _instant(seen.summary.written)),
    ),
    Metric(
        name="snap_self_last_run_timestamp_seconds",
        kind=GAUGE,
        help="Start of the last run, by what started it.",
        labels=("trigger",),
        samples=_last_runs(lambda run: _instant(run.started)),
    ),
    Metric(
        name="snap_self_last_run_status",
        kind=GAUGE,
        help="Exit status of the last run; missing while it goes on.",
        labels=("trigger",),
        samples=_last_runs(lambda run: run.exit_status),
    ),
    Metric(
        name="snap_self_last_success_timestamp_seconds",
        kind=GAUGE,
        help="Cut of the newest good snapshot of a disk that is known here; 0 for none.",
        labels=("disk_id",),
        samples=_cuts,
    ),
    Metric(
        name="snap_self_last_success_consistency",
        kind=GAUGE,
        help="Its level: 0 crash, 1 flush, 2 filesystem, 3 application.",
        labels=("disk_id",),
        samples=_consistencies,
    ),
    Metric(
        name="snap_self_runs_total",
        kind=COUNTER,
        help="Runs that have ended.",
        labels=("trigger", "result"),
        samples=_runs,
    ),
    Metric(
        name="snap_self_unprotected_changes_total",
        kind=COUNTER,
        help="Changes that a package manager went on with without a good snapshot.",
        labels=("manager",),
        samples=_counted(lambda seen: seen.summary.counts.unprotected, _managers),
    ),
    Metric(
        name="snap_self_unprotected_change",
        kind=GAUGE,
        help="1 if there was such a change, and no good snapshot since.",
        samples=_one(lambda seen: _is_open(seen.summary.unprotected)),
    ),
    Metric(
        name="snap_self_interrupted_changes_total",
        kind=COUNTER,
        help="Changes whose hook was interrupted and that may have been made all the same.",
        labels=("manager",),
        samples=_counted(lambda seen: seen.summary.counts.interrupted, _managers),
    ),
    Metric(
        name="snap_self_interrupted_change",
        kind=GAUGE,
        help="1 if there was such a hook, and no good snapshot since.",
        samples=_one(lambda seen: _is_open(seen.summary.interrupted)),
    ),
    Metric(
        name="snap_self_upload_in_progress",
        kind=GAUGE,
        help="Runs whose upload was not seen to end.",
        samples=_one(lambda seen: seen.summary.uploading),
    ),
    Metric(
        name="snap_self_upload_failed",
        kind=GAUGE,
        help="Runs whose upload failed, with no good snapshot since.",
        samples=_one(lambda seen: seen.summary.upload_failed),
    ),
    Metric(
        name="snap_self_snapshots",
        kind=GAUGE,
        help="Manual snapshots that a disk was last seen to have.",
        labels=("disk_id",),
        samples=_snapshots,
    ),
    Metric(
        name="snap_self_snapshot_limit",
        kind=GAUGE,
        help="Manual snapshots that a disk may have.",
        labels=("disk_id",),
        samples=_limits,
    ),
    Metric(
        name="snap_self_retention_pending",
        kind=GAUGE,
        help="Snapshots whose retention could not be set so far.",
        samples=_one(lambda seen: seen.summary.retention_pending),
    ),
    Metric(
        name="snap_self_api_calls_total",
        kind=COUNTER,
        help="Calls of the cloud's API.",
        labels=("action",),
        samples=_counted(lambda seen: seen.summary.counts.calls),
    ),
    Metric(
        name="snap_self_api_throttled_total",
        kind=COUNTER,
        help="Calls of the cloud's API that were refused as one too many.",
        labels=("action",),
        samples=_counted(
            lambda seen: seen.summary.counts.throttled,
            lambda seen: sorted(seen.summary.counts.calls),
        ),
    ),
    Metric(
        name="snap_self_run_duration_seconds",
        kind=GAUGE,
        help="How long the last run took.",
        labels=("trigger",),
        samples=_last_runs(lambda run: run.seconds),
    ),
    Metric(
        name="snap_self_frozen_seconds",
        kind=GAUGE,
        help="How long the last run had filesystems frozen; missing where it froze none.",
        labels=("trigger",),
        samples=_last_runs(lambda run: run.frozen_s),
    ),
    Metric(
        name="snap_self_frozen",
        kind=GAUGE,
        help="1 while the marker of a freeze is there; such a freeze lasts seconds at most.",
        samples=_freezes,
    ),
    Metric(
        name="snap_self_goes_back_timestamp_seconds",
        kind=GAUGE,
        help="When this machine is rolled back unless somebody confirms; 0 for never.",
        samples=_one(lambda seen: _instant(seen.summary.goes_back)),
    ),
    Metric(
        name="snap_self_went_back_timestamp_seconds",
        kind=GAUGE,
        help="When it was last seen to have gone back, with no good snapshot since; 0 for never.",
        samples=_one(lambda seen: _instant(seen.summary.went_back)),
    ),
)
# What ``exposition`` begins with: the first metric always has a sample.
BEGINNING = f"# HELP {METRICS[0].name} "
