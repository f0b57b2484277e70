"""Independent waits side by side."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager


@contextmanager
def side_by_side(workers: int, name: str) -> Iterator[ThreadPoolExecutor]:
    """Give a pool that is waited for when all goes well, and left behind when something fails.

    A failure or an interrupt must not wait for another call's time limit.
    """
    pool = ThreadPoolExecutor(max_workers=workers, thread_name_prefix=name)
    well = False
    try:
        yield pool
        well = True
    finally:
        pool.shutdown(wait=well, cancel_futures=not well)
