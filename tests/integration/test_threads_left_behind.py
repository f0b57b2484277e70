"""Threads of a pool that is left by a fault or a signal: nobody waits for them."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from types import FrameType, SimpleNamespace
from typing import Any

import pytest

from snap_self.cli import wiring
from snap_self.errors import MetadataRefused
from snap_self.instance.identity import DISKS, read_identity
from snap_self.threads import pool as pool_module
from snap_self.threads import thread as thread_module
from snap_self.threads.pool import ThreadPool, side_by_side
from snap_self.threads.thread import STARTING, Thread

LIMIT_S = 60.0
# The call of the pool's thread never returns.
ENDING = """
import sys, threading
from snap_self.cli.entry import end
from snap_self.threads.pool import side_by_side
begun = threading.Event()
def call():
    begun.set()
    threading.Event().wait()
print("said", end="")
try:
    with side_by_side(1, "call") as pool:
        pool.submit(call)
        begun.wait()
        raise LookupError
except LookupError:
    end(7)
"""


@pytest.fixture
def hold() -> Iterator[threading.Event]:
    """Return what a call waits for until the test has ended."""
    event = threading.Event()
    yield event
    event.set()


@pytest.mark.parametrize("fault", [KeyboardInterrupt, OSError])
def test_pool_that_a_fault_leaves_is_not_waited_for(
    fault: type[BaseException], hold: threading.Event
) -> None:
    calls: list[Future[bool]] = []

    def broken() -> None:
        begun = threading.Event()
        with side_by_side(1, "test") as pool:
            calls.append(pool.submit(lambda: begun.set() or hold.wait(LIMIT_S)))
            calls.append(pool.submit(hold.wait, LIMIT_S))
            begun.wait(LIMIT_S)
            raise fault

    with pytest.raises(fault):
        broken()
    assert [call.running() for call in calls] == [True, False]
    assert [call.cancelled() for call in calls] == [False, True]


def test_pool_that_ends_well_is_waited_for() -> None:
    ended: list[int] = []
    with side_by_side(2, "test") as pool:
        for number in range(20):
            pool.submit(ended.append, number)
    assert sorted(ended) == [*range(20)]


def test_process_that_has_ended_its_work_waits_for_no_call() -> None:
    ended = subprocess.run(
        [sys.executable, "-I", "-c", ENDING],
        check=False,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (7, "said", "")


class Metadata:
    """Refuses the document, and never answers about disks."""

    def __init__(self, hold: threading.Event) -> None:
        self._hold = hold
        self.has_waited = False

    def list_dir(self, path: str) -> tuple[str, ...]:
        """Wait for ever."""
        assert path == DISKS
        self._hold.wait(LIMIT_S)
        self.has_waited = True
        return ()

    def get_json(self, path: str) -> Any:
        """Refuse."""
        raise MetadataRefused(f"{path}: 403")


def test_identity_that_is_refused_waits_for_no_other_read(hold: threading.Event) -> None:
    metadata: Any = Metadata(hold)
    with pytest.raises(MetadataRefused):
        read_identity(metadata)
    assert not metadata.has_waited


def test_identity_that_is_refused_waits_for_no_keys(hold: threading.Event) -> None:
    asked, answered = threading.Event(), threading.Event()

    def keys(_: bool) -> None:
        asked.set()
        hold.wait(LIMIT_S)
        answered.set()

    adapters: Any = SimpleNamespace(
        transport=SimpleNamespace(warm=lambda: None),
        credentials=keys,
        metadata=Metadata(hold),
        product_name=None,
    )
    with pytest.raises(MetadataRefused):
        wiring.identify(adapters)
    assert asked.wait(LIMIT_S)
    assert not answered.is_set()


# --- a signal at every moment of a start -------------------------------------------------------


class Interruption(BaseException):
    """Stands for what a signal raises."""


class InterruptedAt:
    """Raises at the nth moment at which a signal could, while this thread starts another.

    The interpreter looks for signals as a function begins and as a call ends, not between a lock's
    ``with`` and its block. Source: CPython, ``CHECK_EVAL_BREAKER`` in ``Python/ceval.c``. What
    ``threading`` does by itself is left in peace: it has such moments too.
    """

    def __init__(self, moment: int) -> None:
        self.left = moment
        self._files = {pool_module.__file__, thread_module.__file__, contextlib.__file__}

    def __call__(self, frame: FrameType, event: str, _: Any) -> None:
        """Be told of calls and of their ends."""
        if event == "c_call":
            return
        caller = frame.f_back if event == "return" else frame
        if caller is not None and caller.f_code.co_filename in self._files:
            self.left -= 1
            if self.left == 0:
                raise Interruption


def start_in_pool() -> None:
    """Start a pool's thread."""
    pool = ThreadPool(1)
    try:
        pool.submit(int)
    finally:
        pool.shutdown(wait=False)


def start_alone() -> None:
    """Start a thread of its own."""
    Thread(target=int).start()


@pytest.mark.parametrize("start", [start_in_pool, start_alone])
def test_start_that_a_signal_interrupts_leaves_no_lock_held(start: Any) -> None:
    moment, before = 0, sys.getprofile()
    interrupted = True
    while interrupted:
        moment += 1
        interrupting = InterruptedAt(moment)
        sys.setprofile(interrupting)
        try:
            start()
        except Interruption:
            pass
        finally:
            sys.setprofile(before)
        interrupted = interrupting.left <= 0
        free = STARTING.acquire(blocking=False)
        STARTING.release()
        assert free, f"held after moment {moment}"
    assert moment > 3
