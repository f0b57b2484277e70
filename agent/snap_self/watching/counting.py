"""What happened, added to what was counted before."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from snap_self.model.occurrences import Occasion, Occurrence
from snap_self.model.result import Result
from snap_self.model.summary import Counts, Holdings, Interrupted, LastRun, Tally, Unprotected

# The journal keeps no more runs than that.
MOST_GONE = 1000
# How a run that ended is counted; a run that was taken over was made.
_COUNTED = {
    Occasion.REUSED: Result.REUSED.value,
    Occasion.ASKED: Result.ASKED.value,
    Occasion.FAILED: Result.FAILED.value,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """What one command adds.

    Args:
        calls: of the cloud's API, by action; ``throttled``: of them those refused as too many.
        seen: what the cloud was seen to have; None where nobody looked.
        deleted: snapshots that were.
        made: those that the journal has, and that would be shown by now if they were there.
        machine: the firmware's name of this machine; empty where it is not known.
        attached: the disks that the run saw; empty where it did not come so far.
        wanted: of them those that nobody left out.
    """

    happened: Sequence[Occurrence] = ()
    last: LastRun | None = None
    calls: Mapping[str, int] = field(default_factory=dict)
    throttled: Mapping[str, int] = field(default_factory=dict)
    seen: Holdings | None = None
    deleted: Sequence[str] = ()
    made: Sequence[str] = ()
    machine: str = ""
    attached: Sequence[str] = ()
    wanted: Sequence[str] = ()


def is_of_another(tally: Tally, *, machine: str, instance_id: str = "") -> bool:
    """Tell whether what was counted is known to be of another machine, as on a clone."""
    other = bool(machine and tally.machine and machine != tally.machine)
    return other or bool(instance_id and tally.instance_id and instance_id != tally.instance_id)


def counted(tally: Tally, news: News) -> Tally:
    """Return the tally with the news; one of another machine is begun anew."""
    known = next((one for one in news.happened if one.instance_id), None)
    looked = news.seen.instance_id if news.seen else ""
    instance_id = known.instance_id if known else looked
    if is_of_another(tally, machine=news.machine, instance_id=instance_id):
        tally = Tally()
    last = {**tally.last, news.last.trigger: news.last} if news.last else tally.last
    newest = _newest(news, Occasion.UNPROTECTED)
    broken_off = _newest(news, Occasion.INTERRUPTED)
    return replace(
        tally,
        instance_id=instance_id or tally.instance_id,
        region=known.region if known and known.region else tally.region,
        machine=news.machine or tally.machine,
        counts=_counts(tally.counts, news),
        last=last,
        unprotected=Unprotected(at=newest.at, manager=newest.trigger, code=newest.code)
        if newest
        else tally.unprotected,
        interrupted=Interrupted(at=broken_off.at, manager=broken_off.trigger)
        if broken_off
        else tally.interrupted,
        seen={**tally.seen, **(news.seen.counts if news.seen else {})},
        gone=_gone(tally.gone, news),
        attached=tuple(news.attached) or tally.attached,
        wanted=tuple(news.wanted) if news.attached else tally.wanted,
    )


def _gone(before: Sequence[str], news: News) -> tuple[str, ...]:
    """Return what is gone, as far as the journal has it: nobody asks for the rest."""
    shown = news.seen.shown if news.seen else None
    if shown is None:
        return tuple(dict.fromkeys((*before, *news.deleted)))[-MOST_GONE:]
    missing = (each for each in news.made if each not in shown)
    kept = (each for each in before if each not in shown)
    return tuple(dict.fromkeys((*kept, *missing, *news.deleted)))[-MOST_GONE:]


def _newest(news: News, kind: Occasion) -> Occurrence | None:
    return next((one for one in reversed(news.happened) if one.kind is kind), None)


def _triggers(news: News, kind: Occasion) -> Mapping[str, int]:
    return Counter(one.trigger for one in news.happened if one.kind is kind)


def _counts(before: Counts, news: News) -> Counts:
    runs = {trigger: dict(results) for trigger, results in before.runs.items()}
    for one in news.happened:
        if (word := _word(one)) and one.exit_status is not None:
            results = runs.setdefault(one.trigger, {})
            results[word] = results.get(word, 0) + 1
    return Counts(
        runs=runs,
        unprotected=_sum(before.unprotected, _triggers(news, Occasion.UNPROTECTED)),
        interrupted=_sum(before.interrupted, _triggers(news, Occasion.INTERRUPTED)),
        calls=_sum(before.calls, news.calls),
        throttled=_sum(before.throttled, news.throttled),
    )


def _word(one: Occurrence) -> str:
    if one.kind is Occasion.MADE:
        partial = one.result == Result.PARTIAL.value
        return Result.PARTIAL.value if partial else Result.DONE.value
    return _COUNTED.get(one.kind, "")


def _sum(before: Mapping[str, int], more: Mapping[str, int]) -> Mapping[str, int]:
    return {name: before.get(name, 0) + more.get(name, 0) for name in (*before, *more)}
