"""What an execution's tags and tasks tell, and how what waits is told of."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from snap_self.model.executions import Execution, Waiting

DEADLINE = datetime(2026, 11, 22, 9, 0, tzinfo=timezone.utc)
WAITING = Waiting(execution_id="exec-1", run="r-1", deadline=DEADLINE)


def execution(*tasks: str, status: str = "Running", deadline: str = "") -> Execution:
    tags = {"snap-self-deadline": deadline, "snap-self-run": "r-1"}
    return Execution(execution_id="exec-1", status=status, tags=tags, tasks=tasks)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [("2026-11-22T09:00:00Z", DEADLINE), ("", None), ("soon", None), ("2026-11-22", None)],
)
def test_deadline_is_read_from_the_tag(text: str, wanted: datetime | None) -> None:
    assert execution(deadline=text).deadline == wanted


@pytest.mark.parametrize(
    ("tasks", "sleeps", "harmless", "over"),
    [
        (("sleep",), True, True, False),
        ((), False, True, False),
        (("checkDisks",), False, True, False),
        (("stop",), False, False, False),
        (("resetOthers",), False, False, False),
        (("assistantUp",), False, False, True),
        (("bootCheck",), False, False, True),
    ],
)
def test_tasks_tell_how_far_it_is(
    tasks: tuple[str, ...], sleeps: bool, harmless: bool, over: bool
) -> None:
    found = execution(*tasks)
    assert (found.sleeps, found.is_harmless, found.over) == (sleeps, harmless, over)


def test_one_that_has_ended_does_not_sleep() -> None:
    assert not execution("sleep", status="Cancelled").sleeps


@pytest.mark.parametrize(
    ("before", "said"),
    [
        (timedelta(hours=2, minutes=5), "in 2 h 5 min, at 2026-11-22 09:00 UTC,"),
        (timedelta(minutes=29, seconds=59), "in 29 min,"),
        (timedelta(seconds=40), "in 40 s,"),
        (timedelta(minutes=-3), "in 0 s,"),
    ],
)
def test_time_that_is_left_is_told(before: timedelta, said: str) -> None:
    words = WAITING.words(DEADLINE - before)
    assert words.startswith(said)
    assert words.endswith("unless you say: snap-self confirm")


def test_what_should_have_come_is_not_told_as_coming() -> None:
    words = WAITING.words(DEADLINE + timedelta(minutes=31))
    assert "by this machine's clock, did not" in words
    assert "exec-1" in words
