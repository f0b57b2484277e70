"""What is asked of OOS for a rollback that waits first."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest

from snap_self.model.executions import ExecutionOrder
from snap_self.recovery.outside import armed_order, armed_token, iso_duration

DEADLINE = datetime(2026, 11, 22, 9, 0, 5, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(60, "PT1M"), (90, "PT1M30S"), (3600, "PT1H"), (5400, "PT1H30M"), (14400, "PT4H")],
)
def test_duration_is_written_as_the_service_takes_it(seconds: int, text: str) -> None:
    assert iso_duration(seconds) == text


def test_order_keeps_what_it_was_and_waits_first() -> None:
    plain = ExecutionOrder(
        content="x",
        parameters={"count": 1},
        description="back",
        tags={"snap-self-run": "r"},
        client_token="t",
    )
    armed = armed_order(plain, within_s=1800, deadline=DEADLINE)
    assert armed.parameters == {"count": 1, "after": "PT30M", "run": "r"}
    assert armed.tags == {"snap-self-run": "r", "snap-self-deadline": "2026-11-22T09:00:05Z"}
    assert (armed.content, armed.client_token) == ("x", "t")
    assert "2026-11-22T09:00:05Z" in armed.description


def test_token_of_another_deadline_is_another_one_and_short_enough() -> None:
    one = armed_token("20261122t083225z-abcdef", DEADLINE)
    other = armed_token("20261122t083225z-abcdef", DEADLINE.replace(minute=30))
    assert one != other
    assert len(armed_token("r" * 90, DEADLINE)) == 64
