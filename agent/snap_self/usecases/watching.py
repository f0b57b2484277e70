"""Tell those who watch this machine what happened: journal, counters, summary, notifications.

Nothing of it may delay, change or fail what it tells of.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import islice

from snap_self.errors import SnapSelfError
from snap_self.model.occurrences import Left, Occasion, Occurrence
from snap_self.model.report import Report
from snap_self.model.request import Request
from snap_self.model.run import RunRecord
from snap_self.model.summary import Holdings, LastRun, Summary, Tally
from snap_self.ports import Clock
from snap_self.ports_watching import EventLog, Notifier, SummaryStore, TallyStore, Untold
from snap_self.watching.counting import News, counted
from snap_self.watching.happened import (
    LOOK,
    Asking,
    begun,
    changed,
    ended,
    failed,
    last_run,
    pruned,
)
from snap_self.watching.journal import journal_fields
from snap_self.watching.summing import Moment, summarize

# So many of the newest runs are looked at after each command; the rest is known from before.
LOOKED_AT = 50
# A snapshot that a list does not show after so long is not there any more.
SHOWN = timedelta(minutes=10)


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchTools:
    """Who is told.

    Args:
        untold: what earlier commands could not count.
        records: the journal, newest first, read as far as it is asked for.
        moment: when and where it is told.
        show: puts a summary where those look who watch.
        frozen: whether a filesystem may still be, so that nothing is to be written.
        show_frozen: tells whoever logs in of it, without writing to a disk; with a summary also
            whoever reads the metrics, if their place answers.
        wait_notified: waits until ``notify`` has told all, no longer than the given seconds.
        calls: the actions of the calls of the cloud's API that were made and not counted yet;
            ``refused_calls``: of them those that were refused as one too many.
    """

    clock: Clock
    log: EventLog
    tally: TallyStore
    untold: Untold
    summary: SummaryStore
    records: Callable[[], Iterable[RunRecord]]
    moment: Callable[[], Moment]
    show: Callable[[Summary], None]
    frozen: Callable[[], bool]
    show_frozen: Callable[[Summary | None], None]
    notify: Notifier
    wait_notified: Callable[[float], None]
    calls: list[str] = field(default_factory=list)
    refused_calls: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Watch:
    """What one command has to tell; the system's journal is told at once, the rest at its end.

    Args:
        at_once: what the journal of runs tells is told to everybody when it happens.
    """

    tools: WatchTools
    at_once: bool = False
    _happened: list[Occurrence] = field(default_factory=list)
    _last: LastRun | None = None
    _seen: Holdings | None = None
    _deleted: list[str] = field(default_factory=list)
    _attached: Sequence[str] = ()
    _wanted: Sequence[str] = ()
    _is_counted: bool = False
    # What others left to be counted and told, and of which people are to be told yet.
    _late: list[Occurrence] = field(default_factory=list)

    def tell(self, *happened: Occurrence) -> None:
        """Tell the system's journal, and keep it for the others."""
        for one in happened:
            self.tools.log.tell(journal_fields(one))
        self._happened += happened

    def saw(self, seen: Holdings) -> None:
        """Note what the cloud was seen to have."""
        self._seen = seen

    def pruned(self, instance_id: str, deleted: Sequence[str]) -> None:
        """Tell that snapshots were deleted."""
        self._deleted += deleted
        if deleted:
            self.tell(pruned(instance_id, deleted, self.tools.clock.now()))

    def record_changed(self, before: RunRecord | None, after: RunRecord) -> None:
        """Tell what a new record of the journal tells that the one before did not."""
        happened = tuple(changed(before, after, self.tools.clock.now()))
        self.tell(*happened)
        if happened and self.at_once:
            self.close()

    @contextmanager
    def running(self, request: Request, trouble: Callable[[], tuple[str, int]]) -> Iterator[Run]:
        """Tell of a run of the main job, however it ends.

        Args:
            trouble: gives a stable word for what ends it just now and is no error of ours, and
                the exit status.
        """
        asked = Asking(trigger=request.trigger, before=request.before)
        run = Run(trigger=request.trigger, watch=self)
        try:
            first = begun(asked, self.tools.clock.now())
            self.tell(first)
            self._notify([first])
            yield run
        except SnapSelfError as error:
            run.told = True
            self.refused(asked, error)
            raise
        finally:
            if not run.told:
                code, status = trouble()
                self._failed(asked, code, "the run was ended", LOOK, status=status)

    def refused(self, asked: Asking, error: SnapSelfError) -> None:
        """Tell that a run of the main job ended in an error, maybe before it began."""
        status = int(error.exit_status)
        self._failed(asked, error.code, error.message, error.hint, status=status)

    def _failed(self, asked: Asking, code: str, message: str, hint: str, *, status: int) -> None:
        now = self.tools.clock.now()
        one = failed(asked, now, code=code, message=message, hint=hint, status=status)
        self.tell(one)
        self._last = LastRun(
            trigger=asked.trigger, started=now, exit_status=status, result=one.result, code=code
        )

    def ended(self, report: Report, trigger: str) -> None:
        """Tell how a run has ended."""
        now = self.tools.clock.now()
        self.tell(*ended(report, trigger, now))
        targets = [each.cloud.disk_id for each in report.targets]
        meant = [each for each in report.skipped if not each.always]
        self._attached = [*targets, *(each.disk_id for each in meant)]
        self._wanted = [*targets, *(each.disk_id for each in meant if not each.asked)]
        self._last = last_run(report, trigger, now)

    def close(self) -> None:
        """Tell everybody else. Nothing that is wrong with it is raised."""
        happened, self._happened = self._happened, []
        self._is_counted = False
        looked = bool(self.tools.calls) or self._seen is not None
        if not happened and not (looked and self.tools.tally.is_there()):
            return
        try:
            if self.tools.frozen() or any(one.kind is Occasion.FROZEN for one in happened):
                # Whoever writes to a disk then may hang; it is counted when that is over.
                self.tools.untold.keep(happened)
                self.tools.show_frozen(None)
            else:
                self._count(happened)
        except SnapSelfError as error:
            if happened and self._is_counted:
                self.tools.log.complain(f"what happened is counted and not shown: {error.told}")
            elif happened:
                self.tools.untold.keep(happened)
                self.tools.log.complain(f"what happened is not counted yet: {error.told}")
        late, self._late = self._late, []
        self._notify([*late, *(one for one in happened if one.kind is not Occasion.BEGUN)])

    def _count(self, happened: Sequence[Occurrence]) -> None:
        moment = self.tools.moment()
        records = tuple(islice(self.tools.records(), LOOKED_AT))
        news = News(
            happened=happened,
            last=self._last,
            calls=Counter(self.tools.calls),
            throttled=Counter(self.tools.refused_calls),
            seen=self._seen,
            deleted=self._deleted,
            made=_made(records, moment.now),
            machine=moment.machine,
            attached=self._attached,
            wanted=self._wanted,
        )
        late: list[Left] = []

        def add(before: Tally) -> Tally:
            # Under the lock: two commands must not count the same.
            late.extend(self.tools.untold.take())
            return counted(before, replace(news, happened=(*_of(late), *happened)))

        def sum_up(tally: Tally) -> None:
            self._is_counted = True
            self._late += tell_late(self.tools, late, tally)
            self.tools.untold.drop()
            if late or happened or self._seen is not None:
                whole, earlier = len(records) < LOOKED_AT, _earlier(self.tools)
                summary = summarize(records, tally, moment, earlier, whole=whole)
                show(self.tools, summary)

        self.tools.tally.change(add, sum_up)
        self.tools.calls.clear()
        self.tools.refused_calls.clear()
        self._last, self._seen, self._deleted = None, None, []

    def _notify(self, happened: Sequence[Occurrence]) -> None:
        if happened:
            self.tools.notify(happened)


