"""One run at a time: another one is waited for, unless what it made will do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import cast

import pytest

from fakes.clock import FakeClock
from fakes.lock import FakeLock
from snap_self.errors import LockHeld
from snap_self.model.request import Request
from snap_self.usecases.job.turn import in_turn
from snap_self.usecases.tools import Tools

REQUEST = Request(before="os upgrade")
REUSING = Request(before="os upgrade", reuse_s=900.0)


@dataclass
class Turn:
    """A machine whose other run ends after so many seconds."""

    busy_s: float = 0.0
    content_at: float = float("inf")
    clock: FakeClock = field(default_factory=FakeClock)
    done: list[str] = field(default_factory=list)
    looked: list[float] = field(default_factory=list)

    def take(self, request: Request) -> float:
        """Wait for the turn; return how long that took."""
        begun, lock = self.clock.monotonic(), FakeLock(self.clock, free_after_s=self.busy_s)
        tools = cast(Tools, SimpleNamespace(clock=self.clock, lock=lock, lock_wait_s=60.0))
        in_turn(tools, request, work=self._work(lock), content=lambda: self._look(begun))
        assert not lock.held
        return self.clock.monotonic() - begun

    def _work(self, lock: FakeLock) -> Callable[[], None]:
        def work() -> None:
            assert lock.held
            self.done.append(lock.purposes[-1])

        return work

    def _look(self, begun: float) -> bool:
        self.looked.append(self.clock.monotonic() - begun)
        return self.looked[-1] >= self.content_at


def test_free_machine_is_worked_on_at_once_under_the_lock() -> None:
    turn = Turn()
    assert turn.take(REQUEST) == 0
    assert turn.done == ["before os upgrade"]
    assert turn.looked == []


def test_run_that_ends_in_time_is_waited_for() -> None:
    turn = Turn(busy_s=40.0)
    assert turn.take(REQUEST) == pytest.approx(40, abs=1)
    assert len(turn.done) == 1


def test_run_that_does_not_end_in_time_is_told_with_how_long_it_was_waited_for() -> None:
    turn = Turn(busy_s=1000.0)
    with pytest.raises(LockHeld) as raised:
        turn.take(REQUEST)
    assert raised.value.hint == "it was waited for 60 s; try again when it has ended"
    assert turn.done == []


def test_wait_is_no_longer_than_that_of_the_whole_run() -> None:
    with pytest.raises(LockHeld, match="another run"):
        Turn(busy_s=10.0).take(Request(before="os upgrade", timeout_s=5.0))


def test_whoever_is_content_with_an_earlier_snapshot_looks_ever_more_rarely_and_goes() -> None:
    turn = Turn(busy_s=1000.0, content_at=10.0)
    assert turn.take(REUSING) == pytest.approx(15)
    assert turn.looked == [pytest.approx(seconds) for seconds in (1, 3, 7, 15)]
    assert turn.done == []
