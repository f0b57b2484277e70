"""A pool whose threads are started only where there is memory for one."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
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