def _earlier(tools: WatchTools) -> Summary | None:
    try:
        return tools.summary.read()
    except SnapSelfError:
        return None  # made anew by the next look at the whole journal


def _made(records: Iterable[RunRecord], now: datetime) -> list[str]:
    """Return the snapshots of the journal that the cloud would show by now."""
    return [sid for each in records if now - each.started > SHOWN for sid in each.snapshot_ids]


@dataclass(slots=True, kw_only=True)
class Run:
    """A run of the main job that is being told of."""

    trigger: str
    watch: Watch
    told: bool = False

    def ended(self, report: Report) -> None:
        """Tell how it has ended."""
        self.watch.ended(report, self.trigger)
        self.told = True


def _of(late: Sequence[Left]) -> Sequence[Occurrence]:
    return [one.occurrence for one in late]


def tell_late(tools: WatchTools, late: Sequence[Left], tally: Tally) -> Sequence[Occurrence]:
    """Tell the system's journal of what was counted now and never told; return that.

    Whoever left it could not tell; nor did it know which instance this is.
    """
    untold = [
        replace(
            one.occurrence,
            instance_id=one.occurrence.instance_id or tally.instance_id,
            region=one.occurrence.region or tally.region,
        )
        for one in late
        if not one.told
    ]
    for one in untold:
        tools.log.tell(journal_fields(one, late=True))
    return untold


def refresh(tools: WatchTools) -> Summary:
    """Put the summary together from the whole journal, show it, and return it.

    What was left to be counted is counted, and told where it was not.

    Where a filesystem may still be frozen, nothing is written to a disk but the metrics, which tell
    of it: by a process that is left behind if their place is the frozen one.

    Raises:
        StateUnusable: the state cannot be read, or the summary not be written.
    """
    made: list[Summary] = []
    late: list[Left] = []
    told: list[Occurrence] = []

    def add(before: Tally) -> Tally:
        late.extend(tools.untold.take())
        return counted(before, News(happened=_of(late))) if late else before

    def sum_up(tally: Tally) -> None:
        told.extend(tell_late(tools, late, tally))
        tools.untold.drop()
        made.append(sum_up_whole(tally))
        show(tools, made[-1])

    def sum_up_whole(tally: Tally) -> Summary:
        return summarize(tools.records(), tally, tools.moment(), _earlier(tools), whole=True)

    if tools.frozen():
        meanwhile = sum_up_whole(tools.tally.read())
        tools.show_frozen(meanwhile)
        return meanwhile
    try:
        tools.tally.change(add, sum_up)
    finally:
        if told:
            tools.notify(told)
    return made[-1]


def show(tools: WatchTools, summary: Summary) -> None:
    """Put a summary where those look who watch.

    Raises:
        StateUnusable: it could not be written.
    """
    tools.summary.write(summary)
    tools.show(summary)
