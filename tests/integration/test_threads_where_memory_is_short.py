"""Threads under a limit on memory: one is started or refused, and nobody waits for ever."""

from __future__ import annotations

import resource
import subprocess
import sys

import pytest

from snap_self.threads.pool import ThreadPool
from snap_self.threads.thread import ROOM_BYTES, Thread

# Prints how each of four starts went; the room is what is left of addresses for all of them.
SCRIPT = """
import resource, sys
from snap_self.threads.pool import ThreadPool
from snap_self.threads.thread import Thread
from threading import Event

def left(kib):
    with open("/proc/self/statm") as sizes:
        used = int(sizes.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + kib * 1024, resource.RLIM_INFINITY))

hold, answers = Event(), []
pool = ThreadPool(4)
left(int(sys.argv[2]))
for _ in range(4):
    try:
        if sys.argv[1] == "pool":
            pool.submit(hold.wait)
        else:
            Thread(target=hold.wait, daemon=True).start()
    except (MemoryError, RuntimeError) as error:
        answers.append(type(error).__name__)
    else:
        answers.append("started")
hold.set()
print(*answers)
"""
STACK_BYTES = 9 << 20
STARTED, REFUSED = "started", {"MemoryError", "RuntimeError"}


@pytest.mark.parametrize("kind", ["thread", "pool"])
@pytest.mark.parametrize("mib", [1, 4, 8, 9, 12, 16, 20, 24, 28, 32, 33, 34, 40, 48, 64, 200])
def test_start_is_made_or_refused_whatever_is_left(kind: str, mib: int) -> None:
    ended = subprocess.run(
        [sys.executable, "-I", "-c", SCRIPT, kind, str(mib * 1024)],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    answers = ended.stdout.split()
    assert len(answers) == 4, ended.stderr
    assert set(answers) <= {STARTED, *REFUSED}
    room = mib << 20
    assert (answers[0] == STARTED) == (room > ROOM_BYTES), answers
    assert answers == sorted(answers, key=STARTED.__ne__), "one started after one was refused"
    assert answers[-1] == STARTED or room < ROOM_BYTES + 4 * STACK_BYTES


def test_work_that_lacks_memory_is_told_to_who_waits_for_it() -> None:
    def lacks() -> None:
        raise MemoryError

    thread = Thread(target=lacks)
    thread.start()
    with pytest.raises(MemoryError):
        thread.join()


def test_pool_gives_what_its_work_gave() -> None:
    with ThreadPool(1) as pool:
        assert pool.submit(sum, (1, 2)).result() == 3


def test_room_that_is_proved_takes_no_memory() -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    threads = [Thread(target=bytes) for _ in range(50)]
    for thread in threads:
        thread.start()
        thread.join()
    # In KiB: less than a tenth of one room, where fifty were proved.
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < ROOM_BYTES // 1024 // 10
