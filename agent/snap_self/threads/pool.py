"""Pools whose threads are started only where there is memory, and which hold nobody up."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import ParamSpec, TypeVar

from snap_self.threads.thread import STARTING, prove_room

P = ParamSpec("P")
T = TypeVar("T")


class ThreadPool(ThreadPoolExecutor):
    """A pool of threads."""

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Have a thread of the pool do something, or a new one.

        Raises:
            MemoryError: there is no room for a thread.
            RuntimeError: the kernel gives no more threads, or the pool is closed.
        """
        with STARTING:
            prove_room()
            return super().submit(fn, *args, **kwargs)


@contextmanager
def side_by_side(workers: int, name: str) -> Iterator[ThreadPool]:
    """Give a pool that is waited for when all goes well, and left behind when something fails.

    A failure or an interrupt must not wait for another call's time limit. Nor could it: a signal
    that raises between two lines of ``threading`` may leave a lock held that a thread of the pool
    then waits for. Source: CPython, ``Condition.__enter__`` in ``Lib/threading.py``.
    """
    pool = ThreadPool(max_workers=workers, thread_name_prefix=name)
    well = False
    try:
        yield pool
        well = True
    finally:
        pool.shutdown(wait=well, cancel_futures=not well)
