"""The process that opens copies: started for its question, or beforehand."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from snap_self.system.clock import SystemClock
from snap_self.system.opening.aside import Aside, Limits

pytestmark = pytest.mark.own_root

NOTHING = (False, (), (), ())
CHILD = b"snap_self.system.opening.child"


def children() -> set[int]:
    """Return the processes of that kind which this one has started and which run."""
    found = set()
    for place in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((place / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == os.getpid() and CHILD in (place / "cmdline").read_bytes():
                found.add(int(place.name))
        except OSError:
            continue
    return found


@pytest.fixture
def aside() -> Aside:
    return Aside(SystemClock(), Limits())


def ask(aside: Aside) -> object:
    """Ask to close nothing."""
    told = {"disks": {}, "by_id": "/nonexistent", "at": "", "wait_s": 0.0}
    answer, fds = aside.ask("close", (), told)
    assert fds == []
    return answer


def test_process_that_was_started_beforehand_answers_and_ends(aside: Aside) -> None:
    aside.prepare()
    aside.prepare()
    (prepared,) = children()
    assert ask(aside) == NOTHING
    assert prepared not in children()


def test_next_question_has_a_process_of_its_own(aside: Aside) -> None:
    aside.prepare()
    assert [ask(aside), ask(aside)] == [NOTHING, NOTHING]
    assert children() == set()


def test_process_that_was_killed_before_its_question_is_replaced(aside: Aside) -> None:
    aside.prepare()
    (prepared,) = children()
    os.kill(prepared, signal.SIGKILL)
    os.waitid(os.P_PID, prepared, os.WEXITED | os.WNOWAIT)
    assert ask(aside) == NOTHING


PREPARES = """
import os
from snap_self.system.clock import SystemClock
from snap_self.system.opening.aside import Aside, Limits
aside = Aside(SystemClock(), Limits())
aside.prepare()
print(aside._prepared._child.process.pid, flush=True)
os._exit(0)
"""


def test_process_without_a_question_ends_with_the_one_that_started_it() -> None:
    starter = subprocess.run(
        [sys.executable, "-I", "-c", PREPARES], capture_output=True, check=True, text=True
    )
    place, end = Path("/proc") / starter.stdout.strip(), time.monotonic() + 20
    while place.exists() and b"Z" not in (place / "stat").read_bytes().rpartition(b")")[2][:3]:
        assert time.monotonic() < end, "it waits for a question that nobody will ask"
        time.sleep(0.05)
