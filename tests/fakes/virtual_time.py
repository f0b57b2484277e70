"""Virtual time: tasks that run one at a time, and a clock that jumps to whoever wakes next.

A task is a greenlet. It runs until it sleeps or waits for another one; nothing else happens
meanwhile, so a run of the same tasks is the same run again. What the product gives to threads of a
pool becomes tasks too, by ``VirtualPool`` in place of the pool.
"""

from __future__ import annotations

import heapq
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Executor, Future
from concurrent.futures import TimeoutError as NotYet
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta, timezone
from functools import partial
from itertools import count
from typing import Any, TypeVar
from unittest import mock

from greenlet import GreenletExit, getcurrent, greenlet

from snap_self.threads import pool

T = TypeVar("T")

# A whole minute of the wall clock, in which the API's windows begin.
START = datetime(2026, 11, 28, 3, 0, tzinfo=timezone.utc)


class VirtualTask(greenlet):
    """What runs until it waits.

    Args:
        process: what it is a part of, if of any.
        wait: stands for the wait it is in; None while it runs.
    """

    process: VirtualProcess | None = None
    wait: object = None


class VirtualTime:
    """The one scheduler of a simulation; belongs to the thread that made it."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self._hub = getcurrent()
        self._thread = threading.get_ident()
        self._order = count()
        self._due: list[tuple[float, int, Callable[[], object]]] = []

    def at(self, when_s: float, act: Callable[[], object]) -> None:
        """Have ``act`` run then, or now if that is past; it must not sleep."""
        heapq.heappush(self._due, (max(when_s, self.now_s), next(self._order), act))

    def start(
        self, work: Callable[[], object], *, process: VirtualProcess | None = None
    ) -> VirtualTask:
        """Begin a task, which runs until it first waits before this returns.

        Args:
            process: what it is a part of; by default what the starting task is a part of.
        """
        starter = getcurrent()
        task = VirtualTask(work, parent=self._hub)
        task.process = process
        if isinstance(starter, VirtualTask):
            task.process = process or starter.process
            self.at(self.now_s, self._waker(starter))
        if task.process is not None:
            task.process.tasks.append(task)
        task.switch()
        return task

    def sleep(self, seconds: float) -> None:
        """Let the others go on, and return that much later.

        Raises:
            RuntimeError: called from a thread or a place that is no task.
        """
        task = self._task()
        self.at(self.now_s + max(0.0, seconds), self._waker(task))
        self._hub.switch()

    def wait(self, ended: Callable[[Callable[[], None]], None], timeout_s: float | None) -> None:
        """Return when ``ended`` calls what it is given, or when the time is up."""
        wake = self._waker(self._task())
        ended(lambda: self.at(self.now_s, wake))
        if timeout_s is not None:
            self.at(self.now_s + timeout_s, wake)
        self._hub.switch()

    def run(self, until_s: float = float("inf")) -> None:
        """Run what is due until then; an error that a task does not catch is raised here."""
        while self._due and self._due[0][0] <= until_s:
            self.now_s, _, act = heapq.heappop(self._due)
            act()

    def throw(self, task: VirtualTask, error: BaseException) -> None:
        """Raise an error in a task where it waits; only from what ``at`` runs."""
        if not task.dead:
            task.wait = None
            task.throw(error)

    def _task(self) -> VirtualTask:
        task = getcurrent()
        if threading.get_ident() != self._thread or not isinstance(task, VirtualTask):
            raise RuntimeError("only a task of this simulation can wait in its time")
        return task

    def _waker(self, task: VirtualTask) -> Callable[[], None]:
        """Return what wakes the task from the wait that it begins now, and from no later one."""
        task.wait = token = object()

        def wake() -> None:
            if task.wait is token:
                task.wait = None
                task.switch()

        return wake


class VirtualProcess:
    """The tasks that end together, as the threads of a process do."""

    def __init__(self, time: VirtualTime) -> None:
        self._time = time
        self.tasks: list[VirtualTask] = []

    def run(self, main: Callable[[], object]) -> None:
        """Run its main task now; the others are ended with it."""

        def work() -> None:
            try:
                main()
            finally:
                self._time.at(self._time.now_s, self.end)

        self._time.start(work, process=self)

    def interrupt(self, error: BaseException) -> None:
        """Raise an error in the main task, as a signal's handler does."""
        if self.tasks:
            self._time.throw(self.tasks[0], error)

    def end(self) -> None:
        """End what is left of it, where it stands."""
        for task in self.tasks:
            self._time.throw(task, GreenletExit())


class VirtualClock:
    """The twin of ``SystemClock`` in virtual time."""

    def __init__(self, time: VirtualTime) -> None:
        self._time = time

    def now(self) -> datetime:
        """Return the virtual instant."""
        return START + timedelta(seconds=self._time.now_s)

    def monotonic(self) -> float:
        """Return the virtual seconds."""
        return self._time.now_s

    def sleep(self, seconds: float) -> None:
        """Let the other tasks go on meanwhile."""
        self._time.sleep(seconds)


class VirtualFuture(Future[T]):
    """A future that is waited for in virtual time."""

    def __init__(self, time: VirtualTime) -> None:
        super().__init__()
        self._time = time

    def result(self, timeout: float | None = None) -> T:
        """Return the result once it is there."""
        self._await(timeout)
        return super().result(0)

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Return what went wrong, once it has ended."""
        self._await(timeout)
        return super().exception(0)

    def _await(self, timeout: float | None) -> None:
        if not self.done():
            self._time.wait(self._call_when_done, timeout)
        if not self.done():
            raise NotYet

    def _call_when_done(self, call: Callable[[], None]) -> None:
        self.add_done_callback(lambda _: call())


class VirtualPool(Executor):
    """The twin of ``ThreadPool``: each call is a task, at most so many at a time."""

    def __init__(
        self, time: VirtualTime, max_workers: int = 8, thread_name_prefix: str = ""
    ) -> None:
        del thread_name_prefix
        self._time = time
        self._free = max_workers
        self._waiting: deque[tuple[VirtualFuture[Any], Callable[[], Any]]] = deque()
        self._futures: list[VirtualFuture[Any]] = []

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """Begin a call, or put it behind those that run."""
        future: VirtualFuture[T] = VirtualFuture(self._time)
        self._futures.append(future)
        self._waiting.append((future, partial(fn, *args, **kwargs)))
        if self._free:
            self._free -= 1
            self._time.start(self._work)
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take nothing back from calls that run; wait for them if asked to."""
        if cancel_futures:
            for queued, _ in self._waiting:
                queued.cancel()
        for future in self._futures if wait else ():
            with suppress(CancelledError):
                future.exception()

    def _work(self) -> None:
        while self._waiting:
            future, call = self._waiting.popleft()
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(call())
            except Exception as error:
                future.set_exception(error)
        self._free += 1


@contextmanager
def virtual_pools(time: VirtualTime) -> Iterator[None]:
    """Have the product's pools of threads be pools of tasks inside the block."""
    with mock.patch.object(pool, "ThreadPool", partial(VirtualPool, time)):
        yield
