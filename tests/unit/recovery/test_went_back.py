"""What was lost by a going back: by the journal where it went back too, by the time elsewhere."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from fakes.records import STARTED, run_record
from fakes.samples import sample
from snap_self.model.executions import CANCELLED, DONE, FAILED, Execution
from snap_self.model.listed import ListedRun, ListedSnapshot
from snap_self.model.result import Result
from snap_self.model.run import RunRecord, Stage
from snap_self.recovery.went_back import return_words, returns_of

RAN = Execution(
    execution_id="exec-1",
    status=DONE,
    by="root(1)",
    began=STARTED + timedelta(minutes=30),
    finished=STARTED + timedelta(minutes=40),
)
GOES_ON = replace(RAN, status="Running", finished=None)


def record(number: int, seen: Execution | None = None, *, open_at_cut: bool = False) -> RunRecord:
    made = run_record(number, stage=Stage.FINISHED)
    result = Result.INTERRUPTED if open_at_cut else Result.DONE
    return replace(made, went_back=seen, result=result)


def listed(number: int) -> ListedRun:
    """Return the run of that number, cut so many minutes after the first start."""
    shot: ListedSnapshot = sample(ListedSnapshot, lambda _: "x")
    run_id = run_record(number).run_id
    cut = STARTED + timedelta(minutes=number)
    return ListedRun(name=run_id, shots=(replace(shot, run_id=run_id, cut_time=cut),))


RUNS = tuple(listed(number) for number in (50, 35, 20, 10, 5))


def lost(*records: RunRecord) -> list[str]:
    (one,) = returns_of(records, RUNS)
    return [run.name for run in one.lost]


def test_runs_between_the_cut_and_the_end_are_lost() -> None:
    assert lost(record(10, RAN)) == [run_record(n).run_id for n in (35, 20)]


def test_runs_in_a_journal_that_went_back_came_after() -> None:
    seen = replace(GOES_ON)
    assert lost(record(10, seen, open_at_cut=True), record(50)) == [
        run_record(n).run_id for n in (35, 20)
    ]


@pytest.mark.parametrize(("open_at_cut", "count"), [(False, 0), (True, 2)])
def test_failed_one_has_lost_something_only_if_the_journal_tells_so(
    open_at_cut: bool, count: int
) -> None:
    assert len(lost(record(10, replace(RAN, status=FAILED), open_at_cut=open_at_cut))) == count


def test_one_that_was_called_off_brought_nothing_back() -> None:
    assert returns_of([record(10, replace(RAN, status=CANCELLED))], RUNS) == ()


def test_latest_is_the_first() -> None:
    later = replace(RAN, execution_id="exec-2", began=STARTED + timedelta(minutes=60))
    names = [
        one.execution.execution_id for one in returns_of([record(5, RAN), record(10, later)], RUNS)
    ]
    assert names == ["exec-2", "exec-1"]


def test_cut_that_the_cloud_does_not_show_is_not_made_up() -> None:
    (one,) = returns_of([record(11, RAN)], RUNS)
    assert one.cut_time is None


@pytest.mark.parametrize(
    ("seen", "said"),
    [
        (RAN, "exec-1 of OOS brought disks back to run 1, started by root(1), begun"),
        (GOES_ON, "exec-1 of OOS is bringing disks back to run 1"),
        (replace(RAN, status=FAILED, said="no\nright"), "UTC: no\\nright"),
        (replace(RAN, status=CANCELLED), "was called off before it brought disks back"),
    ],
)
def test_words_say_what_the_cloud_told(seen: Execution, said: str) -> None:
    assert said in return_words("run 1", seen)
