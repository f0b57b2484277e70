"""What a run knows: from its record, its flushes and its hold, or from the set it reuses."""

from __future__ import annotations

import errno
from dataclasses import replace
from datetime import timedelta

import pytest

from fakes.builders import NOW, RUN
from fakes.clock import FakeClock
from fakes.records import run_record
from snap_self.model.asked import CutUnseen
from snap_self.model.flushed import FlushResult, Synced, SyncFault
from snap_self.model.flushing import FlushTarget
from snap_self.model.ids import RunId
from snap_self.model.request import Request
from snap_self.model.snapshots import Consistency
from snap_self.usecases.job.facts import RunFacts
from snap_self.usecases.job.hold import Held
from snap_self.usecases.job.reuse import Reusable
from snap_self.usecases.job.steps import StepLog

DATA = FlushTarget(path="/data", fstype="ext4")
LATER = NOW + timedelta(days=3)
FLUSHED = FlushResult(parts=(Synced(target=DATA),))


def facts() -> RunFacts:
    return RunFacts(
        request=Request(before="x", consistency=Consistency.FILESYSTEM),
        began=NOW,
        new_id=RUN,
        steps=StepLog(FakeClock(), lambda _event: None),
        record=run_record(),
    )


def failed(fault: SyncFault) -> FlushResult:
    return FlushResult(parts=(Synced(target=DATA, fault=fault, error=errno.EIO),))


def held(level: Consistency | None = Consistency.FILESYSTEM) -> Held:
    return Held(level=level, reasons=(), frozen_s=0.1, lines=(), fault=None)


def test_hold_after_a_flush_counts() -> None:
    run = facts()
    run.take_flush(FLUSHED)
    run.take_hold(held())
    assert run.reached is Consistency.FILESYSTEM


@pytest.mark.parametrize("second", [False, True], ids=["first", "second"])
def test_hold_does_not_mend_what_a_flush_lost(*, second: bool) -> None:
    run = facts()
    if second:
        run.take_flush(FLUSHED)
        run.take_second_flush(failed(SyncFault.NOT_WRITTEN))
    else:
        run.take_flush(failed(SyncFault.NOT_WRITTEN))
    run.take_hold(held())
    assert run.reached is Consistency.CRASH
    assert "/data could not be synced: Input/output error" in run.why


def test_hold_of_the_right_mount_makes_up_for_a_flush_that_missed_it() -> None:
    run = facts()
    run.take_flush(failed(SyncFault.EXCHANGED))
    run.take_hold(held())
    assert run.reached is Consistency.FILESYSTEM


def test_reason_that_both_flushes_and_the_hold_have_is_told_once() -> None:
    run = facts()
    run.take_flush(failed(SyncFault.LATE))
    run.take_second_flush(failed(SyncFault.LATE))
    (reason,) = failed(SyncFault.LATE).reasons
    run.take_hold(replace(held(None), reasons=(reason, "another")))
    assert run.why == f"{reason}; another"


def test_second_flush_that_fails_is_no_flush_any_more() -> None:
    run = facts()
    run.take_flush(FLUSHED)
    run.take_second_flush(failed(SyncFault.LATE))
    run.take_hold(held(None))
    assert run.reached is Consistency.CRASH


def test_what_is_remembered_is_the_records() -> None:
    run = facts()
    run.prove(Consistency.FLUSH, "one", "", "two", "one")
    assert run.record
    known = (run.record.run_id, run.record.started, run.record.expires)
    assert (run.run_id, run.started, run.expires) == known
    assert run.record.consistency_reached is run.reached is Consistency.FLUSH
    assert run.record.consistency_why == run.why == "one; two"


def test_run_without_a_record_has_its_own_name_and_has_proved_nothing() -> None:
    run = replace(facts(), record=None)
    assert (run.run_id, run.started) == (RUN, NOW)
    assert (run.reached, run.why, run.expires, run.unseen) == (None, "", None, None)


def test_reused_set_is_told_under_the_name_and_level_of_the_run_that_made_it() -> None:
    reused = Reusable(run_id=RunId("earlier"), level=Consistency.FLUSH, found=(), expires=LATER)
    run = replace(facts(), record=None, reused=reused)
    assert (run.run_id, run.reached, run.expires) == ("earlier", Consistency.FLUSH, LATER)
    # This command began when it did, not when the other one had.
    assert run.started == NOW


def test_run_that_is_taken_over_is_looked_for_anew() -> None:
    run = facts()
    earlier = replace(run_record(2), unseen=CutUnseen.THROTTLED, consistency_why="a reason")
    run.take_over(earlier)
    assert run.unseen is None
    assert (run.run_id, run.started) == (earlier.run_id, earlier.started)
    run.prove(Consistency.CRASH, "another")
    assert run.why == "a reason; another"
