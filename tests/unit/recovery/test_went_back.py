"""What was lost by a going back: by the journal where it went back too, by the time elsewhere."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from fakes.records import STARTED, run_record
from fakes.samples import sample
from snap_self.model.executions import CANCELLED, DONE, FAILED, Back, Execution, ExecutionTask
from snap_self.model.listed import ListedRun, ListedSnapshot
from snap_self.model.result import Result
from snap_self.model.run import RunRecord, Stage
from snap_self.recovery.went_back import how_far, return_words, returns_of

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


@pytest.mark.parametrize(
    ("reset", "open_at_cut", "count"),
    [
        (Back.NONE, False, 0),
        (Back.NONE, True, 2),
        (Back.PART, False, 2),
        (Back.ALL, False, 2),
        (None, False, 2),
    ],
)
def test_failed_one_has_lost_something_unless_no_disk_went_back(
    reset: Back | None, open_at_cut: bool, count: int
) -> None:
    seen = replace(RAN, status=FAILED, reset=reset)
    assert len(lost(record(10, seen, open_at_cut=open_at_cut))) == count


OK, BAD, LEFT_OUT = "Success", "Failed", "Skipped"
REFUSED = {"resetFirst": BAD, "resetFirstAgain": BAD}


@pytest.mark.parametrize(
    ("tasks", "back"),
    [
        ({}, None),
        ({"look": BAD}, Back.NONE),
        ({"stop": OK, "stopped": BAD, "stoppedByForce": BAD, "untouched": OK}, Back.NONE),
        ({**REFUSED, "firstHeard": BAD, "untouched": OK}, Back.NONE),
        ({**REFUSED, "firstHeard": BAD}, Back.PART),
        ({**REFUSED, "firstHeard": OK}, Back.PART),
        ({"resetFirst": OK, "resetOthers": BAD}, Back.PART),
        ({"resetFirst": OK, "resetOthers": OK, "settled": BAD}, Back.PART),
        ({"resetFirst": BAD, "resetFirstAgain": OK, "resetOthers": LEFT_OUT}, Back.PART),
        ({"resetFirst": OK, "settled": OK, "start": BAD, "running": BAD}, Back.ALL),
    ],
)
def test_tasks_tell_how_many_disks_went_back(tasks: dict[str, str], back: Back | None) -> None:
    given = [ExecutionTask(name=name, status=status) for name, status in tasks.items()]
    assert how_far(given) is back


@pytest.mark.parametrize(
    ("seen", "told"),
    [
        (replace(RAN, status=FAILED, reset=Back.ALL), "after it had brought disks back to run R"),
        (replace(RAN, status=FAILED, reset=Back.PART), "had gone back, or may have, to run R"),
        (replace(RAN, status=FAILED, reset=Back.NONE), "failed to bring any disk back to run R"),
        (replace(RAN, status=FAILED), "not known whether disks went back to run R"),
        (replace(GOES_ON, tasks=("bootCheck",)), "brought disks back to run R"),
        (replace(GOES_ON, tasks=("settled",)), "is bringing disks back to run R"),
    ],
)
def test_what_a_failure_has_done_is_told(seen: Execution, told: str) -> None:
    assert told in return_words("run R", seen)


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
