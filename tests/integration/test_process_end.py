"""How the process ends when a call that was given up still runs in a thread of it."""

from __future__ import annotations

import subprocess
import sys

import pytest

from agent_runner import CHECKOUT

PROGRAM = """
import atexit, sys, threading, time
from snap_self.cli import entry

atexit.register(print, "taken apart")
threading.Thread(target=time.sleep, args=({seconds},), daemon=True).start()
time.sleep(0.2)
print("said", end="")
entry.end(3)
"""


@pytest.mark.parametrize(
    ("seconds", "said"), [(60, "said"), (0, "saidtaken apart\n")], ids=["running", "ended"]
)
def test_interpreter_is_taken_apart_only_when_no_thread_is_left(seconds: int, said: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(seconds=seconds)],
        env={"PYTHONPATH": str(CHECKOUT / "agent")},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stdout, done.stderr) == (3, said, "")
