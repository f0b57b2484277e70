"""What every clock does."""

from __future__ import annotations

from datetime import timedelta

import pytest

from fakes.clock import FakeClock
from snap_self.ports import Clock
from snap_self.system.clock import SystemClock


@pytest.fixture(params=[SystemClock, FakeClock])
def clock(request: pytest.FixtureRequest) -> Clock:
    made: Clock = request.param()
    return made


def test_wall_clock_is_utc(clock: Clock) -> None:
    assert clock.now().utcoffset() == timedelta(0)


def test_sleep_moves_the_monotonic_clock_on_by_at_least_as_much(clock: Clock) -> None:
    before = clock.monotonic()
    clock.sleep(0.015625)  # exact in binary
    assert clock.monotonic() - before >= 0.015625


@pytest.mark.parametrize("seconds", [0.0, -1.0])
def test_sleep_of_no_time_is_no_fault(clock: Clock, seconds: float) -> None:
    before = clock.monotonic()
    clock.sleep(seconds)
    assert clock.monotonic() >= before
