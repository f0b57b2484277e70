"""A quiesce: order, what happens when one fails, results."""

from __future__ import annotations

import pytest

from fakes.clock import FakeClock
from snap_self.errors import QuiesceFailed
from snap_self.quiesce.session import QuiesceSession


class Thing:
    """A quiescer that notes what is done to it."""

    def __init__(self, name: str, log: list[str], clock: FakeClock) -> None:
        self.name = name
        self.fails: BaseException | None = None
        self.fault = ""
        self.loss = ""
        self.interrupts = 0
        self._log = log
        self._clock = clock

    def start(self, *, deadline: float) -> None:
        self._log.append(f"start {self.name} {deadline:g}")
        self._clock.advance(2)
        if self.fails is not None:
            raise self.fails

    def check(self) -> str:
        return self.loss

    def stop(self) -> str:
        if self.interrupts:
            self.interrupts -= 1
            self._log.append(f"interrupted {self.name}")
            raise KeyboardInterrupt
        self._log.append(f"stop {self.name}")
        self._clock.advance(1)
        return self.fault


@pytest.fixture
def log() -> list[str]:
    """Return what was done."""
    return []


@pytest.fixture
def clock() -> FakeClock:
    """Return a clock that stands still."""
    return FakeClock()


@pytest.fixture
def things(log: list[str], clock: FakeClock) -> list[Thing]:
    """Return three quiescers."""
    return [Thing(name, log, clock) for name in "abc"]


def test_all_start_in_order_with_one_deadline_and_stop_in_reverse(
    things: list[Thing], log: list[str], clock: FakeClock
) -> None:
    with QuiesceSession(things, clock, limit_s=30) as session:
        session.start()
    starts = ["start a 1030", "start b 1030", "start c 1030"]
    assert log == [*starts, "stop c", "stop b", "stop a"]


def test_results_say_when_and_how_long_for_each(things: list[Thing], clock: FakeClock) -> None:
    with QuiesceSession(things, clock, limit_s=30) as session:
        session.start()
    found = [(r.name, r.started_s, r.seconds, r.ok, r.release_s) for r in session.results]
    assert found == [("a", 0, 2, True, 1), ("b", 2, 2, True, 1), ("c", 4, 2, True, 1)]


def test_one_that_fails_ends_the_others_and_is_not_stopped_itself(
    things: list[Thing], log: list[str], clock: FakeClock
) -> None:
    things[1].fails = QuiesceFailed("b will not")
    session = QuiesceSession(things, clock, limit_s=30)
    with pytest.raises(QuiesceFailed, match="b will not"), session:
        session.start()
    assert log == ["start a 1030", "start b 1030", "stop a"]
    assert [(r.name, r.ok, r.why) for r in session.results] == [
        ("a", True, ""),
        ("b", False, "b will not"),
    ]


def test_one_that_is_interrupted_is_stopped_too(
    things: list[Thing], log: list[str], clock: FakeClock
) -> None:
    things[1].fails = KeyboardInterrupt()
    session = QuiesceSession(things, clock, limit_s=30)
    with pytest.raises(KeyboardInterrupt), session:
        session.start()
    assert log[2:] == ["stop b", "stop a"]
    assert (session.results[1].ok, session.results[1].why) == (False, "interrupted")


def test_stop_that_fails_does_not_stop_the_next_and_is_told(
    things: list[Thing], log: list[str], clock: FakeClock
) -> None:
    things[2].fault = "stuck"
    session = QuiesceSession(things, clock, limit_s=30)
    session.start()
    assert session.stop() == ("c: stuck",)
    assert log[3:] == ["stop c", "stop b", "stop a"]
    assert (session.results[2].ok, session.results[2].release_why) == (True, "stuck")


def test_interrupt_in_a_stop_has_it_stopped_once_more_and_then_the_others(
    things: list[Thing], log: list[str], clock: FakeClock
) -> None:
    things[1].interrupts = 1
    with pytest.raises(KeyboardInterrupt), QuiesceSession(things, clock, limit_s=30) as session:
        session.start()
    assert log[3:] == ["stop c", "interrupted b", "stop b", "stop a"]


def test_one_that_can_never_be_stopped_keeps_no_other_from_it(
    things: list[Thing], log: list[str], clock: FakeClock
) -> None:
    things[1].interrupts = things[2].interrupts = 9
    with pytest.raises(KeyboardInterrupt), QuiesceSession(things, clock, limit_s=30) as session:
        session.start()
    assert log[3:] == [*["interrupted c"] * 2, "interrupted b", "stop a"]


def test_each_is_stopped_once_however_often_it_is_asked(
    things: list[Thing], log: list[str], clock: FakeClock
) -> None:
    with QuiesceSession(things, clock, limit_s=30) as session:
        session.start()
        session.stop()
        assert session.stop() == ()
    assert log.count("stop a") == 1


def test_check_names_each_that_is_no_longer_at_rest(things: list[Thing], clock: FakeClock) -> None:
    with QuiesceSession(things, clock, limit_s=30) as session:
        session.start()
        assert session.check() == ""
        things[0].loss, things[2].loss = "connection lost", "gone"
        assert session.check() == "a: connection lost; c: gone"
