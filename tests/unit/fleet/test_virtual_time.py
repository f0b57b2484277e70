"""Virtual time: who waits for whom, and that nothing happens twice or in another order."""

from __future__ import annotations

import threading
from concurrent.futures import Future, wait
from concurrent.futures import TimeoutError as NotYet

import pytest

from fakes.virtual_time import VirtualPool, VirtualProcess, VirtualTime, virtual_pools
from snap_self.threads.pool import side_by_side


class Stopped(BaseException):
    """Stands for a signal."""


@pytest.fixture
def time() -> VirtualTime:
    return VirtualTime()


def test_sleepers_wake_in_order_of_their_instants(time: VirtualTime) -> None:
    woken: list[tuple[str, float]] = []

    def sleeper(name: str, seconds: float) -> None:
        time.sleep(seconds)
        woken.append((name, time.now_s))

    for name, seconds in (("late", 600.0), ("early", 2.0), ("also early", 2.0)):
        time.start(lambda name=name, seconds=seconds: sleeper(name, seconds))
    time.run()
    assert woken == [("early", 2.0), ("also early", 2.0), ("late", 600.0)]


def test_run_until_an_instant_leaves_the_later_ones(time: VirtualTime) -> None:
    seen: list[float] = []
    for at_s in (1.0, 5.0):
        time.at(at_s, lambda: seen.append(time.now_s))
    time.run(until_s=3.0)
    assert seen == [1.0]
    time.run()
    assert seen == [1.0, 5.0]


def test_started_task_runs_until_its_first_wait(time: VirtualTime) -> None:
    said: list[str] = []

    def inner() -> None:
        said.append("inner begins")
        time.sleep(1.0)
        said.append("inner ends")

    def outer() -> None:
        time.start(inner)
        said.append("outer goes on")

    time.start(outer)
    time.run()
    assert said == ["inner begins", "outer goes on", "inner ends"]


def test_error_of_a_task_is_raised_by_the_run(time: VirtualTime) -> None:
    def work() -> None:
        time.sleep(1.0)
        raise ZeroDivisionError

    time.start(work)
    with pytest.raises(ZeroDivisionError):
        time.run()


def test_sleep_outside_a_task_is_refused(time: VirtualTime) -> None:
    with pytest.raises(RuntimeError, match="only a task"):
        time.sleep(1.0)


def test_sleep_in_a_real_thread_is_refused(time: VirtualTime) -> None:
    refused: list[bool] = []

    def work() -> None:
        with pytest.raises(RuntimeError, match="only a task"):
            time.sleep(1.0)
        refused.append(True)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert refused == [True]


def test_interrupted_sleep_wakes_no_later_one(time: VirtualTime) -> None:
    process = VirtualProcess(time)
    woken: list[float] = []

    def main() -> None:
        try:
            time.sleep(10.0)
        except Stopped:
            woken.append(time.now_s)
        time.sleep(20.0)
        woken.append(time.now_s)

    process.run(main)
    time.at(4.0, lambda: process.interrupt(Stopped()))
    time.run()
    assert woken == [4.0, 24.0]


def test_interrupt_after_the_end_does_nothing(time: VirtualTime) -> None:
    process = VirtualProcess(time)
    process.run(lambda: time.sleep(1.0))
    time.at(4.0, lambda: process.interrupt(Stopped()))
    time.run()
    assert time.now_s == 4.0


def test_tasks_of_a_process_end_with_its_main_task(time: VirtualTime) -> None:
    process, said = VirtualProcess(time), []

    def other() -> None:
        try:
            time.sleep(100.0)
            said.append("came to its end")
        finally:
            said.append(f"ended at {time.now_s:g}")

    def main() -> None:
        VirtualPool(time).submit(other)
        time.sleep(3.0)

    process.run(main)
    time.run()
    assert said == ["ended at 3"]


def test_pool_runs_so_many_calls_at_a_time(time: VirtualTime) -> None:
    ended: list[float] = []

    def call() -> None:
        time.sleep(10.0)
        ended.append(time.now_s)

    def main() -> None:
        pool = VirtualPool(time, max_workers=2)
        for future in [pool.submit(call) for _ in range(3)]:
            future.result()

    time.start(main)
    time.run()
    assert ended == [10.0, 10.0, 20.0]


def test_result_of_a_call_is_waited_for_in_virtual_time(time: VirtualTime) -> None:
    seen: list[object] = []

    def call(value: int) -> int:
        time.sleep(2.0)
        if not value:
            raise ZeroDivisionError
        return value

    def main() -> None:
        pool = VirtualPool(time)
        good, bad = pool.submit(call, 7), pool.submit(call, 0)
        with pytest.raises(NotYet):
            good.result(timeout=0.5)
        seen.append(time.now_s)
        seen.append(good.result())
        seen.append(type(bad.exception()))
        seen.append(time.now_s)

    time.start(main)
    time.run()
    assert seen == [0.5, 7, ZeroDivisionError, 2.0]


def test_calls_that_never_wait_are_done_at_once(time: VirtualTime) -> None:
    # The flush waits for its syncs by the library's own wait, which knows real time only.
    late: list[int] = []

    def main() -> None:
        calls = [VirtualPool(time).submit(lambda: None) for _ in range(3)]
        late.append(len(wait(calls, timeout=0).not_done))

    time.start(main)
    time.run()
    assert late == [0]


def test_pool_that_is_left_behind_is_not_waited_for(time: VirtualTime) -> None:
    left: list[float] = []
    queued: list[Future[None]] = []

    def broken() -> None:
        with side_by_side(1, "test") as pool:
            pool.submit(time.sleep, 50.0)
            queued.append(pool.submit(time.sleep, 50.0))
            time.sleep(1.0)
            raise KeyError

    def main() -> None:
        with pytest.raises(KeyError):
            broken()
        left.append(time.now_s)

    with virtual_pools(time):
        time.start(main)
        time.run()
    assert left == [1.0]
    assert time.now_s == 50.0
    assert [future.cancelled() for future in queued] == [True]
