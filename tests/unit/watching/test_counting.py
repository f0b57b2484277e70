"""What one command adds to what was counted before."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fakes.records import STARTED
from snap_self.model.occurrences import Occasion, Occurrence
from snap_self.model.summary import Counts, Holdings, Interrupted, LastRun, Tally
from snap_self.watching.counting import MOST_GONE, News, counted

MADE = Occurrence(
    kind=Occasion.MADE,
    at=STARTED,
    text="made",
    instance_id="i-1",
    region="cn-hangzhou",
    trigger="apt",
    result="done",
    exit_status=0,
)
BEGUN = replace(MADE, kind=Occasion.BEGUN, result="", exit_status=None)


@pytest.mark.parametrize(
    ("kind", "result", "word"),
    [
        (Occasion.MADE, "done", "done"),
        (Occasion.MADE, "resumed", "done"),
        (Occasion.MADE, "partial", "partial"),
        (Occasion.REUSED, "reused", "reused"),
        (Occasion.ASKED, "asked", "asked"),
        (Occasion.FAILED, "failed", "failed"),
        (Occasion.FAILED, "partial", "failed"),
    ],
)
def test_a_run_is_counted_once_by_how_it_ended(kind: Occasion, result: str, word: str) -> None:
    one = replace(MADE, kind=kind, result=result)
    frozen = replace(one, kind=Occasion.FROZEN)
    tally = counted(Tally(), News(happened=(BEGUN, one, frozen)))
    assert tally.counts.runs == {"apt": {word: 1}}
    assert counted(tally, News(happened=(one,))).counts.runs == {"apt": {word: 2}}


def test_changes_without_a_snapshot_are_counted_by_manager() -> None:
    bare = replace(MADE, kind=Occasion.UNPROTECTED, code="paused", exit_status=None)
    tally = counted(Tally(), News(happened=(bare, replace(bare, trigger="dnf", code="timed-out"))))
    assert tally.counts.unprotected == {"apt": 1, "dnf": 1}
    assert tally.unprotected is not None
    assert (tally.unprotected.manager, tally.unprotected.code) == ("dnf", "timed-out")
    assert tally.counts.runs == {}


def test_interrupted_hooks_are_counted_by_manager_and_are_no_changes_without_a_snapshot() -> None:
    doubt = replace(MADE, kind=Occasion.INTERRUPTED, result="interrupted", exit_status=None)
    tally = counted(Tally(), News(happened=(doubt, replace(doubt, trigger="zypper"))))
    assert tally.counts.interrupted == {"apt": 1, "zypper": 1}
    assert tally.interrupted == Interrupted(at=STARTED, manager="zypper")
    assert (tally.counts.unprotected, tally.unprotected, tally.counts.runs) == ({}, None, {})
    assert counted(tally, News()).interrupted == tally.interrupted


def test_calls_add_up() -> None:
    news = News(calls={"CreateSnapshot": 1, "DescribeDisks": 2}, throttled={"DescribeDisks": 1})
    tally = counted(counted(Tally(), news), news)
    assert tally.counts.calls == {"CreateSnapshot": 2, "DescribeDisks": 4}
    assert tally.counts.throttled == {"DescribeDisks": 2}


def test_the_last_run_of_each_trigger_is_kept() -> None:
    first = LastRun(trigger="apt", started=STARTED, exit_status=9)
    tally = counted(Tally(), News(last=first))
    other = LastRun(trigger="cli", started=STARTED, exit_status=0)
    assert counted(tally, News(last=other)).last == {"apt": first, "cli": other}


@pytest.mark.parametrize(
    "news",
    [News(happened=(replace(MADE, instance_id="i-2"),)), News(machine="another")],
)
def test_what_was_counted_on_another_machine_is_begun_anew(news: News) -> None:
    before = Tally(
        instance_id="i-1", machine="one", counts=Counts(unprotected={"apt": 3}), gone=("s-1",)
    )
    tally = counted(before, news)
    assert (tally.counts.unprotected, tally.gone) == ({}, ())


def test_the_disks_that_the_last_run_saw_are_kept_until_another_sees_some() -> None:
    tally = counted(Tally(), News(happened=(MADE,), attached=("d-1", "d-2")))
    assert counted(tally, News(happened=(MADE,))).attached == ("d-1", "d-2")
    assert counted(tally, News(happened=(MADE,), attached=("d-2",))).attached == ("d-2",)


def holdings(*shown: str, whole: bool = True) -> Holdings:
    return Holdings(instance_id="i-1", counts={"d-1": 9}, shown=frozenset(shown) if whole else None)


def test_what_a_whole_list_does_not_show_is_gone_until_it_is_shown_again() -> None:
    tally = counted(Tally(), News(seen=holdings("s-2"), made=("s-1", "s-2")))
    assert (tally.gone, tally.seen, tally.instance_id) == (("s-1",), {"d-1": 9}, "i-1")
    assert counted(tally, News(seen=holdings("s-1"), made=("s-1",))).gone == ()
    unsure = counted(tally, News(seen=holdings(whole=False), made=("s-1", "s-2")))
    assert unsure.gone == ("s-1",)


def test_what_was_deleted_is_gone_and_only_so_many_are_kept() -> None:
    tally = counted(Tally(gone=("s-0",)), News(deleted=("s-1", "s-0")))
    assert tally.gone == ("s-0", "s-1")
    many = tuple(f"s-{number}" for number in range(MOST_GONE + 5))
    assert counted(Tally(), News(deleted=many)).gone == many[5:]
