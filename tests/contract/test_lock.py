"""What every run lock does, in memory and on disk."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from fakes.clock import FakeClock
from fakes.lock import FakeLock
from snap_self.errors import ExitStatus, LockHeld, StateUnusable
from snap_self.ports import RunLock
from snap_self.system.state.lock import FileLock, JoinedLocks


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(params=["disk", "memory", "joined"])
def lock(request: pytest.FixtureRequest, clock: FakeClock, tmp_path: Path) -> RunLock:
    if request.param == "memory":
        return FakeLock(clock)
    own = FileLock(tmp_path / "state", clock)
    if request.param == "disk":
        return own
    return JoinedLocks(clock, FileLock(tmp_path / "machine", clock), own)


def held_by_other(lock: RunLock) -> bool:
    with lock.attempt(purpose="probe") as held:
        return not held


def test_hold_keeps_others_out_inside_the_block_only(lock: RunLock) -> None:
    with lock.hold(timeout_s=0, purpose="a"):
        assert held_by_other(lock)
    assert not held_by_other(lock)


def test_hold_is_given_up_when_the_block_fails(lock: RunLock) -> None:
    with pytest.raises(ValueError), lock.hold(timeout_s=0, purpose="a"):
        raise ValueError
    assert not held_by_other(lock)


def test_attempt_on_a_free_lock_holds_it(lock: RunLock) -> None:
    with lock.attempt(purpose="list") as held:
        assert held
        assert held_by_other(lock)


def test_attempt_on_a_held_lock_waits_for_nothing(lock: RunLock, clock: FakeClock) -> None:
    with lock.hold(timeout_s=0, purpose="a"), lock.attempt(purpose="list") as held:
        assert not held
    assert clock.sleeps == []


def test_failed_attempt_does_not_free_the_lock(lock: RunLock) -> None:
    with lock.hold(timeout_s=0, purpose="a"):
        assert held_by_other(lock)
        assert held_by_other(lock)


def test_hold_of_a_held_lock_waits_its_time_and_names_the_holder(
    lock: RunLock, clock: FakeClock
) -> None:
    with (
        lock.hold(timeout_s=0, purpose="before os upgrade"),
        pytest.raises(LockHeld, match="before os upgrade") as caught,
        lock.hold(timeout_s=20.0, purpose="b"),
    ):
        pass
    assert sum(clock.sleeps) == pytest.approx(20.0)
    assert len(clock.sleeps) < 50
    assert caught.value.exit_status is ExitStatus.LOCKED


@pytest.mark.parametrize("kind", ["disk", "memory"])
def test_hold_goes_on_as_soon_as_the_holder_has_ended(kind: str, tmp_path: Path) -> None:
    first = FileLock(tmp_path, FakeClock()).hold(timeout_s=0, purpose="a")
    waits: list[float] = []

    def end_first(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 3:
            first.__exit__(None, None, None)

    clock = FakeClock(on_sleep=end_first)
    first.__enter__()
    lock: RunLock = (
        FileLock(tmp_path, clock) if kind == "disk" else FakeLock(clock, free_after_s=2.5)
    )
    with lock.hold(timeout_s=60, purpose="b"):
        assert len(waits) == 3


def refused(lock: FileLock) -> LockHeld:
    with pytest.raises(LockHeld) as caught, lock.hold(timeout_s=0, purpose="b"):
        pass
    return caught.value


def test_message_names_process_purpose_and_since(tmp_path: Path) -> None:
    lock = FileLock(tmp_path, FakeClock())
    with lock.hold(timeout_s=0, purpose="before\nx"):
        assert refused(lock).message == (
            f"another run of snap-self holds the lock: process {os.getpid()}, "
            "'before\\nx', since 2026-11-22 08:32:25 UTC"
        )


@pytest.mark.parametrize(
    "note", ["", "{", "[]", "[" * 100_000, '{"pid": "1"}', '{"pid": 1, "purpose": 2}', "\udcff"]
)
def test_message_without_a_readable_note_names_no_holder(tmp_path: Path, note: str) -> None:
    lock = FileLock(tmp_path, FakeClock())
    with lock.hold(timeout_s=0, purpose="a"):
        (tmp_path / "lock").write_bytes(note.encode("utf-8", "surrogateescape"))
        assert refused(lock).message == "another run of snap-self holds the lock"


def test_note_of_a_dead_holder_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "lock").write_text("x" * 3000)
    lock = FileLock(tmp_path, FakeClock())
    with lock.hold(timeout_s=0, purpose="a"):
        assert json.loads((tmp_path / "lock").read_text())["purpose"] == "a"
    assert (tmp_path / "lock").read_text() == ""


def test_lock_file_is_private(tmp_path: Path) -> None:
    with FileLock(tmp_path / "state", FakeClock()).hold(timeout_s=0, purpose="a"):
        modes = [p.stat().st_mode & 0o777 for p in (tmp_path / "state", tmp_path / "state/lock")]
    assert modes == [0o700, 0o600]


def test_programs_started_do_not_get_the_descriptor(tmp_path: Path) -> None:
    with FileLock(tmp_path, FakeClock()).hold(timeout_s=0, purpose="a"):
        target = tmp_path / "lock"
        numbers = [
            int(link.name)
            for link in Path("/proc/self/fd").iterdir()
            if link.is_symlink() and os.path.realpath(link) == str(target)
        ]
        assert [os.get_inheritable(number) for number in numbers] == [False]


def test_lock_that_is_no_file_is_state_unusable(tmp_path: Path) -> None:
    (tmp_path / "lock").mkdir()
    with (
        pytest.raises(StateUnusable, match="lock cannot be opened: Is a directory"),
        FileLock(tmp_path, FakeClock()).hold(timeout_s=0, purpose="a"),
    ):
        pass


def test_symbolic_link_in_place_of_the_lock_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "lock").symlink_to(tmp_path / "elsewhere")
    with (
        pytest.raises(StateUnusable),
        FileLock(tmp_path, FakeClock()).attempt(purpose="a"),
    ):
        pass
    assert not (tmp_path / "elsewhere").exists()


def test_joined_locks_are_free_again_when_the_second_is_held_by_another(tmp_path: Path) -> None:
    clock = FakeClock()
    first, second = FileLock(tmp_path / "a", clock), FileLock(tmp_path / "b", clock)
    joined = JoinedLocks(clock, first, second)
    with second.hold(timeout_s=0, purpose="other"):
        assert held_by_other(joined)
        with pytest.raises(LockHeld, match="other"), joined.hold(timeout_s=3, purpose="b"):
            pass
        assert not held_by_other(first)
    assert sum(clock.sleeps) == pytest.approx(3.0)


def test_joined_locks_wait_no_longer_than_asked_for_both_together(tmp_path: Path) -> None:
    holder, waits = FileLock(tmp_path / "a", FakeClock()), 0.0
    first = holder.hold(timeout_s=0, purpose="first")

    def pass_time(seconds: float) -> None:
        nonlocal waits
        waits += seconds
        if waits > 2 and not held_by_other(FileLock(tmp_path / "c", FakeClock())):
            first.__exit__(None, None, None)

    clock = FakeClock(on_sleep=pass_time)
    first.__enter__()
    joined = JoinedLocks(clock, FileLock(tmp_path / "a", clock), FileLock(tmp_path / "b", clock))
    with (
        FileLock(tmp_path / "b", FakeClock()).hold(timeout_s=0, purpose="second"),
        pytest.raises(LockHeld, match="second"),
        joined.hold(timeout_s=5, purpose="b"),
    ):
        pass
    assert sum(clock.sleeps) == pytest.approx(5.0)
